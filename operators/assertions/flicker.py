"""Flicker: an object that the detector loses for a short time and finds again.

An object that is seen, then not, then again within T seconds was there all the time (Kang et al.,
MLSys 2020, section 2.2). Identity comes from tracks: the tracker keeps the number of an object
that it loses for a short time, so a flicker is a gap in the boxes of a track.

Three things look like a flicker and are none, and the assertion abstains on them: something that
the detector was never sure of, say a sign that looks a little like a person, comes and goes with
its score; an object that another covers is found as one box with it; and a track that jumps to
another object moves faster than objects do.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from operators.assertions.gaps import Gap, GapRule
from operators.assertions.sightings import PlainSighting, heights_moved, overlap, tracked
from records import Place, RecordError
from records.checks import check_name
from records.finding import DETECTIONS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from operators.assertions.api import Check

LOCALISATION_HEIGHTS = 0.1
"""How far a detector's boxes of a still object scatter, in heights of the box."""


@dataclass(frozen=True, slots=True)
class Flicker:
    """The assertion "flicker".

    Attributes:
        name: Its name.
        window_seconds: T; an object that is gone for longer may really have left, seconds. People
            turn round within a second, so straight lines are right only for less.
        seen_score: A box counts from this score on, 0..1; below it the object is gone. Lower than
            the score at which boxes are used, so that a dip of the score is no gap.
        sure_score: The mean score that an object must have had before the gap, 0..1.
        covered_overlap: Where the missing box would overlap another box by at least this
            intersection over union, 0..1, nothing is missing there.
        heights_per_second: The fastest that objects move across a gap, box heights a second; people
            walk at about 0.8, and run at 2 to 4.
        output: The name of the output that is watched.

    Raises:
        RecordError: a setting is out of its range.
    """

    name: str = "flicker"
    window_seconds: float = 1.0
    seen_score: float = 0.4
    sure_score: float = 0.6
    covered_overlap: float = 0.3
    heights_per_second: float = 2.0
    output: str = DETECTIONS

    def __post_init__(self) -> None:
        check_name("name", self.name)
        check_name("output", self.output)
        for field in ("window_seconds", "heights_per_second"):
            if not 0 < getattr(self, field) < math.inf:
                raise RecordError(f"{field} must be above 0, got {getattr(self, field)}")
        for field in ("seen_score", "sure_score", "covered_overlap"):
            if not 0 <= getattr(self, field) <= 1:
                raise RecordError(f"{field} must be in 0..1, got {getattr(self, field)}")

    def start(self, state: object = None) -> Check:
        """Begin on a stream, or go on from a snapshot."""
        rule = GapRule(
            self.name,
            self.window_seconds,
            tracked(self.output),
            self._judge,
            self.seen_score,
            self.output,
        )
        return rule.start(state)

    def _judge(self, gap: Gap) -> tuple[float, list[Place]]:
        before, after = gap.before.sighting.box, gap.after.sighting.box
        assert before is not None
        assert after is not None
        farthest = self.heights_per_second * gap.seconds + LOCALISATION_HEIGHTS
        if gap.before.sureness < self.sure_score or heights_moved(before, after) > farthest:
            return 0.0, []
        free = [
            place for absence, place in gap.places() if not self._covered(place, absence.others)
        ]
        return gap.before.sureness * (1 - gap.seconds / self.window_seconds), free

    def _covered(self, place: Place, others: Sequence[PlainSighting]) -> bool:
        assert place.box is not None
        return any(
            box is not None
            and score >= self.seen_score
            and overlap(place.box, box) >= self.covered_overlap
            for _, _, box, score, _ in others
        )
