"""Count jump: the number of objects changes more from one moment to the next than is plausible.

Objects come and go one by one. What is plausible depends on the stream, so the check learns how
much the count of each class usually changes (a running mean of the size of the changes, in which
jumps count no more than what is still plausible), and compares the count with the median of the
last few, so that one wrong moment is told once and not again when the count is right again. While
a class is absent nothing is learnt about it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, cast

from records import Finding, RecordError
from records.checks import check_name
from records.finding import DETECTIONS
from records.units import NANOSECONDS

if TYPE_CHECKING:
    from operators.assertions.api import Check, Moment

COUNTS_COMPARED = 5
"""The count is compared with the median of so many before it."""

ABSENT = (0,) * COUNTS_COMPARED
"""The last counts of a class that is not there."""

WARM_UP = 20
"""Changes to learn from before anything is told."""

MEMORY = 300
"""About how many moments the running mean of the changes reaches back."""


@dataclass(frozen=True, slots=True)
class CountJump:
    """The assertion "count_jump".

    Attributes:
        name: Its name.
        at_least: A change must be at least so large, objects; two may well come at once.
        times: A change must be at least so many times the usual one.
        window_seconds: Moments further apart are no neighbours, seconds; counting begins anew.
        seen_score: A box counts from this score on, 0..1; the score at which boxes are used.
        classes: The classes that are counted; all when empty.
        output: The name of the output that is watched.

    Raises:
        RecordError: a setting is out of its range.
    """

    name: str = "count_jump"
    at_least: int = 3
    times: float = 6.0
    window_seconds: float = 1.0
    seen_score: float = 0.5
    classes: tuple[str, ...] = ()
    output: str = DETECTIONS

    def __post_init__(self) -> None:
        check_name("name", self.name)
        check_name("output", self.output)
        if self.at_least < 1:
            raise RecordError(f"at_least must be at least 1, got {self.at_least}")
        for field in ("times", "window_seconds"):
            if not 0 < getattr(self, field) < math.inf:
                raise RecordError(f"{field} must be above 0, got {getattr(self, field)}")
        if not 0 <= self.seen_score <= 1:
            raise RecordError(f"seen_score must be in 0..1, got {self.seen_score}")

    def start(self, state: object = None) -> Check:
        """Begin on a stream, or go on from a snapshot."""
        return _CountCheck(self, cast("_State | None", state))


class _Class(NamedTuple):
    """What is known of one class.

    Attributes:
        counts: The last counts, oldest first.
        usual: The mean size of a change, objects.
        changes: How many changes were learnt from, at most `MEMORY`.
    """

    counts: tuple[int, ...] = ()
    usual: float = 0.0
    changes: int = 0


class _State(NamedTuple):
    """The classes, and the sequence and event time of the last moment."""

    classes: dict[str, _Class]
    last: tuple[int, int] | None = None


class _CountCheck:
    """The counts of one stream."""

    def __init__(self, rule: CountJump, state: _State | None) -> None:
        self._rule = rule
        self._classes = dict(state.classes) if state else {}
        self._last = state.last if state else None
        self._reach_ns = round(rule.window_seconds * NANOSECONDS)

    def observe(self, moment: Moment) -> list[Finding]:
        """A finding for each class whose count jumps; copied outputs say nothing of change."""
        rule = self._rule
        plain = None if moment.copied else moment.plain(rule.output)
        if plain is None:
            return []
        last, self._last = self._last, (moment.sequence, moment.time_ns)
        if last is not None and not 0 < moment.time_ns - last[1] <= self._reach_ns:
            self._classes = {
                name: known._replace(counts=()) for name, known in self._classes.items()
            }
            last = None
        counts = dict.fromkeys(self._classes, 0)
        for label, score in zip(plain.classes, plain.scores, strict=True):
            if score >= rule.seen_score:
                counts[label] = counts.get(label, 0) + 1
        found: list[Finding] = []
        for name, count in counts.items():
            if rule.classes and name not in rule.classes:
                continue
            if count == 0 and name in self._classes and self._classes[name].counts == ABSENT:
                continue
            usual, jump = self._learn(name, count)
            if jump and last is not None:
                message = f"suddenly {count} of {name}, {usual} before"
                found.append(
                    Finding(
                        moment.stream,
                        rule.name,
                        moment.sequence,
                        moment.time_ns,
                        *last,
                        jump,
                        message,
                        name,
                    )
                )
        return sorted(found, key=lambda finding: finding.object)

    def snapshot(self) -> _State:
        """What is known of the classes."""
        return _State(dict(self._classes), self._last)

    def _learn(self, name: str, count: int) -> tuple[int, float]:
        """Take the next count of a class; the count before, and how implausible the change is."""
        known = self._classes.get(name, _Class())
        if not known.counts:
            self._classes[name] = known._replace(counts=(count,))
            return count, 0.0
        rule = self._rule
        before = sorted(known.counts)[len(known.counts) // 2]
        change = abs(count - before)
        most = max(float(rule.at_least), rule.times * known.usual)
        changes = min(known.changes + 1, MEMORY)
        step = min(float(abs(count - known.counts[-1])), most)
        usual = known.usual + (step - known.usual) / changes
        counts = (*known.counts, count)[-COUNTS_COMPARED:]
        self._classes[name] = _Class(counts, usual, changes)
        jumped = changes > WARM_UP and change >= most
        return before, change / most if jumped else 0.0
