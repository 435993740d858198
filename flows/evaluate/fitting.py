"""Fitting the small models on a table, and scores for tuning that they were not trained on.

Thresholds must be chosen on scores of frames that a model has not seen: on its own training frames
every model is too sure. The table is cut into blocks of time; for each block a model is trained on
the others and scores it (cross-fitting). The models that run are then trained on all blocks.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING, TypeVar

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

FEWEST_FOLDS = 2
"""With fewer, no block would be scored by a model that has not seen it."""

Model = TypeVar("Model")


@dataclass(frozen=True, slots=True)
class FitSettings:
    """How the small models are fitted.

    Attributes:
        folds: Blocks of time for cross-fitting, at least 2.
        packets: How packet models are trained; None for no packet model.
        specialised: How specialised models are trained; None for no specialised model.
    """

    folds: int = 3
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
    """

    table: Table
    packets: PacketModel | None
    specialised: SpecialisedModel | None


def fit(table: Table, settings: FitSettings, at_least: int, predicate: str) -> Fitted:
    """Fit the models. A truth that never changes gives none: there is nothing to learn.

    Args:
        table: What to fit on.
        settings: How.
        at_least: The count from which the predicate holds.
        predicate: What is asked, for the models' manifests.
    """
    if table.truth.all() or not table.truth.any():
        return Fitted(table.with_scores(), None, None)
    packet_model, packet_scores = _fit_packets(table, settings, predicate)
    image_model, image_scores = None, None
    training = settings.specialised
    if training is not None and len(table.images):

        def train(part: Table) -> SpecialisedModel:
            assert training is not None
            return train_specialised(
                part.images,
                part.counts,
                replace(training, at_least=at_least, most_counted=at_least),
                predicate=predicate,
            )

        image_model = train(table)
        image_scores = _crossed(table, settings.folds, train, lambda m, t: m.score(t.images))
    return Fitted(table.with_scores(packet_scores, image_scores), packet_model, image_model)


def _fit_packets(
    table: Table, settings: FitSettings, predicate: str
) -> tuple[PacketModel | None, NDArray[np.float32] | None]:
    training = settings.packets
    if training is None or not table.coded_bytes.any():
        return None, None

    def train(part: Table) -> PacketModel:
        return train_packets(
            part.coded_bytes, part.keyframe, part.reordered, part.truth, training,
            predicate=predicate,
        )  # fmt: skip

    model = train(table)
    if not model.informative:
        # The codec gives no signal: the stage falls out of the plan.
        return None, None
    scores = _crossed(
        table, settings.folds, train, lambda m, t: m.score(t.coded_bytes, t.keyframe, t.reordered)
    )
    return model, scores


def _crossed(
    table: Table,
    folds: int,
    train: Callable[[Table], Model],
    score: Callable[[Model, Table], NDArray[np.float32]],
) -> NDArray[np.float32]:
    """Scores of each block by a model that was trained on the others, float32 (n,)."""
    n = len(table)
    scores = np.empty(n, dtype=np.float32)
    cuts = [n * k // folds for k in range(folds + 1)]
    for start, stop in pairwise(cuts):
        others = table.without(start, stop)
        if others.truth.all() or not others.truth.any():
            # Nothing to learn from the others: the base rate is all that they tell.
            scores[start:stop] = others.truth.mean()
        else:
            scores[start:stop] = score(train(others), table)[start:stop]
    return scores
