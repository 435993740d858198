"""The reader of the event log: every later replay starts here.

Damage is no error: it is found by the checksums, kept in `EventLog.faults`, and what can still be
read is read. A torn tail, which a killed process leaves, is a fault of its own kind.
"""

from __future__ import annotations

import heapq
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple
from zlib import crc32

from connectors.codec import MOST_BYTES, decode, event_time_ns
from connectors.log_format import (
    FRAME,
    LOG_FOLDER,
    check_header,
    header,
    log_errors,
    logged_folders,
    segments,
    stream_folder,
)
from connectors.log_manifest import MANIFEST_NAME, Manifest, read_manifest
from records import CodecError, LogError, Record

if TYPE_CHECKING:
    from collections.abc import Iterator


MOST_FAULTS = 1000
"""After so many faults the rest of a segment is not read."""


@dataclass(frozen=True, slots=True)
class LogFault:
    """One place where a log is damaged.

    Attributes:
        stream: The stream whose log it is; empty when it is that of none.
        segment: The file's name, or that of a folder.
        offset: Where the damage begins, bytes from the start of the file.
        problem: What is wrong there.
        torn: Whether it is the unfinished end of the log, as a killed process leaves it.
    """

    stream: str
    segment: str
    offset: int
    problem: str
    torn: bool = False

    def __str__(self) -> str:
        file = f"{self.stream}/{self.segment}" if self.stream else self.segment
        return f"{file} at byte {self.offset}: {self.problem}"


class EventLog:
    """The event log of one run, open for reading. Make it with `EventLog.open`.

    Attributes:
        run_dir: The run's directory.
        manifest: What the log is the log of.
        streams: The streams' names, in order.
    """

    def __init__(self, run_dir: Path, manifest: Manifest, streams: tuple[str, ...]) -> None:
        self.run_dir = run_dir
        self.manifest = manifest
        self.streams = streams
        self._faults: dict[LogFault, None] = {}

    @classmethod
    def open(cls, run_dir: Path) -> EventLog:
        """Open the log of a run.

        Raises:
            LogError: there is no run in `run_dir`, or its manifest cannot be read.
        """
        manifest = read_manifest(run_dir)
        folders = logged_folders(run_dir / LOG_FOLDER)
        logged = {stream for stream in folders.values() if stream}
        log = cls(run_dir, manifest, tuple(sorted({*manifest.streams, *logged})))
        for folder, stream in folders.items():
            if not stream:
                log._fault(LogFault("", folder.name, 0, "this is the folder of no stream"))
        if manifest.configuration_sha256 != manifest.sha256_of_configuration():
            log._fault(
                LogFault("", MANIFEST_NAME, 0, "the configuration does not have its SHA-256")
            )
        return log

    @property
    def faults(self) -> tuple[LogFault, ...]:
        """The damage found so far, in the order in which it was met; complete after a reading."""
        return tuple(self._faults)

    def records(self, stream: str | None = None) -> Iterator[Record]:
        """Read records, lazily.

        Args:
            stream: The stream to read. None merges all of them by event time; ties go by the
                stream's name. Each stream keeps the order of its log: a record that is older than
                one before it comes right after that one.

        Raises:
            LogError: the log has no such stream, or a file cannot be read.
        """
        if stream is None:
            timed = [self._timed(each) for each in self.streams]
            merged = heapq.merge(*timed, key=lambda pair: pair[0])
            return (record for _, record in merged)
        if stream not in self.streams:
            raise LogError(
                f"{self.run_dir} has no stream '{stream}'; it has {', '.join(self.streams)}"
            )
        return self._stream(stream)

    def _timed(self, stream: str) -> Iterator[tuple[int, Record]]:
        latest = 0
        for record in self._stream(stream):
            latest = max(latest, event_time_ns(record))
            yield latest, record

    def _stream(self, stream: str) -> Iterator[Record]:
        found = segments(self.run_dir / LOG_FOLDER / stream_folder(stream))
        last = max(found, default=0)
        expected = 0
        for number, path in found.items():
            if number != expected:
                problem = f"{number - expected} segments before this one are missing"
                self._fault(LogFault(stream, path.name, 0, problem))
            expected = number + 1
            with log_errors("read", path), path.open("rb") as file:
                yield from self._segment(stream, file, last=number == last)

    def _segment(self, stream: str, file: BinaryIO, *, last: bool) -> Iterator[Record]:
        name = Path(file.name).name
        size = os.fstat(file.fileno()).st_size
        expected = header(stream)
        problem, readable = check_header(file.read(len(expected)), stream)
        if problem:
            self._fault(LogFault(stream, name, 0, problem, torn=last and size < len(expected)))
        faults = 0
        for piece in _pieces(file, len(expected), size) if readable else ():
            record, problem = _record(piece, stream)
            if record is not None:
                yield record
                continue
            faults += 1
            if faults == MOST_FAULTS:
                problem = f"{problem}; this makes {faults} faults, the rest of it is not read"
            self._fault(LogFault(stream, name, piece.offset, problem, last and piece.cut))
            if faults == MOST_FAULTS:
                return

    def _fault(self, fault: LogFault) -> None:
        self._faults[fault] = None


class _Piece(NamedTuple):
    """A frame, or what stands where one should."""

    offset: int
    payload: bytes
    problem: str = ""
    cut: bool = False


def _pieces(file: BinaryIO, offset: int, size: int) -> Iterator[_Piece]:
    """Read frame after frame, up to the end or a length that cannot be."""
    while offset < size:
        head = file.read(FRAME.size)
        if len(head) < FRAME.size:
            yield _Piece(offset, b"", f"the file ends {len(head)} bytes into a frame", cut=True)
            return
        length, checksum = FRAME.unpack(head)
        if not 0 < length <= MOST_BYTES:
            problem = f"a frame must be 1 to {MOST_BYTES} bytes, got {length}; the rest is not read"
            yield _Piece(offset, b"", problem)
            return
        payload = file.read(length)
        if len(payload) < length:
            got = FRAME.size + len(payload)
            problem = f"the file ends {got} bytes into a frame of {FRAME.size + length}"
            yield _Piece(offset, b"", problem, cut=True)
            return
        yield _Piece(offset, payload, "" if crc32(payload) == checksum else "the CRC-32 is wrong")
        offset += FRAME.size + length


def _record(piece: _Piece, stream: str) -> tuple[Record | None, str]:
    """Decode a piece of the log of `stream`: the record, or what is wrong."""
    if piece.problem:
        return None, piece.problem
    try:
        record = decode(piece.payload)
    except CodecError as error:
        return None, str(error)
    if record.stream != stream:
        return None, f"a record of stream '{record.stream}' is in the log of '{stream}'"
    return record, ""
