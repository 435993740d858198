"""Gap: no frame came for far longer than usual.

A gap is an event: the frame after it tells it, once. A sensor beside the camera that is away is
told by `operators.assertions.missing_partner`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from operators.assertions.health.lasting import Held, check_settings, resumed
from records.units import NANOSECONDS

if TYPE_CHECKING:
    from operators.assertions.api import Moment
    from records import Finding

LEARN_RATE = 0.02
"""The share of a new interval in the usual one."""

FIRST_INTERVALS = 10
"""Intervals that are learned from, evenly, before the first judgement."""


@dataclass(frozen=True, slots=True)
class Gap:
    """The assertion that frames keep coming.

    Attributes:
        name: The assertion's name.
        least_seconds: No shorter interval is a gap, seconds.
        times_usual: A gap is at least so many times the usual interval.

    Raises:
        RecordError: a setting is out of its range.
    """

    name: str = "gap"
    least_seconds: float = 2.0
    times_usual: float = 10.0

    def __post_init__(self) -> None:
        check_settings(self, "least_seconds", "times_usual")

    @property
    def window_seconds(self) -> float:
        """The shortest gap that it tells."""
        return self.least_seconds

    def start(self, state: object = None) -> GapCheck:
        """Begin on a stream, or go on."""
        return GapCheck(self, resumed(state, GapState))


@dataclass(frozen=True, slots=True)
class GapState:
    """What survives a restart.

    Attributes:
        last: The moment before, as sequence and event time; None before the first.
        usual_ns: The usual interval, nanoseconds.
        learned: Intervals that it was learned from.
    """

    last: tuple[int, int] | None = None
    usual_ns: float = 0.0
    learned: int = 0


class GapCheck:
    """The check of one stream."""

    def __init__(self, settings: Gap, state: GapState | None) -> None:
        state = state or GapState()
        self._settings = settings
        self._last, self._usual_ns, self._learned = state.last, state.usual_ns, state.learned

    def observe(self, moment: Moment) -> list[Finding]:
        """Take the next moment."""
        last, self._last = self._last, (moment.sequence, moment.time_ns)
        return [] if last is None else self._interval(moment, *last)

    def snapshot(self) -> GapState:
        """What survives a restart; it is never changed afterwards."""
        return GapState(self._last, self._usual_ns, self._learned)

    def _interval(self, moment: Moment, sequence: int, time_ns: int) -> list[Finding]:
        interval_ns = moment.time_ns - time_ns
        if interval_ns < 0:
            return []  # the clock stepped back, which `ClockSkew` tells
        settings = self._settings
        most_ns = max(settings.least_seconds * NANOSECONDS, settings.times_usual * self._usual_ns)
        if self._learned >= FIRST_INTERVALS and interval_ns >= most_ns:
            seconds, usual = interval_ns / NANOSECONDS, self._usual_ns / NANOSECONDS
            message = f"nothing came for {seconds:.1f} s, usually something every {usual:.2g} s"
            held = Held(sequence, time_ns)
            return [held.finding(settings.name, moment, interval_ns / most_ns, message)]
        self._learned += 1
        self._usual_ns += max(1 / self._learned, LEARN_RATE) * (interval_ns - self._usual_ns)
        return []
