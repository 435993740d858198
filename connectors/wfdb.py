"""The bytewax source of WFDB records: blocks of samples, as fast as possible or at a speed."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypedDict

from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition

from connectors.wfdb_record import MOST_SAMPLES, WfdbRecord
from records.checks import check_name, check_time
from records.errors import RecordError, SourceError
from records.event import EventKind, StreamEvent
from records.reading import Reading
from records.units import NANOSECONDS

if TYPE_CHECKING:
    import threading
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from records.protocols import Clock

__all__ = ["WfdbPartition", "WfdbRecord", "WfdbSettings", "WfdbSource", "WfdbState"]

Item = tuple[str, Reading | StreamEvent]
"""What the source emits: the stream's name, which is the key, and a record."""

MOST_BLOCK_SECONDS = 3_600.0
"""The longest block, seconds."""


LEAST_SPEED = 0.001
"""The slowest that a stream plays, seconds of event time in a second."""

_POLL_NS = NANOSECONDS // 20
"""The longest time that the flow leaves a waiting stream alone, nanoseconds."""


@dataclass(frozen=True, slots=True)
class WfdbSettings:
    """Which records make a stream, and how they are played.

    Attributes:
        records: The headers, or their paths without ``.hea``; played one after another.
        block_seconds: The length of a block, seconds, above 0 and at most 3,600; the last block of
            a record may be shorter.
        start_ns: Event time of the first sample, nanoseconds since 1970 UTC; then the times in the
            headers do not count. None takes each header's time; 1970 for a first record whose
            header has no date.
        pause_seconds: The time from the end of a record to the next one where headers do not
            count, have no date, or go back in time, seconds, at least 0. With 0 one record goes on
            in the next.
        speed: How fast the stream plays, at least 0.001: 1 as it was recorded, ``inf`` as fast as
            possible.

    Raises:
        RecordError: a setting is out of its range.
    """

    records: tuple[Path, ...]
    block_seconds: float = 1.0
    start_ns: int | None = None
    pause_seconds: float = 1.0
    speed: float = math.inf

    def __post_init__(self) -> None:
        if not self.records:
            raise RecordError("records must name at least one record")
        if not 0 < self.block_seconds <= MOST_BLOCK_SECONDS:
            raise RecordError(
                f"block_seconds must be above 0 and at most {MOST_BLOCK_SECONDS:g}, "
                f"got {self.block_seconds}"
            )
        if self.start_ns is not None:
            check_time("start_ns", self.start_ns)
        if not 0 <= self.pause_seconds < math.inf:
            raise RecordError(f"pause_seconds must be at least 0, got {self.pause_seconds}")
        if not self.speed >= LEAST_SPEED:
            raise RecordError(f"speed must be at least {LEAST_SPEED}, got {self.speed}")


class WfdbState(TypedDict):
    """A snapshot of a stream, of plain values only.

    ``record`` and ``sample`` are where to read on, ``start_ns`` is the event time of that record's
    first sample (None before it is opened), ``end_ns`` the end of the last block, ``sequence`` the
    next block's number, ``event_ns`` the time of the last event.
    """

    record: int
    sample: int
    start_ns: int | None
    end_ns: int
    sequence: int
    event_ns: int
    ended: bool


class WfdbPartition(StatefulSourcePartition[Item, WfdbState]):
    """One stream; made by WfdbSource.

    Args:
        stream: The stream's name.
        settings: Its settings.
        stop: Ends the stream when set.
        clock: Paces a stream that plays at a speed.
        resume: The snapshot to go on from; None begins at the beginning.
    """

    def __init__(
        self,
        stream: str,
        settings: WfdbSettings,
        stop: threading.Event,
        clock: Clock,
        resume: WfdbState | None,
    ) -> None:
        self._stream, self._settings, self._stop, self._clock = stream, settings, stop, clock
        fresh = WfdbState(
            record=0,
            sample=0,
            start_ns=None,
            end_ns=settings.start_ns or 0,
            sequence=0,
            event_ns=-1,
            ended=False,
        )
        self._state = fresh if resume is None else resume.copy()
        self._stopped = False
        self._open: WfdbRecord | None = None
        self._due_ns: int | None = None
        """When the next block is due by the clock; None at once."""

    def next_batch(self) -> list[Item]:
        """The next block, with what befell the stream before it.

        Raises:
            StopIteration: the stream has ended.
        """
        if self._state["ended"] or self._stopped:
            raise StopIteration
        if self._stop.is_set():
            self._stopped = True
            return [self._ended("stopped")]
        if self._due_ns is not None and self._clock() < self._due_ns:
            return []
        if self._state["record"] >= len(self._settings.records):
            self._state["ended"] = True
            return [self._ended("")]
        try:
            return self._next()
        except (RecordError, SourceError) as error:
            self._next_record()
            return [self._event(EventKind.UNREADABLE, detail=str(error))]

    def next_awake(self) -> datetime | None:
        """When to ask again: when the next block is due, or soon, to see whether to stop."""
        if self._due_ns is None:
            return None
        wake_ns = min(self._due_ns, self._clock() + _POLL_NS)
        return datetime.fromtimestamp(wake_ns / NANOSECONDS, UTC)

    def snapshot(self) -> WfdbState:
        """Where to go on: after the last block that was emitted."""
        return self._state.copy()

    def _next(self) -> list[Item]:
        items: list[Item] = []
        record, state = self._open, self._state
        if record is None:
            record = self._open = WfdbRecord(self._settings.records[state["record"]])
            if state["start_ns"] is None:
                state["start_ns"] = self._start(record)
                items.append(self._event(EventKind.OPENED, detail=record.header.name))
        count = self._block(record)
        samples = record.read(state["sample"], count)
        if not len(samples):
            return [*items, *self._finish(record)]
        reading = Reading(
            self._stream,
            state["sequence"],
            self._time(record),
            record.header.rate_hz,
            samples,
            record.channels,
            record.units,
        )
        state["sequence"] += 1
        state["sample"] += len(samples)
        state["end_ns"] = self._time(record)
        self._pace(len(samples) / record.header.rate_hz)
        return [*items, (self._stream, reading)]

    def _block(self, record: WfdbRecord) -> int:
        """Samples of a block; a block too large for memory is refused."""
        count = max(round(self._settings.block_seconds * record.header.rate_hz), 1)
        if count * len(record.channels) > MOST_SAMPLES:
            raise SourceError(
                f"{record.path}: a block must have at most {MOST_SAMPLES} samples over all "
                f"signals, got {count} of {len(record.channels)} signals. Lower block_seconds"
            )
        return count

    def _start(self, record: WfdbRecord) -> int:
        """Event time of a record's first sample."""
        end_ns, said = self._state["end_ns"], record.header.start_ns
        if self._settings.start_ns is None and said is not None and said >= end_ns:
            return said
        pause_ns = round(self._settings.pause_seconds * NANOSECONDS)
        return end_ns + (pause_ns if self._state["sequence"] else 0)

    def _time(self, record: WfdbRecord) -> int:
        """Event time of the next sample."""
        start_ns = self._state["start_ns"]
        assert start_ns is not None
        return start_ns + round(self._state["sample"] / record.header.rate_hz * NANOSECONDS)

    def _pace(self, seconds: float) -> None:
        """A block of so many seconds was emitted; the next is due that much later."""
        if math.isinf(self._settings.speed):
            return
        now = self._clock() if self._due_ns is None else self._due_ns
        self._due_ns = now + round(seconds / self._settings.speed * NANOSECONDS)

    def _finish(self, record: WfdbRecord) -> list[Item]:
        """The end of a record; says what its files lack."""
        self._next_record()
        if not record.missing_samples:
            return []
        detail = f"{record.header.name} has fewer samples than its header says"
        count = record.missing_samples
        return [self._event(EventKind.TRUNCATED, count, "short_file", detail)]

    def _next_record(self) -> None:
        self._open = None
        self._state["record"] += 1
        self._state["sample"], self._state["start_ns"] = 0, None

    def _ended(self, reason: str) -> Item:
        return self._event(EventKind.ENDED, self._state["sequence"], reason)

    def _event(self, kind: EventKind, count: int = 0, reason: str = "", detail: str = "") -> Item:
        """An event, later than any before: its id is made of kind and time."""
        state = self._state
        time_ns = max(state["start_ns"] or 0, state["end_ns"], state["event_ns"] + 1)
        state["event_ns"] = time_ns
        return self._stream, StreamEvent(self._stream, time_ns, kind, count, reason, detail)


class WfdbSource(FixedPartitionedSource[Item, WfdbState]):
    """Emits the blocks of many streams, each of one record or of several in turn.

    Emits ``(stream, Reading)`` and ``(stream, StreamEvent)``: OPENED before the first block of a
    record, UNREADABLE for one that cannot be read (the next goes on), TRUNCATED for one that has
    fewer samples than its header says, and ENDED, which counts the blocks. Blocks have the numbers
    0, 1, 2 … without a gap, also after a restart from a snapshot.

    Args:
        streams: The settings of each stream by its name.
        stop: When set, every stream emits its ENDED event, and ends.
        clock: Paces streams that play at a speed.
        own: The streams that this process plays, where several share them; None for all.

    Raises:
        RecordError: there are no streams, or a name is not fit to be one.
    """

    def __init__(
        self,
        streams: Mapping[str, WfdbSettings],
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

    def list_parts(self) -> list[str]:
        """The names of the streams that this process plays."""
        return self._own

    def build_part(
        self, step_id: str, for_part: str, resume_state: WfdbState | None
    ) -> WfdbPartition:
        """Start one stream, or take it up where its snapshot was made."""
        del step_id
        settings = self._streams[for_part]
        return WfdbPartition(for_part, settings, self._stop, self._clock, resume_state)
