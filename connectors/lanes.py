"""Lanes: the items of one stream of a recording, in its own order."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from typing_extensions import override

from connectors.codec import event_time_ns
from records import Estimate, EventKind, Frame, FrameBatch, StreamEvent, Verdict
from records.checks import check_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from connectors.video import VideoPartition

Item: TypeAlias = Frame | Verdict | StreamEvent | Estimate
"""What a lane holds: frames or verdicts, and what befell the stream meanwhile."""

_BEGINNINGS = (EventKind.OPENED, EventKind.RECONNECTED)
_BESIDE_VERDICTS = (EventKind.CONTRACT, EventKind.MODEL)


class Timed(NamedTuple):
    """An item and its place in time: that of the latest item of its stream so far, nanoseconds."""

    time_ns: int
    item: Item


class Lane(ABC):
    """The items of one stream, in its own order; an item older than one before it comes next.

    Args:
        stream: The stream's name.

    Attributes:
        stream: The stream's name.
        ended: Whether nothing more is read.
    """

    def __init__(self, stream: str) -> None:
        check_name("stream", stream)
        self.stream = stream
        self.ended = False
        self._ready: deque[Timed] = deque()
        self._latest_ns = 0

    @abstractmethod
    def _read(self) -> Iterable[Item]:
        """The next items, none when they are not there yet.

        Raises:
            StopIteration: there are no more.
        """

    def known(self) -> bool:
        """Whether it is known which item comes next, or that none does; asks for it if not."""
        if not self._ready and not self.ended:
            try:
                items = self._read()
            except StopIteration:
                self.ended = True
            else:
                for item in items:
                    time_ns = item.time_ns if isinstance(item, Frame) else event_time_ns(item)
                    self._latest_ns = max(self._latest_ns, time_ns)
                    self._ready.append(Timed(self._latest_ns, item))
        return bool(self._ready) or self.ended

    def peek(self) -> Timed | None:
        """The next item; None when none is ready."""
        return self._ready[0] if self._ready else None

    def take(self) -> Timed:
        """Take the next item, which is ready."""
        return self._ready.popleft()

    def close(self) -> None:  # noqa: B027 - most lanes hold nothing open
        """Let go of what is held open."""


class RecordedLane(Lane):
    """A lane whose items are there: of an event log, or a range of a topic.

    Args:
        stream: The stream's name.
        items: Its items, in order; read one by one.
    """

    def __init__(self, stream: str, items: Iterator[Item]) -> None:
        super().__init__(stream)
        self._items = items

    @override
    def _read(self) -> Iterable[Item]:
        return (next(self._items),)


def events_in_time(items: Iterable[Item]) -> Iterator[Item]:
    """Put what befell a source beside the verdicts of its time; all else keeps its order.

    A flow tells of its sources at once, but of their frames only when they are decided: in what it
    wrote, the end of a stream may stand before the last verdicts.

    Args:
        items: The verdicts, events and estimates of one stream, as they were written.
    """
    waiting: deque[StreamEvent] = deque()
    for item in items:
        if isinstance(item, StreamEvent) and item.kind not in _BESIDE_VERDICTS:
            waiting.append(item)
            continue
        while waiting and isinstance(item, Verdict) and _comes_before(waiting[0], item.time_ns):
            yield waiting.popleft()
        yield item
    yield from waiting


def _comes_before(event: StreamEvent, time_ns: int) -> bool:
    return event.time_ns < time_ns + (event.kind in _BEGINNINGS)


class VideoLane(Lane):
    """A lane of frames that are decoded from a file or a folder of segments.

    Args:
        stream: The stream's name.
        part: Decodes it.
        folder: The folder that the video lies in, as paths in its events tell it; they lose it, so
            that a recording may lie anywhere.
    """

    def __init__(self, stream: str, part: VideoPartition, folder: str = "") -> None:
        super().__init__(stream)
        self._part = part
        self._prefix = f"{folder}/" if folder else ""

    @override
    def _read(self) -> Iterable[Item]:
        items = [item for _, batch in self._part.next_batch() for item in _in_order(batch)]
        return [self._placeless(item) if isinstance(item, StreamEvent) else item for item in items]

    def _placeless(self, event: StreamEvent) -> StreamEvent:
        if not self._prefix:
            return event
        return replace(event, detail=event.detail.replace(self._prefix, ""))

    @override
    def close(self) -> None:
        self._part.close()


def _in_order(batch: FrameBatch) -> list[Frame | StreamEvent]:
    """The frames and events of a batch by time; at one time beginnings first, ends last."""
    ranked: list[tuple[int, int, Frame | StreamEvent]] = [
        (frame.time_ns, 1, frame) for frame in batch.frames
    ]
    ranked += [
        (event.time_ns, 2 * (event.kind not in _BEGINNINGS), event) for event in batch.events
    ]
    return [item for *_, item in sorted(ranked, key=lambda one: one[:2])]
