"""Limit queries over recorded frames: so many frames for which a predicate holds, a gap apart.

An order proposes frames (see `operators.orders`), the reference verifies them, and those within the
gap of a frame that was accepted are passed over. Every frame that is returned was verified
(BlazeIt, Kang et al., VLDB 2020, section 7).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from records import RecordError

if TYPE_CHECKING:
    from numpy.typing import NDArray

Verify = Callable[[list[int]], "Sequence[bool | None]"]
"""Asks the reference whether the predicate holds for frames, by place; None: it gave no answer."""

LARGEST_BATCH = 256
"""The most frames that are verified at once."""

MOST_FRAMES = 2**31
"""The most frames that are searched."""


class Order(Protocol):
    """Proposes the frame to verify next."""

    def propose(self, candidates: NDArray[np.bool_]) -> int | None:
        """The place of a frame that should be verified next.

        Args:
            candidates: bool (n,), the frames that are neither verified nor near an accepted one.
                Must not be changed.

        Returns:
            A place among the candidates; None when there is none.
        """

    def learn(self, place: int, *, holds: bool) -> None:
        """Learn whether the predicate holds for a frame that was proposed."""


@dataclass(frozen=True, slots=True)
class LimitSettings:
    """What is searched for, and at what cost.

    Attributes:
        limit: How many frames are wanted.
        gap: How far apart they must be, in the units of the positions: frames, or nanoseconds.
        budget: The most reference calls; None for no bound.
        batch: How many frames are verified at once. The calls of a batch that finds the last frame
            count in full.

    Raises:
        RecordError: a setting is out of its range.
    """

    limit: int
    gap: int = 0
    budget: int | None = None
    batch: int = 1

    def __post_init__(self) -> None:
        if self.limit < 1:
            raise RecordError(f"limit must be at least 1 frame, got {self.limit}")
        if self.gap < 0:
            raise RecordError(f"gap must be at least 0, got {self.gap}")
        if self.budget is not None and self.budget < 1:
            raise RecordError(f"budget must be at least 1 call, or None, got {self.budget}")
        if not 1 <= self.batch <= LARGEST_BATCH:
            raise RecordError(f"batch must be in 1..{LARGEST_BATCH} frames, got {self.batch}")


@dataclass(frozen=True, slots=True)
class LimitResult:
    """How far a search has come, or what it found.

    Attributes:
        found: The places of the frames, in the order in which they were found.
        calls: Reference calls used.
        unanswered: Frames that were to be verified, but the reference gave no answer.
        exhausted: Whether no candidate is left.
    """

    found: tuple[int, ...] = ()
    calls: int = 0
    unanswered: int = 0
    exhausted: bool = False


def search(
    settings: LimitSettings,
    order: Order,
    verify: Verify,
    positions: NDArray[np.int64],
    progress: Callable[[LimitResult], None] | None = None,
) -> LimitResult:
    """Search until the limit, the budget or the end of the candidates.

    Args:
        settings: What is searched for.
        order: Proposes frames.
        verify: Asks the reference.
        positions: int64 (n,), where each frame is, not descending: its number or its event time.
        progress: Told of the state after each batch.

    Raises:
        RecordError: `positions` is no ascending array.

    >>> from operators.orders import sequential_order
    >>> counts = [0, 5, 5, 0, 5]
    >>> settings = LimitSettings(limit=2, gap=2)
    >>> hold = lambda places: [counts[place] >= 5 for place in places]
    >>> search(settings, sequential_order(5), hold, np.arange(5))
    LimitResult(found=(1, 4), calls=4, unanswered=0, exhausted=False)
    """
    if len(positions) > MOST_FRAMES or (np.diff(positions) < 0).any():
        raise RecordError(f"positions must ascend, and be at most {MOST_FRAMES}")
    candidates = np.ones(len(positions), dtype=np.bool_)
    state = LimitResult()
    while len(state.found) < settings.limit and not state.exhausted:
        batch = _batch(settings, order, candidates, state.calls)
        if not batch and state.calls == settings.budget:
            break
        found, answered = list(state.found), 0
        for place, holds in zip(batch, verify(batch) if batch else [], strict=True):
            if holds is None:
                continue
            answered += 1
            order.learn(place, holds=holds)
            near = _near(positions, place, settings.gap)
            if holds and len(found) < settings.limit and _apart(positions, found, place, settings):
                found.append(place)
                candidates[near] = False
        state = LimitResult(
            tuple(found),
            state.calls + answered,
            state.unanswered + len(batch) - answered,
            exhausted=not batch,
        )
        if progress is not None:
            progress(state)
    return state


def _batch(
    settings: LimitSettings, order: Order, candidates: NDArray[np.bool_], calls: int
) -> list[int]:
    """The next frames to verify, no candidates any more; within the budget."""
    most = settings.batch
    if settings.budget is not None:
        most = min(most, settings.budget - calls)
    batch: list[int] = []
    while len(batch) < most:
        place = order.propose(candidates)
        if place is None:
            break
        candidates[place] = False
        batch.append(place)
    return batch


def _near(positions: NDArray[np.int64], place: int, gap: int) -> slice:
    """The frames less than the gap from one."""
    here = int(positions[place])
    start = int(np.searchsorted(positions, here - gap, side="right"))
    return slice(start, int(np.searchsorted(positions, here + gap, side="left")))


def _apart(
    positions: NDArray[np.int64], found: Sequence[int], place: int, settings: LimitSettings
) -> bool:
    """Whether a frame is at least the gap from all that were accepted."""
    here = int(positions[place])
    return all(abs(int(positions[one]) - here) >= settings.gap for one in found)
