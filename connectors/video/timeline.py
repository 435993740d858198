"""Event time: from the ticks of a container to strictly increasing nanoseconds."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from records.checks import LATEST_TIME_NS

if TYPE_CHECKING:
    from fractions import Fraction

SECOND_NS = 1_000_000_000
"""Nanoseconds in a second."""

SMALL_STEP_BACK_NS = SECOND_NS
"""A timestamp that goes back by less may be one bad value; by more, the stream began anew."""

LONGEST_GAP_NS = 86_400 * SECOND_NS
"""A timestamp of a file that jumps ahead by more than a day is damaged."""

LIVE_JUMP_NS = 10 * SECOND_NS
"""A timestamp of a live stream that runs ahead of the clock by more in one step is damaged."""

LIVE_LAG_NS = 30 * SECOND_NS
"""Timestamps of a live stream that lag behind the clock by more are damaged."""

USUAL_STEP_NS = SECOND_NS // 25
"""Time between frames where neither container nor codec tells it."""


def ticks_to_ns(ticks: int, time_base: Fraction) -> int:
    """Ticks of a time base, seconds a tick, in whole nanoseconds, rounded down; integers only.

    >>> from fractions import Fraction
    >>> ticks_to_ns(1, Fraction(1, 10)), ticks_to_ns(90_001, Fraction(1, 90_000))
    (100000000, 1000011111)
    """
    return ticks * time_base.numerator * SECOND_NS // time_base.denominator


@dataclass(frozen=True, slots=True)
class TimelineState:
    """Where a timeline stands; plain numbers, so that it can be kept and taken up again.

    Attributes:
        next_ns: The event time expected of the next frame.
        last_ns: The event time of the last frame; None before the first.
        anchor_ns: The event time of `anchor_ticks`.
        anchor_ticks: The presentation time that `anchor_ns` belongs to; None when the next
            timestamp sets it.
        behind: Whether the last frame's timestamp was not after the one before.
    """

    next_ns: int
    last_ns: int | None = None
    anchor_ns: int = 0
    anchor_ticks: int | None = None
    behind: bool = False


class Timeline:
    """Gives every frame of a stream its event time, later than the frame before.

    The first timestamp after `anchor` gets the time that was asked for (or the end of the frame
    before), every later one the same plus the difference of their ticks. A frame without a
    timestamp follows the frame before by that one's duration. A timestamp that repeats or goes
    back a little gets 1 ns after the frame before; the second of these in a row, and one that
    goes back by SMALL_STEP_BACK_NS or jumps ahead beyond reason, starts a new anchor, so that
    what follows keeps its own pace.

    A live stream is never ahead of the clock, unless that is set back: what opening it had
    buffered arrives in a burst, and the anchor moves until the frames with the least delay have
    the time at which they came.

    Args:
        start_ns: Event time of the first frame.

    >>> from fractions import Fraction
    >>> timeline = Timeline(0)
    >>> timeline.anchor(Fraction(1, 10), step_ns=100_000_000)
    >>> [timeline.stamp(ticks) for ticks in (7, 8, 8, None)]
    [(0, False), (100000000, False), (100000001, True), (200000001, False)]
    """

    def __init__(self, start_ns: int) -> None:
        self.state = TimelineState(start_ns)
        self._time_base: Fraction | None = None
        self._step_ns = USUAL_STEP_NS

    def anchor(self, time_base: Fraction | None, step_ns: int, *, at_ns: int | None = None) -> None:
        """Begin with another container.

        Args:
            time_base: Seconds a tick; None when the container has none.
            step_ns: The usual time between its frames, nanoseconds.
            at_ns: Event time of its first frame; None follows the last frame. Times that are
                not after the last frame follow it.
        """
        next_ns = self.state.next_ns if at_ns is None else at_ns
        self.state = replace(self.state, next_ns=self._after_last(next_ns), anchor_ticks=None)
        self._time_base, self._step_ns = time_base, step_ns

    def resume(self, state: TimelineState, time_base: Fraction | None, step_ns: int) -> None:
        """Go on where `state` was kept, in the same container."""
        self.state = state
        self._time_base, self._step_ns = time_base, step_ns

    def stamp(
        self, ticks: int | None, duration: int | None = None, now_ns: int | None = None
    ) -> tuple[int, bool]:
        """The event time of the next frame, and whether its timestamp had to be repaired.

        Args:
            ticks: Its presentation time; None where it has none.
            duration: How long it lasts, ticks; None or 0 where that is unknown.
            now_ns: The clock, for live streams: bounds jumps ahead.
        """
        state, repaired = self.state, False
        anchor = (state.anchor_ns, state.anchor_ticks)
        if ticks is None or self._time_base is None:
            time_ns = state.next_ns
            if now_ns is not None and (state.last_ns is None or now_ns > state.last_ns):
                time_ns = now_ns
        elif state.anchor_ticks is None:
            time_ns = state.next_ns
            anchor = (time_ns, ticks)
        else:
            told_ns = state.anchor_ns + ticks_to_ns(ticks - state.anchor_ticks, self._time_base)
            time_ns, keeps_anchor, repaired = self._place(told_ns, now_ns)
            anchor = anchor if keeps_anchor else (time_ns, ticks)
        time_ns = min(time_ns, LATEST_TIME_NS)
        step_ns = self._step_ns
        if duration and self._time_base is not None:
            step_ns = min(max(ticks_to_ns(duration, self._time_base), 1), LONGEST_GAP_NS)
        behind = repaired and anchor[1] == state.anchor_ticks
        next_ns = min(time_ns + step_ns, LATEST_TIME_NS)
        self.state = TimelineState(next_ns, time_ns, *anchor, behind)
        return time_ns, repaired

    def _place(self, told_ns: int, now_ns: int | None) -> tuple[int, bool, bool]:
        """A time that may be given, whether the anchor still holds, whether this is a repair."""
        state = self.state
        if state.last_ns is None:
            return told_ns, True, False
        ahead_ns = told_ns - state.last_ns
        if -SMALL_STEP_BACK_NS < ahead_ns <= 0 and not state.behind:
            return state.last_ns + 1, True, True
        if now_ns is None or now_ns < state.last_ns:  # a file, or the clock was set back
            sound = 0 < ahead_ns <= (LONGEST_GAP_NS if now_ns is None else LIVE_JUMP_NS)
            return (told_ns if sound else state.next_ns), sound, not sound
        if ahead_ns > 0 and now_ns - LIVE_LAG_NS <= told_ns <= now_ns:
            return told_ns, True, False
        early = now_ns < told_ns <= now_ns + LIVE_JUMP_NS
        return self._after_last(now_ns), False, not early

    def _after_last(self, time_ns: int) -> int:
        last_ns = self.state.last_ns
        return time_ns if last_ns is None else max(time_ns, last_ns + 1)
