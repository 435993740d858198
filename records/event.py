"""Stream events: what befell a source, so that nothing is lost in silence."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from records.checks import check_count, check_name, check_time
from records.errors import RecordError


class EventKind(StrEnum):
    """What can befall a stream.

    OPENED and RECONNECTED start a run of frames. LOST, UNREADABLE and ENDED end one. CORRUPT,
    DROPPED and TRUNCATED count what did not become a frame, with the reason. CONTRACT tells that
    the accuracy contract was broken, or a plan certified or refused; WINDOW, with the reason, that
    a window of an aggregate lacks frames or answers, or that frames came too late for it.
    ASSERTION tells, with the reason, that an assertion failed or was switched off, or counts
    findings and corrections that were held back. MODEL tells, with the reason, that another version
    of a model decides from here on, and how a candidate did beside it.
    """

    OPENED = "opened"
    LOST = "lost"
    RECONNECTED = "reconnected"
    CORRUPT = "corrupt"
    DROPPED = "dropped"
    TRUNCATED = "truncated"
    UNREADABLE = "unreadable"
    ENDED = "ended"
    CONTRACT = "contract"
    WINDOW = "window"
    ASSERTION = "assertion"
    MODEL = "model"


@dataclass(frozen=True, slots=True)
class StreamEvent:
    """One thing that befell a stream.

    Attributes:
        stream: The stream's name.
        time_ns: Event time, nanoseconds since 1970 UTC.
        kind: What happened.
        count: How many packets or frames it concerns (CORRUPT, DROPPED, TRUNCATED), else 0.
        reason: A short fixed word for metrics: ``decode_error``, ``flow_behind``, ``stalled`` …
        detail: One line for people; empty when the kind and the reason say all.
    """

    stream: str
    time_ns: int
    kind: EventKind
    count: int = 0
    reason: str = ""
    detail: str = ""

    def __post_init__(self) -> None:
        check_name("stream", self.stream)
        check_time("time_ns", self.time_ns)
        check_count("count", self.count)
        if not isinstance(self.kind, EventKind):
            raise RecordError(f"kind must be an EventKind, got {self.kind!r}")

    @property
    def id(self) -> str:
        """The deterministic identity, ``stream:kind:time_ns``."""
        return f"{self.stream}:{self.kind}:{self.time_ns}"
