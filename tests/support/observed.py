"""Observations of signals that are known in full, as the reference would see them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from operators.cells import CellPlan
from operators.draws import Draws
from operators.observations import Observations
from records.units import NANOSECONDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

SHARED = 8
"""How many neighbouring cells share their offset here."""


def seconds(*times: float) -> NDArray[np.int64]:
    """Event times, int64 nanoseconds."""
    return np.round(np.array(times) * NANOSECONDS).astype(np.int64)


def steady(frames: int, rate_hz: float) -> NDArray[np.int64]:
    """Event times of evenly spaced frames from 1970 on."""
    return np.arange(frames, dtype=np.int64) * NANOSECONDS // round(rate_hz)


def busy(frames: int, seed: int, change: float = 0.01) -> NDArray[np.float64]:
    """Counts that change now and then by one, like objects that come and go."""
    rng = np.random.default_rng(seed)
    steps = np.where(rng.random(frames) < change, rng.choice([-1, 1], frames), 0)
    counts: NDArray[np.float64] = np.abs(np.cumsum(steps)).astype(np.float64)
    return counts


def sampled(
    time_ns: NDArray[np.int64],
    values: NDArray[np.float64],
    *,
    pane_seconds: float,
    cells: int,
    seed: int = 0,
    proxy: NDArray[np.float64] | None = None,
    batch: int = 1000,
    answers: NDArray[np.bool_] | None = None,
) -> Iterator[Observations]:
    """Observe a signal where frames are drawn.

    Args:
        time_ns: int64 (n,), the frames' times, ascending.
        values: float64 (n,), what the reference would say of each.
        pane_seconds: Length of a pane.
        cells: Draws in a pane.
        seed: Of the draws.
        proxy: float64 (n,), the proxy of each; None for none.
        batch: Frames of an observation.
        answers: bool (n,), whether the reference would answer; by default it does.
    """
    plan = CellPlan(round(pane_seconds * NANOSECONDS), cells, shared=SHARED)
    draws = Draws(seed, "gate", plan)
    for start in range(0, len(time_ns), batch):
        part = slice(start, start + batch)
        weight = draws.draw(time_ns[part])
        asked = weight > 0
        if answers is not None:
            asked &= answers[part]
        yield Observations.of(
            "gate",
            time_ns[part],
            np.where(asked, values[part], np.nan),
            weight=weight,
            proxy=None if proxy is None else proxy[part],
            start=start,
            shared=SHARED,
        )
