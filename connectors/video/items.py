"""What readers yield: decoded frames that have no number yet, and the place each one has."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypedDict

from connectors.video.timeline import TimelineState
from records.event import EventKind, StreamEvent
from records.frame import Frame

if TYPE_CHECKING:
    from collections.abc import Iterable

    from connectors.video.coding import Coding
    from connectors.video.demand_pixels import OnDemandPixels
    from connectors.video.pixels import AvPixels
    from connectors.video.settings import VideoSettings

COUNTED = (EventKind.CORRUPT, EventKind.DROPPED)
"""Kinds of events that are added up when they come close together."""


@dataclass(frozen=True, slots=True)
class Position:
    """Where a reader stands after a frame.

    Attributes:
        timeline: The event times so far.
        segment: The name of the file in its folder; empty when there is only one.
        frames: Frames taken from this segment.
        ticks: Presentation time of the last one in the container's ticks; None when unknown or
            not to be relied on.
    """

    timeline: TimelineState
    segment: str = ""
    frames: int = 0
    ticks: int | None = None


@dataclass(frozen=True, slots=True)
class Decoded:
    """A frame that has no number yet, because it may still be dropped.

    Attributes:
        pixels: Its pixels.
        position: Where the reader stands after it.
        coding: How it is coded.
    """

    pixels: AvPixels | OnDemandPixels
    position: Position
    coding: Coding

    @property
    def time_ns(self) -> int:
        """Event time, nanoseconds since 1970 UTC."""
        time_ns = self.position.timeline.last_ns
        assert time_ns is not None, "a position after a frame has its time"
        return time_ns


class StreamState(TypedDict):
    """A snapshot of a stream, of plain values only."""

    sequence: int
    next_ns: int
    last_ns: int | None
    anchor_ns: int
    anchor_ticks: int | None
    behind: bool
    segment: str
    frames: int
    ticks: int | None
    ended: bool


def to_state(position: Position | None, sequence: int, time_ns: int, *, ended: bool) -> StreamState:
    """Write a position down as plain values; without one, the stream has no frame yet."""
    if position is None:
        position = Position(TimelineState(time_ns))
    times = position.timeline
    return StreamState(
        sequence=sequence,
        next_ns=times.next_ns,
        last_ns=times.last_ns,
        anchor_ns=times.anchor_ns,
        anchor_ticks=times.anchor_ticks,
        behind=times.behind,
        segment=position.segment,
        frames=position.frames,
        ticks=position.ticks,
        ended=ended,
    )


def to_position(state: StreamState) -> Position:
    """Read a position back."""
    times = TimelineState(
        state["next_ns"],
        state["last_ns"],
        state["anchor_ns"],
        state["anchor_ticks"],
        state["behind"],
    )
    return Position(times, state["segment"], state["frames"], state["ticks"])


def add_up(events: Iterable[StreamEvent]) -> list[StreamEvent]:
    """Make one event of all CORRUPT, and of all DROPPED, that have the same reason.

    The first keeps its place; the sum has the latest time and the first detail.
    """
    summed: dict[object, StreamEvent] = {}
    for i, event in enumerate(events):
        key: object = (event.kind, event.reason) if event.kind in COUNTED else i
        earlier = summed.get(key)
        summed[key] = (
            event
            if earlier is None
            else replace(
                earlier,
                time_ns=max(earlier.time_ns, event.time_ns),
                count=earlier.count + event.count,
            )
        )
    return list(summed.values())


class Numbering:
    """Numbers the frames of a stream and gives each kind of event its own times.

    Args:
        stream: The stream's name.
        sequence: The number of the next frame.
        time_ns: The event time before the next frame.
    """

    def __init__(self, stream: str, sequence: int, time_ns: int) -> None:
        self.sequence, self.time_ns = sequence, time_ns
        self._stream = stream
        self._last_of_kind: dict[EventKind, int] = {}

    @classmethod
    def of(cls, stream: str, settings: VideoSettings, resume: StreamState | None) -> Numbering:
        """The numbering of a stream that begins, or goes on at `resume`."""
        if resume is None:
            return cls(stream, 0, settings.start_ns or 0)
        return cls(stream, resume["sequence"], resume["last_ns"] or resume["next_ns"])

    def frame(self, decoded: Decoded) -> Frame:
        """The frame with its number."""
        self.time_ns = decoded.time_ns
        frame = Frame(self._stream, self.sequence, self.time_ns, decoded.pixels, *decoded.coding)
        self.sequence += 1
        return frame

    def event(self, event: StreamEvent) -> StreamEvent:
        """The event, later than any before it of its kind: its id is made of kind and time."""
        last_ns = self._last_of_kind.get(event.kind, -1)
        time_ns = self._last_of_kind[event.kind] = max(event.time_ns, last_ns + 1)
        self.time_ns = max(self.time_ns, time_ns)
        return event if time_ns == event.time_ns else replace(event, time_ns=time_ns)

    def ended(self, reason: str = "") -> StreamEvent:
        """The event that ends the stream; it counts the frames."""
        ended = StreamEvent(self._stream, self.time_ns, EventKind.ENDED, self.sequence, reason)
        return self.event(ended)
