"""Text files of one box a line: read within bounds; what is no box is counted and told.

A line that cannot be understood never ends a reading. A file that cannot be opened does.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from records import RecordError, SourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

LARGEST_FILE = 16 * 2**20
"""The largest file that is read, bytes."""

MOST_FRAMES = 200_000
"""The most frames of one recording: five and a half hours at 10 Hz."""

MOST_NUMBER = 1e9
"""The largest number of a line: within it no arithmetic on boxes overflows."""

MOST_TOLD = 10
"""How many faults of a file are told in words; all are counted."""

_LONGEST_SHOWN = 40

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class FileFaults:
    """What could not be understood in a file.

    Attributes:
        path: The file.
        count: How many lines.
        first: The first of them, each with its line number and what is wrong.
    """

    path: str
    count: int
    first: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.path}: {self.count} lines are no boxes; {'; '.join(self.first)}"


def read_rows(path: Path, parse: Callable[[str], Row]) -> tuple[list[Row], FileFaults]:
    """Read a file line by line.

    Args:
        path: The file, UTF-8. Empty lines are skipped.
        parse: Makes a row of a line; raises RecordError where it is none.

    Raises:
        SourceError: the file cannot be read, or is too large.
    """
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror or error}") from error
    if len(data) > LARGEST_FILE:
        raise SourceError(f"{path} must be at most {LARGEST_FILE} bytes; give a shorter recording")
    rows: list[Row] = []
    told: list[str] = []
    count = 0
    for number, line in enumerate(data.decode("utf-8", "replace").splitlines(), 1):
        if not line.strip():
            continue
        try:
            rows.append(parse(line))
        except RecordError as error:
            count += 1
            if len(told) < MOST_TOLD:
                told.append(f"line {number}: {error}")
    return rows, FileFaults(str(path), count, tuple(told))


def numbers_of(words: Sequence[str], names: Sequence[str]) -> dict[str, float]:
    """Read words as numbers, one for each name.

    Raises:
        RecordError: there are more or fewer words, or one is no number.

    >>> numbers_of(["4", "0.5"], ("frame", "score"))
    {'frame': 4.0, 'score': 0.5}
    """
    if len(words) != len(names):
        raise RecordError(f"must have {len(names)} fields ({', '.join(names)}), got {len(words)}")
    return {name: number_of(name, word) for name, word in zip(names, words, strict=True)}


def number_of(name: str, word: str) -> float:
    """Read a word as a number within `MOST_NUMBER`.

    Raises:
        RecordError: it is none; the message has the name.
    """
    try:
        value = float(word)
    except ValueError:
        value = math.nan
    if not abs(value) <= MOST_NUMBER:
        got = word.strip()[:_LONGEST_SHOWN]
        raise RecordError(f"{name} must be a number within ±{MOST_NUMBER:g}, got {got!r}")
    return value


def frame_of(value: float, first: int = 0) -> int:
    """The place of a frame, counted from 0, in a file that counts from `first`.

    Raises:
        RecordError: it is no frame number, or beyond the longest recording.
    """
    if value != int(value) or not first <= value < first + MOST_FRAMES:
        raise RecordError(
            f"frame must be a whole number from {first} to {first + MOST_FRAMES - 1}, got {value:g}"
        )
    return int(value) - first


def check_corners(x1: float, y1: float, x2: float, y2: float) -> None:
    """Raise RecordError unless the corners are in order."""
    if x1 > x2 or y1 > y2:
        raise RecordError(
            f"a box must have x1 <= x2 and y1 <= y2, got {x1:g}, {y1:g}, {x2:g}, {y2:g}"
        )
