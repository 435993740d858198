"""Recovery: what a run needs to go on where it was stopped, or killed.

A recovery folder holds the engine's own store of snapshots (bytewax; SQLite files) and `run.json`,
which says whose they are. Only this program may write there: the engine reads its snapshots with
Python's pickle, so a folder that others can write to must not be resumed from.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from bytewax.recovery import RecoveryConfig, init_db_dir

from flows.shards import MOST_PROCESSES
from records import SightflowError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import IO

    from flows.member import Member

RECOVERY_VERSION = 1
"""The version of the folder's layout."""

LOCK_SECONDS = 10.0
"""How long a process waits for one of a killed run to end, seconds."""

STORE_PARTS = 4
"""The files that the engine spreads its snapshots over."""

_RECORD = "run.json"
_STORE = "store"
_LOCK = "lock"
_WAIT_SECONDS = 60.0
_POLL_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class RecoverySettings:
    """Where a run keeps what it needs to go on.

    Attributes:
        folder: The recovery folder; made at the first start.
        epoch_seconds: How often snapshots are taken, seconds; so much is done again after a kill.

    Raises:
        SightflowError: `epoch_seconds` is negative.
    """

    folder: Path
    epoch_seconds: float = 1.0

    def __post_init__(self) -> None:
        if not self.epoch_seconds >= 0:
            raise SightflowError(f"epoch seconds must be at least 0, got {self.epoch_seconds}")

    @property
    def epoch(self) -> timedelta:
        """How often snapshots are taken."""
        return timedelta(seconds=self.epoch_seconds)

    @property
    def store(self) -> Path:
        """The folder of the engine's snapshots."""
        return self.folder / _STORE

    def engine(self) -> RecoveryConfig:
        """The engine's store."""
        return RecoveryConfig(str(self.store))


@dataclass(frozen=True, slots=True)
class RunRecord:
    """Whose snapshots a recovery folder holds.

    Attributes:
        name: The flow's name.
        configuration_sha256: SHA-256 of its configuration, hexadecimal.
        shards: How many shards its streams are in.
        run_dir: The run's folder; empty when it keeps no event log.
    """

    name: str
    configuration_sha256: str
    shards: int
    run_dir: str


def begun(settings: RecoverySettings) -> RunRecord | None:
    """The run that a folder is of; None for a folder that is not there yet, or empty.

    Raises:
        SightflowError: the folder holds something else.
    """
    path = settings.folder / _RECORD
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        others = _others(settings.folder)
        if others:
            raise SightflowError(
                f"recovery folder {settings.folder} must be empty or that of a run, it holds "
                f"{others[0]}; name another"
            ) from None
        return None
    except (OSError, ValueError) as error:
        raise SightflowError(f"{path} cannot be read: {error}") from error
    try:
        if values.pop("version") != RECOVERY_VERSION:
            raise SightflowError(f"{path} must have version {RECOVERY_VERSION}; begin anew")
        return RunRecord(**values)
    except (AttributeError, KeyError, TypeError) as error:
        raise SightflowError(f"{path} is no record of a run: {error}") from error


def begin(settings: RecoverySettings, record: RunRecord) -> None:
    """Make the store, and note whose it is.

    Raises:
        SightflowError: the disk refuses.
    """
    store = settings.store
    path = settings.folder / _RECORD
    draft = path.with_suffix(".draft")
    try:
        store.mkdir(parents=True, exist_ok=True)
        if not any(store.iterdir()):
            with store_errors(settings):
                init_db_dir(store, STORE_PARTS)
        with draft.open("w", encoding="utf-8") as file:
            json.dump({"version": RECOVERY_VERSION, **asdict(record)}, file, indent=2)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as error:
        raise SightflowError(f"{settings.folder} cannot be written: {error.strerror}") from error


@contextlib.contextmanager
def store_errors(settings: RecoverySettings) -> Iterator[None]:
    """Turn what the engine raises where its store fails, say on a full disk, into an error.

    Its store, which is SQLite, raises plain RuntimeErrors, and panics, which are no Exceptions.

    Raises:
        SightflowError: the store fails.
    """
    try:
        yield
    except SightflowError:
        raise
    except BaseException as error:
        # Nothing but the text tells the store's failures from faults of the program.
        if "sqlite" not in str(error).lower():
            raise
        told = str(error).strip().splitlines()
        raise SightflowError(
            f"the engine failed with recovery folder {settings.folder}: {told[-1].strip()}. Is its "
            "disk full? The run goes on from there once there is room"
        ) from error


def check_same(settings: RecoverySettings, found: RunRecord, wanted: RunRecord) -> None:
    """Check that a run may go on from a folder.

    Raises:
        SightflowError: it is another flow's, the configuration has changed, or there are fewer
            shards than processes want.
    """
    if found.name != wanted.name:
        raise SightflowError(
            f"recovery folder {settings.folder} is that of flow {found.name!r}, not of "
            f"{wanted.name!r}; name another"
        )
    if found.configuration_sha256 != wanted.configuration_sha256:
        raise SightflowError(
            f"the configuration must be as it was when the run of {settings.folder} began (SHA-256 "
            f"{found.configuration_sha256[:12]}…); put it back, or name another folder to begin "
            "anew"
        )


def wait_until_begun(settings: RecoverySettings) -> RunRecord:
    """Wait for the first process of a run to prepare the folder.

    Raises:
        SightflowError: it does not.
    """
    deadline = time.monotonic() + _WAIT_SECONDS
    while time.monotonic() < deadline:
        if (settings.folder / _RECORD).exists():
            record = begun(settings)
            assert record is not None, "it is there"
            return record
        time.sleep(_POLL_SECONDS)
    raise SightflowError(f"process 0 did not prepare {settings.folder} in {_WAIT_SECONDS:.0f} s")


@contextlib.contextmanager
def locked(settings: RecoverySettings, member: Member) -> Iterator[None]:
    """Keep other runs out of a folder meanwhile.

    Each process has a lock of its own, and waits a little for the one that had it before: when a
    run is killed, the processes that it started need a moment to end. The first process waits for
    those of a run with more processes, too.

    Raises:
        SightflowError: another run works with it, or the disk refuses.
    """
    own = [member.process]
    if member.is_first:
        own += range(member.processes, MOST_PROCESSES)
    deadline = time.monotonic() + LOCK_SECONDS
    with contextlib.ExitStack() as held:
        try:
            settings.folder.mkdir(parents=True, exist_ok=True)
            files = [
                held.enter_context((settings.folder / f"{_LOCK}-{number}").open("w"))
                for number in own
            ]
        except OSError as error:
            raise SightflowError(f"{settings.folder} cannot be used: {error.strerror}") from error
        for file in files:
            while not _is_taken(file):
                if time.monotonic() > deadline:
                    raise SightflowError(
                        f"another run works with recovery folder {settings.folder}"
                    )
                time.sleep(_POLL_SECONDS)
        yield


def _is_taken(file: IO[str]) -> bool:
    """Whether this process has the lock now."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _others(folder: Path) -> list[str]:
    try:
        return sorted(
            path.name
            for path in folder.iterdir()
            if path.name != _STORE and not path.name.startswith(_LOCK)
        )
    except FileNotFoundError:
        return []
    except OSError as error:
        raise SightflowError(f"{folder} cannot be read: {error.strerror}") from error
