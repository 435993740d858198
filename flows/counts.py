"""What a run counts: every frame that entered, and what became of it."""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from operators.cascade_version import ModelReason
from operators.stream_cascade import AUDIT_NAMES
from records import (
    Alert,
    Classification,
    Estimate,
    EventKind,
    Finding,
    FrameBatch,
    Stage,
    StreamEvent,
    Verdict,
    VerdictBatch,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from records import Record

STAGES = tuple(Stage)
"""The stages, cheapest first."""

COUNTED = (
    "decided", "dropped", "corrupt", "events", "alerts", "findings", "classified", "put_aside",
    "not_put_aside",
)  # fmt: skip
"""What is counted of a stream by reason or kind."""

AUDIT_DIGITS = 5
"""Digits of the audit's shares that are told."""


@dataclass(frozen=True, slots=True)
class AuditShare:
    """What the audit knows of recall or precision.

    Attributes:
        value: The estimate, 0..1.
        low: The lower bound.
        high: The upper bound.
        confidence: Of the interval.
        frames: The audited frames that it rests on.
    """

    value: float
    low: float
    high: float
    confidence: float
    frames: int


@dataclass
class StreamCounts:
    """What became of one stream's frames.

    Attributes:
        entered: Frames that entered the flow.
        decided: Frames decided, by stage.
        dropped: Frames that did not enter, by reason.
        corrupt: Packets and frames that could not be used, by reason.
        missing: Frames that a file promised and did not hold.
        events: Stream events, by kind.
        alerts: Alerts, by state.
        findings: What assertions found, by assertion.
        corrected: Verdicts that corrections changed.
        classified: Windows of a signal, by the class that they were given.
        put_aside: Items that were put into the retraining queue, by origin.
        not_put_aside: What was not, or left again, by reason.
        last: What last went wrong, in a line; empty when nothing did.
        audited: Frames that the audit sent to the reference detector.
        audit: The latest estimate of recall and of precision in this epoch, by its name.
        contract: What became of the accuracy contract, oldest first.
        models: What became of the versions of models, oldest first.
    """

    entered: int = 0
    decided: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    corrupt: Counter[str] = field(default_factory=Counter)
    missing: int = 0
    events: Counter[str] = field(default_factory=Counter)
    alerts: Counter[str] = field(default_factory=Counter)
    findings: Counter[str] = field(default_factory=Counter)
    corrected: int = 0
    classified: Counter[str] = field(default_factory=Counter)
    put_aside: Counter[str] = field(default_factory=Counter)
    not_put_aside: Counter[str] = field(default_factory=Counter)
    last: str = ""
    audited: int = 0
    audit: dict[str, AuditShare] = field(default_factory=dict)
    contract: list[StreamEvent] = field(default_factory=list)
    models: list[StreamEvent] = field(default_factory=list)

    @property
    def passed(self) -> dict[str, float]:
        """Of the frames that reached each stage, the share that it left to the next, 0..1."""
        left, shares = sum(self.decided.values()), {}
        for stage in STAGES:
            decided = self.decided[stage]
            if decided:
                shares[str(stage)] = 1 - decided / left
            left -= decided
        return shares

    @property
    def unreadable(self) -> bool:
        """Whether the stream gave no frame at all because it could not be read."""
        failed = self.events[EventKind.UNREADABLE] + self.events[EventKind.LOST]
        return self.entered == 0 and failed > 0

    def to_json(self) -> dict[str, Any]:
        """The counts as plain JSON values."""
        return {
            "entered": self.entered,
            "decided": dict(self.decided),
            "dropped": dict(self.dropped),
            "corrupt": dict(self.corrupt),
            "missing": self.missing,
            "events": dict(self.events),
            "alerts": dict(self.alerts),
            "findings": dict(self.findings),
            "corrected": self.corrected,
            "classified": dict(self.classified),
            "put_aside": dict(self.put_aside),
            "not_put_aside": dict(self.not_put_aside),
            "last_fault": self.last,
            "passed": {stage: round(share, 5) for stage, share in self.passed.items()},
            "audited": self.audited,
            "audit": {
                name: {key: round(number, AUDIT_DIGITS) for key, number in asdict(one).items()}
                for name, one in self.audit.items()
            },
            "contract": _plain(self.contract),
            "models": _plain(self.models),
        }

    @classmethod
    def from_json(cls, stream: str, values: dict[str, Any]) -> StreamCounts:
        """The counts of a stream from what `to_json` made of them."""
        return cls(
            entered=values["entered"],
            missing=values["missing"],
            last=values["last_fault"],
            audited=values["audited"],
            corrected=values["corrected"],
            audit={name: AuditShare(**one) for name, one in values["audit"].items()},
            contract=_events(stream, EventKind.CONTRACT, values["contract"]),
            models=_events(stream, EventKind.MODEL, values["models"]),
            **{name: Counter(values[name]) for name in COUNTED},
        )

    def add(self, other: StreamCounts) -> None:
        """Add what another process counted of the same stream."""
        self.entered += other.entered
        self.missing += other.missing
        self.audited += other.audited
        self.corrected += other.corrected
        for name in COUNTED:
            getattr(self, name).update(getattr(other, name))
        self.last = self.last or other.last
        self.audit |= other.audit
        self.contract += other.contract
        self.models += other.models


def _plain(events: list[StreamEvent]) -> list[dict[str, Any]]:
    return [
        {"time_ns": event.time_ns, "reason": event.reason, "detail": event.detail}
        for event in events
    ]


def _events(stream: str, kind: EventKind, values: list[dict[str, Any]]) -> list[StreamEvent]:
    return [StreamEvent(stream, kind=kind, **one) for one in values]


class RunCounts:
    """Counts a run while it runs. Workers call it from their threads.

    Args:
        streams: The names of the streams that are known; others are counted as they come.

    Attributes:
        streams: What became of each stream's frames.
        dead_letters: Messages that were not understood, by reason.
    """

    def __init__(self, streams: Sequence[str]) -> None:
        self.streams: defaultdict[str, StreamCounts] = defaultdict(StreamCounts)
        for name in streams:
            self.streams[name] = StreamCounts()
        self.dead_letters: Counter[str] = Counter()
        self._lock = threading.Lock()

    def entered(self, batch: FrameBatch | VerdictBatch) -> None:
        """Count the frames of a batch that enters the flow, decided already or not."""
        frames = batch.frames if isinstance(batch, FrameBatch) else batch.verdicts
        with self._lock:
            self.streams[batch.stream].entered += len(frames)

    def buried(self, reason: str) -> None:
        """Count a message that was not understood."""
        with self._lock:
            self.dead_letters[reason] += 1

    def put_aside(self, stream: str, origins: Mapping[str, int], lost: Mapping[str, int]) -> None:
        """Count items of the retraining queue by origin, and what is not in it by reason."""
        with self._lock:
            self.streams[stream].put_aside.update(origins)
            self.streams[stream].not_put_aside.update(lost)

    def observe(self, stream: str, records: Sequence[Record]) -> None:
        """Count records on their way to the sinks."""
        with self._lock:
            counts = self.streams[stream]
            for record in records:
                if isinstance(record, Verdict):
                    counts.decided[str(record.stage)] += 1
                    counts.audited += record.audited
                    counts.corrected += bool(record.corrected)
                elif isinstance(record, Estimate):
                    if record.name in AUDIT_NAMES.values():
                        counts.audit[record.name] = AuditShare(
                            record.value,
                            record.low,
                            record.high,
                            record.confidence,
                            record.reference_calls,
                        )
                elif isinstance(record, StreamEvent):
                    _count_event(counts, record)
                elif isinstance(record, Finding):
                    counts.findings[record.assertion] += 1
                elif isinstance(record, Classification):
                    counts.classified[record.label] += 1
                elif isinstance(record, Alert):
                    counts.alerts[str(record.state)] += 1


def _count_event(counts: StreamCounts, event: StreamEvent) -> None:
    counts.events[str(event.kind)] += 1
    if event.kind is EventKind.DROPPED:
        counts.dropped[event.reason] += event.count
    elif event.kind is EventKind.CORRUPT:
        counts.corrupt[event.reason] += event.count
    elif event.kind is EventKind.TRUNCATED:
        counts.missing += event.count
    elif event.kind is EventKind.CONTRACT:
        counts.contract.append(event)
        counts.audit.clear()  # an epoch's estimates begin anew
    elif event.kind is EventKind.MODEL:
        counts.models.append(event)
        if event.reason == ModelReason.SWAPPED:
            counts.audit.clear()
    if event.kind in {EventKind.LOST, EventKind.UNREADABLE, EventKind.TRUNCATED}:
        counts.last = event.detail or event.reason
