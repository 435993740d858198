"""The writer of the event log.

Each stream has a series of segments of its own, so the bytes of a stream's log depend on that
stream's records only: neither on other streams, nor on batches, nor on the number of workers.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Self, get_args

import structlog

from connectors.codec import encode
from connectors.log_format import (
    LOG_FOLDER,
    LogPosition,
    frame,
    header,
    log_errors,
    segment_name,
    segments,
    stream_folder,
)
from records import LogError, Record, RecordError
from records.checks import check_name

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

Fsync = Literal["never", "segment", "batch"]
"""When data is forced to the disk."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class LogSettings:
    """How an event log is written.

    Attributes:
        segment_bytes: A new segment begins before one would grow beyond this size, bytes.
        fsync: When data is forced to the disk: ``batch`` after every batch (nothing is lost when
            the power fails), ``segment`` when a segment is full and at the end, ``never`` (the
            operating system decides). A killed process loses nothing that it had written.
    """

    segment_bytes: int = 64 * 2**20
    fsync: Fsync = "segment"

    def __post_init__(self) -> None:
        if self.segment_bytes < 1:
            raise RecordError(f"segment_bytes must be at least 1, got {self.segment_bytes}")
        if self.fsync not in get_args(Fsync):
            choice = ", ".join(get_args(Fsync))
            raise RecordError(f"fsync must be one of {choice}, got {self.fsync!r}")


class LogWriter:
    """Appends the records of one stream to its series of segments.

    Args:
        run_dir: The run's directory.
        stream: The stream whose records are written.
        settings: How they are written.
        position: Where to go on: what lies behind it is cut off. None begins a new log.

    Raises:
        RecordError: `stream` is no name of a stream.
        LogError: the log cannot be written there, holds records already although no position is
            given, or ends before the position.
    """

    def __init__(
        self,
        run_dir: Path,
        stream: str,
        settings: LogSettings | None = None,
        position: LogPosition | None = None,
    ) -> None:
        check_name("stream", stream)
        self._stream = stream
        self._settings = settings or LogSettings()
        self._folder = run_dir / LOG_FOLDER / stream_folder(stream)
        self._header = header(stream)
        self._position = position or LogPosition(0, 0)
        self._file = -1
        self._failed = False
        if position is None and segments(self._folder):
            raise LogError(
                f"{self._folder} holds a log already; give another run directory, or a position"
            )
        self._cut()

    @property
    def position(self) -> LogPosition:
        """Where the next record goes."""
        return self._position

    @property
    def _path(self) -> Path:
        return self._folder / segment_name(self._position.segment)

    def write(self, records: Sequence[Record]) -> None:
        """Append records, in order; once this returns, a killed process does not lose them.

        Raises:
            LogError: a record belongs to another stream, or the disk refuses.
            CodecError: a record is too large; nothing has been written.
        """
        if self._failed:
            raise LogError(f"{self._path} cannot be written: an earlier write to it failed")
        pending = bytearray()
        for framed in [self._frame(record) for record in records]:
            end = self._position.offset + len(pending)
            if end + len(framed) > self._settings.segment_bytes and end > len(self._header):
                self._append(pending)
                self._next_segment()
                pending = bytearray()
            if self._position.offset + len(pending) == 0:
                pending += self._header
            pending += framed
        self._append(pending)
        if self._settings.fsync == "batch":
            self._sync()

    def close(self) -> None:
        """Force the data to the disk unless fsync is ``never``, and close. May be called twice."""
        if self._file >= 0:
            try:
                if self._settings.fsync != "never" and not self._failed:
                    self._sync()
            finally:
                os.close(self._file)
                self._file = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _frame(self, record: Record) -> bytes:
        if record.stream != self._stream:
            raise LogError(
                f"the log of stream '{self._stream}' was given a record of '{record.stream}'"
            )
        return frame(encode(record))

    def _append(self, data: bytearray) -> None:
        if not data:
            return
        try:
            with log_errors("written", self._path), memoryview(data) as view:
                if self._file < 0:
                    self._open()
                written = 0
                while written < len(view):
                    written += os.write(self._file, view[written:])
        except LogError:
            # Half a frame may lie there now; what came after it could not be found again.
            self._failed = True
            raise
        self._position = self._position._replace(offset=self._position.offset + len(data))

    def _open(self) -> None:
        flags = os.O_WRONLY | os.O_APPEND
        if self._position.offset == 0:
            self._folder.mkdir(parents=True, exist_ok=True)
            flags |= os.O_CREAT | os.O_EXCL
        self._file = os.open(self._path, flags, 0o644)
        if flags & os.O_CREAT and self._settings.fsync != "never":
            _sync_folder(self._folder)

    def _next_segment(self) -> None:
        self.close()
        self._position = LogPosition(self._position.segment + 1, 0)

    def _sync(self) -> None:
        if self._file >= 0:
            with log_errors("forced to the disk", self._path):
                os.fsync(self._file)

    def _cut(self) -> None:
        """Cut off what lies behind the position: an interrupted run left it, unconfirmed."""
        number, offset = self._position
        found = segments(self._folder)
        with log_errors("read", self._path):
            sizes = {each: path.stat().st_size for each, path in found.items()}
        size = sizes.get(number, 0)
        if size < offset:
            raise LogError(
                f"{self._path} must hold {offset} bytes to go on from there, it has {size}: the "
                "disk lost what was written; begin a new run"
            )
        later = [each for each in found if each > number]
        removed = size - offset + sum(sizes[each] for each in later)
        begun = offset == 0 and number in found  # perhaps empty: killed before its first write
        if not removed and not later and not begun:
            return
        with log_errors("cut", self._path):
            # From the back, so that an interruption leaves no gap between segments.
            for each in reversed(later):
                found[each].unlink()
            if offset:
                os.truncate(self._path, offset)
            elif begun:
                self._path.unlink()
        _log.warning("event log cut to its position", stream=self._stream, removed_bytes=removed)


def _sync_folder(folder: Path) -> None:
    """Force the folder's entries to the disk, so that a new file has its name there."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
