"""A registry of trained models: numbered versions in a folder, and which of them is in force.

::

    DIR/NAME/versions/N/{files…, version.json}    a version; never changed
    DIR/NAME/history.jsonl                        every change, one a line; the truth
    DIR/NAME/state.json                           the versions in force, from that history
    DIR/NAME/.lock                                held by whoever changes something

A version is built in a hidden folder, forced to the disk and renamed: it is there as a whole or not
at all. A change has happened as soon as its line is in the history. Whatever a killed process left
half done is completed or cleared away by the next change. Readers need no lock.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from models.registry_files import (
    MANIFEST_NAME,
    changed_files,
    check_file_name,
    copy_durably,
    errors_told,
    fits_as_name,
    listed_files,
    read_at_most,
    write_durably,
)
from models.registry_history import Change, ChangeKind, Pointers
from models.registry_ledger import Ledger, changing, numbers_in, place_of
from models.registry_log import read_history, read_pointers
from models.registry_versions import (
    LARGEST_MANIFEST,
    Metric,
    ModelKind,
    ModelVersion,
    NewVersion,
    code_version,
    version_from_bytes,
    version_to_bytes,
)
from records import DetectorError, RecordError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from records import Clock

__all__ = [
    "Change",
    "ChangeKind",
    "Metric",
    "ModelKind",
    "ModelVersion",
    "NewVersion",
    "Pointers",
    "Registry",
]


class Registry:
    """The models of one folder. Several processes may use it at the same time.

    Every method that takes a name raises DetectorError where it is no fit name of a folder, and
    where files cannot be read or written.

    Args:
        folder: The registry's folder; made when the first version is added.
        clock: Tells when changes happen.
    """

    def __init__(self, folder: Path, clock: Clock) -> None:
        self._folder = folder
        self._clock = clock

    def names(self) -> tuple[str, ...]:
        """The models that have a version, in order."""
        with errors_told("the registry cannot be read"):
            if not self._folder.is_dir():
                return ()
            paths = sorted(self._folder.iterdir())
            return tuple(one.name for one in paths if fits_as_name(one.name) and numbers_in(one))

    def numbers(self, name: str) -> tuple[int, ...]:
        """The numbers of a model's versions, in order; none where there is no such model."""
        with errors_told(f"the versions of {name} cannot be read"):
            return numbers_in(self._path(name))

    def versions(self, name: str) -> list[ModelVersion]:
        """A model's versions, in order; none where there is no such model.

        Raises:
            DetectorError: a manifest is damaged.
        """
        return [self.version(name, number) for number in self.numbers(name)]

    def version(self, name: str, number: int) -> ModelVersion:
        """What is said of a version; its files are not looked at.

        Raises:
            DetectorError: there is no such version, or its manifest is damaged.
        """
        place = place_of(self._path(name), number)
        path = place / MANIFEST_NAME
        with errors_told(f"{name}@{number} cannot be read"):
            if not place.is_dir():
                known = ", ".join(map(str, self.numbers(name))) or "none"
                raise DetectorError(f"{self._folder} has no {name}@{number}; versions: {known}")
            data = read_at_most(path, LARGEST_MANIFEST)
        try:
            return version_from_bytes(data, name, number)
        except RecordError as error:
            raise DetectorError(
                f"{path} must describe {name}@{number}: {error}. "
                "It is damaged; restore it from a backup, or use another version"
            ) from error

    def folder(self, name: str, number: int) -> Path:
        """A version's folder, when all its files have the SHA-256 that its manifest says.

        Raises:
            DetectorError: there is no such version, or a file is missing, changed or too many.
        """
        said = self.version(name, number).files
        place = place_of(self._path(name), number)
        with errors_told(f"{name}@{number} cannot be used"):
            wrong = changed_files(place, said)
        if wrong:
            raise DetectorError(
                f"{place / wrong[0]} is not as it was when {name}@{number} was added. "
                "It is damaged; restore it from a backup, or use another version"
            )
        return place

    def pointers(self, name: str) -> Pointers:
        """The versions in force, by one small read; none where there is no such model.

        Raises:
            DetectorError: the history had to be read and is damaged.
        """
        with errors_told(f"the state of {name} cannot be read"):
            return read_pointers(self._path(name))

    def history(self, name: str) -> list[Change]:
        """All that has happened to a model, in order; nothing where there is no such model.

        Raises:
            DetectorError: it is damaged; the message names the line.
        """
        with errors_told(f"the history of {name} cannot be read"):
            return read_history(self._path(name))[0]

    def add(self, name: str, source: Path, new: NewVersion) -> ModelVersion:
        """Copy the files of a folder into the registry as the next version.

        Args:
            name: The model's name; a new one begins a new model.
            source: Holds plain files only, at most 64 of at most 2 GiB each.
            new: What is said of the version.

        Raises:
            DetectorError: the folder holds something else, the parent never was a version, or
                nothing can be written.
        """
        with errors_told(f"{source} cannot be added to {name}"):
            files = listed_files(source)
        with self._changing(name) as ledger:
            number = ledger.standing.highest + 1
            if new.parent is not None and new.parent >= number:
                raise DetectorError(
                    f"parent must be an earlier version of {name}, got {new.parent}; "
                    f"the next one is {number}"
                )
            with ledger.draft(number) as draft:
                hashes = {file: copy_durably(source / file, draft / file) for file in files}
                version = ModelVersion(name, number, new.kind, self._clock(), new.parent,
                                       new.data_sha256, new.metrics, new.configuration,
                                       code_version(), hashes)  # fmt: skip
                write_durably(draft / MANIFEST_NAME, version_to_bytes(version))
        return self.version(name, number)

    def propose(self, name: str, number: int, reason: str = "") -> None:
        """Make a version the candidate, which is tried in the shadow of the current one.

        There is one at a time: one that is there already is rejected. Nothing changes when this
        version is the candidate already.

        Raises:
            DetectorError: there is no such version, it is damaged, or it is the current one.
        """
        with self._changing(name, number) as ledger:
            standing = ledger.standing
            if number == standing.current:
                raise DetectorError(f"{name}@{number} is current; propose another version")
            if number == standing.candidate:
                return
            self.folder(name, number)
            changes = [ledger.change(ChangeKind.PROPOSED, number, reason)]
            if standing.candidate is not None:
                why = f"{name}@{number} was proposed in its place"
                changes.insert(0, ledger.change(ChangeKind.REJECTED, standing.candidate, why))
            ledger.append(*changes)

    def promote(self, name: str, number: int, reason: str = "") -> None:
        """Make a version the current one. Nothing changes when it is already.

        Another version that is the candidate stays so.

        Raises:
            DetectorError: there is no such version, or it is damaged.
        """
        with self._changing(name, number) as ledger:
            if number != ledger.standing.current:
                self.folder(name, number)
                current = ledger.standing.current
                ledger.append(ledger.change(ChangeKind.PROMOTED, number, reason, current))

    def reject(self, name: str, number: int, reason: str = "") -> None:
        """Say that a version is not to be used: it is no candidate, and no rollback comes to it.

        It may still be proposed or promoted later.

        Raises:
            DetectorError: there is no such version, or it is the current one.
        """
        with self._changing(name, number) as ledger:
            if number == ledger.standing.current:
                raise DetectorError(
                    f"{name}@{number} is current; roll back, or promote another version"
                )
            if number not in ledger.standing.rejected:
                ledger.append(ledger.change(ChangeKind.REJECTED, number, reason))

    def rollback(self, name: str, reason: str = "") -> ModelVersion:
        """Make the version current that was current before this one; again goes further back.

        Versions that were rejected, rolled back from or removed since are passed over.

        Raises:
            DetectorError: there is none, or it is damaged.
        """
        if not self.numbers(name):
            raise DetectorError(
                f"{self._folder} has no model {name}; there is nothing to roll back"
            )
        with self._changing(name) as ledger:
            number = ledger.standing.previous
            if number is None:
                raise DetectorError(
                    f"{name} has no earlier version to roll back to; promote one by its number"
                )
            self.folder(name, number)
            current = ledger.standing.current
            ledger.append(ledger.change(ChangeKind.ROLLED_BACK, number, reason, current))
        return self.version(name, number)

    def prune(self, name: str, keep: int) -> tuple[int, ...]:
        """Remove the oldest versions until `keep` are left; the numbers that were removed.

        The current version, the candidate and the one that a rollback comes to always stay.

        Raises:
            DetectorError: `keep` is below 1, or a version cannot be removed.
        """
        if keep < 1:
            raise DetectorError(f"keep must be at least 1, got {keep}")
        if not self.numbers(name):
            return ()
        with self._changing(name) as ledger:
            standing = ledger.standing
            there = tuple(sorted(standing.added))
            needed = {standing.current, standing.candidate, standing.previous}
            free = [number for number in there if number not in needed]
            removed = tuple(free[: max(0, len(there) - keep)])
            for number in removed:
                ledger.remove(number, f"old, and {keep} versions are kept")
        return removed

    def _path(self, name: str) -> Path:
        check_file_name("a model's name", name)
        return self._folder / name

    @contextmanager
    def _changing(self, name: str, number: int | None = None) -> Iterator[Ledger]:
        """Hold the model's lock; a version that must be there is looked for first."""
        if number is not None:
            self.version(name, number)  # before a wrong name is made a folder
        with changing(self._path(name), name, self._clock) as ledger:
            yield ledger
