"""The event log as a sink of a dataflow."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING
from zlib import crc32

from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition

from connectors.log_format import LogPosition
from connectors.log_writer import LogSettings, LogWriter

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from records import Record

PARTS = 8
"""The parts that share the streams, so at most so many workers write. A run is resumed with as
many."""

MOST_OPEN_FILES = 64
"""The most files that one part holds open: there may be thousands of streams."""

PartState = dict[str, tuple[int, int]]
"""Where the next record of each stream goes: the segment's number and the offset in it."""


class EventLogSink(FixedPartitionedSink["Sequence[Record]", PartState]):
    """Writes ``(stream, records)`` to the event log, each stream to segments of its own.

    On resume each stream's log is cut to where the last epoch ended, so that every record is in
    the log exactly once. Without a resume state a stream's log begins anew, at its very start.

    Args:
        run_dir: The run's directory, as `new_run_dir` makes it.
        settings: How the log is written.
    """

    def __init__(self, run_dir: Path, settings: LogSettings | None = None) -> None:
        self._run_dir = run_dir
        self._settings = settings or LogSettings()

    def list_parts(self) -> list[str]:
        """The parts, by number."""
        return [f"{part:04d}" for part in range(PARTS)]

    def part_fn(self, item_key: str) -> int:
        """The part of a stream, the same in every run."""
        return crc32(item_key.encode())

    def build_part(
        self, step_id: str, for_part: str, resume_state: PartState | None
    ) -> EventLogPartition:
        """Open the logs of some streams."""
        del step_id, for_part
        return EventLogPartition(self._run_dir, self._settings, resume_state or {})


class EventLogPartition(StatefulSinkPartition["Sequence[Record]", PartState]):
    """The logs of some streams in a running dataflow; made by EventLogSink.

    Args:
        run_dir: The run's directory.
        settings: How they are written.
        resume: Where each stream's log goes on; streams that are not in it begin anew.
    """

    def __init__(self, run_dir: Path, settings: LogSettings, resume: PartState) -> None:
        self._run_dir = run_dir
        self._settings = settings
        self._writers = {
            stream: LogWriter(run_dir, stream, settings, LogPosition(*at))
            for stream, at in resume.items()
        }
        self._open: OrderedDict[str, LogWriter] = OrderedDict()

    def write_batch(self, values: list[Sequence[Record]]) -> None:
        """Append the records of these batches.

        Raises:
            LogError: the disk refuses.
        """
        streams: dict[str, list[Record]] = {}
        for records in values:
            for record in records:
                streams.setdefault(record.stream, []).append(record)
        for stream, records in streams.items():
            self._writer(stream).write(records)

    def snapshot(self) -> PartState:
        """Where the next record of each stream goes."""
        return {
            stream: (writer.position.segment, writer.position.offset)
            for stream, writer in self._writers.items()
        }

    def close(self) -> None:
        """Force the data to the disk and close."""
        for writer in self._writers.values():
            writer.close()

    def _writer(self, stream: str) -> LogWriter:
        if stream not in self._writers:
            begin = LogPosition(0, 0)
            self._writers[stream] = LogWriter(self._run_dir, stream, self._settings, begin)
        writer = self._open[stream] = self._writers[stream]
        self._open.move_to_end(stream)
        if len(self._open) > MOST_OPEN_FILES:
            self._open.popitem(last=False)[1].close()  # it opens itself again
        return writer
