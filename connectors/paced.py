"""A source that replays: streams in event-time order, at the pace of event time or as it comes."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition

from connectors.event_order import EventOrder, GroupSettings
from records import RecordError
from records.units import NANOSECONDS

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Sequence

    from connectors.event_order import Batches
    from connectors.lanes import Lane, Timed

UNPACED = "max"
"""The speed without pacing, as people write it."""

LEAST_SPEED, MOST_SPEED = 1e-3, 1e6
"""The slowest and fastest pace, seconds of event time in a second."""

NAP_SECONDS = 0.05
"""The longest sleep, seconds: an interrupt is heeded so soon."""


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


class PacedPartition(StatefulSourcePartition[tuple[str, Any], None]):
    """The one part of a replay; made by PacedSource.

    Args:
        order: The streams in event-time order.
        batches: Makes batches from a group.
        pacer: The pace.
        stop: Ends the replay when set.
        sleep: Waits so many seconds.
    """

    def __init__(
        self,
        order: EventOrder,
        batches: Batches,
        pacer: Pacer,
        stop: threading.Event,
        sleep: Callable[[float], object],
    ) -> None:
        self._order = order
        self._batches = batches
        self._pacer = pacer
        self._stop = stop
        self._sleep = sleep
        self._group: Sequence[tuple[str, Timed]] = ()

    def next_batch(self) -> Sequence[tuple[str, Any]]:
        """The batches of the next group when its time has come; sleeps a little when not.

        Raises:
            StopIteration: the recording has ended, or the replay was stopped.
        """
        if self._stop.is_set():
            raise StopIteration
        if not self._group:
            self._group = self._order.next_group()
        if not self._group:
            return ()
        self._pacer.begin(self._group[0][1].time_ns)
        # A group is there when its last item is; until then nothing else is to be done either.
        wait = self._pacer.wait(self._group[-1][1].time_ns)
        if wait > 0:
            self._sleep(min(wait, NAP_SECONDS))
            return ()
        group, self._group = self._group, ()
        return self._batches(group)

    def snapshot(self) -> None:
        """Nothing: a replay begins at its beginning."""

    def close(self) -> None:
        """Let go of what the streams hold open."""
        self._order.close()


class PacedSource(FixedPartitionedSource[tuple[str, Any], None]):
    """Replays streams; one part, so that their order is the same in every replay.

    Emits ``(stream, batch)``. Run it with epochs of no length: then each group goes through the
    whole dataflow before the next one comes, so that sinks see the same order at every speed.

    Args:
        lanes: Opens the streams.
        batches: Makes batches from a group: `frame_batches` or `verdict_batches`.
        pacer: The pace.
        stop: Ends the replay when set; what was emitted is still decided.
        sleep: Waits so many seconds.
        settings: How the streams are cut into groups.
    """

    def __init__(
        self,
        lanes: Callable[[], Sequence[Lane]],
        batches: Batches,
        pacer: Pacer,
        *,
        stop: threading.Event,
        sleep: Callable[[float], object] = time.sleep,
        settings: GroupSettings | None = None,
    ) -> None:
        self._lanes = lanes
        self._batches = batches
        self._pacer = pacer
        self._stop = stop
        self._sleep = sleep
        self._settings = settings

    def list_parts(self) -> list[str]:
        """The one part."""
        return ["replay"]

    def build_part(self, step_id: str, for_part: str, resume_state: None) -> PacedPartition:
        """Open the streams."""
        del step_id, for_part, resume_state
        order = EventOrder(self._lanes(), self._settings)
        return PacedPartition(order, self._batches, self._pacer, self._stop, self._sleep)
