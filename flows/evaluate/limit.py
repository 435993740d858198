"""`sightflow evaluate limit`: how many reference calls each order needs to find so many frames.

A trace of per-frame values stands for the reference; a frame counts when its value is large enough.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from operators.limit import LimitResult, LimitSettings, search
from operators.orders import OrderName, make_order
from records import RecordError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

ORDERS: tuple[OrderName, ...] = ("random", "sequential", "blazeit", "sightflow")
"""The orders that are compared."""


@dataclass(frozen=True, slots=True)
class LimitStudy:
    """What is studied.

    Attributes:
        at_least: The value from which a frame counts.
        limit: How many frames are wanted.
        gap: How far apart they must be, frames.
        budget: The most calls of one search; None for no bound.
        repeats: How often the orders that draw are run, each time with another seed.
        seed: Of the first.

    Raises:
        RecordError: a value is out of its range.
    """

    at_least: float
    limit: int
    gap: int = 0
    budget: int | None = None
    repeats: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        if self.repeats < 1:
            raise RecordError(f"repeats must be at least 1, got {self.repeats}")
        self.settings  # noqa: B018 - checks the rest

    @property
    def settings(self) -> LimitSettings:
        """How one search goes."""
        return LimitSettings(self.limit, self.gap, self.budget)


def evaluate_limit(
    values: NDArray[np.float64],
    proxies: NDArray[np.float64] | None,
    study: LimitStudy,
    tell: Callable[[int], None] = lambda _: None,
) -> dict[str, Any]:
    """Search a trace in every order.

    Args:
        values: float64 (frames,), the recorded reference.
        proxies: float64 (frames,), the scores of a specialised model; None for none, and then
            the blazeit order, which is nothing without them, is left out.
        study: What is searched for.
        tell: Called with how many repeats are done.

    Returns:
        Plain JSON values; the fields are those of design section 8.
    """
    names = [name for name in ORDERS if name != "blazeit" or proxies is not None]
    results: dict[str, list[LimitResult]] = {name: [] for name in names}
    for repeat in range(study.repeats):
        for name in names:
            fixed = name in ("sequential", "blazeit")
            if not (fixed and results[name]):
                results[name].append(_search(name, values, proxies, study, repeat))
        tell(repeat + 1)
    holds = values >= study.at_least
    return {
        "orders": {name: _median([one.calls for one in found]) for name, found in results.items()},
        "spread": {name: [min(calls), max(calls)] for name, calls in _calls(results).items()},
        "found": {
            name: _median([len(one.found) for one in found]) for name, found in results.items()
        },
        "limit": study.limit,
        "frames": len(values),
        "matching_frames": int(holds.sum()),
        "events": int(np.count_nonzero(holds[1:] & ~holds[:-1]) + holds[0]),
    }


def _search(
    name: OrderName,
    values: NDArray[np.float64],
    proxies: NDArray[np.float64] | None,
    study: LimitStudy,
    repeat: int,
) -> LimitResult:
    scores = proxies if name in ("blazeit", "sightflow") else None
    order = make_order(name, len(values), study.gap, study.seed + repeat, scores)

    def verify(places: list[int]) -> list[bool | None]:
        return [bool(values[place] >= study.at_least) for place in places]

    return search(study.settings, order, verify, np.arange(len(values)))


def _calls(results: dict[str, list[LimitResult]]) -> dict[str, list[int]]:
    return {name: [one.calls for one in found] for name, found in results.items()}


def _median(numbers: list[int]) -> int:
    return int(np.median(numbers))
