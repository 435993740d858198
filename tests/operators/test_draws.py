from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare, kstest

from operators.cells import CellPlan, draw_key
from operators.draws import Draws, DrawState
from records import RecordError
from records.units import NANOSECONDS

STEP = NANOSECONDS // 10
PLAN = CellPlan(10 * NANOSECONDS, 10)
SHARED = CellPlan(10 * NANOSECONDS, 10, shared=4)


def steady(frames: int, start: int = 0) -> np.ndarray:
    return np.arange(frames, dtype=np.int64) * STEP + start


@pytest.mark.parametrize("plan", [PLAN, SHARED])
def test_every_frame_of_a_cell_is_drawn_equally_often(plan: CellPlan) -> None:
    weights = Draws(0, "gate", plan).draw(steady(50_001))
    drawn = np.flatnonzero(weights)
    assert len(drawn) == pytest.approx(5000, abs=60)
    assert np.allclose(weights[drawn], 10.0)
    assert chisquare(np.bincount(drawn % 10, minlength=10)).pvalue > 1e-3


@pytest.mark.parametrize("plan", [PLAN, SHARED])
def test_the_weights_of_uneven_frames_give_back_their_number(plan: CellPlan) -> None:
    steps = np.random.default_rng(5).integers(STEP // 2, 8 * STEP, 20_000)
    times = np.cumsum(steps)
    weights = Draws(0, "gate", plan).draw(times)
    odds = 1 / weights[weights > 0]
    spread = np.sqrt(np.sum((1 - odds) / odds**2))
    assert weights.sum() == pytest.approx(len(times), abs=4 * spread)


def test_instants_are_uniform_and_those_of_a_group_share_their_offset() -> None:
    cells = SHARED.cells_at(np.arange(3000, dtype=np.int64) * NANOSECONDS)
    offsets = (cells.instants(draw_key(0, "gate")) - cells.start) / NANOSECONDS
    groups = offsets.reshape(-1, 10)
    assert np.array_equal(groups[:, :4], np.repeat(groups[:, :1], 4, axis=1))
    assert np.array_equal(groups[:, 8:], np.repeat(groups[:, 8:9], 2, axis=1))
    assert kstest(groups[:, [0, 4, 8]].reshape(-1), "uniform").pvalue > 1e-3


def test_streams_and_seeds_draw_independently() -> None:
    times = steady(2000)
    draws = {
        tuple(np.flatnonzero(Draws(seed, stream, PLAN).wants(times)).tolist())
        for seed in range(3)
        for stream in ("a", "b")
    }
    assert len(draws) == 6


@given(st.lists(st.integers(0, 30), max_size=60), st.integers(1, 12), st.integers(0, 60))
def test_the_probability_is_the_share_of_instants(
    gaps: list[int], cells: int, previous: int
) -> None:
    # A tiny plan, so that all offsets can be tried: cells of whole nanoseconds.
    plan = CellPlan(20 * cells, cells, shared=3)
    times = previous + np.cumsum([0, *gaps]).astype(np.int64)
    seen = [Draws(seed, "gate", plan).draw(times) for seed in range(40)]
    weights = np.array(seen)
    chances = 1 / np.where(weights > 0, weights, np.inf)
    for column in range(1, len(times)):
        told = set(np.round(chances[:, column][chances[:, column] > 0], 12))
        assert len(told) <= 1, "the weight of a frame must not depend on the draw"
        if told:
            chance = told.pop()
            hits = np.count_nonzero(weights[:, column])
            assert abs(hits - 40 * chance) <= 6 * np.sqrt(40 * chance * (1 - chance)) + 1e-9
        else:
            # Never drawn in 40 tries: either it cannot be, or it is rare.
            assert gaps[column - 1] < 20


@given(
    st.lists(st.integers(-3 * STEP, 40 * STEP), max_size=80),
    st.integers(0, 80),
    st.sampled_from([PLAN, SHARED, PLAN.changed(1, 3).changed(2, 0).changed(3, 50)]),
)
def test_batches_and_restarts_change_nothing(steps: list[int], cut: int, plan: CellPlan) -> None:
    times = np.maximum(np.cumsum([0, *steps]), 0).astype(np.int64)
    whole = Draws(0, "gate", plan)
    expected = whole.draw(times)
    first = Draws(0, "gate", plan)
    before = first.draw(times[:cut])
    after = Draws(0, "gate", plan, first.snapshot())
    assert np.array_equal(np.concatenate([before, after.draw(times[cut:])]), expected)
    assert after.snapshot().last_ns == whole.snapshot().last_ns


def test_late_frames_and_the_first_are_not_drawn() -> None:
    draws = Draws(0, "gate", PLAN)
    times = np.array([0, 30, 30, 10, 40]) * NANOSECONDS
    assert draws.wants(times).tolist() == [False, True, False, False, True]
    assert draws.snapshot() == DrawState(PLAN, 40 * NANOSECONDS)


def test_calls_move_with_the_number_of_cells() -> None:
    plan = PLAN.changed(1, 50).changed(2, 0)
    drawn = np.flatnonzero(Draws(0, "gate", plan).wants(steady(300)))
    assert np.bincount(drawn // 100, minlength=3).tolist() == pytest.approx([10, 50, 0], abs=1)


def test_a_pane_can_be_planned_until_its_first_frame() -> None:
    draws = Draws(0, "gate", PLAN)
    draws.draw(steady(50))
    draws.replan(1, 20)
    assert np.count_nonzero(draws.draw(steady(150, start=50 * STEP))) == pytest.approx(25, abs=1)
    with pytest.raises(RecordError, match="^pane 1 has begun: its cells can only be set before "):
        draws.replan(1, 5)


def test_what_is_out_of_range_is_told() -> None:
    with pytest.raises(RecordError, match="^cells must be in 0..5 for a pane of 5 ns, got 6; "):
        CellPlan(5, 6)
    with pytest.raises(RecordError, match="^shared must be at least 1 cell, got 0$"):
        CellPlan(5, 5, shared=0)
    with pytest.raises(RecordError, match="^pane must not be before the last change, 3, got 2$"):
        PLAN.changed(3, 1).changed(2, 1)
    with pytest.raises(
        RecordError, match="^time_ns must be an int64 array of shape \\(n,\\), got "
    ):
        Draws(0, "gate", PLAN).draw(np.zeros(3))  # type: ignore[arg-type]  # wrong on purpose
    with pytest.raises(RecordError, match="^time_ns must be at least 0, got -1$"):
        Draws(0, "gate", PLAN).draw(np.array([-1]))
