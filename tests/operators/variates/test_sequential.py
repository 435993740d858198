"""Refinement, stopping rules, certified and textbook intervals, and the allocation of calls."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import binom
from statsmodels.stats.weightstats import DescrStatsW

from operators.variates import (
    Refinement,
    allocate,
    bernstein_half_width,
    blazeit,
    blazeit_sample,
    bounded,
    cell_edges,
    certified,
    certified_within,
    confidence_sequence,
    ppi,
    refine,
    tuned_coefficient,
    uniform,
)
from records import RecordError
from tests.support.records import repeatable

Values = NDArray[np.float64]


def stream(seed: int, frames: int = 20_000) -> Values:
    """Counts of objects that come and go."""
    rng = np.random.default_rng(seed)
    steps = rng.random(frames) < 0.01
    walk = np.cumsum(np.where(steps, rng.choice([-1, 1], frames), 0))
    return np.asarray(np.abs(walk % 9 - 4), np.float64)


class Reference:
    """Answers from a stream, and remembers which frames were asked for."""

    def __init__(self, values: Values) -> None:
        self.values = values
        self.asked: list[int] = []

    def __call__(self, places: NDArray[np.int64]) -> Values:
        self.asked += places.tolist()
        return self.values[places]


def test_textbook_intervals_agree_with_statsmodels() -> None:
    values = np.random.default_rng(0).normal(3, 2, 50)
    low, high = DescrStatsW(values).tconfint_mean(alpha=0.1)
    found = uniform(values, 10**12, 0.9)
    assert [found.low, found.high] == pytest.approx([low, high])


def test_uniform_and_ppi_are_unbiased_over_all_samples() -> None:
    rng = np.random.default_rng(2)
    values, proxies = rng.normal(size=9), np.ones(9)
    samples = [list(places) for places in combinations(range(9), 4)]
    plain = [uniform(values[places], 9, 0.9).value for places in samples]
    assert np.mean(plain) == pytest.approx(values.mean())
    # A proxy that never changes must change nothing.
    still = [ppi(values[p], proxies[p], 1.0, 9, 0.9).value for p in samples]
    assert still == pytest.approx(plain)


def test_a_proxy_in_other_units_is_tuned() -> None:
    rng = np.random.default_rng(0)
    values = rng.poisson(3, 5000).astype(float)
    proxies = 10 * values + 7 + rng.normal(0, 3, 5000)
    places = rng.choice(5000, 200, replace=False)
    args = (values[places], proxies[places], float(proxies.mean()), 5000, 0.95)
    assert tuned_coefficient(*args[:2]) == pytest.approx(0.1, rel=0.05)
    for estimator in (ppi, blazeit_sample):
        assert estimator(*args).half_width < uniform(values[places], 5000, 0.95).half_width / 3
    assert blazeit_sample(values[places], None, 0.0, 5000, 0.95) == uniform(
        values[places], 5000, 0.95
    )


def test_each_stage_of_a_refinement_has_one_frame_in_each_cell() -> None:
    reference = Reference(stream(0, 10_000))
    settings = Refinement(10_000, 0.0, 0.95, first=10)
    *stages, last = refine(reference, settings, np.random.default_rng(0))
    assert [stage.calls for stage in stages] == [10 * 2**k for k in range(settings.stages)]
    assert len(set(reference.asked)) == len(reference.asked), "no frame is paid for twice"
    for stage in stages:
        places = np.sort(np.array(reference.asked[: stage.calls]))
        cells = np.searchsorted(cell_edges(10_000, stage.calls), places, side="right") - 1
        assert np.array_equal(cells, np.arange(stage.calls))
    assert sum(1 - c for c in settings.confidences()) == pytest.approx(0.05)
    assert last.calls == 10_000
    assert last.low == last.value == last.high == pytest.approx(reference.values.mean())


def test_a_budget_of_calls_is_kept_where_it_is_too_small() -> None:
    reference = Reference(stream(0, 1000))
    *_, last = refine(reference, Refinement(1000, 0.0, 0.95, most=300), np.random.default_rng(0))
    assert last.calls == len(reference.asked) == 256


def test_refinement_stops_within_the_error_and_covers_as_promised() -> None:
    covered, calls, runs = 0, [], 200
    for seed in range(runs):
        values = stream(seed)
        settings = Refinement(len(values), 0.1, 0.9, first=64, bounds=(0.0, 4.0))
        *_, last = refine(Reference(values), settings, np.random.default_rng(seed))
        assert last.half_width <= 0.1
        covered += last.low <= values.mean() <= last.high
        calls.append(last.calls)
    assert covered >= binom.ppf(1e-3, runs, 0.9)
    assert np.median(calls) < 1500


def test_a_good_proxy_saves_calls_and_a_bad_one_costs_few() -> None:
    values = stream(1)
    rng = np.random.default_rng(0)

    def calls(proxies: Values | None) -> int:
        settings = Refinement(len(values), 0.02, 0.95, first=64)
        *_, last = refine(Reference(values), settings, np.random.default_rng(5), proxies)
        assert abs(last.value - values.mean()) <= 0.03
        return last.calls

    plain = calls(None)
    assert calls(values + rng.normal(0, 0.05, len(values))) <= plain
    assert calls(4 - values) <= 2 * plain
    assert calls(rng.normal(size=len(values))) <= 2 * plain


def test_the_correct_logarithm_is_longer_than_the_released_one() -> None:
    values = np.array([0.0, 1.0] * 50)
    share = 0.05 * 0.1 / (1.1 * 1)
    want = (
        0.5 * math.sqrt(2 * 1.1 * math.log(3 / share) / 100) + 3 * 1.1 * math.log(3 / share) / 100
    )
    assert bernstein_half_width(values, 1.0, 1, 0.05) == pytest.approx(want)
    assert bernstein_half_width(values, 1.0, 9, 0.05) > want


def test_blazeit_and_certified_keep_their_word() -> None:
    runs = 60
    for name in ("blazeit", "certified"):
        covered = 0
        for seed in range(runs):
            values, rng = stream(seed, 5000), np.random.default_rng(seed)
            if name == "blazeit":
                found = blazeit(Reference(values), None, 5000, 0.2, 0.9, (0, 4), rng)
            else:
                found = certified_within(Reference(values), 5000, 0.2, 0.9, (0, 4), rng)
            assert found.half_width <= 0.2
            covered += found.low <= values.mean() <= found.high
        assert covered >= binom.ppf(1e-3, runs, 0.9)


def test_a_confidence_sequence_covers_at_all_times_at_once() -> None:
    failed, runs = 0, 300
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        values = (rng.random(400) < 0.3).astype(float)
        lows, highs = confidence_sequence(rng.permutation(values), 400, 0.8, (0.0, 1.0))
        truth = values.mean()
        failed += bool(np.any((lows > truth + 1e-12) | (highs < truth - 1e-12)))
    assert failed <= binom.ppf(1 - 1e-3, runs, 0.2)
    assert lows[-1] == pytest.approx(highs[-1]), "all frames leave no doubt"


@repeatable
@given(st.lists(st.floats(0, 1), min_size=1, max_size=40), st.floats(0.5, 0.99))
def test_bounded_intervals_stay_in_bounds(values: list[float], confidence: float) -> None:
    found = bounded(np.array(values), confidence, (0.0, 1.0))
    assert 0 <= found.low <= found.value <= found.high <= 1
    sequence = certified(np.array(values), 100, confidence, (0.0, 1.0))
    assert 0 <= sequence.low <= sequence.value <= sequence.high <= 1


def test_small_samples_cover() -> None:
    covered, runs = 0, 400
    for seed in range(runs):
        values = (np.random.default_rng(seed).random(5) < 0.1).astype(float)
        found = bounded(values, 0.9, (0.0, 1.0))
        covered += found.low <= 0.1 <= found.high
    assert covered >= binom.ppf(1e-3, runs, 0.9)


@repeatable
@given(
    st.lists(st.tuples(st.floats(0, 10), st.integers(0, 500)), min_size=1, max_size=12),
    st.integers(0, 3000),
)
def test_an_allocation_adds_up(streams: list[tuple[float, int]], budget: int) -> None:
    deviations, frames = [one for one, _ in streams], [n for _, n in streams]
    least = sum(min(n, 2) for n in frames)
    if budget < least:
        with pytest.raises(RecordError, match=f"budget must be at least {least} calls"):
            allocate(deviations, frames, budget)
        return
    calls = allocate(deviations, frames, budget)
    assert sum(calls) == min(budget, sum(frames))
    assert all(min(n, 2) <= c <= n for c, n in zip(calls, frames, strict=True))


def test_an_allocation_follows_neyman() -> None:
    assert allocate([1.0, 3.0, 0.0], [100, 100, 100], 42) == [10, 30, 2]
    assert allocate([0.0, 0.0], [10, 30], 8) == [2, 6]
    assert allocate([1.0, 100.0], [50, 4], 20) == [16, 4]
