"""What one check of `flows.doctor` finds."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    """How a check went."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Check:
    """What one check found.

    Attributes:
        name: What was looked at.
        status: OK, WARN (something optional is missing) or FAIL (runs will fail).
        found: What was found.
        cure: What to do; empty when all is well.

    >>> print(Check("clock", Status.FAIL, "1970-01-01", "Set the clock."))
    fail  clock: 1970-01-01. Set the clock.
    """

    name: str
    status: Status
    found: str
    cure: str = ""

    def __str__(self) -> str:
        told = f"{self.status:<5} {self.name}: {self.found}"
        return f"{told}. {self.cure}" if self.cure else told
