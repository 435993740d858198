"""How findings become alerts, and what is told besides."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from records import RecordError
from records.checks import check_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from operators.false_alarms import FalseAlarmSettings, FalseAlarmState
    from records import Alert

MOST_EPISODES = 1000
"""The most open episodes of one stream, told or not; a stream in chaos needs no more of them."""


class Muted(StrEnum):
    """Why a finding led to no alert."""

    INHIBITED = "inhibited"
    IMPROBABLE = "improbable"
    COOLDOWN = "cooldown"
    CROWDED = "crowded"
    WITHHELD = "withheld"


@dataclass(frozen=True, slots=True)
class EpisodeSettings:
    """How findings are gathered into episodes. All seconds are event time.

    Attributes:
        clear_seconds: An episode closes when nothing was found for so long, seconds. Conditions
            that last are told again every second, so it must be longer than that.
        cooldown_seconds: For so long after an episode closed the same key opens none, seconds.
        update_seconds: A rising severity is told at most once in this time, seconds.
        group_seconds: Above 0, findings of one assertion on one stream are one episode whatever
            they are about, as long as they follow one another within this time, seconds.
        least_model_wrong: Findings whose calibrated probability that the model is wrong is below
            this are muted, 0..1; those that are not calibrated pass.
        inhibited_by: The names of the assertions on the input's health. While one of them has an
            episode, told or not, findings of all others are muted on that stream.
        false_alarms: The promise on false alarms; None makes none.

    Raises:
        RecordError: a setting is out of its range.
    """

    clear_seconds: float = 5.0
    cooldown_seconds: float = 60.0
    update_seconds: float = 10.0
    group_seconds: float = 0.0
    least_model_wrong: float = 0.0
    inhibited_by: tuple[str, ...] = ()
    false_alarms: FalseAlarmSettings | None = None

    def __post_init__(self) -> None:
        if not self.clear_seconds > 0:
            raise RecordError(f"clear_seconds must be above 0, got {self.clear_seconds}")
        for name in ("cooldown_seconds", "update_seconds", "group_seconds"):
            if not getattr(self, name) >= 0:
                raise RecordError(f"{name} must be at least 0, got {getattr(self, name)}")
        if not 0 <= self.least_model_wrong <= 1:
            raise RecordError(f"least_model_wrong must be in 0..1, got {self.least_model_wrong}")
        for name in self.inhibited_by:
            check_name("inhibited_by", name)

    @property
    def quiet_seconds(self) -> float:
        """How long nothing may be found before an episode closes."""
        return max(self.clear_seconds, self.group_seconds)


@dataclass(frozen=True, slots=True)
class FindingAlerts:
    """What follows from a batch of findings.

    Attributes:
        stream: The stream's name.
        alerts: The changes of episodes, in order.
        muted: How many findings led to no alert, by reason.
    """

    stream: str
    alerts: tuple[Alert, ...]
    muted: Mapping[Muted, int]


@dataclass(frozen=True, slots=True)
class FindingEpisode:
    """One open episode.

    Attributes:
        opened_ns: Event time of its first finding, nanoseconds since 1970 UTC.
        opened_sequence: The moment of it.
        last_ns: Event time of its last finding.
        last_sequence: The moment of it.
        count: Its findings so far.
        value: The severity of the last one.
        peak: The highest severity so far.
        needed: The e-value that it needs to be told.
        told_ns: When it was last told; None while it has not been.
        told_peak: The peak that was told.
    """

    opened_ns: int
    opened_sequence: int
    last_ns: int
    last_sequence: int
    count: int = 0
    value: float = 0.0
    peak: float = 0.0
    needed: float = 0.0
    told_ns: int | None = None
    told_peak: float = 0.0


Key = tuple[str, str]
"""Assertion and object: with the stream, what an episode is about."""


@dataclass(frozen=True, slots=True)
class FindingEpisodesState:
    """What survives a restart.

    Attributes:
        open: The open episodes.
        closed_ns: When the episode of each key that still cools down closed.
        control: The state of the false-alarm control; None without one.
    """

    open: Mapping[Key, FindingEpisode] = field(default_factory=dict)
    closed_ns: Mapping[Key, int] = field(default_factory=dict)
    control: FalseAlarmState | None = None
