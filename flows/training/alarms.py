"""Alarms of a running flow: broken contracts, read from the event log as it grows."""

from __future__ import annotations

from typing import TYPE_CHECKING
from zlib import crc32

import structlog

from connectors.codec import MOST_BYTES, decode
from connectors.log_format import FRAME, LOG_FOLDER, header, logged_folders, segments
from connectors.log_manifest import MANIFEST_NAME, read_manifest
from records import CodecError, EventKind, LogError, StreamEvent

if TYPE_CHECKING:
    from pathlib import Path

BROKEN = "_broken"
"""How the reason of an event ends that says that the contract is broken."""

_MARK = BROKEN.encode()

_log = structlog.get_logger()


class AlarmWatch:
    """Counts the alarms of the newest run of a flow; reads only what has been added.

    Args:
        root: The folder of the runs.
        name: The flow's name.
    """

    def __init__(self, root: Path, name: str) -> None:
        self._root, self._name = root, name
        self._run: Path | None = None
        self._offsets: dict[Path, int] = {}
        self._count = 0
        self._last_ns: dict[str, int] = {}

    @property
    def last_ns(self) -> dict[str, int]:
        """Event time of the last alarm of each stream that had one, as `mark` has read them."""
        return dict(self._last_ns)

    def mark(self) -> str:
        """``run:count`` for the newest run, which changes with every alarm; empty without any."""
        run = self._newest()
        if run != self._run:
            self._run, self._offsets, self._count, self._last_ns = run, {}, 0, {}
        if run is None:
            return ""
        try:
            for folder, stream in logged_folders(run / LOG_FOLDER).items():
                for path in segments(folder).values() if stream else ():
                    self._count += self._read(path, stream)
        except (OSError, LogError) as error:
            _log.warning("the event log cannot be read for alarms", reason=str(error))
        return f"{run.name}:{self._count}" if self._count else ""

    def _newest(self) -> Path | None:
        manifests = sorted(
            self._root.glob(f"*/{MANIFEST_NAME}"), key=lambda path: path.stat().st_mtime_ns
        )
        for path in reversed(manifests):
            try:
                if read_manifest(path.parent).name == self._name:
                    return path.parent
            except LogError as error:
                _log.warning("a run is left out", reason=str(error))
        return None

    def _read(self, path: Path, stream: str) -> int:
        """The alarms behind the place that was read up to; damage ends the reading."""
        found = 0
        with path.open("rb") as file:
            offset = self._offsets.get(path, len(header(stream)))
            file.seek(offset)
            while len(head := file.read(FRAME.size)) == FRAME.size:
                length, checksum = FRAME.unpack(head)
                payload = file.read(length) if 0 < length <= MOST_BYTES else b""
                if not payload or len(payload) < length:
                    break  # it is still being written, or damaged, of which a replay tells
                offset += FRAME.size + length
                # Few records are alarms: to decode them all would cost as much as to replay them.
                if _MARK in payload and crc32(payload) == checksum:
                    alarm = _alarm(payload)
                    if alarm is not None:
                        found += 1
                        self._last_ns[stream] = max(alarm.time_ns, self._last_ns.get(stream, 0))
        self._offsets[path] = offset
        return found


def _alarm(payload: bytes) -> StreamEvent | None:
    try:
        record = decode(payload)
    except CodecError:
        return None  # a replay tells of it
    if not isinstance(record, StreamEvent) or record.kind is not EventKind.CONTRACT:
        return None
    return record if record.reason.endswith(BROKEN) else None
