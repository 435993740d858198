from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from flows.evaluate.optimise import Quality, Targets, optimise, outcome_of
from models.optimiser import Costs
from operators.plan import REFERENCE
from records import RecordError
from tests.support.tables import flat_table

if TYPE_CHECKING:
    from flows.evaluate.table import Table

COSTS = Costs(
    frame=2e-5, packets=2e-6, keyframe=2e-3, other=4e-4, luma=1e-4, specialised=2e-4, reference=1e-2
)  # fmt: skip


def scored(seed: int, packets: float, specialised: float, n: int = 600) -> Table:
    """A table of events, with scores that see them through noise of this strength."""
    rng = np.random.default_rng(seed)
    truth = np.repeat(rng.random(n // 30) < 0.5, 30)
    table = flat_table(np.where(truth, 90, 0).tolist(), [1] * n, group=10)

    def score(noise: float) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
        raw = np.where(truth, 1.0, -1.0) + rng.normal(0, noise, n)
        return (1 / (1 + np.exp(-2 * raw))).astype(np.float32)

    return table.with_scores(score(packets), score(specialised))


def test_every_plan_reaches_the_tightened_targets_and_the_fastest_is_first() -> None:
    table = scored(1, packets=0.5, specialised=0.2)
    targets = Targets(recall=0.95, precision=0.95)
    found = optimise(table, COSTS, targets)
    tight = targets.tightened(targets.margin)
    assert found[-1].plan == REFERENCE
    assert [one.seconds for one in found] == sorted(one.seconds for one in found)
    for candidate in found[:: max(len(found) // 40, 1)]:
        _, quality = outcome_of(candidate.plan, table)
        assert quality == candidate.quality
        assert quality.meets(tight)
    assert found[0].seconds < found[-1].seconds / 20


def test_a_useless_model_is_left_out() -> None:
    table = scored(2, packets=50.0, specialised=0.1)
    best = optimise(table, COSTS, Targets(recall=0.99, precision=0.99))[0].plan
    assert best.packets is None
    useless = scored(3, packets=50.0, specialised=50.0)
    best = optimise(useless, COSTS, Targets(recall=1.0, precision=1.0, margin=0.0))[0].plan
    assert best.packets is None
    assert best.specialised is None


def test_targets_that_nothing_reaches_leave_the_reference() -> None:
    rng = np.random.default_rng(5)
    truth = rng.random(200) < 0.5
    table = flat_table(np.where(truth, 90, 0).tolist(), [1] * 200)
    noise = rng.random(200).astype(np.float32)
    found = optimise(table.with_scores(noise, noise), COSTS, Targets(1.0, 1.0, 1.0))
    assert found[0].quality == Quality(1.0, 1.0, 1.0)
    assert found[-1].plan == REFERENCE


def test_quality_of_empty_sides_is_one() -> None:
    none, some = np.zeros(3, np.bool_), np.array([True, False, False])
    assert Quality.of(none, none) == Quality(1.0, 1.0, 1.0)
    assert Quality.of(none, some) == Quality(0.0, 1.0, 2 / 3)
    assert Quality.of(some, none) == Quality(1.0, 0.0, 2 / 3)


def test_what_is_wrong_is_said() -> None:
    with pytest.raises(RecordError, match=r"^recall must be in 0\.\.1, got 1\.5$"):
        Targets(recall=1.5, precision=1)
