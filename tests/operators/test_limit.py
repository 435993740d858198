from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.limit import LimitResult, LimitSettings, search
from operators.orders import conjunction_scores, make_order, score_order
from records import RecordError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from operators.orders import OrderName

NAMES: tuple[OrderName, ...] = ("sequential", "random", "blazeit", "sightflow")


def verifier(holds: NDArray[np.bool_]) -> Callable[[list[int]], list[bool | None]]:
    return lambda places: [bool(holds[place]) for place in places]


def calls(
    name: OrderName,
    holds: NDArray[np.bool_],
    scores: NDArray[np.float64] | None,
    seed: int = 0,
    settings: LimitSettings = LimitSettings(10, gap=300),  # noqa: B008 - frozen
) -> int:
    n = len(holds)
    order = make_order(name, n, settings.gap, seed, scores)
    return search(settings, order, verifier(holds), np.arange(n)).calls


@given(
    st.lists(st.booleans(), max_size=60),
    st.sampled_from(NAMES),
    st.integers(1, 5),
    st.integers(0, 15),
    st.integers(1, 40) | st.none(),
    st.integers(1, 8),
)
def test_what_is_found_holds_is_apart_and_within_the_budget(
    frames: list[bool], name: OrderName, limit: int, gap: int, budget: int | None, batch: int
) -> None:
    holds = np.array(frames, dtype=np.bool_)
    settings = LimitSettings(limit, gap, budget, batch)
    scores = np.random.default_rng(0).random(len(holds))
    asked: list[int] = []

    def verify(places: list[int]) -> list[bool | None]:
        asked.extend(places)
        return [bool(holds[place]) for place in places]

    states: list[LimitResult] = []
    order = make_order(name, len(holds), gap, 1, scores)
    result = search(settings, order, verify, np.arange(len(holds)), states.append)
    assert result == (states[-1] if states else LimitResult())
    assert len(asked) == len(set(asked)) == result.calls
    assert result.calls <= (len(holds) if budget is None else budget)
    assert all(holds[place] and place in asked for place in result.found)
    assert np.diff(sorted(result.found)).min(initial=gap) >= gap
    assert len(result.found) <= limit
    if result.exhausted:
        left = set(np.flatnonzero(holds).tolist()) - set(result.found)
        assert all(min(abs(one - found) for found in result.found) < max(gap, 1) for one in left)
    else:
        assert len(result.found) == limit or result.calls == budget


def test_orders_of_a_small_film() -> None:
    holds = np.array([0, 0, 1, 1, 0, 0, 0, 1], dtype=np.bool_)
    scores = np.array([0.1, 0.2, 0.7, 0.9, 0.8, np.nan, 0.3, 0.6])
    settings = LimitSettings(2, gap=3)
    found = {
        name: search(settings, make_order(name, 8, 3, 0, scores), verifier(holds), np.arange(8))
        for name in NAMES
    }
    assert found["sequential"] == LimitResult((2, 7), 6)
    assert found["blazeit"] == LimitResult((3, 7), 2)
    assert len(found["random"].found) == 2
    assert len(found["sightflow"].found) == 2


def test_gaps_may_be_times() -> None:
    positions = np.array([0, 5, 900, 1000, 1100])
    holds = np.ones(5, dtype=np.bool_)
    result = search(
        LimitSettings(5, gap=1000), make_order("sequential", 5, 1, 0), verifier(holds), positions
    )
    assert result == LimitResult((0, 3), 2, exhausted=True)


def test_frames_without_an_answer_are_counted_apart() -> None:
    result = search(
        LimitSettings(1, batch=2),
        make_order("sequential", 4, 0, 0),
        lambda places: [None if place < 2 else True for place in places],
        np.arange(4),
    )
    assert result == LimitResult((2,), calls=2, unanswered=2)


def test_scores_add_up_and_missing_ones_come_last() -> None:
    scores = np.array([[0.1, 0.2], [0.9, np.nan], [0.3, 0.9]])
    order = score_order(conjunction_scores(scores))
    free = np.ones(3, dtype=np.bool_)
    assert [order.propose(free) for _ in range(4)] == [2, 0, 1, None]


def traffic(folder: Path, name: str) -> NDArray[np.float64]:
    path = folder / "traces" / f"{name}-car.csv.gz"
    if not path.is_file():
        pytest.skip(f"needs the trace {path.name}")
    with gzip.open(path, "rt") as file:
        return np.loadtxt(file, dtype=np.float64)


def blurred(values: NDArray[np.float64], noise: float, seed: int) -> NDArray[np.float64]:
    """A proxy whose errors last for seconds, as a model's do."""
    knots = np.random.default_rng(seed).normal(0, noise, len(values) // 60 + 2)
    return values + np.interp(np.arange(len(values)) / 60, np.arange(len(knots)), knots)


@pytest.mark.parametrize(("name", "at_least"), [("taipei", 5), ("archie", 3)])
def test_on_traffic_the_order_pays(assets: Path, name: str, at_least: int) -> None:
    counts = traffic(assets, name)
    holds = counts >= at_least

    def usual(order: OrderName, scores: NDArray[np.float64] | None = None) -> float:
        return float(np.median([calls(order, holds, scores, seed) for seed in range(5)]))

    chance = usual("random")
    assert calls("sequential", holds, None) > 10 * chance
    assert usual("sightflow") < chance
    fair = blurred(counts, 2.0, 0)
    assert usual("sightflow", fair) < calls("blazeit", holds, fair) / 2
    useless = blurred(np.zeros(len(counts)), 1.0, 0)
    assert usual("sightflow", useless) < 1.5 * chance < calls("blazeit", holds, useless)


def test_what_is_out_of_range_is_told() -> None:
    with pytest.raises(RecordError, match="^limit must be at least 1 frame, got 0$"):
        LimitSettings(0)
    with pytest.raises(RecordError, match="^gap must be at least 0, got -1$"):
        LimitSettings(1, gap=-1)
    with pytest.raises(RecordError, match="^budget must be at least 1 call, or None, got 0$"):
        LimitSettings(1, budget=0)
    with pytest.raises(RecordError, match="^batch must be in 1..256 frames, got 257$"):
        LimitSettings(1, batch=257)
    with pytest.raises(RecordError, match="^the order blazeit needs the scores of a specialised"):
        make_order("blazeit", 5, 0, 0)
    with pytest.raises(RecordError, match=r"^scores must have shape \(5,\), got \(4,\)$"):
        make_order("blazeit", 5, 0, 0, np.zeros(4))
    with pytest.raises(RecordError, match="^positions must ascend, and be at most "):
        search(LimitSettings(1), make_order("random", 2, 0, 0), lambda _: [], np.array([2, 1]))
