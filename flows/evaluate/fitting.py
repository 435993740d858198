"""Fitting the small models on a table, and scores for tuning that they were not trained on.

Thresholds must be chosen on scores of frames that a model has not seen: on its own training frames
every model is too sure. The table is cut into blocks of time; for each block a model is trained on
the others and scores it (cross-fitting). The models that run are then trained on all blocks.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Generic, TypeVar

import numpy as np

from models.packet_training import PacketSettings, train_packets
from models.training import TrainSettings, train_specialised
from records import RecordError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from flows.evaluate.table import Table
    from models.packets import PacketModel
    from models.specialised import SpecialisedModel

FORWARD_SHARE = 0.5
"""The share of the table that the models of the forward part are trained on."""

FEWEST_FOLDS = 2
"""With fewer, no block would be scored by a model that has not seen it."""

Model = TypeVar("Model")


@dataclass(frozen=True, slots=True)
class FitSettings:
    """How the small models are fitted.

    Attributes:
        folds: Blocks of time for cross-fitting, at least 2. With more, the models that score are
            trained on nearly as many frames as those that run, and thresholds need less slack.
        packets: How packet models are trained; None for no packet model.
        specialised: How specialised models are trained; None for no specialised model.
    """

    folds: int = 6
    packets: PacketSettings | None = field(default_factory=PacketSettings)
    specialised: TrainSettings | None = field(default_factory=TrainSettings)

    def __post_init__(self) -> None:
        if self.folds < FEWEST_FOLDS:
            raise RecordError(f"folds must be at least {FEWEST_FOLDS}, got {self.folds}")


@dataclass(frozen=True, slots=True)
class Fitted:
    """The small models, and their scores for tuning.

    Attributes:
        table: The table with cross-fitted scores.
        packets: The packet model trained on all of it; None without one.
        specialised: The specialised model trained on all of it; None without one.
        forward: The later part of the table, with scores of models that were trained on the
            earlier part: how models carry on in time, which cross-fitting cannot tell.
    """

    table: Table
    packets: PacketModel | None
    specialised: SpecialisedModel | None
    forward: Table


def fit(
    table: Table,
    settings: FitSettings,
    at_least: int,
    predicate: str,
    tell: Callable[[str], None] = lambda _: None,
) -> Fitted:
    """Fit the models. A truth that never changes gives none: there is nothing to learn.

    Args:
        table: What to fit on.
        settings: How.
        at_least: The count from which the predicate holds.
        predicate: What is asked, for the models' manifests.
        tell: Called with how far the training has come, in words.
    """
    middle = round(len(table) * FORWARD_SHARE)
    later = table.part(middle, len(table))
    if _constant(table):
        return Fitted(table.with_scores(), None, None, later.with_scores())
    packets = _fit(table, middle, settings.folds, _packet_trainer(table, settings, predicate))
    if packets is not None and not packets.model.informative:
        packets = None  # the codec gives no signal: the stage falls out of the plan
    trainer = _image_trainer(table, settings, at_least, predicate, tell)
    images = _fit(table, middle, settings.folds, trainer)
    return Fitted(
        table.with_scores(packets.crossed if packets else None, images.crossed if images else None),
        packets.model if packets else None,
        images.model if images else None,
        later.with_scores(packets.forward if packets else None, images.forward if images else None),
    )


@dataclass(frozen=True, slots=True)
class _Trainer(Generic[Model]):
    """How one kind of model is trained and asked."""

    train: Callable[[Table], Model]
    score: Callable[[Model, Table], NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class _Scored(Generic[Model]):
    """A model trained on all frames; cross-fitted scores, and scores of the later part."""

    model: Model
    crossed: NDArray[np.float32]
    forward: NDArray[np.float32]


def _constant(table: Table) -> bool:
    return bool(table.truth.all() or not table.truth.any())


def _packet_trainer(
    table: Table, settings: FitSettings, predicate: str
) -> _Trainer[PacketModel] | None:
    training = settings.packets
    if training is None or not table.coded_bytes.any():
        return None

    def train(part: Table) -> PacketModel:
        return train_packets(
            part.coded_bytes, part.keyframe, part.reordered, part.truth, training,
            predicate=predicate,
        )  # fmt: skip

    return _Trainer(train, lambda m, t: m.score(t.coded_bytes, t.keyframe, t.reordered))


def _image_trainer(
    table: Table,
    settings: FitSettings,
    at_least: int,
    predicate: str,
    tell: Callable[[str], None],
) -> _Trainer[SpecialisedModel] | None:
    if settings.specialised is None or not len(table.images):
        return None
    training = replace(settings.specialised, at_least=at_least, most_counted=at_least)

    def progress(share: float, loss: float) -> None:
        tell(f"a network: {share:.0%} of its time, validation loss {loss:.3f}")

    def train(part: Table) -> SpecialisedModel:
        return train_specialised(part.images, part.counts, training, progress, predicate=predicate)

    return _Trainer(train, lambda m, t: m.score(t.images))


def _fit(
    table: Table, middle: int, folds: int, trainer: _Trainer[Model] | None
) -> _Scored[Model] | None:
    if trainer is None:
        return None
    earlier, later = table.part(0, middle), table.part(middle, len(table))
    return _Scored(
        trainer.train(table), _crossed(table, folds, trainer), _scores(earlier, later, trainer)
    )


def _scores(seen: Table, unseen: Table, trainer: _Trainer[Model]) -> NDArray[np.float32]:
    """Scores of unseen frames, float32 (n,)."""
    if _constant(seen):
        # Nothing to learn: the base rate is all that they tell.
        return np.full(len(unseen), seen.truth.mean(), dtype=np.float32)
    return trainer.score(trainer.train(seen), unseen)


def _crossed(table: Table, folds: int, trainer: _Trainer[Model]) -> NDArray[np.float32]:
    """Scores of each block by a model that was trained on the others, float32 (n,)."""
    n = len(table)
    scores = np.empty(n, dtype=np.float32)
    cuts = [n * k // folds for k in range(folds + 1)]
    for start, stop in pairwise(cuts):
        scores[start:stop] = _scores(table.without(start, stop), table, trainer)[start:stop]
    return scores
