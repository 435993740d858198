"""Event logs for tests: written, read, and compared byte for byte."""

from __future__ import annotations

from typing import TYPE_CHECKING

from connectors.log_manifest import Manifest, write_manifest
from connectors.log_writer import LogSettings, LogWriter
from connectors.replay import EventLog, LogFault
from tests.support.records import START_NS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from records import Record

SMALL = LogSettings(segment_bytes=1000, fsync="never")


def run_dir_of(folder: Path, streams: Sequence[str] = ("gate",)) -> Path:
    folder.mkdir(exist_ok=True)
    manifest = Manifest("watch", folder.name, START_NS, "streams: {}\n", tuple(streams))
    write_manifest(folder, manifest)
    return folder


def write_log(folder: Path, records: Sequence[Record], how: LogSettings = SMALL) -> list[Path]:
    """Write a log of one stream and list its segments."""
    with LogWriter(folder, records[0].stream, how) as writer:
        writer.write(records)
    return sorted(folder.rglob("*.seg"))


def read_log(folder: Path, stream: str | None = None) -> tuple[list[Record], tuple[LogFault, ...]]:
    log = EventLog.open(folder)
    return list(log.records(stream)), log.faults


def log_bytes(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*.seg"))}
