from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import pytest

from connectors.outbox_file import (
    OutboxSettings,
    lock_file,
    open_file,
    outbox_errors,
)
from connectors.sqlite_file import transaction
from records import RecordError, SightflowError

if TYPE_CHECKING:
    from pathlib import Path

SETTINGS = OutboxSettings()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"keep_at_most": 0}, "keep_at_most must be at least 1, got 0"),
        ({"bytes_at_most": -1}, "bytes_at_most must be at least 1, got -1"),
        ({"busy_seconds": -1.0}, "busy_seconds must be 0 to 3600, got -1.0"),
        ({"busy_seconds": float("nan")}, "busy_seconds must be 0 to 3600, got nan"),
    ],
)
def test_settings_that_are_refused(changes: dict[str, float], message: str) -> None:
    with pytest.raises(RecordError) as caught:
        OutboxSettings(**changes)  # type: ignore[arg-type]  # the fault under test
    assert str(caught.value) == message


def test_the_schema_is_made_once(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite3"
    for _ in range(2):
        connection = open_file(path, SETTINGS)
        tables = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
        assert {name for (name,) in tables} == {"messages", "endpoints", "deliveries"}
        assert connection.execute("PRAGMA user_version").fetchone() == (1,)
        connection.close()


@pytest.mark.parametrize("mode", ["ro", "rw"])
def test_a_file_that_is_not_there_is_not_made(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "a.sqlite3"
    with pytest.raises(SightflowError) as caught:
        open_file(path, SETTINGS, "ro" if mode == "ro" else "rw")
    assert str(caught.value) == (
        f"the outbox {path} cannot be opened: unable to open database file; check the free space "
        "and the permissions there"
    )
    assert not path.exists()


@pytest.mark.parametrize("mode", ["ro", "rw", "rwc"])
def test_what_is_no_database_is_told_and_left_as_it_is(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "a.sqlite3"
    path.write_bytes(b"no database, but longer than the header of one" * 20)
    before = path.read_bytes()
    with pytest.raises(SightflowError) as caught:
        open_file(path, SETTINGS, mode)  # type: ignore[arg-type]  # it is one of the modes
    assert str(caught.value) == (
        f"the outbox {path} cannot be opened: file is not a database; it is no outbox or is "
        "damaged; move it away, alerts are in the event log as well"
    )
    assert path.read_bytes() == before


@pytest.mark.parametrize("mode", ["ro", "rwc"])
def test_other_databases_and_versions_are_refused_unchanged(tmp_path: Path, mode: str) -> None:
    other, later = tmp_path / "other.sqlite3", tmp_path / "later.sqlite3"
    connection = sqlite3.connect(other)
    connection.execute("CREATE TABLE songs (title TEXT)")
    connection.close()
    open_file(later, SETTINGS).close()
    connection = sqlite3.connect(later)
    connection.execute("PRAGMA user_version = 2")
    connection.close()
    for path, problem in (
        (other, f"{other} is no outbox; name another file"),
        (
            later,
            f"{later} must be an outbox of version 1, got 2; use the release that wrote it",
        ),
    ):
        before = path.read_bytes()
        with pytest.raises(SightflowError) as caught:
            open_file(path, SETTINGS, "ro" if mode == "ro" else "rwc")
        assert str(caught.value) == problem
        assert path.read_bytes() == before


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "blocked").write_text("a file, no folder")
    path = tmp_path / "blocked" / "a.sqlite3"
    for action, act in (("opened", lambda: open_file(path, SETTINGS)),
                        ("locked", lambda: lock_file(path))):  # fmt: skip
        with pytest.raises(SightflowError) as caught:
            act()
        assert str(caught.value).startswith(f"the outbox {path} cannot be {action}: ")
        assert str(caught.value).endswith("; check the free space and the permissions there")


def insert(connection: sqlite3.Connection, *names: str) -> None:
    with outbox_errors("written", None), transaction(connection):
        for name in names:
            connection.execute("INSERT INTO endpoints (name, host) VALUES (?, '')", (name,))


def test_a_transaction_is_done_whole_or_not_at_all() -> None:
    connection = open_file(None, SETTINGS)
    insert(connection, "a#1")
    with pytest.raises(SightflowError) as caught:
        insert(connection, "b#1", "a#1")
    assert str(caught.value) == (
        "the outbox in memory cannot be written: UNIQUE constraint failed: endpoints.name; "
        "check the free space and the permissions there"
    )
    assert connection.execute("SELECT name FROM endpoints").fetchall() == [("a#1",)]
    insert(connection, "b#1")
    connection.close()


def test_a_writer_that_holds_on_too_long_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite3"
    first, second = (open_file(path, OutboxSettings(busy_seconds=0.01)) for _ in range(2))
    first.execute("BEGIN IMMEDIATE")
    with pytest.raises(SightflowError) as caught:
        insert(second, "a#1")
    assert str(caught.value) == (
        "the outbox in memory cannot be written: database is locked; another process is writing "
        "to it; try again"
    )
    for connection in (first, second):
        connection.close()


def test_the_lock_is_held_until_its_file_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite3"
    held = lock_file(path)
    assert held is not None
    assert lock_file(path) is None
    held.close()
    again = lock_file(path)
    assert again is not None
    again.close()
