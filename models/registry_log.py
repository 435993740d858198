"""The history of a model in a registry on disk, and the state that repeats what follows from it.

``history.jsonl`` holds one change a line and only grows. It is the truth: a change has happened
as soon as its line is whole. ``state.json`` holds the versions in force and how much of the history
it knows, so that readers need not read all of it; where the two disagree, the history is right.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from models.registry_files import read_at_most, replace_durably, sync_folder
from models.registry_history import Change, ChangeKind, Pointers, standing_after
from records import DetectorError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

LARGEST_HISTORY = 64 * 2**20
"""The largest history of one model, bytes: some 400 000 changes."""

_HISTORY, _STATE = "history.jsonl", "state.json"
_LARGEST_STATE = 2**12


def read_history(folder: Path) -> tuple[list[Change], int]:
    """The changes of a model, and the length of their lines in bytes.

    A last line without its end is one that a killed writer left, or that is being written: it has
    not happened.

    Raises:
        DetectorError: the file is too large, or a whole line is no change.
        OSError: it cannot be read.
    """
    path = folder / _HISTORY
    try:
        data = read_at_most(path, LARGEST_HISTORY)
    except FileNotFoundError:
        return [], 0
    lines = data.split(b"\n")
    changes = [_change(path, number, line) for number, line in enumerate(lines[:-1], 1)]
    return changes, len(data) - len(lines[-1])


def append_history(folder: Path, whole: int, changes: Sequence[Change]) -> int:
    """Write changes behind the first `whole` bytes of a history, durably; its new length, bytes.

    What a killed writer left behind those bytes is cut off.

    Raises:
        DetectorError: the history is full.
        OSError: it cannot be written; nothing has happened.
    """
    path = folder / _HISTORY
    lines = "".join(json.dumps(asdict(change)) + "\n" for change in changes).encode()
    if whole + len(lines) > LARGEST_HISTORY:
        raise DetectorError(
            f"{path} must hold at most {LARGEST_HISTORY} bytes and is full; "
            "go on with a model of another name"
        )
    with path.open("ab") as file:
        file.truncate(whole)
        file.write(lines)
        file.flush()
        os.fsync(file.fileno())
    if whole == 0:
        sync_folder(folder)
    return whole + len(lines)


def write_state(folder: Path, pointers: Pointers, whole: int) -> None:
    """Write what follows from the first `whole` bytes of the history.

    Raises:
        OSError: it cannot be written.
    """
    value = {**asdict(pointers), "history_bytes": whole}
    replace_durably(folder / _STATE, (json.dumps(value) + "\n").encode())


def read_pointers(folder: Path) -> Pointers:
    """The versions in force: one small read, unless a writer was killed or is at work.

    Raises:
        DetectorError: the history must be read and is damaged.
        OSError: a file cannot be read.
    """
    stated = stated_pointers(folder)
    return standing_after(read_history(folder)[0]).pointers if stated is None else stated


def stated_pointers(folder: Path) -> Pointers | None:
    """What the state says; None where it does not repeat the whole history.

    Raises:
        OSError: a file cannot be read.
    """
    try:
        value = json.loads(read_at_most(folder / _STATE, _LARGEST_STATE))
        if value["history_bytes"] != (folder / _HISTORY).stat().st_size:
            return None
        return Pointers(value["current"], value["candidate"], value["revision"])
    except (DetectorError, FileNotFoundError, KeyError, RecursionError, TypeError, ValueError):
        return None  # missing or damaged: the next change writes it anew


def _change(path: Path, number: int, line: bytes) -> Change:
    try:
        value: dict[str, Any] = json.loads(line)
        return Change(**{**value, "what": ChangeKind(value["what"])})
    except (KeyError, OverflowError, RecursionError, TypeError, ValueError) as error:
        raise DetectorError(
            f"{path}:{number} is no change of a model ({error}). The file is damaged; "
            "restore it from a backup, or take that line out"
        ) from error
