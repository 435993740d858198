"""Signals in a dataflow: blocks of samples are classified, and assertions watch the classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import bytewax.operators as op

from flows.asserted import found_in
from models.ecg import EcgModel
from operators.assertions.api import Moment, MomentBatch
from operators.ecg_stream import EcgStreamSettings, ecg_stream

if TYPE_CHECKING:
    from pathlib import Path

    from bytewax.operators import KeyedStream

    from flows.assertions import Assertions
    from flows.config import ClassifierSection
    from operators.alerting import AlertOrigin
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


def load_classifier(section: ClassifierSection, folder: Path) -> Classifier:
    """Read the model of a section.

    Args:
        section: The section.
        folder: Where its relative path counts from.

    Raises:
        DetectorError: the model cannot be read.
    """
    settings = EcgStreamSettings(section.channel, section.new_windows, section.tolerance_seconds)
    return Classifier(settings, EcgModel.load(folder / section.model))


def heard(
    signals: KeyedStream[Reading | StreamEvent],
    classifier: Classifier | None,
    assertions: Assertions | None,
    origin: AlertOrigin,
) -> list[KeyedStream[list[Record]]]:
    """What follows from signals; without a classifier they pass to the sinks themselves."""
    if classifier is None:
        return [op.map_value("samples", signals, _one)]
    classified = ecg_stream("classify", signals, classifier.settings, classifier.model)
    outputs = [op.filter_map_value("classifications", classified, _records)]
    if assertions is not None:
        moments = op.map_value("classified", classified, _moments)
        outputs += found_in("signal", moments, assertions, origin).records
    return outputs


def _one(item: Reading | StreamEvent) -> list[Record]:
    return [item]


def _records(batch: ClassificationBatch) -> list[Record] | None:
    return [*batch.classifications, *batch.events] or None


def _moments(batch: ClassificationBatch) -> MomentBatch:
    moments = tuple(Moment.of_classification(found) for found in batch.classifications)
    return MomentBatch(batch.stream, moments, batch.events)
