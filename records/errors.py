"""The one tree of Sightflow's exceptions.

::

    SightflowError
    ├── ConfigurationError      the configuration is wrong; carries every Fault found
    ├── RecordError             a record's fields break its contract (also a ValueError)
    │   └── CodecError          bytes that are no valid record
    ├── AssetError              a named asset cannot be had; carries every source tried
    ├── DetectorError           a detector cannot be loaded or its model is not what it must be
    ├── QueryError              a query cannot be understood or answered (also a ValueError)
    ├── SourceError             an input cannot be opened or read
    └── LogError                an event log cannot be opened, written or read

Users' mistakes raise one of these; a broken invariant of our own is an ``assert``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class SightflowError(Exception):
    """Base of every error that Sightflow raises for its users."""


class RecordError(SightflowError, ValueError):
    """A record's fields break its contract: wrong shape, dtype, unit or range."""


class CodecError(RecordError):
    """Bytes that are no valid encoding of a record."""


class DetectorError(SightflowError):
    """A detector cannot be loaded, or its model is not what it must be."""


class QueryError(SightflowError, ValueError):
    """A query that cannot be understood or answered; the message shows where."""


class SourceError(SightflowError):
    """An input cannot be opened or read."""


class LogError(SightflowError):
    """An event log cannot be opened, written or read."""


class AssetError(SightflowError):
    """A named asset cannot be had.

    Args:
        name: The asset's name.
        attempts: One line for each source tried: where, and why it failed.
    """

    def __init__(self, name: str, attempts: Sequence[str]) -> None:
        self.name = name
        self.attempts = tuple(attempts)
        lines = "\n".join(f"  {i}. {attempt}" for i, attempt in enumerate(self.attempts, 1))
        super().__init__(f"asset '{name}' cannot be had; tried:\n{lines}")


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong in a configuration, with what a person needs to mend it.

    Attributes:
        file: The file's name as the user gave it.
        line: The line, counted from 1; 0 when the fault belongs to no line.
        key: The dotted path of the key, ``streams.gate.uri``; empty for the whole file.
        value: The value found, as text; empty when the key is missing.
        problem: What is wrong.
        remedy: What would be right.
    """

    file: str
    line: int
    key: str
    value: str
    problem: str
    remedy: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        key = f"{self.key}: " if self.key else ""
        got = f" (got {self.value})" if self.value else ""
        return f"{place}: {key}{self.problem}{got}. {self.remedy}"


class ConfigurationError(SightflowError, ValueError):
    """The configuration is wrong. Every fault is reported at once.

    Args:
        faults: The faults, in the order of their lines.
    """

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(faults)
        count = len(self.faults)
        head = f"{count} fault{'s' if count != 1 else ''} in the configuration:"
        super().__init__("\n".join([head, *(f"  {fault}" for fault in self.faults)]))
