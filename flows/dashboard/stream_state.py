"""What the page knows of one stream."""

from __future__ import annotations

from collections import Counter, deque
from enum import StrEnum
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from flows.dashboard.series import NS_PER_MS, MinuteCounts, Point, Series
from operators.stream_cascade import AUDIT_NAMES
from records import (
    Alert,
    AlertState,
    Classification,
    Estimate,
    EventKind,
    Finding,
    Reading,
    Stage,
    StreamEvent,
    Verdict,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from records import Record

MOST_SERIES = 16
"""The most series of one stream: its windows' aggregates and the audit's two."""

MOST_NAMES = 64
"""The most assertions, classes and reasons of one stream that are counted by name."""

RECENT_DECISIONS = 60
"""How many of the latest decisions are shown one by one."""

OTHERS = "others"
"""The name under which what has no place of its own is counted."""

_KEY_BYTES = 8

STAGE_LETTERS = {
    Stage.PACKETS: "p",
    Stage.SKIP: "k",
    Stage.DIFFERENCE: "d",
    Stage.SPECIALISED: "s",
    Stage.REFERENCE: "r",
}
"""The letter of each stage among the latest decisions; a capital for an audited frame."""


class StreamStatus(StrEnum):
    """Where a stream stands."""

    WAITING = "waiting"
    RUNNING = "running"
    LOST = "lost"
    UNREADABLE = "unreadable"
    ENDED = "ended"


class ContractStatus(StrEnum):
    """Where a stream's accuracy contract stands."""

    NONE = "none"
    KEPT = "kept"
    BROKEN = "broken"
    REFERENCE = "reference"


_STATUSES = {
    EventKind.OPENED: StreamStatus.RUNNING,
    EventKind.RECONNECTED: StreamStatus.RUNNING,
    EventKind.LOST: StreamStatus.LOST,
    EventKind.UNREADABLE: StreamStatus.UNREADABLE,
    EventKind.ENDED: StreamStatus.ENDED,
}
_LOSSES = (EventKind.DROPPED, EventKind.CORRUPT, EventKind.TRUNCATED)


def key_of(name: str) -> str:
    """The key of a name in addresses: short, and safe whatever the name holds.

    >>> key_of("gate/1")
    '1b8b275fc6e03095'
    """
    return blake2b(name.encode("utf-8", "surrogatepass"), digest_size=_KEY_BYTES).hexdigest()


class StreamState:
    """One stream: counts, the latest decision, the audit, what assertions found.

    Args:
        name: The stream's name.

    Attributes:
        revision: The revision of the whole with which it last changed.
        series: Its estimates over event time, by name.
        latest: Its latest decision; None before the first.
        status: Where it stands.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.key = key_of(name)
        self.revision = 0
        self.series: dict[str, Series] = {}
        self.latest: Verdict | None = None
        self.status, self._detail = StreamStatus.WAITING, ""
        self._stages: Counter[str] = Counter()
        self._audited = self._corrected = self._windows = 0
        self._recent: deque[str] = deque(maxlen=RECENT_DECISIONS)
        self._first_ns: int | None = None
        self._time_ns = 0
        self._label = ""
        self._losses: Counter[str] = Counter()
        self._open_alerts = self._alerts = 0
        self._findings: dict[str, MinuteCounts] = {}
        self._audit: dict[str, Estimate] = {}
        self._contract = ContractStatus.NONE
        self._contract_told: StreamEvent | None = None
        self._model = ""

    def take(self, record: Record, revision: int) -> None:
        """Take the next record of the stream."""
        self.revision = revision
        match record:
            case Verdict():
                self._take_verdict(record)
            case Estimate():
                self._take_estimate(record, revision)
            case StreamEvent():
                self._take_event(record)
            case Finding():
                self._counted(record.assertion).add(record.time_ns)
            case Alert():
                self._alerts += record.state is AlertState.OPENED
                self._open_alerts += record.state is AlertState.OPENED
                self._open_alerts -= record.state is AlertState.CLOSED
            case Classification():
                self._windows += 1
                self._label = record.label
                self._seen(record.time_ns)
            case Reading():
                self._seen(record.time_ns)

    def series_since(self, revision: int) -> Iterator[dict[str, Any]]:
        """The points that came after a revision, as plain JSON values, a series each."""
        for name, one in self.series.items():
            points = one.points_since(revision)
            if points:
                rows = [[p.end_ns / NS_PER_MS, p.value, p.low, p.high] for p in points]
                yield {"stream": self.key, "name": name, "points": rows}

    def to_json(self) -> dict[str, Any]:
        """The stream as plain JSON values; times in milliseconds since 1970 UTC."""
        return {
            "key": self.key,
            "name": self.name,
            "status": str(self.status),
            "detail": self._detail,
            "stages": dict(self._stages),
            "audited": self._audited,
            "corrected": self._corrected,
            "windows": self._windows,
            "label": self._label,
            "recent": "".join(self._recent),
            "first": None if self._first_ns is None else self._first_ns / NS_PER_MS,
            "time": self._time_ns / NS_PER_MS,
            "latest": None if self.latest is None else _decision(self.latest),
            "losses": dict(self._losses),
            "alerts": self._alerts,
            "open_alerts": max(self._open_alerts, 0),
            "findings": {
                name: {"total": one.total, "minutes": one.to_json()}
                for name, one in self._findings.items()
            },
            "audit": {name: _share(one) for name, one in self._audit.items()},
            "contract": self._contract_json(),
            "model": self._model,
        }

    def _contract_json(self) -> dict[str, Any]:
        told, status = self._contract_told, self._contract
        if status is ContractStatus.NONE and self._audit:
            status = ContractStatus.KEPT
        return {
            "status": str(status),
            "reason": "" if told is None else told.reason,
            "detail": "" if told is None else told.detail,
            "time": None if told is None else told.time_ns / NS_PER_MS,
        }

    def _seen(self, time_ns: int) -> None:
        if self._first_ns is None:
            self._first_ns = time_ns
        self._time_ns = max(self._time_ns, time_ns)
        if self.status is StreamStatus.WAITING:
            self.status = StreamStatus.RUNNING

    def _take_verdict(self, verdict: Verdict) -> None:
        self._seen(verdict.time_ns)
        self._stages[str(verdict.stage)] += 1
        self._audited += verdict.audited
        self._corrected += bool(verdict.corrected)
        letter = STAGE_LETTERS[verdict.stage]
        self._recent.append(letter.upper() if verdict.audited else letter)
        self.latest = verdict

    def _take_estimate(self, estimate: Estimate, revision: int) -> None:
        if estimate.name in AUDIT_NAMES.values():
            self._audit[estimate.name.removeprefix("audit ")] = estimate
        series = self.series.get(estimate.name)
        if series is None:
            if len(self.series) >= MOST_SERIES:
                self._losses["series not shown"] += 1
                return
            series = self.series[estimate.name] = Series()
        series.put(Point(estimate.end_ns, estimate.value, estimate.low, estimate.high), revision)

    def _take_event(self, event: StreamEvent) -> None:
        if event.kind in _STATUSES:
            self.status = _STATUSES[event.kind]
            self._detail = event.detail or event.reason
        elif event.kind in _LOSSES:
            name = f"{event.kind}: {event.reason}" if event.reason else str(event.kind)
            known = name in self._losses or len(self._losses) < MOST_NAMES
            self._losses[name if known else OTHERS] += event.count
        elif event.kind is EventKind.CONTRACT:
            self._contract_told, self._audit = event, {}  # an epoch's estimates begin anew
            self._contract = _contract_after(event.reason)
        elif event.kind is EventKind.MODEL and event.reason == "swapped":
            self._model = event.detail

    def _counted(self, assertion: str) -> MinuteCounts:
        if assertion not in self._findings and len(self._findings) >= MOST_NAMES:
            assertion = OTHERS
        return self._findings.setdefault(assertion, MinuteCounts())


def _contract_after(reason: str) -> ContractStatus:
    if reason.endswith("_broken"):
        return ContractStatus.BROKEN
    return ContractStatus.REFERENCE if reason == "not_certified" else ContractStatus.KEPT


def _decision(verdict: Verdict) -> dict[str, Any]:
    return {
        "sequence": verdict.sequence,
        "time": verdict.time_ns / NS_PER_MS,
        "stage": str(verdict.stage),
        "score": round(verdict.score, 3),
        "objects": len(verdict.answer),
        "positive": verdict.positive,
        "audited": verdict.audited,
        "copied_from": verdict.copied_from,
    }


def _share(estimate: Estimate) -> dict[str, Any]:
    return {
        "value": estimate.value,
        "low": estimate.low,
        "high": estimate.high,
        "confidence": estimate.confidence,
        "frames": estimate.reference_calls,
    }
