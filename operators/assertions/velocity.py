"""Velocity: an object that moves faster than it can.

The middle of a track's box moves from one moment to the next by some of its own heights. A height
is about as long for every object of a class, near or far, so no calibration of the camera is
needed. A track that is too fast has jumped to another object, or its box is wrong.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from operators.assertions.sightings import heights_moved
from records import UNTRACKED, Finding, RecordError
from records.checks import check_name
from records.finding import DETECTIONS
from records.units import NANOSECONDS

if TYPE_CHECKING:
    from operators.assertions.api import Check, Moment
    from records.finding import Box


@dataclass(frozen=True, slots=True)
class Velocity:
    """The assertion "velocity".

    Attributes:
        name: Its name.
        heights_per_second: The fastest that an object can be, box heights a second. People run at
            2 to 4; cars seen from the side, 1.5 m high, pass at 10 (50 km/h).
        jitter_heights: How far boxes of a still object scatter, heights; free in each step. Half
            hidden objects get boxes of half their height.
        window_seconds: Boxes of a track further apart are not compared, seconds.
        seen_score: A box counts from this score on, 0..1; weak boxes are not well placed.
        output: The name of the output that is watched.

    Raises:
        RecordError: a setting is out of its range.
    """

    name: str = "velocity"
    heights_per_second: float = 4.0
    jitter_heights: float = 0.25
    window_seconds: float = 1.0
    seen_score: float = 0.4
    output: str = DETECTIONS

    def __post_init__(self) -> None:
        check_name("name", self.name)
        check_name("output", self.output)
        for field in ("heights_per_second", "window_seconds"):
            if not 0 < getattr(self, field) < math.inf:
                raise RecordError(f"{field} must be above 0, got {getattr(self, field)}")
        if not 0 <= self.jitter_heights < math.inf:
            raise RecordError(f"jitter_heights must be at least 0, got {self.jitter_heights}")
        if not 0 <= self.seen_score <= 1:
            raise RecordError(f"seen_score must be in 0..1, got {self.seen_score}")

    def start(self, state: object = None) -> Check:
        """Begin on a stream, or go on from a snapshot."""
        return _VelocityCheck(self, cast("_Last", state or {}))


_Last = dict[int, tuple[int, int, "Box"]]
"""Where each track was last: sequence, event time in nanoseconds, box."""


class _VelocityCheck:
    """Where the tracks of one stream were last."""

    def __init__(self, rule: Velocity, last: _Last) -> None:
        self._rule = rule
        self._last = dict(last)
        self._reach_ns = round(rule.window_seconds * NANOSECONDS)
        self._sweep_ns = 0

    def observe(self, moment: Moment) -> list[Finding]:
        """A finding for each track that is too fast; copied outputs say nothing of motion."""
        rule, last = self._rule, self._last
        plain = None if moment.copied else moment.plain(rule.output)
        if plain is None:
            return []
        found: list[Finding] = []
        sequence, time_ns = moment.sequence, moment.time_ns
        for box, score, label, track in zip(*plain, strict=True):
            if track == UNTRACKED or score < rule.seen_score:
                continue
            before = last.get(track)
            last[track] = (sequence, time_ns, box)
            if before is None or not 0 < time_ns - before[1] <= self._reach_ns:
                continue
            seconds = (time_ns - before[1]) / NANOSECONDS
            moved = heights_moved(before[2], box) - rule.jitter_heights
            if moved > rule.heights_per_second * seconds:
                found.append(self._finding(moment, before, label, track, moved / seconds))
        self._forget(time_ns)
        return found

    def snapshot(self) -> _Last:
        """A copy of where the tracks were last."""
        return dict(self._last)

    def _forget(self, now_ns: int) -> None:
        """Let go of tracks now and then, since old ones are passed over."""
        if now_ns >= self._sweep_ns or self._sweep_ns - now_ns > self._reach_ns:
            self._sweep_ns = now_ns + self._reach_ns
            before_ns = now_ns - self._reach_ns
            for track in [key for key, one in self._last.items() if one[1] < before_ns]:
                del self._last[track]

    def _finding(
        self, moment: Moment, before: tuple[int, int, Box], label: str, track: int, speed: float
    ) -> Finding:
        most = self._rule.heights_per_second
        return Finding(
            moment.stream,
            self._rule.name,
            moment.sequence,
            moment.time_ns,
            before[0],
            before[1],
            speed / most,
            f"{label} moved {speed:.1f} of its heights a second, {most:.4g} are possible",
            str(track),
        )
