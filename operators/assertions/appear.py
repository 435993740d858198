"""Appear: an object that is there for too short a time to be real.

A track that ends within T seconds of its beginning (Kang et al., MLSys 2020, section 2.2): objects
do not come from nowhere and vanish. It is known only once the track does not come back, so the
finding comes `absent_seconds` after the last box.

The assertion abstains on what the detector was sure of: that is a real object whose track broke.
Objects that were there when the stream began are not judged, since their beginning was not seen.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from operators.assertions.sightings import tracked
from operators.assertions.spans import Span, SpanRule
from records import RecordError
from records.checks import check_name
from records.finding import DETECTIONS

if TYPE_CHECKING:
    from operators.assertions.api import Check


@dataclass(frozen=True, slots=True)
class Appear:
    """The assertion "appear".

    Attributes:
        name: Its name.
        short_seconds: T; what is seen for less long is too short-lived, seconds. Someone who
            crosses a corner of the picture is seen for longer.
        absent_seconds: A track that is not seen for this long has ended, seconds; as long as the
            tracker keeps lost tracks, 2 s unless told otherwise.
        seen_score: A box counts from this score on, 0..1.
        sure_score: An object with at least this mean score is real, 0..1.
        output: The name of the output that is watched.

    Raises:
        RecordError: a setting is out of its range.
    """

    name: str = "appear"
    short_seconds: float = 1.0
    absent_seconds: float = 2.0
    seen_score: float = 0.1
    sure_score: float = 0.5
    output: str = DETECTIONS

    def __post_init__(self) -> None:
        check_name("name", self.name)
        check_name("output", self.output)
        for field in ("short_seconds", "absent_seconds"):
            if not 0 < getattr(self, field) < math.inf:
                raise RecordError(f"{field} must be above 0, got {getattr(self, field)}")
        for field in ("seen_score", "sure_score"):
            if not 0 <= getattr(self, field) <= 1:
                raise RecordError(f"{field} must be in 0..1, got {getattr(self, field)}")

    @property
    def window_seconds(self) -> float:
        """How far back it looks, seconds: a short life and the wait behind it."""
        return self.short_seconds + self.absent_seconds

    def start(self, state: object = None) -> Check:
        """Begin on a stream, or go on from a snapshot."""
        rule = SpanRule(
            self.name,
            self.short_seconds,
            self.absent_seconds,
            tracked(self.output),
            self._judge,
            self.seen_score,
            self.output,
        )
        return rule.start(state)

    def _judge(self, span: Span) -> float:
        mean = span.mean_score
        if mean >= self.sure_score:
            return 0.0
        return (1 - mean) * (1 - span.seconds / self.short_seconds)
