"""The bytewax source of video: one partition for each stream."""

from __future__ import annotations

import time
import weakref
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition

from connectors.pace import Pacer, Speed
from connectors.video.ahead import DecodeAhead, ReadInStep
from connectors.video.items import Decoded, Numbering, StreamState, add_up, to_position, to_state
from connectors.video.reader import read_items
from records.checks import check_name
from records.errors import RecordError
from records.event import StreamEvent
from records.frame import FrameBatch

if TYPE_CHECKING:
    import threading
    from collections.abc import Collection, Mapping

    from connectors.video.settings import VideoSettings
    from records.protocols import Clock

_POLL = timedelta(milliseconds=5)
"""How long the flow leaves a stream alone that had nothing ready."""

_GOES_ON = frozenset({"stopped", "removed"})
"""The reasons of an end after which a stream may go on another time."""

Item = tuple[str, FrameBatch]
"""What the source emits: the stream's name, which is the key, and a batch."""


class VideoPartition(StatefulSourcePartition[Item, StreamState]):
    """One stream; made by VideoSource.

    Args:
        stream: The stream's name.
        settings: Its settings.
        stop: Drains the stream when set.
        clock: Event time of live streams.
        resume: The snapshot to go on from; None begins at the beginning.
    """

    def __init__(
        self,
        stream: str,
        settings: VideoSettings,
        stop: threading.Event,
        clock: Clock,
        resume: StreamState | None,
    ) -> None:
        self._stream = stream
        self._settings = settings
        self._stop = stop
        self._numbering = Numbering.of(stream, settings, resume)
        self._position = None if resume is None else to_position(resume)
        self._finished = self._complete = resume is not None and resume["ended"]
        self._idle = False
        self._pacer, self._due_ns = Pacer(Speed(settings.speed)), 0
        read = partial(read_items, stream, settings, clock, self._position)
        in_step = settings.is_on_demand and not settings.is_live
        self._ahead = (ReadInStep if in_step else DecodeAhead)(stream, settings, read)
        # bytewax does not close the partitions of a flow that is aborted.
        weakref.finalize(self, self._ahead.stop)
        if not self._finished:
            self._ahead.start()

    def next_batch(self) -> list[Item]:
        """What is ready, without waiting.

        Raises:
            StopIteration: the stream has ended.
        """
        if self._finished:
            raise StopIteration
        if self._stop.is_set():
            batches = self._drain("stopped")
        else:
            batches = self._ready() if self._pacer.wait(self._due_ns) == 0 else []
            self._pace(batches)
        self._idle = not batches
        return [(self._stream, batch) for batch in batches]

    def next_awake(self) -> datetime | None:
        """When to ask again: at once, or a little later when nothing was ready."""
        return datetime.now(UTC) + _POLL if self._idle else None

    def snapshot(self) -> StreamState:
        """Where to go on: after the last frame that was emitted."""
        numbering = self._numbering
        return to_state(self._position, numbering.sequence, numbering.time_ns, ended=self._complete)

    def remove(self) -> list[Item]:
        """Everything that is ready, and the end of a stream that is taken out of a run."""
        batches = [] if self._finished else self._drain("removed")
        return [(self._stream, batch) for batch in batches]

    def close(self) -> None:
        """End the thread."""
        self._ahead.close()

    def _pace(self, batches: list[FrameBatch]) -> None:
        """The next batch is there when its last frame is; it is taken to be as long as this."""
        if batches and batches[-1].frames:
            first_ns, last_ns = (batches[-1].frames[place].time_ns for place in (0, -1))
            self._pacer.begin(first_ns)
            self._due_ns = last_ns + (last_ns - first_ns)

    def _room(self) -> int:
        """How many frames the next batch may have."""
        most = self._settings.frames_at_most
        batch = self._settings.batch_frames
        return batch if most is None else max(min(batch, most - self._numbering.sequence), 0)

    def _ready(self) -> list[FrameBatch]:
        ended, room = self._ahead.ended, self._room()
        if not ended and self._ahead.frames < room and not self._settings.is_live:
            return []
        batch = self._take(room)
        if not self._room():
            return [self._finish(batch, "frames_at_most")]
        if ended and len(batch.frames) < room:
            return [self._finish(batch, "")]
        return [batch] if batch.frames or batch.events else []

    def _drain(self, reason: str) -> list[FrameBatch]:
        """Everything that is ready, and the end."""
        self._ahead.stop()
        batches = []
        while self._ahead.frames and self._room():
            batches.append(self._take(self._room()))
        return [*batches, self._finish(self._take(0), reason)]

    def _take(self, frames: int) -> FrameBatch:
        items = self._ahead.take(frames)
        decoded = [item for item in items if isinstance(item, Decoded)]
        events = add_up(item for item in items if isinstance(item, StreamEvent))
        if decoded:
            self._position = decoded[-1].position
        return FrameBatch(
            self._stream,
            tuple(self._numbering.frame(item) for item in decoded),
            tuple(self._numbering.event(event) for event in events),
        )

    def _finish(self, batch: FrameBatch, reason: str) -> FrameBatch:
        """The last batch: with the events that are left, and the end."""
        self._finished, self._complete = True, reason not in _GOES_ON
        rest = () if reason == "frames_at_most" else self._take(0).events
        self._ahead.close()
        return FrameBatch(
            self._stream, batch.frames, (*batch.events, *rest, self._numbering.ended(reason))
        )


class VideoSource(FixedPartitionedSource[Item, StreamState]):
    """Emits the frames of many streams, each decoded on a thread of its own, or on demand.

    Emits ``(stream, FrameBatch)``. Batches of a file have exactly `batch_frames` frames, the last
    one perhaps fewer, so that runs are alike; those of a live stream have what was ready. Every
    stream ends with an ENDED event that counts its frames. Frames have the numbers 0, 1, 2 …
    without a gap, and event times that always increase, also after a restart from a snapshot.

    Args:
        streams: The settings of each stream by its name.
        stop: When set, every stream emits what it has, its ENDED event, and ends.
        clock: Tells event time to live streams.
        own: The streams that this process opens, where several share them; None for all.

    Raises:
        RecordError: there are no streams, or a name is not fit to be one.
    """

    def __init__(
        self,
        streams: Mapping[str, VideoSettings],
        *,
        stop: threading.Event,
        clock: Clock = time.time_ns,
        own: Collection[str] | None = None,
    ) -> None:
        if not streams:
            raise RecordError("streams must name at least one stream")
        for stream in streams:
            check_name("stream", stream)
        self._streams = dict(streams)
        self._stop = stop
        self._clock = clock
        self._own = sorted(self._streams if own is None else own)

    def settings(self, stream: str) -> VideoSettings:
        """The settings of a stream."""
        return self._streams[stream]

    def list_parts(self) -> list[str]:
        """The names of the streams that this process opens."""
        return self._own

    def build_part(
        self, step_id: str, for_part: str, resume_state: StreamState | None
    ) -> VideoPartition:
        """Start one stream, or take it up where its snapshot was made."""
        del step_id
        settings = self._streams[for_part]
        return VideoPartition(for_part, settings, self._stop, self._clock, resume_state)
