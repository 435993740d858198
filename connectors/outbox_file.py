"""The SQLite file of an outbox: its schema and versions, its lock, and its errors in words.

::

    messages    one alert each: its identity and the body that is sent
    endpoints   where messages go; disabled_ns tells since when one wants nothing more
    deliveries  one message to one endpoint: pending, delivered, failed or disabled

The file is in WAL mode, so readers never wait for the writer. ``synchronous`` is FULL: a commit
is on the disk when it returns. NORMAL would survive a killed process too, but a power failure could
take back a commit that the flow's recovery store already relies on, and the alert would be lost.

SQLite: https://www.sqlite.org/pragma.html#pragma_synchronous
"""

from __future__ import annotations

import fcntl
import sqlite3
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TextIO

from connectors.sqlite_file import FileKind, prepare
from records import RecordError, SightflowError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

APPLICATION_ID = 0x53464F42
"""Marks a SQLite file as an outbox: "SFOB"."""

SCHEMA_VERSION = 1
"""The version of the schema, kept as the file's ``user_version``."""

_SCHEMA = (
    """CREATE TABLE messages (
        number INTEGER PRIMARY KEY,
        id TEXT NOT NULL,
        time_ns INTEGER NOT NULL,
        episode TEXT NOT NULL,
        body BLOB NOT NULL,
        created_ns INTEGER NOT NULL,
        UNIQUE (id, time_ns)
    ) STRICT""",
    """CREATE TABLE endpoints (
        number INTEGER PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        host TEXT NOT NULL,
        paused_until_ns INTEGER NOT NULL DEFAULT 0,
        disabled_ns INTEGER
    ) STRICT""",
    """CREATE TABLE deliveries (
        message INTEGER NOT NULL REFERENCES messages ON DELETE CASCADE,
        endpoint INTEGER NOT NULL REFERENCES endpoints,
        state TEXT NOT NULL CHECK (state IN ('pending', 'delivered', 'failed', 'disabled')),
        attempts INTEGER NOT NULL DEFAULT 0,
        due_ns INTEGER NOT NULL,
        changed_ns INTEGER NOT NULL,
        reason TEXT NOT NULL DEFAULT '',
        PRIMARY KEY (message, endpoint)
    ) STRICT, WITHOUT ROWID""",
    """CREATE INDEX deliveries_due ON deliveries (endpoint, due_ns, message)
        WHERE state = 'pending'""",
    "CREATE INDEX messages_episode ON messages (episode)",
)
_LONGEST_BUSY_SECONDS = 3600
_PRIMARY_CODE = 0xFF
_DAMAGED = "it is no outbox or is damaged; move it away, alerts are in the event log as well"
_REMEDIES = {
    sqlite3.SQLITE_FULL: "free space on its disk, or allow it more bytes",
    sqlite3.SQLITE_BUSY: "another process is writing to it; try again",
    sqlite3.SQLITE_CORRUPT: _DAMAGED,
    sqlite3.SQLITE_NOTADB: _DAMAGED,
}
_REMEDY = "check the free space and the permissions there"


_KIND = FileKind("outbox", "an", APPLICATION_ID, SCHEMA_VERSION, _SCHEMA)


@dataclass(frozen=True, slots=True)
class OutboxSettings:
    """How large an outbox may grow, and how long it waits for others.

    Attributes:
        keep_at_most: Messages kept, so that duplicates are recognised and failures can be sent
            again; beyond it the oldest go for which nothing is pending.
        bytes_at_most: The largest file, bytes; beyond it writing fails as on a full disk.
        busy_seconds: How long to wait while another process writes, seconds.
    """

    keep_at_most: int = 100_000
    bytes_at_most: int = 2**30
    busy_seconds: float = 10.0

    def __post_init__(self) -> None:
        for name in ("keep_at_most", "bytes_at_most"):
            if getattr(self, name) < 1:
                raise RecordError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not 0 <= self.busy_seconds <= _LONGEST_BUSY_SECONDS:
            raise RecordError(
                f"busy_seconds must be 0 to {_LONGEST_BUSY_SECONDS}, got {self.busy_seconds}"
            )


def open_file(
    path: Path | None, settings: OutboxSettings, mode: Literal["ro", "rw", "rwc"] = "rwc"
) -> sqlite3.Connection:
    """Open the file of an outbox; it may then be used by any thread, one at a time.

    Args:
        path: The file; None holds everything in memory.
        settings: Its limits.
        mode: ``rwc`` makes the file if it is not there; ``rw`` and ``ro`` do not, ``ro`` only
            reads.

    Raises:
        SightflowError: it cannot be opened, or is no outbox that this release knows.
    """
    with outbox_errors("opened", path):
        if path is not None and mode == "rwc":
            path.parent.mkdir(parents=True, exist_ok=True)
        place = ":memory:" if path is None else f"{path.absolute().as_uri()}?mode={mode}"
        connection = sqlite3.connect(
            place, settings.busy_seconds, isolation_level=None, check_same_thread=False, uri=True
        )
    try:
        with outbox_errors("opened", path):
            prepare(connection, path, _KIND, settings.bytes_at_most, read_only=mode == "ro")
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def outbox_errors(action: str, path: Path | None) -> Iterator[None]:
    """Turn an error of SQLite or of the system within into one that says what to do."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        code = getattr(error, "sqlite_errorcode", 0) & _PRIMARY_CODE
        name = "the outbox in memory" if path is None else f"the outbox {path}"
        raise SightflowError(
            f"{name} cannot be {action}: {error}; {_REMEDIES.get(code, _REMEDY)}"
        ) from error


def lock_file(path: Path) -> TextIO | None:
    """Take the right to deliver from an outbox; closing the file, or dying, gives it back.

    Returns:
        The file that holds the right; None while another process has it.

    Raises:
        SightflowError: the lock cannot be made.
    """
    with outbox_errors("locked", path):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.with_name(f"{path.name}.lock").open("a", encoding="utf-8")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return None
        except OSError:
            file.close()
            raise
    return file
