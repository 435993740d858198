"""Jittered cells: unbiased by enumeration, covering on real traces, equivariant."""

from __future__ import annotations

import gzip
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.stats import binom

from operators.variates import (
    CellSample,
    Interval,
    cell_edges,
    crossed,
    difference_coefficient,
    draw_cells,
    jittered,
)
from operators.variates.cells import SHARED_CELLS, cell_variance
from records import RecordError
from tests.support.records import repeatable

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

WINDOW, CALLS = 18_000, 600
numbers = st.floats(-100, 100, width=32)
series = arrays.arrays(np.float64, st.integers(2, 60), elements=numbers)


def trace(assets: Path, name: str) -> NDArray[np.float64]:
    text = gzip.decompress((assets / "traces" / f"{name}-car.csv.gz").read_bytes())
    return np.array(text.split(), np.float64)


def test_the_estimate_is_unbiased_over_all_draws() -> None:
    # Every possible draw of a tiny window, with its probability: no simulation, no tolerance.
    rng = np.random.default_rng(1)
    values, proxies = rng.normal(size=12), rng.normal(size=12)
    edges = cell_edges(12, 4)
    cells = [range(edges[k], edges[k + 1]) for k in range(4)]
    means = np.array([proxies[list(cell)].mean() for cell in cells])
    plain, varied, halves = [], [], []
    for drawn in product(*cells):
        places = np.array(drawn)
        sample = CellSample(values[places], 12, proxies[places], float(proxies.mean()), means)
        plain.append(jittered(sample, 0.9).value)
        varied.append(jittered(sample, 0.9, 1.7).value)
        halves.append(crossed(sample, 0.9).value)
    for estimates in (plain, varied, halves):
        assert np.mean(estimates) == pytest.approx(values.mean(), abs=1e-12)


def test_draws_are_uniform_in_each_cell_and_share_offsets() -> None:
    rng = np.random.default_rng(0)
    seen = np.zeros(60, np.int64)
    for _ in range(6000):
        places = draw_cells(60, 12, rng)
        assert np.array_equal(places // 5, np.arange(12))
        seen[places] += 1
    # Each frame is drawn with probability 1/5; the bound holds for all 60 at once.
    low, high = binom.ppf([1e-6, 1 - 1e-6], 6000, 1 / 5)
    assert seen.min() >= low
    assert seen.max() <= high
    gaps = np.diff(draw_cells(100_000, 1000, rng))
    assert np.mean(gaps == 100) == pytest.approx(1 - 1 / SHARED_CELLS, abs=0.02)


@pytest.mark.parametrize(("name", "windows"), [("taipei", 400), ("archie", 400)])
def test_coverage_and_error_on_real_traffic(assets: Path, name: str, windows: int) -> None:
    counts = trace(assets, name)
    covered, ours, random = [], [], []
    for number in range(windows):
        rng = np.random.default_rng(number)
        start = number * WINDOW % (len(counts) - WINDOW)
        window = counts[start : start + WINDOW]
        places = draw_cells(WINDOW, CALLS, rng)
        found = jittered(CellSample(window[places], WINDOW, shared=SHARED_CELLS), 0.95)
        truth = window.mean()
        covered.append(found.low <= truth <= found.high)
        ours.append(found.value - truth)
        random.append(window[rng.choice(WINDOW, CALLS, replace=False)].mean() - truth)
    assert sum(covered) >= binom.ppf(1e-3, windows, 0.95)
    assert np.std(ours) < 0.42 * np.std(random)


@pytest.mark.parametrize("proxy", ["reversed", "noise", "constant"])
def test_a_bad_proxy_does_no_harm(assets: Path, proxy: str) -> None:
    counts = trace(assets, "taipei")[: 100 * WINDOW // 2]
    rng = np.random.default_rng(3)
    bad = {
        "reversed": 5 - counts,
        "noise": rng.normal(size=len(counts)),
        "constant": np.ones(len(counts)),
    }[proxy]
    coefficient, ours, random = 0.0, [], []
    for start in range(0, len(counts) - WINDOW + 1, WINDOW):
        window, a = counts[start : start + WINDOW], bad[start : start + WINDOW]
        places = draw_cells(WINDOW, CALLS, rng)
        sample = CellSample(window[places], WINDOW, a[places], float(a.mean()))
        ours.append(jittered(sample, 0.95, coefficient).value - window.mean())
        coefficient = difference_coefficient(sample.values, a[places])
        random.append(window[rng.choice(WINDOW, CALLS, replace=False)].mean() - window.mean())
    assert np.std(ours) < 0.6 * np.std(random)


def test_a_good_proxy_halves_the_interval() -> None:
    rng = np.random.default_rng(0)
    values = rng.poisson(2, 6000).astype(np.float64)
    proxies = values + rng.normal(0, 0.3, 6000)
    places = draw_cells(6000, 300, rng)
    means = np.add.reduceat(proxies, cell_edges(6000, 300)[:-1]) / 20
    sample = CellSample(values[places], 6000, proxies[places], float(proxies.mean()), means)
    plain = jittered(sample, 0.95)
    assert jittered(sample, 0.95, 1.0).half_width < plain.half_width / 2
    assert crossed(sample, 0.95).half_width < plain.half_width / 2
    assert difference_coefficient(sample.values, proxies[places]) == pytest.approx(1, abs=0.1)


@repeatable
@given(values=series, shift=numbers, scale=st.floats(0.125, 8))
def test_shift_and_scale_carry_over(
    values: NDArray[np.float64], shift: float, scale: float
) -> None:
    # Enough of the values change that no fixed unit comes in.
    values = np.concatenate([values, [200.0, -200.0] * 4])
    before = jittered(CellSample(values, 1000), 0.9)
    after = jittered(CellSample(values * scale + shift, 1000), 0.9)
    assert after.value == pytest.approx(before.value * scale + shift, abs=1e-6)
    assert after.half_width == pytest.approx(before.half_width * scale, rel=1e-6, abs=1e-6)


@repeatable
@given(values=series, confidence=st.floats(0.5, 0.99))
def test_intervals_hold_the_estimate_widen_and_stay_in_bounds(
    values: NDArray[np.float64], confidence: float
) -> None:
    bounds = (-100.0, 100.0)
    found = jittered(CellSample(values, 500), confidence, bounds=bounds)
    assert bounds[0] <= found.low <= found.value <= found.high <= bounds[1]
    wider = jittered(CellSample(values, 500), confidence + 0.005, bounds=bounds)
    assert wider.low <= found.low + 1e-9
    assert wider.high >= found.high - 1e-9


def test_a_still_sample_admits_what_it_may_have_missed() -> None:
    zero = CellSample(np.zeros(100), 10_000)
    found = jittered(zero, 0.95, bounds=(0.0, 4.0))
    assert (found.value, found.low) == (0.0, 0.0)
    assert found.high == pytest.approx(4 * (1 - 0.05 ** (1 / 100)) * 0.99)
    assert jittered(zero, 0.95).high == pytest.approx((1 - 0.05 ** (1 / 100)) * 0.99)


@pytest.mark.parametrize("calls", [7, 10, 13, 600])
def test_a_window_that_stands_at_a_bound_is_covered(calls: int) -> None:
    rng = np.random.default_rng(0)
    for frames in (601, 1800):
        places = draw_cells(frames, calls, rng)
        sample = CellSample(np.ones(frames)[places], frames, shared=SHARED_CELLS)
        found = jittered(sample, 0.95, bounds=(0.0, 1.0))
        assert found.value == found.high == 1.0


def test_all_frames_leave_no_doubt_and_one_leaves_all() -> None:
    whole = jittered(CellSample(np.array([1.0, 2.0, 4.0]), 3), 0.95)
    assert whole.value == pytest.approx(7 / 3)
    assert whole == Interval(whole.value, whole.value, whole.value, 0.95, 3)
    one = jittered(CellSample(np.array([1.0]), 9), 0.95)
    assert (one.low, one.high) == (-np.inf, np.inf)
    known = jittered(CellSample(np.array([1.0]), 9), 0.95, bounds=(0.0, 2.0))
    assert (known.low, known.value, known.high) == (0.0, 1.0, 2.0)


def test_noise_counts_in_full_and_steps_by_their_share() -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(size=20_000)
    assert cell_variance(noise) == pytest.approx(1, rel=0.05)
    walk = np.cumsum(noise)
    assert cell_variance(walk) == pytest.approx(1 / 6, rel=0.05)
    # A walk goes on from group to group, so sharing gains nothing there; what returns gains.
    assert cell_variance(walk, shared=8) == pytest.approx(1 / 6, rel=0.1)
    returning = np.repeat(rng.integers(0, 2, 5000), 4).astype(float)
    assert cell_variance(returning, shared=8) < 0.8 * cell_variance(returning)


def test_what_is_wrong_is_said() -> None:
    sample = CellSample(np.array([1.0, 2.0]), 10)
    with pytest.raises(RecordError, match="confidence must be between 0 and 1, got 1"):
        jittered(sample, 1)
    with pytest.raises(RecordError, match="coefficient must be 0 without proxies"):
        jittered(sample, 0.9, 1.0)
    with pytest.raises(RecordError, match=r"must lie within the bounds \(0, 1\), got 1.0\.\.2.0"):
        jittered(sample, 0.9, bounds=(0, 1))
    with pytest.raises(RecordError, match=r"cells must be in 1\.\.3 \(frames\), got 4"):
        cell_edges(3, 4)
    with pytest.raises(RecordError, match="must hold 1 to 1 frames, got 2"):
        CellSample(np.zeros(2), 1)
    with pytest.raises(RecordError, match="crossed needs proxies"):
        crossed(sample, 0.9)
