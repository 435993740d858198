"""Alerts: episodes that are opened once, updated and closed."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from records.checks import check_count, check_finite, check_name, check_time
from records.errors import RecordError


class AlertState(StrEnum):
    """Where an episode stands."""

    OPENED = "opened"
    UPDATED = "updated"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Alert:
    """One change of an episode.

    Attributes:
        stream: The stream's name.
        rule: The name of the rule that fired.
        state: OPENED, UPDATED or CLOSED.
        time_ns: Event time of this change, nanoseconds since 1970 UTC.
        sequence: The frame at which the change was seen.
        opened_ns: Event time at which the episode opened.
        opened_sequence: The frame at which the episode opened; names the episode.
        severity: How far the rule is exceeded; larger is worse.
        value: What was measured at this change.
        peak: The highest value so far in the episode.
        message: One line for people.
        stage: The stage of the cascade that decided the frame.
        model: The reference detector that stands behind the answer.
        configuration: SHA-256 of the configuration in force, hexadecimal.
        object: What the episode is about, say a track; empty for the whole stream.
        count: How many times the rule has fired in the episode so far, as far as that is counted.
    """

    stream: str
    rule: str
    state: AlertState
    time_ns: int
    sequence: int
    opened_ns: int
    opened_sequence: int
    severity: float
    value: float
    peak: float
    message: str
    stage: str = ""
    model: str = ""
    configuration: str = ""
    object: str = ""
    count: int = 1

    def __post_init__(self) -> None:
        check_name("stream", self.stream)
        check_name("rule", self.rule)
        for field in ("time_ns", "opened_ns"):
            check_time(field, getattr(self, field))
        if self.object:
            check_name("object", self.object)
        for field in ("sequence", "opened_sequence", "count"):
            check_count(field, getattr(self, field))
        for field in ("severity", "value", "peak"):
            check_finite(field, getattr(self, field))
        if not isinstance(self.state, AlertState):
            raise RecordError(f"state must be an AlertState, got {self.state!r}")

    @property
    def episode(self) -> str:
        """The deterministic identity of the episode.

        ``stream:rule:opened_sequence``, or ``stream:rule:object:opened_sequence`` with an object.
        """
        concerned = f"{self.object}:" if self.object else ""
        return f"{self.stream}:{self.rule}:{concerned}{self.opened_sequence}"

    @property
    def id(self) -> str:
        """The deterministic identity of this change, ``episode:state:sequence``."""
        return f"{self.episode}:{self.state}:{self.sequence}"
