"""Kinds of model that can be trained: what a round needs to know of each.

A kind says which items it can use, trains a model in a folder, judges it on examples that nothing
was trained or tuned on, and leaves the files of the new version. All else of a round is the same
for all kinds.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import structlog

from flows.training.split import Part, Split
from models.checkpoint import CheckpointFile
from models.registry import Metric
from records import DetectorError, SightflowError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from flows.training.examples import Example, Examples
    from flows.training.process import Session
    from flows.training.settings import TrainingJob
    from models.registry import ModelKind
    from records import RetrainingItem

CHECKPOINT = "checkpoint"
"""The file in a round's folder that training goes on from."""

CANDIDATE = "candidate"
"""The folder in a round's folder that holds the files of the new version."""

_log = structlog.get_logger()


class UntrainableError(SightflowError):
    """The examples do not do for a round; it ends without a version."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What a new model is worth, beside the one before.

    Attributes:
        better: Whether it is to be registered.
        reason: Why it is, or is not.
        after: The new model's figures on the examples for judging.
        before: The present version's on the same examples; empty without one.
        difference: How much the first are above the second, paired.
        data_sha256: SHA-256 of what the new model was trained on.
    """

    better: bool
    reason: str
    after: Mapping[str, Metric]
    before: Mapping[str, Metric]
    difference: Mapping[str, Metric]
    data_sha256: str


@dataclass(frozen=True, slots=True)
class RoundData:
    """What a kind works with.

    Attributes:
        job: The trainer's job.
        examples: The examples.
        new: The ids of those that this round brought.
        folder: The round's folder; what lies there survives a kill.
        parent: The number of the version that the round begins from; None without one.
        seed: What is random follows from it.
        since: Event time, nanoseconds, from which on held-out examples of a stream count; of all
            time for a stream without.
        tell: Called with what is done, and the share of it, 0..1, when its checkpoint is safe.
    """

    job: TrainingJob
    examples: Examples
    new: frozenset[str]
    folder: Path
    parent: int | None
    seed: int
    since: Mapping[str, int] = field(default_factory=dict)
    tell: Callable[[str, float], None] = field(default=lambda _words, _share: None)

    @property
    def split(self) -> Split:
        """How examples are split; the same in every round."""
        section = self.job.section
        return Split(section.held_out_share, section.block_seconds, section.seed)

    @property
    def parent_folder(self) -> Path | None:
        """The files of the version that the round begins from; None without one."""
        if self.parent is None:
            return None
        return self.job.registry.folder(self.job.name, self.parent)

    def fresh_candidate(self) -> Path:
        """The folder for the new version's files, without what a killed process left in it."""
        folder = self.folder / CANDIDATE
        shutil.rmtree(folder, ignore_errors=True)
        return folder


class Kind(Protocol):
    """One kind of model."""

    @property
    def model_kind(self) -> ModelKind:
        """What the registry calls it."""

    @property
    def asks_reference(self) -> bool:
        """Whether the reference detector can label its items."""

    def unfit(self, item: RetrainingItem) -> str:
        """Why an item cannot be used, in a word for a count; empty when it can."""

    def train(self, data: RoundData, session: Session) -> None:
        """Train on the part for training, and leave the model in the round's folder.

        Raises:
            UntrainableError: the examples do not do.
            TrainingStoppedError: the trainer is to end; a checkpoint is there.
        """

    def evaluate(self, data: RoundData) -> Evaluation:
        """Judge the model, and leave the files of the version in the folder `CANDIDATE`.

        Raises:
            UntrainableError: the examples do not do.
        """


def checkpoint_of(data: RoundData) -> CheckpointFile:
    """The checkpoint of a round's training; one that is damaged is told of and removed."""
    file = CheckpointFile(data.folder / CHECKPOINT)
    try:
        file.load("")
    except DetectorError as error:
        _log.warning("training begins anew", reason=str(error))
        file.remove()
    return file


def evaluation_to_json(evaluation: Evaluation) -> dict[str, Any]:
    """An evaluation as plain JSON values."""
    figures = {
        name: {metric: figure_to_json(one) for metric, one in getattr(evaluation, name).items()}
        for name in ("before", "after", "difference")
    }
    return {
        "better": evaluation.better,
        "reason": evaluation.reason,
        **figures,
        "data_sha256": evaluation.data_sha256,
    }


def evaluation_from_json(value: Mapping[str, Any]) -> Evaluation:
    """The evaluation of `evaluation_to_json`'s values."""
    figures = {
        name: {metric: Metric(**one) for metric, one in value[name].items()}
        for name in ("before", "after", "difference")
    }
    return Evaluation(**{**value, **figures})


def figure_to_json(metric: Metric) -> dict[str, Any]:
    """A figure with its interval as plain JSON values."""
    return {"value": metric.value, "low": metric.low, "high": metric.high, "n": metric.n}


def training_examples(data: RoundData, kind: Kind) -> list[Example]:
    """The examples that a round trains on: its own, and some of earlier rounds.

    Of the part for training alone, in order of stream and time. The earlier ones are drawn at
    random over all of time, so that day is not forgotten when night falls.
    """
    mine = examples_for(data, kind, Part.TRAIN)
    new = [one for one in mine if one.item.id in data.new]
    earlier = [one for one in mine if one.item.id not in data.new]
    share = data.job.section.rehearsal
    most = len(earlier) if share is None else min(round(share * len(new)), len(earlier))
    drawn = np.random.default_rng(data.seed).permutation(len(earlier))[:most]
    kept = {earlier[k].item.id for k in drawn.tolist()} | {one.item.id for one in new}
    return [one for one in mine if one.item.id in kept]


def examples_for(data: RoundData, kind: Kind, part: Part) -> list[Example]:
    """All fit examples of a part, in order of stream and time.

    Of the held-out parts only those since the stream's last alarm: thresholds and figures are to be
    those of the stream as it is now. Training looks at older ones, too.
    """
    split, since = data.split, {} if part is Part.TRAIN else data.since
    return [
        one
        for one in data.examples.all()
        if not kind.unfit(one.item)
        and split.part(one.item.stream, one.item.time_ns) is part
        and one.item.time_ns >= since.get(one.item.stream, 0)
    ]
