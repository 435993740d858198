"""Reads a live source, and reconnects it whenever it is lost."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from connectors.video.container import VideoContainer
from connectors.video.damage import ASKED_IN_VAIN, Damage, OpenError
from connectors.video.demand import OnDemandDecoder
from connectors.video.items import Decoded, Position
from connectors.video.timeline import SECOND_NS, Timeline
from connectors.video.uri import parse_uri
from records.event import EventKind, StreamEvent

if TYPE_CHECKING:
    import threading
    from collections.abc import Generator, Iterator

    from connectors.video.settings import VideoSettings
    from records.protocols import Clock


class LiveReader:
    """Reads a live source until it is told to stop.

    OPENED or RECONNECTED comes with the first frame of a connection, LOST once an outage,
    however many attempts fail within it.

    Args:
        stream: The stream's name.
        settings: Its settings.
        clock: Anchors event time at the first frame of each connection.
        stop: Ends the reading; a read that is under way ends within `stall_seconds`.
        resume: Where an earlier run stood; event time goes on after it.
    """

    def __init__(
        self,
        stream: str,
        settings: VideoSettings,
        clock: Clock,
        stop: threading.Event,
        resume: Position | None = None,
    ) -> None:
        self._stream = stream
        self._settings = settings
        self._address = parse_uri(settings.uri)
        self._clock = clock
        self._stop = stop
        self._start_ns = settings.start_ns
        if resume is not None and settings.start_ns is not None:
            self._start_ns = resume.timeline.next_ns
        # What turns the clock into event time; other than 0 only where a start is given.
        self._shift_ns = 0 if self._start_ns is None else self._start_ns - clock()
        self._timeline = Timeline(self._now())
        if resume is not None:
            self._timeline.state = resume.timeline
        self._lost_ns: int | None = None
        self._decoder = OnDemandDecoder(stream, settings) if settings.is_on_demand else None

    def __iter__(self) -> Iterator[Decoded | StreamEvent]:
        settings = self._settings
        wait_seconds = settings.reconnect_first_seconds
        while not self._stop.is_set():
            failure = yield from self._connection()
            if self._stop.is_set():
                return
            if self._lost_ns is None:  # it was there till now, or has never been
                self._lost_ns = self._now()
                wait_seconds = settings.reconnect_first_seconds
                detail = f"{self._address.label}: {failure.detail}"
                yield self._event(EventKind.LOST, failure.reason, detail)
            self._stop.wait(wait_seconds)
            wait_seconds = min(2 * wait_seconds, settings.reconnect_most_seconds)

    def _connection(self) -> Generator[Decoded | StreamEvent, None, OpenError]:
        """Read one connection to its end; returns what ended it."""
        settings = self._settings
        try:
            video = VideoContainer(
                self._address,
                live=True,
                open_seconds=settings.open_seconds,
                stall_seconds=settings.stall_seconds,
                decode_threads=settings.decode_threads,
                on_demand=self._decoder is not None,
            )
        except OpenError as error:
            return error
        with closing(video):
            yield from self._frames(video)
        return video.failure or OpenError("ended", "the source ended the stream")

    def _frames(self, video: VideoContainer) -> Iterator[Decoded | StreamEvent]:
        """Suspended, this holds no frame: memory is counted."""
        first = True
        out: list[Decoded] = []
        decoder = self._decoder
        for item in video.frames() if decoder is None else video.frames_on_demand(decoder):
            if self._stop.is_set():
                return
            failed = 0 if decoder is None else decoder.take_failures()
            if failed:
                yield self._event(EventKind.CORRUPT, *ASKED_IN_VAIN, failed)
            if isinstance(item, Damage):
                yield self._event(EventKind.CORRUPT, item.reason, item.detail, item.count)
                continue
            if first:
                first = False
                yield self._arrival(video)
            _, repaired = self._timeline.stamp(item.ticks, item.duration, self._now())
            out.append(Decoded(item.pixels, Position(self._timeline.state), item.coding))
            del item
            if repaired:
                yield self._event(EventKind.CORRUPT, "timestamp", "repaired", 1)
            yield out.pop()

    def _arrival(self, video: VideoContainer) -> StreamEvent:
        """Anchor event time at the first frame of a connection, and tell of it."""
        if self._start_ns is not None:
            self._shift_ns = self._start_ns - self._clock()
            self._start_ns = None
        now_ns = self._now()
        self._timeline.anchor(video.time_base, video.step_ns, at_ns=now_ns)
        if self._lost_ns is None:
            return self._event(EventKind.OPENED, "", video.description)
        seconds = (now_ns - self._lost_ns) / SECOND_NS
        self._lost_ns = None
        return self._event(EventKind.RECONNECTED, "", f"{video.description}, after {seconds:.1f} s")

    def _now(self) -> int:
        return self._clock() + self._shift_ns

    def _event(self, kind: EventKind, reason: str, detail: str, lost: int = 0) -> StreamEvent:
        return StreamEvent(self._stream, max(self._now(), 0), kind, lost, reason, detail)
