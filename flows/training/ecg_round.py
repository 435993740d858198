"""A round for an ECG model: labelled windows of signals, from the present weights on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import structlog

from connectors.codec import decode
from flows.model_reference import REGISTRY
from flows.training.judging import Sample, in_words, shown_above
from flows.training.kinds import (
    CANDIDATE,
    Evaluation,
    UntrainableError,
    checkpoint_of,
    examples_for,
    training_examples,
)
from flows.training.planning import planning_of
from flows.training.split import Part
from models.ecg import CLASSES, RATE_HZ, EcgModel
from models.ecg_data import LabelledSignal
from models.ecg_network import WINDOW
from models.ecg_training import EcgTrainSettings, train_ecg
from models.registry import ModelKind
from records import Reading, RecordError
from records.retraining import SIGNAL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flows.evaluate.replay_score import Ratio
    from flows.training.examples import Example
    from flows.training.kinds import RoundData
    from flows.training.process import Session
    from records import RetrainingItem

MODEL = "model.safetensors"
"""The file of a version that holds the model."""

NO_SIGNAL = "no_signal"
"""Why an item cannot be used: no signal is kept beside it."""

FINE_TUNE_EPOCHS = 20
"""Passes over the examples when training goes on from a model."""

FINE_TUNE_RATE = 0.001
"""The highest learning rate then: a quarter of that for a model from nothing."""

CONFIDENCE = 0.95
"""Of the intervals of figures."""

FEWEST_JUDGED = 10
"""The held-out part needs so many windows."""

_log = structlog.get_logger()


class EcgKind:
    """Classifiers of ECG windows."""

    model_kind = ModelKind.ECG
    asks_reference = False

    def unfit(self, item: RetrainingItem) -> str:
        """Why an item cannot be used; empty when it can."""
        crop = item.crop
        return "" if crop is not None and crop.content_type == SIGNAL else NO_SIGNAL

    def train(self, data: RoundData, session: Session) -> None:
        """Fine-tune the present model, or train a first one."""
        section, present = data.job.section, present_model(data)
        classes = CLASSES if present is None else present.classes
        records = read_signals(data, training_examples(data, self), classes).records
        usual = EcgTrainSettings(threads=section.threads, seed=data.seed)
        usual = replace(usual, batch_size=max(min(usual.batch_size, len(records)), 2))
        settings = (
            usual
            if present is None
            else replace(
                usual,
                architecture=present.what.architecture,
                epochs=FINE_TUNE_EPOCHS,
                learning_rate=FINE_TUNE_RATE,
            )
        )

        def progress(epoch: int, loss: float) -> None:
            data.tell(f"training, loss {loss:.3f}", epoch / settings.epochs)
            session.check()

        try:
            model = train_ecg(
                records, settings, progress, classes, initial=present,
                checkpoint=checkpoint_of(data), enough=session.enough,
                planning=planning_of(data),
            )  # fmt: skip
        except RecordError as error:
            raise UntrainableError(f"the examples for training do not do: {error}") from error
        model.save(data.fresh_candidate() / MODEL)

    def evaluate(self, data: RoundData) -> Evaluation:
        """Compare the new model with the present one on windows that neither has seen."""
        present = present_model(data)
        model = EcgModel.load(data.folder / CANDIDATE / MODEL)
        held = [*examples_for(data, self, Part.TUNE), *examples_for(data, self, Part.JUDGE)]
        judged = read_signals(data, held, model.classes)
        if len(judged.records) < FEWEST_JUDGED:
            raise UntrainableError(
                f"the held-out part must have at least {FEWEST_JUDGED} labelled windows, got "
                f"{len(judged.records)}. Let the queue fill, or shorten training.block_seconds"
            )
        sample = Sample.of(judged.examples, data.split, CONFIDENCE, data.seed)
        ratios = judged.ratios(model, sample)
        before = {} if present is None else judged.ratios(present, sample)
        difference = sample.compare(before, ratios)
        better = present is None or shown_above(difference["accuracy"])
        gain = difference.get("accuracy")
        return Evaluation(
            better=better,
            reason="there is no version before it"
            if gain is None
            else f"its accuracy is above the present version's by {in_words(gain)}",
            after=sample.figures(ratios),
            before=sample.figures(before),
            difference=difference,
            data_sha256=str(model.what.provenance["data_sha256"]),
        )


@dataclass(frozen=True, slots=True)
class Signals:
    """Examples whose signals a model can take, n of them.

    Attributes:
        examples: The examples.
        records: Their signals and labels, in the same order.
    """

    examples: list[Example]
    records: list[LabelledSignal]

    def ratios(self, model: EcgModel, sample: Sample) -> dict[str, Ratio]:
        """How right a model is: of all examples, and of those of each class."""
        truth = np.array([record.label for record in self.records], np.int64)
        said = [model.classify(record.signal).mean(axis=0).argmax() for record in self.records]
        right = np.array(said, np.int64) == truth
        classes = {
            f"recall of {name}": sample.ratio(right & (truth == place), truth == place)
            for place, name in enumerate(model.classes)
        }
        return {"accuracy": sample.ratio(right), **classes}


def present_model(data: RoundData) -> EcgModel | None:
    """The version before, else the file that the configuration names; None without either."""
    folder = data.parent_folder
    if folder is not None:
        return EcgModel.load(folder / MODEL)
    section = data.job.configuration.classifier
    if section is None or section.model.startswith(REGISTRY):
        return None
    return EcgModel.load(data.job.folder / section.model)


def read_signals(data: RoundData, examples: Sequence[Example], classes: tuple[str, ...]) -> Signals:
    """The signals of examples; those that no model of these classes can take are told of."""
    found = Signals([], [])
    for one in examples:
        record = _record(data.examples.crop(one), one, classes, data)
        if record is None:
            _log.warning("example left out", item=one.item.id, label=one.label.class_name)
            continue
        found.examples.append(one)
        found.records.append(record)
    return found


def _record(
    crop: bytes, example: Example, classes: tuple[str, ...], data: RoundData
) -> LabelledSignal | None:
    """One signal, float32 (n,), mV; None where rate, length, channel or class do not fit."""
    reading, name = decode(crop), example.label.class_name
    if not isinstance(reading, Reading) or reading.rate_hz != RATE_HZ or name not in classes:
        return None
    section = data.job.configuration.classifier
    channel = "" if section is None else section.channel
    if len(reading.samples) < WINDOW or (channel and channel not in reading.channels):
        return None
    column = reading.channels.index(channel) if channel else 0
    signal = np.ascontiguousarray(reading.samples[:, column], np.float32)
    return LabelledSignal(example.item.name, signal, classes.index(name))
