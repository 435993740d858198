"""One window of an aggregate query: which frames are asked, and what follows from them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from flows.query.model import AggregateQuery, Measure
from flows.query.planner import PILOT, Way
from operators.variates import (
    CellSample,
    Interval,
    Refinement,
    blazeit,
    cell_edges,
    certified_within,
    crossed,
    draw_cells,
    jittered,
    ppi,
    refine,
    uniform,
)
from operators.variates.cells import SHARED_CELLS
from records import QueryError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from flows.query.sources import Match, Recorded

MOST_OBJECTS = 64.0
"""The most objects of interest that a frame is taken to hold, where an estimator needs a bound."""


def estimate_window(
    query: AggregateQuery,
    source: Recorded,
    places: NDArray[np.int64],
    match: Match,
    budget: int | None,
    way: Way,
    rng: np.random.Generator,
    proxies: NDArray[np.float64] | None = None,
) -> Interval:
    """The aggregate of one window.

    Args:
        query: The query.
        source: The stream.
        places: int64 (N,), the window's frames.
        match: Which objects count.
        budget: The most calls for this window; None for no bound.
        way: How it is answered.
        rng: The source of chance.
        proxies: float64 (N,), what a proxy says of each frame; None without a proxy.

    Raises:
        QueryError: the source has no tracks, which the measure needs.
    """
    if query.measure is Measure.DISTINCT:
        return _distinct(query, source, places, match)

    def ask(chosen: NDArray[np.int64]) -> NDArray[np.float64]:
        counts = source.counts(places[chosen], match)
        return (counts >= 1).astype(np.float64) if query.measure is Measure.PRESENCE else counts

    frames = len(places)
    scale = float(frames) if query.measure is Measure.SUM else 1.0
    error = None if query.error is None else query.error / scale
    if way is Way.SCAN or (error is None and budget is None):
        value = float(ask(np.arange(frames)).mean())
        return Interval(value, value, value, query.confidence, frames).times(scale)
    if way is Way.REWRITE and proxies is not None and error is not None:
        return _rewritten(ask, proxies, error, budget, query.confidence, rng).times(scale)
    bounds = (0.0, 1.0) if query.measure is Measure.PRESENCE else None
    if query.estimator == "fast":
        return _fast(ask, frames, error, budget, query.confidence, bounds, proxies, rng).times(
            scale
        )
    hard = bounds or (0.0, MOST_OBJECTS)
    return _published(query, ask, frames, error, budget, hard, proxies, rng).times(scale)


def _fast(
    ask: Callable[[NDArray[np.int64]], NDArray[np.float64]],
    frames: int,
    error: float | None,
    budget: int | None,
    confidence: float,
    bounds: tuple[float, float] | None,
    proxies: NDArray[np.float64] | None,
    rng: np.random.Generator,
) -> Interval:
    if error is not None:
        settings = Refinement(frames, error, confidence, most=budget, bounds=bounds)
        *_, last = refine(ask, settings, rng, proxies)
        return last
    assert budget is not None
    cells = min(budget, frames)
    places = draw_cells(frames, cells, rng)
    values = ask(places)
    if proxies is None:
        return jittered(CellSample(values, frames, shared=SHARED_CELLS), confidence, 0.0, bounds)
    edges = cell_edges(frames, cells)
    means = np.add.reduceat(proxies, edges[:-1]) / np.diff(edges)
    sample = CellSample(
        values, frames, proxies[places], float(proxies.mean()), means, shared=SHARED_CELLS
    )
    return crossed(sample, confidence, bounds)


def _published(
    query: AggregateQuery,
    ask: Callable[[NDArray[np.int64]], NDArray[np.float64]],
    frames: int,
    error: float | None,
    budget: int | None,
    bounds: tuple[float, float],
    proxies: NDArray[np.float64] | None,
    rng: np.random.Generator,
) -> Interval:
    """The estimators that others published; without a stopping rule they take the budget."""
    wanted = 0.0 if error is None else error
    confidence = query.confidence
    if query.estimator == "certified":
        return certified_within(ask, frames, wanted, confidence, bounds, rng, budget)
    if query.estimator == "blazeit":
        return blazeit(ask, proxies, frames, wanted, confidence, bounds, rng, budget)
    if budget is None:
        raise QueryError(
            f"the estimator {query.estimator} has no stopping rule; add BUDGET, or use 'fast'"
        )
    places = rng.choice(frames, min(budget, frames), replace=False)
    values = ask(places)
    if query.estimator == "ppi" and proxies is not None:
        return ppi(values, proxies[places], float(proxies.mean()), frames, confidence, bounds)
    return uniform(values, frames, confidence, bounds)


def _rewritten(
    ask: Callable[[NDArray[np.int64]], NDArray[np.float64]],
    proxies: NDArray[np.float64],
    error: float,
    budget: int | None,
    confidence: float,
    rng: np.random.Generator,
) -> Interval:
    """The proxy's mean where a pilot finds its bias within the error; else the control variate."""
    frames = len(proxies)
    places = draw_cells(frames, min(PILOT, frames, budget or frames), rng)
    sample = CellSample(ask(places) - proxies[places], frames, shared=SHARED_CELLS)
    bias = jittered(sample, confidence)
    reach = max(abs(bias.low), abs(bias.high))
    if reach <= error:
        value = float(proxies.mean())
        return Interval(value, value - reach, value + reach, confidence, bias.calls)
    left = None if budget is None else budget - len(places)
    if left is not None and left < len(places):
        # Too few calls are left to begin anew: the pilot's interval is what they bought.
        mean = float(proxies.mean())
        return Interval(
            mean + bias.value, mean + bias.low, mean + bias.high, confidence, bias.calls
        )
    settings = Refinement(frames, error, confidence, most=left)
    *_, last = refine(ask, settings, rng, proxies)
    return last


def _distinct(
    query: AggregateQuery, source: Recorded, places: NDArray[np.int64], match: Match
) -> Interval:
    if not source.has_tracks:
        raise QueryError(
            f"{source.name} has no tracks; COUNT(DISTINCT trackid) needs an event log of a run "
            "with track"
        )
    seen: set[int] = set()
    for answer in source.answers(places):
        seen.update(track for track in answer.select(match(answer)).tracks.tolist() if track >= 0)
    value = float(len(seen))
    return Interval(value, value, value, query.confidence, len(places))
