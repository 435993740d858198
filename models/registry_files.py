"""Files of a model registry: checked names, a lock, copies and replacements that are durable.

Whatever appears under its final name is whole and on the disk, also when the process is killed or
the power fails in between.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING

from records import DetectorError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from io import BufferedReader
    from pathlib import Path

MANIFEST_NAME = "version.json"
"""The file that says what a version is."""

MOST_FILES = 64
"""The most files of one version."""

LARGEST_FILE = 2 * 2**30
"""The largest of them, bytes."""

_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}")
_CHUNK_BYTES = 2**20
_LOCK = ".lock"


def fits_as_name(name: object) -> bool:
    """Whether something is safe as the name of a file or folder."""
    return isinstance(name, str) and _NAME.fullmatch(name) is not None


def check_file_name(what: str, name: object) -> None:
    """Raise DetectorError unless `name` is safe as the name of a file or folder.

    >>> check_file_name("it", "gate-2")
    >>> check_file_name("it", "../x")
    Traceback (most recent call last):
    ...
    records.errors.DetectorError: it must be 1 to 200 of A-Z a-z 0-9 . _ -, no '.' first, got '../x'
    """
    if not fits_as_name(name):
        raise DetectorError(
            f"{what} must be 1 to 200 of A-Z a-z 0-9 . _ -, no '.' first, got {name!r}"
        )


@contextmanager
def errors_told(what: str) -> Iterator[None]:
    """Turn an OSError into a DetectorError that begins with `what`."""
    try:
        yield
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        raise DetectorError(f"{what}: {place}{error.strerror or error}") from error


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the one lock of a folder, waiting for whoever has it; it ends with the process.

    Raises:
        OSError: the folder cannot be made or locked.
    """
    new = not folder.is_dir()
    folder.mkdir(parents=True, exist_ok=True)
    if new:
        sync_folder(folder.parent)
    with (folder / _LOCK).open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def listed_files(source: Path) -> list[str]:
    """The names of the files in a folder, in order, all fit for a version.

    Raises:
        DetectorError: there are none or too many, or one is no plain file, too large or badly
            named.
        OSError: the folder cannot be read.
    """
    names: list[str] = []
    with os.scandir(source) as entries:
        for entry in entries:
            check_file_name(f"a file in {source}", entry.name)
            if entry.name == MANIFEST_NAME:
                raise DetectorError(f"{source} must not hold a {MANIFEST_NAME}; take it out")
            if len(names) == MOST_FILES:
                raise DetectorError(f"{source} must hold at most {MOST_FILES} files, it has more")
            if not entry.is_file(follow_symlinks=False):
                raise DetectorError(
                    f"{source} must hold plain files only, and {entry.name} is none; "
                    "put the model's files themselves there"
                )
            _check_size(source / entry.name, entry.stat(follow_symlinks=False).st_size)
            names.append(entry.name)
    if not names:
        raise DetectorError(f"{source} must hold a model's files, it is empty")
    return sorted(names)


def copy_durably(source: Path, target: Path) -> str:
    """Copy a file that `listed_files` found to a new one; its SHA-256, hexadecimal.

    Raises:
        DetectorError: it is no plain file any more, or has grown too large.
        OSError: it cannot be read or written.
    """
    digest, done = hashlib.sha256(), 0
    with _opened(source) as file, target.open("xb") as copy:
        while chunk := file.read(_CHUNK_BYTES):
            done += len(chunk)
            _check_size(source, done)
            digest.update(chunk)
            copy.write(chunk)
        copy.flush()
        os.fsync(copy.fileno())
    return digest.hexdigest()


def changed_files(folder: Path, hashes: Mapping[str, str]) -> list[str]:
    """The names of files in a folder that are missing, too many or not what they were.

    Args:
        folder: Holds the files and a manifest.
        hashes: SHA-256 of each file that must be there, hexadecimal, by its name.

    Raises:
        DetectorError: one is no plain file, or too large.
        OSError: one cannot be read.
    """
    uneven = {path.name for path in folder.iterdir()} ^ {MANIFEST_NAME, *hashes}
    return sorted(uneven) or [name for name in hashes if _sha256(folder / name) != hashes[name]]


def read_at_most(path: Path, most: int) -> bytes:
    """All of a small file.

    Raises:
        DetectorError: it holds more than `most` bytes.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise DetectorError(f"{path} must hold at most {most} bytes, it holds more")
    return data


def write_durably(path: Path, data: bytes) -> None:
    """Write a file and force it to the disk.

    Raises:
        OSError: it cannot be written.
    """
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def replace_durably(path: Path, data: bytes) -> None:
    """Put new content in a file's place at one blow; for whoever holds the folder's lock.

    Raises:
        OSError: it cannot be written.
    """
    draft = path.with_name(f".{path.name}.draft")
    write_durably(draft, data)
    draft.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Force the names in a folder to the disk.

    Raises:
        OSError: it cannot be opened.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sha256(path: Path) -> str:
    with _opened(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _opened(path: Path) -> Iterator[BufferedReader]:
    """A plain file; a link is not followed, and a pipe put in its place does not block."""
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise DetectorError(f"{path} must be a plain file, and is none")
        _check_size(path, found.st_size)
        yield file


def _check_size(path: Path, size: int) -> None:
    if size > LARGEST_FILE:
        raise DetectorError(f"{path} must hold at most {LARGEST_FILE} bytes, it has {size}")
