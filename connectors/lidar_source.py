"""The bytewax source of recorded LIDAR scans: one stream for each file of boxes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition

from connectors.lidar import ScanSettings, read_scans
from records import EventKind, RecordError, StreamEvent
from records.range_boxes import RangeBoxes

if TYPE_CHECKING:
    import threading
    from collections.abc import Collection, Mapping
    from pathlib import Path

BATCH_SCANS = 16
"""The scans that travel together."""

NOT_BOXES = "lidar_line"
"""The reason of an event that counts lines of a file which are no boxes."""

Sensed = tuple[RangeBoxes, ...]
"""Consecutive scans of one sensor."""

Item = tuple[str, Sensed | StreamEvent]
"""What the source emits: the sensor's stream, and scans or what befell it."""


class LidarPartition(StatefulSourcePartition[Item, int]):
    """One file; made by LidarSource.

    Args:
        path: The file.
        settings: How its boxes become scans.
        stop: Ends the stream when set.
        resume: The scan to go on at; None begins at the beginning.

    Raises:
        SourceError: the file cannot be read.
    """

    def __init__(
        self, path: Path, settings: ScanSettings, stop: threading.Event, resume: int | None
    ) -> None:
        self._stream, self._stop = settings.stream, stop
        self._file = read_scans(path, settings)
        self._next = resume or 0
        self._start_ns = settings.time_of(0)
        self._told = resume is not None
        self._ended = False

    def next_batch(self) -> list[Item]:
        """The next scans; lines that are no boxes are told of first.

        Raises:
            StopIteration: the file has ended.
        """
        if self._ended:
            raise StopIteration
        items: list[Item] = []
        faults = self._file.faults
        if not self._told and faults.count:
            event = StreamEvent(
                self._stream, self._start_ns, EventKind.CORRUPT, faults.count, NOT_BOXES,
                faults.first[0] if faults.first else "",
            )  # fmt: skip
            items.append((self._stream, event))
        self._told = True
        scans = self._file.frames[self._next : self._next + BATCH_SCANS]
        self._next += len(scans)
        if scans:
            items.append((self._stream, scans))
        if self._stop.is_set() or self._next >= len(self._file.frames):
            self._ended = True
            last_ns = scans[-1].time_ns if scans else self._start_ns
            reason = "stopped" if self._stop.is_set() else ""
            event = StreamEvent(self._stream, last_ns, EventKind.ENDED, self._next, reason)
            items.append((self._stream, event))
        return items

    def snapshot(self) -> int:
        """The scan to go on at."""
        return self._next


class LidarSource(FixedPartitionedSource[Item, int]):
    """Emits the scans of files as fast as they are taken, each with its event time.

    Args:
        files: For each sensor's stream its file, and how boxes become scans.
        stop: When set, every stream ends.
        own: The streams that this process reads, where several share them; None for all.

    Raises:
        RecordError: there are no streams.
    """

    def __init__(
        self,
        files: Mapping[str, tuple[Path, ScanSettings]],
        *,
        stop: threading.Event,
        own: Collection[str] | None = None,
    ) -> None:
        if not files:
            raise RecordError("files must name at least one stream")
        self._files, self._stop = dict(files), stop
        self._own = sorted(self._files if own is None else own)

    def list_parts(self) -> list[str]:
        """The names of the streams that this process reads."""
        return self._own

    def build_part(self, step_id: str, for_part: str, resume_state: int | None) -> LidarPartition:
        """Open one file, or take it up where its snapshot was made."""
        del step_id
        path, settings = self._files[for_part]
        return LidarPartition(path, settings, self._stop, resume_state)
