from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from scipy.stats import binom

from operators.panes import Pane, joined, pane_of
from operators.window import Windows
from operators.window_estimate import coefficients, merged
from operators.window_settings import Aggregate, WindowSettings
from tests.support.observed import busy, sampled, steady

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

FRAMES = 4 * 60 * 30
WINDOW_SECONDS = 60
RUNS = 60

Signal = dict[str, Any]


def even(seed: int) -> Signal:
    return {"time_ns": steady(FRAMES, 30) + 12_345_678, "values": busy(FRAMES, seed)}


def slow_when_busy(seed: int) -> Signal:
    values = busy(FRAMES, seed)
    return {"time_ns": np.cumsum(np.where(values > 2, 100, 33)) * 10**6, "values": values}


def with_gaps(seed: int) -> Signal:
    rng = np.random.default_rng(seed + 1000)
    there = np.ones(FRAMES, np.bool_)
    for start in rng.integers(0, FRAMES, 12):
        there[start : start + rng.integers(1, 200)] = False
    signal = even(seed)
    return {name: array[there] for name, array in signal.items()}


def in_part_undecodable(seed: int) -> Signal:
    rng = np.random.default_rng(seed + 1000)
    answers = rng.random(FRAMES) < 0.8
    for start in rng.integers(0, FRAMES, 4):
        answers[start : start + rng.integers(1, 200)] = False
    return {**even(seed), "answers": answers}


def with_proxy(seed: int) -> Signal:
    signal = even(seed)
    noise = np.random.default_rng(seed + 1000).normal(0, 0.03, FRAMES)
    return {**signal, "proxy": signal["values"] / 2 + noise + 1}


def with_contrary_proxy(seed: int) -> Signal:
    signal = even(seed)
    return {**signal, "proxy": -signal["values"]}


def errors(
    signal: Callable[[int], Signal], slide: int = WINDOW_SECONDS, most: float | None = None
) -> tuple[NDArray[np.float64], int]:
    """The errors of many windows, and how many intervals cover the truth."""
    asked = WindowSettings("q", ("car",), (Aggregate.AVERAGE,), WINDOW_SECONDS, slide, most=most)
    found, covered = [], 0
    for seed in range(RUNS):
        known, windows = signal(seed), Windows(asked)
        for item in sampled(**known, pane_seconds=slide, cells=slide, seed=seed):
            report = windows.on_item(item)
            for one in report.estimates if report else ():
                inside = (known["time_ns"] >= one.start_ns) & (known["time_ns"] < one.end_ns)
                truth = known["values"][inside].mean()
                assert one.frames == np.count_nonzero(inside)
                found.append(one.value - truth)
                covered += one.low <= truth <= one.high
    return np.array(found), covered


@pytest.mark.parametrize(
    "signal",
    [even, slow_when_busy, with_gaps, in_part_undecodable, with_proxy, with_contrary_proxy],
)
def test_means_are_unbiased_and_covered(signal: Callable[[int], Signal]) -> None:
    found, covered = errors(signal)
    assert abs(found.mean()) <= 4 * found.std() / np.sqrt(len(found))
    assert covered >= binom.ppf(1e-4, len(found), 0.95)


def test_sliding_and_bounded_windows_are_covered() -> None:
    found, covered = errors(even, slide=15)
    # Windows that overlap share their luck: as many are independent as are disjoint.
    assert covered / len(found) >= binom.ppf(1e-4, len(found) // 4, 0.95) / (len(found) // 4)
    found, covered = errors(even, most=30.0)
    assert covered >= binom.ppf(1e-4, len(found), 0.95)


def test_a_proxy_helps_and_a_contrary_one_does_no_harm() -> None:
    def spread(signal: Callable[[int], Signal]) -> float:
        return float(np.sqrt(np.mean(errors(signal)[0] ** 2)))

    assert spread(with_proxy) < 0.8 * spread(even)
    assert spread(with_contrary_proxy) == pytest.approx(spread(even))


def test_missing_answers_leave_their_weight_to_their_neighbours() -> None:
    yes, no = True, False
    weight = np.array([1.0, 2, 4, 8, 16, 32])
    assert merged(weight, np.array([no, yes, no, no, yes, yes])).tolist() == [9.0, 22.0, 32.0]
    assert merged(weight, np.array([no] * 6)).tolist() == []
    assert merged(weight, np.array([yes] * 6)).tolist() == weight.tolist()


def pane(values: list[float], proxies: list[float], start: int = 0) -> Pane:
    n = len(values)
    return pane_of(
        np.arange(start, start + n),
        np.ones(n),
        np.array(values).reshape(-1, 1),
        np.array(proxies).reshape(-1, 1),
        np.empty((0, 2), np.int64),
        1,
    )


def test_coefficients_come_from_enough_answers_only() -> None:
    values = [0.0, 2, 1, 3, 0, 4, 2, 2, 5, 1]
    halves = [value / 2 for value in values]
    assert coefficients([pane(values, halves)], 1).tolist() == [2.0]
    assert coefficients([pane(values[:5], halves[:5])], 1).tolist() == [0.0]
    assert coefficients([pane(values[:5], halves[:5]), pane(values[5:], halves[5:], 5)], 1) == 2.0
    assert coefficients([pane(values, [1.0] * 10)], 1).tolist() == [0.0]
    assert coefficients([], 1).tolist() == [0.0]


def test_panes_join_in_order_of_time() -> None:
    late, early = pane([3.0, np.nan], [1, 2], start=5), pane([1.0], [0], start=2)
    both = joined([late, early])
    assert both.frames == 3
    assert both.time_ns.tolist() == [2, 5, 6]
    assert both.answered.tolist() == [True, True, False]
    assert both.proxy_mean.tolist() == [1.0]
    assert (both.proxy_low.tolist(), both.proxy_high.tolist()) == ([0.0], [2.0])
