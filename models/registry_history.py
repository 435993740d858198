"""The history of a model in a registry: its changes, and what follows from them.

Nothing else is stored of a model but its versions: which of them is in force, which is tried and
where a rollback comes to all follow from its changes, in order.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from models.registry_versions import check_number
from records import RecordError
from records.checks import check_count, check_time

if TYPE_CHECKING:
    from collections.abc import Iterable

LONGEST_REASON = 1000
"""The longest reason of a change, characters."""


class ChangeKind(StrEnum):
    """What happened to a version."""

    ADDED = "added"
    PROPOSED = "proposed"
    PROMOTED = "promoted"
    REJECTED = "rejected"
    ROLLED_BACK = "rolled_back"
    REMOVED = "removed"


class VersionState(StrEnum):
    """How a version stands; `PREVIOUS` is the one that a rollback would come to."""

    ADDED = "added"
    CANDIDATE = "candidate"
    CURRENT = "current"
    PREVIOUS = "previous"
    SUPERSEDED = "superseded"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class Change:
    """One line of a history.

    Attributes:
        time_ns: When, nanoseconds since 1970 UTC.
        name: The model's name.
        what: What happened.
        number: The version that it happened to; for a rollback the one that became current.
        previous: The version that was current before a promotion or rollback; else None.
        reason: Why, in a person's or the trainer's words; may be empty.

    Raises:
        RecordError: a field breaks its contract; the message names it.
    """

    time_ns: int
    name: str
    what: ChangeKind
    number: int
    previous: int | None = None
    reason: str = ""

    def __post_init__(self) -> None:
        check_time("time_ns", self.time_ns)
        check_number("number", self.number)
        if self.previous is not None:
            check_number("previous", self.previous)
        if not isinstance(self.reason, str) or len(self.reason) > LONGEST_REASON:
            raise RecordError(f"reason must be text of at most {LONGEST_REASON} characters")


@dataclass(frozen=True, slots=True)
class Pointers:
    """Which versions are in force.

    Attributes:
        current: The version that flows use; None before the first promotion.
        candidate: The version that is tried in the shadow of the current one; None for none.
        revision: How often one of the two has changed.

    Raises:
        RecordError: a field breaks its contract; the message names it.
    """

    current: int | None
    candidate: int | None
    revision: int

    def __post_init__(self) -> None:
        for name in ("current", "candidate"):
            if getattr(self, name) is not None:
                check_number(name, getattr(self, name))
        check_count("revision", self.revision)


@dataclass(slots=True)
class Standing:
    """What follows from a history so far.

    Attributes:
        current: The version that flows use.
        candidate: The version that is tried.
        revision: How often one of the two has changed.
        past: The versions that were current before, the latest last, without those that were
            rolled back from, rejected or removed since.
        added: The versions that are there.
        rejected: The versions that were rejected or rolled back from, and not taken up again.
        highest: The highest number that was ever given.
    """

    current: int | None = None
    candidate: int | None = None
    revision: int = 0
    past: list[int] = field(default_factory=list)
    added: set[int] = field(default_factory=set)
    rejected: set[int] = field(default_factory=set)
    highest: int = 0

    @property
    def pointers(self) -> Pointers:
        """The versions in force."""
        return Pointers(self.current, self.candidate, self.revision)

    @property
    def previous(self) -> int | None:
        """The version that a rollback comes to; None where there is none."""
        return self.past[-1] if self.past else None

    def state(self, number: int) -> VersionState:
        """How a version stands."""
        if number == self.current:
            return VersionState.CURRENT
        if number == self.candidate:
            return VersionState.CANDIDATE
        if number == self.previous:
            return VersionState.PREVIOUS
        if number in self.rejected:
            return VersionState.REJECTED
        return VersionState.SUPERSEDED if number in self.past else VersionState.ADDED

    def apply(self, change: Change) -> None:
        """Take in the next change."""
        before, number = (self.current, self.candidate), change.number
        self.highest = max(self.highest, number)
        match change.what:
            case ChangeKind.ADDED:
                self.added.add(number)
            case ChangeKind.PROPOSED:
                self.candidate = number
                self.rejected.discard(number)
            case ChangeKind.PROMOTED | ChangeKind.ROLLED_BACK:
                self._move(number, back=change.what is ChangeKind.ROLLED_BACK)
            case ChangeKind.REJECTED:
                self.rejected.add(number)
                self.past = [one for one in self.past if one != number]
            case ChangeKind.REMOVED:
                self.added.discard(number)
                self.past = [one for one in self.past if one != number]
                self.candidate = None if self.candidate == number else self.candidate
        while self.past and self.past[-1] == self.current:
            self.past.pop()
        if self.candidate == self.current or self.candidate in self.rejected:
            self.candidate = None
        self.revision += before != (self.current, self.candidate)

    def _move(self, number: int, *, back: bool) -> None:
        if back:
            while self.past and self.past.pop() != number:
                pass
        if self.current is not None:
            if back:
                self.rejected.add(self.current)
            else:
                self.past.append(self.current)
        self.current = number
        self.rejected.discard(number)


def standing_after(changes: Iterable[Change]) -> Standing:
    """What follows from a whole history.

    >>> made = [(ChangeKind.PROMOTED, 1), (ChangeKind.PROMOTED, 2), (ChangeKind.ROLLED_BACK, 1)]
    >>> standing = standing_after(Change(0, "gate", what, number) for what, number in made)
    >>> standing.pointers, str(standing.state(2))
    (Pointers(current=1, candidate=None, revision=3), 'rejected')
    """
    standing = Standing()
    for change in changes:
        standing.apply(change)
    return standing
