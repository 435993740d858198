"""Input health: how often clean streams alarm.

Clips are played over and over for an hour, with their cut; clocks are right, and the way takes
longer now and then; ECG records are as they were taken, one lead each, and two people's as two.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmarks.assertions_health import (
    CLIPS,
    DEADLINE_SECONDS,
    ECG_SECONDS,
    RATE,
    arriving,
    moments,
    pairs_of,
    planes_of,
    planted,
    read_ecgs,
    readings,
)
from operators.assertions.health.blocked import Blocked
from operators.assertions.health.clock_skew import ClockSkew
from operators.assertions.health.dark import Dark
from operators.assertions.health.flat_signal import FlatSignal
from operators.assertions.health.frozen import Frozen
from operators.assertions.health.gap import Gap
from operators.assertions.health.moved import Moved
from operators.assertions.health.swapped_lead import SwappedLead
from operators.false_alarms import alarms_per_day
from records.units import NANOSECONDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from benchmarks.assertions_health import Planes
    from operators.assertions.api import Assertion, Moment

HOUR_SECONDS = 3600
"""Length of the clean streams of pictures and clocks."""

CLEAR_NS = 5 * NANOSECONDS
"""Findings less far apart than this belong to one alarm."""


@dataclass
class Alarms:
    """What one check said of clean streams."""

    count: int = 0
    seconds: float = 0.0

    def add(self, assertion: Assertion, stretch: Iterable[Moment], seconds: float) -> None:
        """Watch a stream; findings that follow each other closely are one alarm."""
        check, last_ns = assertion.start(), -CLEAR_NS
        for moment in stretch:
            if check.observe(moment):
                self.count += moment.time_ns - last_ns >= CLEAR_NS
                last_ns = moment.time_ns
        self.seconds += seconds

    def to_json(self) -> dict[str, float]:
        """Alarms an hour, with the exact upper end of a one-sided interval at 95 %."""
        hours = self.seconds / HOUR_SECONDS
        most = alarms_per_day(self.count, self.seconds, 0.9)[2] / 24
        return {"hours": round(hours, 2), "alarms": self.count, "most_per_hour": round(most, 2)}


def clean(
    clips: Sequence[Planes], ecgs: list[NDArray[np.float32]], rate_hz: float
) -> dict[str, Any]:
    """How often each check alarms on streams in which nothing is wrong."""
    alarms: dict[str, Alarms] = defaultdict(Alarms)
    of_pictures: tuple[Assertion, ...] = (Frozen(), Dark(), Blocked(), Moved(), Gap())
    for planes in clips:
        for assertion in of_pictures:
            looped = (planes[k % len(planes)] for k in range(HOUR_SECONDS * RATE))
            alarms[assertion.name].add(assertion, moments(looped), HOUR_SECONDS)
    alarms["clock_skew"].add(ClockSkew(), arriving(HOUR_SECONDS, 0), HOUR_SECONDS)
    of_signals: tuple[Assertion, ...] = (FlatSignal("ecg"), SwappedLead("ecg"))
    for one in ecgs:
        for assertion in of_signals:
            alarms[assertion.name].add(assertion, readings(one, rate_hz), len(one) / rate_hz)
    for pair in pairs_of(ecgs, rate_hz):
        stretch = readings(pair, rate_hz)
        alarms["swapped_lead, two leads"].add(SwappedLead("ecg"), stretch, ECG_SECONDS)
    return {name: one.to_json() for name, one in alarms.items()}


def measure_health(folder: Path) -> dict[str, Any]:
    """Every figure of input health."""
    clips = [planes_of(folder / "video" / name) for name in CLIPS]
    ecgs, rate_hz = read_ecgs(folder / "ecg" / "cinc2017")
    return {
        "deadline_seconds": DEADLINE_SECONDS,
        "planted": planted(clips, ecgs, rate_hz),
        "clean": clean(clips, ecgs, rate_hz),
    }
