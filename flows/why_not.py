"""Why no alert was told: the rules and assertions of a run, replayed up to a moment of its log.

The very operators that told the alerts are run again on the log's verdicts and findings, so what is
said is what they did. Findings that the monitor held back are in no log: that they were is seen by
the findings on the input's health.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from connectors.kafka.headers import parse_time
from flows.why_asked import Asked, read_asked
from flows.why_not_replay import FindingReplay, RuleReplay
from operators.assertions.monitor import DISABLED, INHIBITED, MonitorSettings
from records import (
    Alert,
    AlertState,
    EventKind,
    Finding,
    RecordError,
    SightflowError,
    StreamEvent,
    Verdict,
)
from records.checks import LATEST_TIME_NS
from records.units import NANOSECONDS

if TYPE_CHECKING:
    from connectors.replay import EventLog
    from records import Record

AHEAD_SECONDS = 60.0
"""How far past the moment the log is read: findings come after what they concern."""

MOST_EVENTS = 20
"""The most events before, and after, the moment that are kept."""

GAP_FRAMES = 1.5
"""Frames further apart than so many usual intervals have a gap between them."""

USUAL_INTERVALS = 50
"""The usual interval is the median of so many."""

LEAST_INTERVAL_NS = NANOSECONDS
"""The usual interval where there is none to measure."""

_FRAME_EVENTS = frozenset(EventKind) - {
    EventKind.CONTRACT,
    EventKind.WINDOW,
    EventKind.ASSERTION,
    EventKind.MODEL,
}


@dataclass(slots=True)
class Moment:
    """What the log holds of a stream around a moment.

    Attributes:
        stream: The stream.
        time_ns: The moment, nanoseconds since 1970 UTC.
        frame: The frame that was in force; None where there was none.
        before: The last frame up to the moment; None before the first.
        after: The first frame behind it; None after the last.
        events: What befell the stream around it.
        health: The findings about the input that are in force, the latest of each check.
        held_back: What the monitor told later of findings that it held back; None for nothing.
        disabled: What was told of assertions that were switched off until then, by name.
        told: The alerts of the log that opened near the moment.
    """

    stream: str
    time_ns: int
    frame: Verdict | None = None
    before: Verdict | None = None
    after: Verdict | None = None
    events: tuple[StreamEvent, ...] = ()
    health: tuple[Finding, ...] = ()
    held_back: StreamEvent | None = None
    disabled: dict[str, StreamEvent] = field(default_factory=dict)
    told: list[Alert] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class WhyNot:
    """Why a moment has no alert.

    Attributes:
        moment: What the log holds of it.
        rules: Each rule that was asked about, with where it stood.
        findings: Where the findings stood; None without assertions that alert.
        assertions: The names of the assertions that were asked about.
        asked: What the run was asked to tell.
        notes: What is to be known besides.
    """

    moment: Moment
    rules: tuple[RuleReplay, ...]
    findings: FindingReplay | None
    assertions: tuple[str, ...]
    asked: Asked
    notes: tuple[str, ...]


def parse_moment(log: EventLog, stream: str, text: str) -> int:
    """Read an event time: RFC 3339, or seconds since the stream's first frame.

    Args:
        log: The log.
        stream: The stream.
        text: What was given.

    Returns:
        Nanoseconds since 1970 UTC.

    Raises:
        RecordError: it is neither.
        LogError: the log has no such stream.
    """
    try:
        after = float(text)
    except ValueError:
        return parse_time(text)
    verdicts = (one for one in log.records(stream) if isinstance(one, Verdict))
    first = next(verdicts, None)
    if first is None:
        raise RecordError(f"stream {stream} has no frames to count seconds from; give a time")
    if not 0 <= after < (LATEST_TIME_NS - first.time_ns) / NANOSECONDS:
        raise RecordError(f"seconds must be at least 0, got {text}")
    return first.time_ns + round(after * NANOSECONDS)


def why_not(log: EventLog, stream: str, time_ns: int, rule: str | None = None) -> WhyNot:
    """Replay a stream up to a moment, and tell where its rules and assertions stood.

    Args:
        log: The log.
        stream: The stream.
        time_ns: The moment, nanoseconds since 1970 UTC.
        rule: Only the rule or assertion of this name; None for all.

    Raises:
        LogError: the log has no such stream, or its configuration cannot be read.
        SightflowError: the configuration has no such rule.
    """
    asked = read_asked(log)
    rules = tuple(RuleReplay(one) for one in asked.rules if rule in {None, one.name})
    known, findings = asked.known, None
    if known is not None and known.section.alerts is not None:
        findings = FindingReplay(asked, stream, time_ns)
    reader = _Reader(Moment(stream, time_ns), asked, rules, findings)
    for record in log.records(stream):
        reader.take(record)
        if reader.done:
            break
    reader.finish()
    names = _names(asked, reader.assertions)
    chosen = tuple(name for name in names if rule == name or (rule is None and asked.alerts(name)))
    if rule is not None and not rules and not chosen:
        told = ", ".join([*(one.name for one in asked.rules), *names]) or "none"
        raise SightflowError(f"the run has no rule or assertion '{rule}'; it has {told}")
    return WhyNot(reader.moment, rules, findings, chosen, asked, (*asked.notes, *reader.notes()))


def _names(asked: Asked, found: set[str]) -> list[str]:
    """The assertions of a run: those that its configuration names, and those that were heard of.

    Files of assertions are not loaded, so one of them that found nothing is not named.
    """
    section = asked.assertions
    if section is None:
        return []
    alerting = () if section.alerts is None else section.alerts.only or ()
    named = dict.fromkeys([*section.health, *section.outputs, *alerting])
    return [*(str(name) for name in named), *sorted(found - set(named))]


class _Reader:
    """Takes the records of a stream, up to some time past the moment."""

    def __init__(
        self,
        moment: Moment,
        asked: Asked,
        rules: tuple[RuleReplay, ...],
        findings: FindingReplay | None,
    ) -> None:
        self.moment, self._asked, self._rules, self._findings = moment, asked, rules, findings
        self._end_ns = moment.time_ns + round(AHEAD_SECONDS * NANOSECONDS)
        self._intervals: deque[int] = deque(maxlen=USUAL_INTERVALS)
        self._earlier: deque[StreamEvent] = deque(maxlen=MOST_EVENTS)
        self._later: list[StreamEvent] = []
        self._health: dict[str, Finding] = {}
        self._opened: set[tuple[str, int]] = set()
        self.assertions: set[str] = set()
        self.done = False

    def take(self, record: Record) -> None:
        """Take the next record."""
        match record:
            case Verdict():
                self._take_verdict(record)
            case Finding():
                self._take_finding(record)
            case StreamEvent():
                self._take_event(record)
            case Alert() if record.state is AlertState.OPENED:
                if record.time_ns <= self.moment.time_ns:
                    self._opened.add((record.episode, record.opened_ns))
                self._near(record)

    def finish(self) -> None:
        """Say what the moment had, now that all is read."""
        moment = self.moment
        moment.events = (*self._earlier, *self._later)
        hold_ns = round(MonitorSettings().hold_seconds * NANOSECONDS)
        moment.health = tuple(
            one for one in self._health.values() if moment.time_ns <= one.time_ns + hold_ns
        )
        if self._findings is not None:
            ended = any(one.kind is EventKind.ENDED for one in self._earlier)
            self._findings.reach(ended=ended)
        before, after = moment.before, moment.after
        if before is None:
            return
        usual_ns = float(np.median(self._intervals)) if self._intervals else LEAST_INTERVAL_NS
        next_ns = math.inf if after is None else after.time_ns
        gap = next_ns - before.time_ns > GAP_FRAMES * usual_ns
        if not gap or moment.time_ns - before.time_ns < usual_ns:
            moment.frame = before

    def notes(self) -> list[str]:
        """What the log says else than the replay: it should be nothing."""
        known = {one.name for one in self._asked.rules}
        told = {one for one in self._opened if one[0].split(":")[1] in known}
        replayed = {one for rule in self._rules for one in rule.opened}
        if len(self._rules) < len(self._asked.rules) or told == replayed:
            return []
        names = ", ".join(sorted({name for name, _ in told ^ replayed})[:3])
        return [f"the log's alerts are not those that its verdicts give now: {names}"]

    def _take_verdict(self, verdict: Verdict) -> None:
        moment = self.moment
        if moment.after is None and verdict.time_ns <= moment.time_ns:
            if moment.before is not None:
                self._intervals.append(verdict.time_ns - moment.before.time_ns)
            moment.before = verdict
            for rule in self._rules:
                rule.take(verdict)
        elif moment.after is None:
            moment.after = verdict
        self.done = verdict.time_ns > self._end_ns

    def _take_finding(self, finding: Finding) -> None:
        self.assertions.add(finding.assertion)
        about_input = finding.assertion in self._asked.health_names
        if about_input and finding.time_ns <= self.moment.time_ns:
            self._health[finding.assertion] = finding
        if self._findings is not None:
            self._findings.take(finding)

    def _take_event(self, event: StreamEvent) -> None:
        moment = self.moment
        earlier = event.time_ns <= moment.time_ns
        if event.reason == DISABLED:
            self.assertions.add(event.detail.partition(":")[0])
        elif event.reason == INHIBITED:  # "flicker 3, multibox 1"
            self.assertions |= {one.rpartition(" ")[0] for one in event.detail.split(", ")}
        if event.reason == DISABLED and earlier:
            moment.disabled[event.detail.partition(":")[0]] = event
        elif event.reason == INHIBITED and not earlier and moment.held_back is None:
            moment.held_back = event
        elif event.kind in _FRAME_EVENTS and earlier:
            self._earlier.append(event)
        elif event.kind in _FRAME_EVENTS and len(self._later) < MOST_EVENTS:
            self._later.append(event)

    def _near(self, alert: Alert) -> None:
        """Keep the last opening of each rule up to the moment, and the first behind it."""
        told = self.moment.told
        earlier = alert.time_ns <= self.moment.time_ns
        others = [one for one in told if one.rule == alert.rule]
        same_side = [one for one in others if (one.time_ns <= self.moment.time_ns) is earlier]
        if earlier:
            for one in same_side:
                told.remove(one)
        if earlier or not same_side:
            told.append(alert)
