"""What lies around an episode in an event log, gathered in one reading and little memory."""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flows.why_asked import boxes_counted
from records import EventKind, Finding, StreamEvent, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable

    from operators.alerting import CountRule
    from records import Record

MOST_FINDINGS = 500
"""The most findings that are kept."""

MOST_EVENTS = 100
"""The most events that are kept."""

MOST_POINTS = 240
"""The most points of a series; more are drawn together, each by its highest value."""

_ASIDE = (EventKind.CONTRACT, EventKind.WINDOW, EventKind.MODEL)
"""Kinds of event that tell nothing of frames."""


@dataclass(frozen=True, slots=True)
class Window:
    """Which stretch of a stream is looked at; times in nanoseconds since 1970 UTC.

    Attributes:
        start_ns: Where it begins.
        opened_ns: When the episode opened.
        closed_ns: When it closed; None while it is open.
        around_ns: How long after the opening and the end every frame is kept, nanoseconds.
        sequences: Frames that are kept in any case.
    """

    start_ns: int
    opened_ns: int
    closed_ns: int | None
    around_ns: int
    sequences: frozenset[int]

    @property
    def end_ns(self) -> int | None:
        """Where it ends; None for the end of the log."""
        return None if self.closed_ns is None else self.closed_ns + self.around_ns

    def holds(self, time_ns: int) -> bool:
        """Whether a time lies in it."""
        return self.start_ns <= time_ns and (self.end_ns is None or time_ns <= self.end_ns)

    def keeps(self, verdict: Verdict) -> bool:
        """Whether a frame of it is kept for itself."""
        time_ns = verdict.time_ns
        return (
            time_ns <= self.opened_ns + self.around_ns
            or verdict.sequence in self.sequences
            or (self.closed_ns is not None and time_ns >= self.closed_ns - self.around_ns)
        )


@dataclass(frozen=True, slots=True)
class Series:
    """What was measured over event time.

    Attributes:
        times_ns: Event times, nanoseconds since 1970 UTC, rising.
        values: The highest value in the stretch that begins at each time.
    """

    times_ns: tuple[int, ...] = ()
    values: tuple[float, ...] = ()


class Gatherer:
    """Takes the records of a stream, and keeps what belongs to an episode.

    Args:
        window: The stretch that is looked at.
        rule: The rule that counts; None where none does.
        concerns: Whether a finding belongs to the episode.

    Attributes:
        verdicts: The decisions that were kept, by sequence.
        findings: The findings that were kept, in the order of the log.
        findings_left_out: How many more there were.
        events: The events that were kept.
        done: Whether nothing will come any more.
    """

    def __init__(
        self, window: Window, rule: CountRule | None, concerns: Callable[[Finding], bool]
    ) -> None:
        self._window, self._rule, self._concerns = window, rule, concerns
        self._sequences, self._times, self._values = array("q"), array("q"), array("d")
        self._severities: dict[int, float] = {}
        self._peak = 0.0
        self._latest: Verdict | None = None
        self.verdicts: dict[int, Verdict] = {}
        self.findings: list[Finding] = []
        self.findings_left_out = 0
        self.events: list[StreamEvent] = []
        self.done = False

    def take(self, record: Record) -> None:
        """Take the next record of the stream."""
        match record:
            case Verdict() if self._window.holds(record.time_ns):
                self._take_verdict(record)
            case Verdict():
                end_ns = self._window.end_ns
                self.done = end_ns is not None and record.time_ns > end_ns
            case Finding() if self._window.holds(record.time_ns):
                self._take_finding(record)
            case StreamEvent() if record.kind not in _ASIDE:
                if self._window.holds(record.time_ns) and len(self.events) < MOST_EVENTS:
                    self.events.append(record)

    def series(self, *, severities: bool) -> Series:
        """What was measured, in at most MOST_POINTS stretches.

        Args:
            severities: The severities of findings; else the counts of the rule.
        """
        values = list(self._values)
        if severities:
            values = [self._severities.get(one, 0.0) for one in self._sequences]
        if not values or (not severities and self._rule is None):
            return Series()
        step = -(-len(values) // MOST_POINTS)
        starts = range(0, len(values), step)
        return Series(
            tuple(self._times[one] for one in starts),
            tuple(max(values[one : one + step]) for one in starts),
        )

    def _take_verdict(self, verdict: Verdict) -> None:
        value = 0.0 if self._rule is None else float(boxes_counted(self._rule, verdict)[0])
        self._sequences.append(verdict.sequence)
        self._times.append(verdict.time_ns)
        self._values.append(value)
        rises = verdict.time_ns >= self._window.opened_ns and value > self._peak
        if rises:
            self._peak = value
        if rises or self._window.keeps(verdict) or verdict.sequence in self._severities:
            self.verdicts[verdict.sequence] = verdict
        if self._window.closed_ns is None:
            self._keep_latest(verdict)

    def _keep_latest(self, verdict: Verdict) -> None:
        """Of an open episode the latest frame is kept too."""
        before, self._latest = self._latest, None
        if before is not None:
            del self.verdicts[before.sequence]
        if verdict.sequence not in self.verdicts:
            self.verdicts[verdict.sequence] = self._latest = verdict

    def _take_finding(self, finding: Finding) -> None:
        own = self._concerns(finding)
        if not own and finding.correction is None:
            return
        if len(self.findings) == MOST_FINDINGS:
            self.findings_left_out += own
            return
        if own:
            known = self._severities.get(finding.sequence, 0.0)
            self._severities[finding.sequence] = max(known, finding.severity)
        self.findings.append(finding)
