"""The pace of a recording: how quickly its event time goes by."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from records import RecordError
from records.units import NANOSECONDS

if TYPE_CHECKING:
    from collections.abc import Callable

UNPACED = "max"
"""The speed without pacing, as people write it."""

LEAST_SPEED, MOST_SPEED = 1e-3, 1e6
"""The slowest and fastest pace, seconds of event time in a second."""


@dataclass(frozen=True, slots=True)
class Speed:
    """How quickly event time goes by in a replay.

    Attributes:
        times: Seconds of event time in a second, 0.001 to 1,000,000; None is as fast as possible.

    Raises:
        RecordError: the speed is out of its range.

    >>> str(Speed.parse("2.5")), str(Speed.parse("max"))
    ('2.5', 'max')
    """

    times: float | None = None

    def __post_init__(self) -> None:
        if self.times is not None and not LEAST_SPEED <= self.times <= MOST_SPEED:
            raise RecordError(
                f"speed must be {LEAST_SPEED:g} to {MOST_SPEED:g}, or max, got {self.times}"
            )

    @classmethod
    def parse(cls, text: str) -> Speed:
        """Read a speed: a number, or ``max``.

        Raises:
            RecordError: it is neither.
        """
        if text == UNPACED:
            return cls()
        try:
            return cls(float(text))
        except ValueError as error:
            if isinstance(error, RecordError):
                raise
            raise RecordError(f"speed must be a number or max, got {text[:40]!r}") from None

    def __str__(self) -> str:
        return UNPACED if self.times is None else f"{self.times:g}"


AS_FAST_AS_POSSIBLE = Speed()
"""The speed without pacing."""


class Pacer:
    """Tells how long to wait until a moment of event time has come.

    A replay that cannot keep up goes on without a wait, and drops nothing; a gap in event time is
    waited for in full.

    Args:
        speed: How quickly event time goes by.
        clock: A clock in seconds that never goes back.

    Attributes:
        behind_seconds: How late the latest item came that was late, at most, seconds.

    >>> seconds = iter([0.0, 1.0, 6.0])
    >>> pacer = Pacer(Speed(2.0), lambda: next(seconds))
    >>> pacer.begin(0)
    >>> pacer.wait(10 * 10**9), pacer.wait(10 * 10**9), pacer.behind_seconds
    (4.0, 0.0, 1.0)
    """

    def __init__(self, speed: Speed, clock: Callable[[], float] = time.monotonic) -> None:
        self._times = speed.times
        self._clock = clock
        self._begun: tuple[float, int] | None = None
        self.behind_seconds = 0.0

    def begin(self, time_ns: int) -> None:
        """Let this moment of event time, nanoseconds since 1970 UTC, be now; once."""
        if self._begun is None and self._times is not None:
            self._begun = self._clock(), time_ns

    def wait(self, time_ns: int) -> float:
        """How long until this moment of event time, seconds; 0 when it has come."""
        if self._begun is None or self._times is None:
            return 0.0
        begun, begun_ns = self._begun
        left = begun + (time_ns - begun_ns) / NANOSECONDS / self._times - self._clock()
        self.behind_seconds = max(self.behind_seconds, -left)
        return max(left, 0.0)
