"""Signals in a dataflow: blocks of samples are classified, and assertions watch the classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import bytewax.operators as op

from flows.asserted import found_in
from flows.model_reference import registry_name
from flows.retraining import windows_aside
from models.ecg import EcgModel
from operators.assertions.api import Moment, MomentBatch
from operators.ecg_stream import EcgStreamSettings, ecg_stream

if TYPE_CHECKING:
    from pathlib import Path

    from bytewax.operators import KeyedStream

    from flows.assertions import Assertions
    from flows.config import ClassifierSection
    from flows.live_models import LiveModels
    from flows.retraining import Retraining
    from operators.alerting import AlertOrigin
    from operators.retraining_settings import Candidates
    from records import ClassificationBatch, Reading, Record, SignalClassifier, StreamEvent


@dataclass(frozen=True, slots=True)
class Classifier:
    """Who classifies signals.

    Attributes:
        settings: How a stream is cut.
        model: The model.
    """

    settings: EcgStreamSettings
    model: SignalClassifier


def load_classifier(
    section: ClassifierSection, folder: Path, live: LiveModels | None = None
) -> Classifier:
    """Read the model of a section.

    Args:
        section: The section.
        folder: Where its relative path counts from.
        live: What is followed of the registry; None where nothing is.

    Raises:
        DetectorError: the model cannot be read.
    """
    settings = EcgStreamSettings(section.channel, section.new_windows, section.tolerance_seconds)
    name = registry_name(section.model)
    if name is None:
        return Classifier(settings, EcgModel.load(folder / section.model))
    assert live is not None, "checked with the configuration"
    return Classifier(settings, live.classifier(name))


def heard(
    signals: KeyedStream[Reading | StreamEvent],
    classifier: Classifier | None,
    assertions: Assertions | None,
    origin: AlertOrigin,
    retraining: Retraining | None,
    aside: list[KeyedStream[Candidates]],
) -> list[KeyedStream[list[Record]]]:
    """What follows from signals; without a classifier they pass to the sinks themselves.

    Args:
        signals: The samples.
        classifier: Classifies them; None for nobody.
        assertions: Watch the classes; None for none.
        origin: What stands behind the alerts.
        retraining: Puts windows aside; None for nothing.
        aside: What is put aside is added to these.
    """
    if classifier is None:
        return [op.map_value("samples", signals, _one)]
    classified = ecg_stream("classify", signals, classifier.settings, classifier.model)
    outputs = [op.filter_map_value("classifications", classified, _records)]
    monitored = None
    if assertions is not None:
        moments = op.map_value("classified", classified, _moments)
        found = found_in("signal", moments, assertions, origin)
        outputs += found.records
        monitored = found.monitored
    if retraining is not None:
        aside.append(windows_aside(signals, classified, monitored, retraining, classifier))
    return outputs


def _one(item: Reading | StreamEvent) -> list[Record]:
    return [item]


def _records(batch: ClassificationBatch) -> list[Record] | None:
    return [*batch.classifications, *batch.events] or None


def _moments(batch: ClassificationBatch) -> MomentBatch:
    moments = tuple(Moment.of_classification(found) for found in batch.classifications)
    return MomentBatch(batch.stream, moments, batch.events)
