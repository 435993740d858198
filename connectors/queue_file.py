"""The SQLite file of a retraining queue: its schema and versions, its limits, its errors in words.

::

    items     one each, with what it is ranked by; the item itself as bytes
    crops     the picture or signal of an item
    labels    what people said is in an item
    classes   the names of the classes that labels may have
    tally     what was added, refused, evicted … in all, by reason

The file is in WAL mode with ``synchronous`` FULL: what was committed outlives a killed process
and a power failure. Several processes may write to it, one after the other.

SQLite: https://www.sqlite.org/pragma.html#pragma_synchronous
"""

from __future__ import annotations

import math
import sqlite3
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from connectors.sqlite_file import FileKind, prepare
from records import RecordError, SightflowError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Mode = Literal["ro", "rw", "rwc"]
"""How a file is opened: ``rwc`` makes it if it is not there; ``ro`` only reads."""

APPLICATION_ID = 0x53465251
"""Marks a SQLite file as a retraining queue: "SFRQ"."""

SCHEMA_VERSION = 1
"""The version of the schema, kept as the file's ``user_version``."""

_SCHEMA = (
    """CREATE TABLE items (
        number INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        stream TEXT NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('waiting', 'exported', 'labelled')),
        priority REAL NOT NULL,
        bytes INTEGER NOT NULL,
        added_ns INTEGER NOT NULL,
        item BLOB NOT NULL
    ) STRICT""",
    """CREATE TABLE crops (
        item INTEGER PRIMARY KEY REFERENCES items ON DELETE CASCADE,
        data BLOB NOT NULL
    ) STRICT""",
    """CREATE TABLE labels (
        item INTEGER PRIMARY KEY REFERENCES items ON DELETE CASCADE,
        label BLOB NOT NULL,
        labelled_ns INTEGER NOT NULL
    ) STRICT""",
    "CREATE TABLE classes (number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT",
    "CREATE TABLE tally (reason TEXT PRIMARY KEY, count INTEGER NOT NULL) STRICT, WITHOUT ROWID",
    # What has a label is never evicted. The indexes hold all that quotas ask for.
    """CREATE INDEX items_rank ON items (priority, number, bytes) WHERE state <> 'labelled'""",
    """CREATE INDEX items_stream ON items (stream, priority, number)
        WHERE state <> 'labelled'""",
    "CREATE INDEX items_added ON items (added_ns) WHERE state <> 'labelled'",
)
_LONGEST_BUSY_SECONDS = 3600
_PRIMARY_CODE = 0xFF
_DAY_SECONDS = 86_400.0
_DAMAGED = "it is no retraining queue or is damaged; move it away"
_REMEDIES = {
    sqlite3.SQLITE_FULL: "free space on its disk, or allow it more bytes",
    sqlite3.SQLITE_BUSY: "another process is writing to it; try again",
    sqlite3.SQLITE_CORRUPT: _DAMAGED,
    sqlite3.SQLITE_NOTADB: _DAMAGED,
}
_REMEDY = "check the free space and the permissions there"
_REFUSALS = {
    sqlite3.SQLITE_FULL: "disk_full",
    sqlite3.SQLITE_IOERR: "disk_error",
    sqlite3.SQLITE_BUSY: "busy",
}


_KIND = FileKind("retraining queue", "a", APPLICATION_ID, SCHEMA_VERSION, _SCHEMA)


@dataclass(frozen=True, slots=True)
class QueueSettings:
    """How much a queue keeps. Items with labels count for `file_bytes_at_most` alone.

    Attributes:
        most_items: Items kept in all; beyond it the lowest priority leaves first.
        most_per_stream: Items kept of one stream.
        most_bytes: The bytes of all items with their crops.
        keep_seconds: How long an item waits for its label, seconds since it was added.
        file_bytes_at_most: The largest file, bytes; beyond it items are refused as on a full disk.
        busy_seconds: How long to wait while another process writes, seconds.

    Raises:
        RecordError: a setting is out of its range.
    """

    most_items: int = 10_000
    most_per_stream: int = 2_000
    most_bytes: int = 2 * 2**30
    keep_seconds: float = 30 * _DAY_SECONDS
    file_bytes_at_most: int = 8 * 2**30
    busy_seconds: float = 10.0

    def __post_init__(self) -> None:
        for name in ("most_items", "most_per_stream", "most_bytes", "file_bytes_at_most"):
            if getattr(self, name) < 1:
                raise RecordError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not 0 < self.keep_seconds < math.inf:
            raise RecordError(f"keep_seconds must be above 0, got {self.keep_seconds}")
        if not 0 <= self.busy_seconds <= _LONGEST_BUSY_SECONDS:
            raise RecordError(
                f"busy_seconds must be 0 to {_LONGEST_BUSY_SECONDS}, got {self.busy_seconds}"
            )


def open_queue_file(
    path: Path | None, settings: QueueSettings, mode: Mode = "rwc"
) -> sqlite3.Connection:
    """Open the file of a queue; it may then be used by any thread, one at a time.

    Args:
        path: The file; None holds everything in memory.
        settings: Its limits.
        mode: How it is opened.

    Raises:
        SightflowError: it cannot be opened, or is no queue that this release knows.
    """
    with queue_errors("opened", path):
        if path is not None and mode == "rwc":
            path.parent.mkdir(parents=True, exist_ok=True)
        place = ":memory:" if path is None else f"{path.absolute().as_uri()}?mode={mode}"
        connection = sqlite3.connect(
            place, settings.busy_seconds, isolation_level=None, check_same_thread=False, uri=True
        )
    try:
        with queue_errors("opened", path):
            prepare(connection, path, _KIND, settings.file_bytes_at_most, read_only=mode == "ro")
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def queue_errors(action: str, path: Path | None) -> Iterator[None]:
    """Turn an error of SQLite or of the system within into one that says what to do."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        name = "the queue in memory" if path is None else f"the queue {path}"
        remedy = _REMEDIES.get(_code(error), _REMEDY)
        raise SightflowError(f"{name} cannot be {action}: {error}; {remedy}") from error


def refusal(error: sqlite3.Error) -> str | None:
    """Why an item is refused after an error of SQLite; None where the queue itself is at fault."""
    return _REFUSALS.get(_code(error))


def _code(error: Exception) -> int:
    code: int = getattr(error, "sqlite_errorcode", 0)
    return code & _PRIMARY_CODE
