"""Changing a model in a registry: one process at a time, each change whole or not there.

Which versions are there is decided by their folders, which are in force by the history. Whoever
changes something first brings the two together and clears away what a killed process left.
"""

from __future__ import annotations

import re
import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from models.registry_files import errors_told, locked, sync_folder
from models.registry_history import Change, ChangeKind, Standing, standing_after
from models.registry_log import append_history, read_history, stated_pointers, write_state
from records import DetectorError, RecordError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from records import Clock

_VERSIONS = "versions"
_NUMBER = re.compile(r"[1-9][0-9]{0,8}")


def place_of(folder: Path, number: int) -> Path:
    """Where the files of a version of the model in `folder` lie."""
    return folder / _VERSIONS / str(number)


def numbers_in(folder: Path) -> tuple[int, ...]:
    """The numbers of the versions of the model in `folder`, in order.

    Raises:
        OSError: the folder cannot be read.
    """
    try:
        there = list((folder / _VERSIONS).iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return ()
    fit = (path for path in there if _NUMBER.fullmatch(path.name) and path.is_dir())
    return tuple(sorted(int(path.name) for path in fit))


@contextmanager
def changing(folder: Path, name: str, clock: Clock) -> Iterator[Ledger]:
    """Hold a model's lock, with what it stands at; the folder is made as needed.

    Raises:
        DetectorError: something cannot be read or written, or the history is damaged.
    """
    with errors_told(f"{name} cannot be changed"), locked(folder):
        changes, whole = read_history(folder)
        ledger = Ledger(folder, name, clock, standing_after(changes), whole)
        ledger.settle()
        yield ledger


@dataclass(slots=True)
class Ledger:
    """What a model stands at, for whoever holds its lock.

    Attributes:
        folder: The model's folder.
        name: Its name.
        clock: Tells when changes happen.
        standing: What follows from its history.
        whole: The length of that history, bytes.
    """

    folder: Path
    name: str
    clock: Clock
    standing: Standing
    whole: int

    def change(
        self, what: ChangeKind, number: int, reason: str = "", previous: int | None = None
    ) -> Change:
        """A change that happens now.

        Raises:
            DetectorError: the reason is too long.
        """
        try:
            return Change(self.clock(), self.name, what, number, previous, reason)
        except RecordError as error:
            raise DetectorError(f"{self.name}@{number} cannot be changed: {error}") from error

    def append(self, *changes: Change) -> None:
        """Make changes happen: first in the history, then in the state."""
        self.whole = append_history(self.folder, self.whole, changes)
        for change in changes:
            self.standing.apply(change)
        write_state(self.folder, self.standing.pointers, self.whole)

    def settle(self) -> None:
        """Bring history, state and folders together, and clear away what was left half done."""
        versions = self.folder / _VERSIONS
        versions.mkdir(exist_ok=True)
        for path in versions.glob(".*"):
            if _NUMBER.fullmatch(path.name[1:]):
                shutil.rmtree(path)
        there, known = set(numbers_in(self.folder)), self.standing.added
        missing = [self.change(ChangeKind.ADDED, number) for number in sorted(there - known)]
        gone = [
            self.change(ChangeKind.REMOVED, number, "its folder is gone")
            for number in sorted(known - there)
        ]
        if missing or gone or stated_pointers(self.folder) != self.standing.pointers:
            self.append(*missing, *gone)

    @contextmanager
    def draft(self, number: int) -> Iterator[Path]:
        """A folder to build a version in; it becomes the version when the block ends well."""
        path = self._hidden(number)
        path.mkdir()
        try:
            yield path
            sync_folder(path)
            path.rename(place_of(self.folder, number))
        finally:
            shutil.rmtree(path, ignore_errors=True)  # the next change would clear it away
        sync_folder(path.parent)
        self.append(self.change(ChangeKind.ADDED, number))

    def remove(self, number: int, reason: str) -> None:
        """Take a version away."""
        path = self._hidden(number)
        place_of(self.folder, number).rename(path)
        self.append(self.change(ChangeKind.REMOVED, number, reason))
        shutil.rmtree(path)

    def _hidden(self, number: int) -> Path:
        return self.folder / _VERSIONS / f".{number}"
