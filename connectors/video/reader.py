"""Reads one video stream, one item after the other."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from connectors.video.files import FileReader
from connectors.video.items import Numbering, to_position
from connectors.video.live import LiveReader
from records.event import StreamEvent

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from connectors.video.items import Decoded, Position, StreamState
    from connectors.video.settings import VideoSettings
    from records.frame import Frame
    from records.protocols import Clock


def read_items(
    stream: str,
    settings: VideoSettings,
    clock: Clock,
    resume: Position | None,
    stop: threading.Event,
) -> Generator[Decoded | StreamEvent, None, None]:
    """Decode a stream; its frames have no numbers yet, and its end is not told.

    Args:
        stream: The stream's name.
        settings: Its settings.
        clock: Event time of live streams.
        resume: Where to go on; None begins at the beginning.
        stop: Ends a live stream.
    """
    if settings.is_live:
        yield from LiveReader(stream, settings, clock, stop, resume)
    else:
        yield from FileReader(stream, settings, resume)


def read_video(
    stream: str,
    settings: VideoSettings,
    *,
    clock: Clock = time.time_ns,
    stop: threading.Event | None = None,
    resume: StreamState | None = None,
) -> Iterator[Frame | StreamEvent]:
    """Read a stream without a dataflow: decodes when asked for the next item.

    Nothing is dropped, whatever the settings say: a live source waits in its own buffers. Damage
    is told one event at a time. The last item is an ENDED event that counts the frames.

    Args:
        stream: The stream's name.
        settings: Its settings.
        clock: Event time of live streams.
        stop: Ends the reading before the next item.
        resume: The state of an earlier reading; None begins at the beginning.
    """
    stop = stop or threading.Event()
    position = None if resume is None else to_position(resume)
    numbering = Numbering.of(stream, settings, resume)
    for item in read_items(stream, settings, clock, position, stop):
        if stop.is_set():
            yield numbering.ended("stopped")
            return
        if isinstance(item, StreamEvent):
            yield numbering.event(item)
            continue
        yield numbering.frame(item)
        if numbering.sequence == settings.frames_at_most:
            yield numbering.ended("frames_at_most")
            return
    yield numbering.ended("stopped" if stop.is_set() else "")
