"""What the shadows of candidates said, kept in the registry's folder for all processes of a run.

Each stream tells its judgement once, and streams may belong to different processes, which may be
started again in between: so judgements are kept where all see them.

::

    DIR/.live/NAME/outcomes.jsonl    one judgement a line
    DIR/.live/NAME/.lock             held by whoever decides something of the model
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from models.registry_files import errors_told, locked, read_at_most, replace_durably
from records import DetectorError

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

FOLDER = ".live"
"""The part of a registry's folder that is no model."""

LARGEST_FILE = 2**22
"""The most that the judgements of one model may take, bytes; older ones make room."""

_FILE = "outcomes.jsonl"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The judgement of one stream.

    Attributes:
        candidate: The number of the version that was tried.
        incumbent: The name of the version that decided.
        stream: The stream.
        passed: Whether the candidate is as good as it must be.
    """

    candidate: int
    incumbent: str
    stream: str
    passed: bool


class Outcomes:
    """The judgements of one model's candidates.

    Args:
        registry: The registry's folder.
        name: The model's name.
    """

    def __init__(self, registry: Path, name: str) -> None:
        self._folder = registry / FOLDER / name

    def locked(self) -> AbstractContextManager[None]:
        """Hold the one lock under which things are decided of the model."""
        return locked(self._folder)

    def add(self, outcome: Outcome) -> None:
        """Keep a judgement; to be called under the lock.

        Raises:
            DetectorError: it cannot be written.
        """
        line = json.dumps(asdict(outcome)) + "\n"
        with errors_told("a judgement cannot be kept"):
            path = self._folder / _FILE
            kept = read_at_most(path, LARGEST_FILE) if path.is_file() else b""
            if len(kept) + len(line) > LARGEST_FILE:
                kept = b""
            elif kept and not kept.endswith(b"\n"):
                kept += b"\n"  # a killed process left a line unfinished
            replace_durably(path, kept + line.encode())

    def of(self, candidate: int, incumbent: str) -> dict[str, bool]:
        """The last judgement of each stream; to be called under the lock.

        A line that a killed process left unfinished is passed over.

        Raises:
            DetectorError: the file cannot be read.
        """
        said: dict[str, bool] = {}
        with errors_told("the judgements cannot be read"):
            for line in read_at_most(self._folder / _FILE, LARGEST_FILE).splitlines():
                outcome = _parsed(line)
                if outcome and (outcome.candidate, outcome.incumbent) == (candidate, incumbent):
                    said[outcome.stream] = outcome.passed
        return said


def _parsed(line: bytes) -> Outcome | None:
    try:
        return Outcome(**json.loads(line))
    except (TypeError, ValueError):
        return None


def parse_id(version: str) -> tuple[str, int]:
    """The name and the number in a version's name.

    Raises:
        DetectorError: it is none.

    >>> parse_id("gate@4")
    ('gate', 4)
    """
    name, at, number = version.rpartition("@")
    if not (name and at and number.isdecimal()):
        raise DetectorError(f"a version must be name@number, got {version!r}")
    return name, int(number)
