"""Decodes a stream ahead of the flow, on a thread of its own, within a memory bound."""

from __future__ import annotations

import threading
from collections import deque
from contextlib import AbstractContextManager, closing
from dataclasses import replace
from typing import TYPE_CHECKING

from connectors.video.budget import FrameBudget
from connectors.video.items import COUNTED, Decoded
from records.event import EventKind, StreamEvent

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from types import TracebackType

    from connectors.video.settings import VideoSettings

_CREDIT_SECONDS = 0.1
"""How long the thread waits for memory before it looks whether it is to end, seconds."""

_JOIN_SECONDS = 1.0
"""How long closing waits for the thread of a file; one inside a network read ends by itself."""


class DecodeAhead:
    """A buffer of decoded items that a daemon thread keeps filled.

    The thread takes a credit of the budget before it decodes a frame. For files it waits for one;
    for live streams it goes on and drops a frame instead, since the source does not wait. It has
    no reference to whoever takes the items.

    Args:
        stream: The stream's name.
        settings: Its settings.
        read: Starts the reading; called on the thread with the event that ends it.
    """

    def __init__(
        self,
        stream: str,
        settings: VideoSettings,
        read: Callable[[threading.Event], Generator[Decoded | StreamEvent, None, None]],
    ) -> None:
        self.budget = FrameBudget(settings.frames_in_memory)
        self._stream = stream
        self._drop = settings.drop if settings.is_live else None
        self._read = read
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._items: deque[Decoded | StreamEvent] = deque()
        self._frames = 0
        self._dropped: StreamEvent | None = None
        self._outcome = _Outcome()
        self._thread = threading.Thread(target=self._run, name=f"video-{stream}", daemon=True)

    def start(self) -> None:
        """Start decoding."""
        self._thread.start()

    @property
    def frames(self) -> int:
        """How many frames are ready."""
        return self._frames

    @property
    def ended(self) -> bool:
        """Whether no more items will come than those that are ready.

        Raises whatever made the thread fail, which is a fault of ours and not of the stream.
        """
        if self._thread.is_alive():
            return False
        if self._outcome.error is not None:
            raise self._outcome.error
        return True

    def take(self, frames: int) -> list[Decoded | StreamEvent]:
        """Take the items that are ready: this many frames, and the events up to the last.

        With fewer frames than that ready, or with 0, the events before the next frame come too.
        """
        taken: list[Decoded | StreamEvent] = []
        with self._lock:
            while self._items and (frames or not isinstance(self._items[0], Decoded)):
                item = self._items.popleft()
                taken.append(item)
                if isinstance(item, Decoded):
                    self._frames -= 1
                    frames -= 1
                    if not frames:
                        break
            if self._dropped is not None:
                taken.append(self._dropped)
                self._dropped = None
        return taken

    def stop(self) -> None:
        """Tell the thread to end; what is ready can still be taken."""
        self._stop.set()

    def close(self) -> None:
        """End the thread and let go of everything."""
        self._stop.set()
        with self._lock:
            self._items.clear()
            self._frames = 0
        if self._drop is None and self._thread.is_alive():
            self._thread.join(_JOIN_SECONDS)

    def _run(self) -> None:
        with self._outcome, closing(self._read(self._stop)) as items:
            self._fill(items)

    def _fill(self, items: Iterator[Decoded | StreamEvent]) -> None:
        credit = False
        while not self._stop.is_set():
            credit = credit or self.budget.take(_CREDIT_SECONDS)
            if not credit:
                continue
            item = next(items, None)
            if item is None:
                return
            if isinstance(item, StreamEvent):
                self._append_event(item)
            elif self._drop is None:
                self._append(item)
                credit = False
            elif self._make_room():
                self._append(item)
            else:
                self._note_dropped(item)
            # A frame that this thread still names would never give its credit back.
            del item

    def _make_room(self) -> bool:
        """Get another credit for the next frame of a live stream; False drops this one."""
        if self.budget.take(0.0):
            return True
        if self._drop == "oldest":
            with self._lock:
                oldest = next((x for x in self._items if isinstance(x, Decoded)), None)
                if oldest is not None:
                    self._items.remove(oldest)
                    self._frames -= 1
            if oldest is not None:
                self._note_dropped(oldest)
            del oldest
        return self.budget.take(0.0)

    def _append(self, item: Decoded) -> None:
        self.budget.lend(item.pixels)
        with self._lock:
            self._items.append(item)
            self._frames += 1

    def _append_event(self, event: StreamEvent) -> None:
        """Events are added up here too: damage without end must not fill the memory."""
        with self._lock:
            last = self._items[-1] if self._items else None
            same = (
                isinstance(last, StreamEvent)
                and event.kind in COUNTED
                and (last.kind, last.reason) == (event.kind, event.reason)
            )
            if same and isinstance(last, StreamEvent):
                self._items[-1] = replace(
                    last, time_ns=event.time_ns, count=last.count + event.count
                )
            else:
                self._items.append(event)

    def _note_dropped(self, item: Decoded) -> None:
        with self._lock:
            count = 1 if self._dropped is None else self._dropped.count + 1
            self._dropped = StreamEvent(
                self._stream, item.time_ns, EventKind.DROPPED, count, "flow_behind"
            )


class ReadInStep(DecodeAhead):
    """The same for a file that is decoded on demand: read when asked, without a thread.

    Args:
        stream: The stream's name.
        settings: Its settings.
        read: Starts the reading.
    """

    def __init__(
        self,
        stream: str,
        settings: VideoSettings,
        read: Callable[[threading.Event], Generator[Decoded | StreamEvent, None, None]],
    ) -> None:
        super().__init__(stream, settings, read)
        self._batch = settings.batch_frames
        self._source = read(self._stop)
        self._exhausted = False

    def start(self) -> None:
        """Nothing is read before it is asked for."""

    @property
    def ended(self) -> bool:
        """Whether no more items will come than those that are ready; reads a batch."""
        items = self._items
        while self._frames < self._batch and not self._exhausted and not self._stop.is_set():
            item = next(self._source, None)
            if item is None:
                self._exhausted = True
            elif isinstance(item, StreamEvent):
                self._append_event(item)
            else:
                items.append(item)
                self._frames += 1
        return self._exhausted or self._stop.is_set()

    def close(self) -> None:
        """Close the file and let go of everything."""
        super().close()
        self._source.close()


class _Outcome(AbstractContextManager[None]):
    """Keeps the error that ends a thread, so that the flow can raise it."""

    error: BaseException | None = None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        self.error = error
        return True
