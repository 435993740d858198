"""Why an alert was told: what an event log holds of its episode.

The log is read twice: for the changes of the episode, then for what lies around them. Of long
episodes only the beginning, the end and the peaks are kept, so memory stays bounded.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from flows.why_asked import Asked, read_asked
from flows.why_gather import Gatherer, Window
from records import Alert, AlertState, Finding, LogError, SightflowError, StreamEvent, Verdict
from records.units import NANOSECONDS

if TYPE_CHECKING:
    from connectors.replay import EventLog
    from flows.why_gather import Series
    from operators.alerting import CountRule

BEFORE_SECONDS = 10.0
"""How far before its opening, or before a rule's `for_seconds`, is looked at, event time."""

AFTER_SECONDS = 5.0
"""How far after its opening, and after its end, every frame is kept, event time."""


class Kind(StrEnum):
    """What tells an alert."""

    RULE = "rule"
    ASSERTION = "assertion"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Why:
    """What a log holds of an episode.

    Attributes:
        kind: Whether a rule, an assertion or something that the configuration does not name told
            it.
        changes: The alerts of the episode, in order; at least one.
        rule: The rule, for Kind.RULE.
        settings: What the configuration says of the rule or of the assertion's alerts; None where
            that is not the configuration which the alert came from.
        series: What was measured: the count of a rule, the severity of an assertion.
        verdicts: The decisions around the beginning, the peaks and the end, in order.
        findings: The findings behind an assertion's alert, and those whose corrections changed
            these verdicts, in order.
        findings_left_out: How many more of them there are.
        events: What befell the stream meanwhile.
        asked: What the run was asked to tell.
        notes: What is to be known besides.
    """

    kind: Kind
    changes: tuple[Alert, ...]
    rule: CountRule | None
    settings: dict[str, object] | None
    series: Series
    verdicts: tuple[Verdict, ...]
    findings: tuple[Finding, ...]
    findings_left_out: int
    events: tuple[StreamEvent, ...]
    asked: Asked
    notes: tuple[str, ...]

    @property
    def last(self) -> Alert:
        """The latest change."""
        return self.changes[-1]

    @property
    def closed_ns(self) -> int | None:
        """When the episode closed; None while it is open."""
        return self.last.time_ns if self.last.state is AlertState.CLOSED else None

    @property
    def own_findings(self) -> tuple[Finding, ...]:
        """The findings behind the alert itself."""
        if self.kind is not Kind.ASSERTION:
            return ()
        return tuple(one for one in self.findings if concerns(one, self.last, self.asked))


def why(log: EventLog, alert_id: str) -> Why:
    """Read why an alert was told.

    Args:
        log: The log.
        alert_id: The id of an alert or of a whole episode.

    Raises:
        SightflowError: the log has no such alert.
        LogError: the log has no such stream, or cannot be read.
    """
    changes, notes = _changes(log, alert_id)
    last = changes[-1]
    try:
        asked = read_asked(log, last.configuration)
        notes += asked.notes
    except LogError as error:
        asked = Asked()
        notes.append(str(error))
    kind = _kind(last, asked)
    rule = asked.rule(last.rule) if kind is Kind.RULE else None
    gathered = _gather(log, changes, asked, rule)
    same = not last.configuration or log.manifest.text_of(last.configuration) is not None
    if not same:
        notes.append("the alert came from another configuration than that of the manifest")
    if not gathered.verdicts:
        notes.append("the log holds no frames around the alert, so there is no picture")
    return Why(
        kind,
        changes,
        rule,
        _settings(kind, last, asked) if same else None,
        gathered.series(severities=kind is Kind.ASSERTION),
        tuple(gathered.verdicts[one] for one in sorted(gathered.verdicts)),
        tuple(gathered.findings),
        gathered.findings_left_out,
        tuple(gathered.events),
        asked,
        tuple(notes),
    )


def concerns(finding: Finding, alert: Alert, asked: Asked) -> bool:
    """Whether a finding belongs to the episode of an alert."""
    section = None if asked.assertions is None else asked.assertions.alerts
    grouped = section is not None and section.group_seconds > 0
    return (
        finding.assertion == alert.rule
        and (grouped or finding.object == alert.object)
        and alert.opened_ns <= finding.time_ns
        and (alert.state is not AlertState.CLOSED or finding.time_ns <= alert.time_ns)
    )


def _changes(log: EventLog, alert_id: str) -> tuple[tuple[Alert, ...], list[str]]:
    """The changes of the episode that is meant, in order, and what is to be said of them."""
    stream = alert_id.partition(":")[0]
    if stream not in log.streams:
        raise SightflowError(
            f"ID must begin with a stream of {log.run_dir}, one of {', '.join(log.streams)}; got "
            f"'{alert_id}'"
        )
    episodes: dict[tuple[str, int], list[Alert]] = {}
    wanted: set[tuple[str, int]] = set()
    for record in log.records(stream):
        if not isinstance(record, Alert):
            continue
        key = (record.episode, record.opened_ns)
        episodes.setdefault(key, []).append(record)
        if alert_id in {record.episode, record.id}:
            wanted.add(key)
    if not wanted:
        raise SightflowError(
            f"{log.run_dir} has no alert '{alert_id}'; 'sightflow alerts list --log "
            f"{log.run_dir}' shows those it has"
        )
    notes = []
    if len(wanted) > 1:
        notes.append(f"{len(wanted)} episodes have this id; this is the latest")
    latest = max(wanted, key=lambda key: key[1])
    return tuple(sorted(episodes[latest], key=lambda one: one.time_ns)), notes


def _kind(alert: Alert, asked: Asked) -> Kind:
    if asked.rule(alert.rule) is not None:
        return Kind.RULE
    # Alerts of rules name the stage that decided, those of findings do not.
    known = asked.assertions is not None and not alert.stage
    return Kind.ASSERTION if known else Kind.UNKNOWN


def _settings(kind: Kind, alert: Alert, asked: Asked) -> dict[str, object] | None:
    """What the configuration says, as plain values."""
    if kind is Kind.RULE:
        rule = asked.rule(alert.rule)
        assert rule is not None, "its kind says so"
        return {name: getattr(rule, name) for name in rule.__slots__}
    section = asked.assertions
    if kind is Kind.UNKNOWN or section is None:
        return None
    asked_for: dict[str, object] = {str(name): one for name, one in section.health.items()}
    asked_for |= {str(name): one for name, one in section.outputs.items()}
    alerts = {} if section.alerts is None else section.alerts.model_dump()
    return {"assertion": asked_for.get(alert.rule) or {}, "alerts": alerts}


def _gather(
    log: EventLog, changes: tuple[Alert, ...], asked: Asked, rule: CountRule | None
) -> Gatherer:
    last = changes[-1]
    for_seconds = 0.0 if rule is None else rule.for_seconds
    before_ns = round((BEFORE_SECONDS + for_seconds) * NANOSECONDS)
    after_ns = round(AFTER_SECONDS * NANOSECONDS)
    closed = last.state is AlertState.CLOSED
    window = Window(
        max(last.opened_ns - before_ns, 0),
        last.opened_ns,
        last.time_ns if closed else None,
        after_ns,
        frozenset(one.sequence for one in changes),
    )
    gatherer = Gatherer(window, rule, lambda finding: concerns(finding, last, asked))
    for record in log.records(last.stream):
        gatherer.take(record)
        if gatherer.done:
            break
    return gatherer
