"""The trivial plan, and the ladder that certification climbs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from flows.evaluate.acceptance import accept, ladder_of
from flows.evaluate.hold import hold_at, undominated
from flows.evaluate.optimise import Candidate, Quality, Targets, outcome_of
from models.certification import Contract
from models.optimiser import Costs
from operators.plan import REFERENCE, Band, Plan
from tests.support.tables import flat_table

if TYPE_CHECKING:
    from flows.evaluate.table import Table

COSTS = Costs(
    frame=2e-5, packets=2e-6, keyframe=2e-3, other=4e-4, luma=1e-4, specialised=2e-4, reference=1e-2
)  # fmt: skip
SURE = Plan(specialised=Band(0.5, 0.5))
RIGHT = Quality(1.0, 1.0, 1.0)


def table(wrong: float, n: int = 900, seed: int = 0) -> Table:
    """Long events, and a model that errs in this share of the frames."""
    truth = (np.arange(n) // 30) % 2 == 1
    said = truth ^ (np.random.default_rng(seed).random(n) < wrong)
    return flat_table(np.where(truth, 90, 0).tolist(), [1] * n, group=10).with_scores(
        None, said.astype(np.float32)
    )


def test_the_trivial_plan_of_equal_accuracy_has_the_largest_stride() -> None:
    assert hold_at(1.0, table(0.0)) == Plan(stride=30)
    assert hold_at(0.95, table(0.0)) == Plan(stride=30)
    events = table(0.0).part(7, 900)
    for plan in (hold_at(accuracy, events) for accuracy in (0.6, 0.9, 0.99)):
        assert outcome_of(plan, events)[1].accuracy >= 0.6
    assert hold_at(1.0, events).stride == 1


def test_a_plan_that_the_trivial_one_beats_on_later_frames_is_dropped() -> None:
    candidates = [Candidate(plan, 1.0, RIGHT) for plan in (SURE, Plan(stride=3), REFERENCE)]
    # Each frame that the model sees is decoded: the trivial plan of stride 30 needs fewer.
    later = table(0.3).part(7, 900)
    assert undominated(candidates, later, COSTS) == candidates[1:]
    good = table(0.001, seed=3).part(7, 900)
    assert undominated(candidates, good, COSTS) == candidates


def test_the_ladder_goes_from_cheap_to_safe() -> None:
    targets = Targets(0.9, 0.9, margin=1.0)
    candidates = [
        Candidate(SURE, 1.0, Quality(0.92, 0.92, 0.9)),
        Candidate(Plan(stride=3), 2.0, Quality(0.95, 0.96, 0.9)),
        Candidate(Plan(stride=2), 3.0, Quality(0.98, 0.98, 0.9)),
        Candidate(REFERENCE, 4.0, RIGHT),
    ]
    assert ladder_of(candidates, targets) == (SURE, Plan(stride=3), Plan(stride=2))


def test_only_what_is_proven_on_unseen_frames_is_accepted() -> None:
    contract = Contract(0.9, 0.9, 0.95)
    long = table(0.001, n=60_000)
    accepted = accept((SURE,), long, contract, 30.0)
    assert (accepted.place, accepted.plan) == (0, SURE)
    assert accepted.to_json()["accepted"] is True
    assert accepted.needed is not None
    assert accepted.needed <= accepted.blocks
    short = accept((SURE,), table(0.001), contract, 30.0)
    assert (short.place, short.plan) == (None, REFERENCE)
    assert short.needed is not None
    assert short.needed > short.blocks
    wrong = accept((SURE,), table(0.3, n=60_000), contract, 30.0)
    assert wrong.place is None
    nothing = accept((), table(0.0), contract, 30.0)
    assert (nothing.ladder, nothing.place) == ((), None)
