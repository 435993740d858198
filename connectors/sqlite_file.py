"""SQLite files of durable state: prepared, recognised, changed all or nothing."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from records import SightflowError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_WAL_BYTES = 16 * 2**20
"""What is left of the write-ahead log after a checkpoint, bytes at most."""


@dataclass(frozen=True, slots=True)
class FileKind:
    """A kind of file.

    Attributes:
        noun: What it is, for errors.
        article: The article that goes with it.
        application_id: What marks such files, in their header.
        version: The version of the schema.
        schema: The statements that make its tables.
    """

    noun: str
    article: str
    application_id: int
    version: int
    schema: Sequence[str]


def prepare(
    connection: sqlite3.Connection,
    path: Path | None,
    kind: FileKind,
    most_bytes: int,
    *,
    read_only: bool,
) -> None:
    """Recognise the file, and make what it lacks.

    Args:
        connection: The file, opened.
        path: Where it is, for errors; None for memory.
        kind: What it must be.
        most_bytes: The largest that it may grow, bytes.
        read_only: Whether nothing in it may be changed.

    Raises:
        SightflowError: it is something else, or of another version.
    """
    # What is no such file is refused before anything in it is changed.
    if read_only or _pragma(connection, "schema_version"):
        _check_version(connection, path, kind)
    if read_only:
        return
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute(f"PRAGMA journal_size_limit = {_WAL_BYTES}")
    pages = max(most_bytes // _pragma(connection, "page_size"), 1)
    connection.execute(f"PRAGMA max_page_count = {pages}")
    with transaction(connection):
        if not _pragma(connection, "schema_version"):
            for statement in kind.schema:
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {kind.application_id}")
            connection.execute(f"PRAGMA user_version = {kind.version}")


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Do all of what is within, durably, or nothing of it."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # Some errors end the transaction themselves.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    (value,) = connection.execute(f"PRAGMA {name}").fetchone()
    return int(value)


def _check_version(connection: sqlite3.Connection, path: Path | None, kind: FileKind) -> None:
    if _pragma(connection, "application_id") != kind.application_id:
        raise SightflowError(f"{path} is no {kind.noun}; name another file")
    version = _pragma(connection, "user_version")
    if version != kind.version:
        raise SightflowError(
            f"{path} must be {kind.article} {kind.noun} of version {kind.version}, got {version}; "
            "use the release that wrote it"
        )
