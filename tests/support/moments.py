"""Moments of a 10 Hz stream with a few boxes, and assertions run on them."""

from __future__ import annotations

import copy
import pickle
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from operators.assertions.api import Moment
from records import Detections
from tests.support.pictures import TENTH_NS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from operators.assertions.api import Assertion
    from records import Correction, Finding
    from records.finding import Box


class Object(NamedTuple):
    """One box of a moment."""

    track: int = 1
    x: float = 0.0
    score: float = 0.9
    label: str = "person"
    y: float = 0.0

    @property
    def box(self) -> Box:
        """A box 10 pixels wide and 20 high."""
        return (self.x, self.y, self.x + 10, self.y + 20)


def detections(objects: Iterable[Object]) -> Detections:
    """The objects as detections."""
    shown = list(objects)
    return Detections.of(
        [each.box for each in shown],
        [each.score for each in shown],
        [each.label for each in shown],
        tracks=[each.track for each in shown],
    )


def moment(sequence: int, *objects: Object, copied: bool = False) -> Moment:
    """The moment of a frame that shows these objects."""
    outputs = {"detections": detections(objects)}
    return Moment("gate", sequence, sequence * TENTH_NS, outputs=outputs, copied=copied)


def labelled(labels: Sequence[str | None], seconds: float = 1.0) -> list[Moment]:
    """The moments of a classifier that says these labels, None where it says nothing."""
    return [
        Moment(
            "bed", k, round(k * seconds * 1e9), outputs={"classification": label} if label else {}
        )
        for k, label in enumerate(labels)
    ]


def rounded(findings: Iterable[Finding]) -> list[Finding]:
    """The findings with severities and scores of six digits, to state them."""
    return [replace(each, severity=round(each.severity, 6), correction=_rounded(each.correction))
            for each in findings]  # fmt: skip


def _rounded(correction: Correction | None) -> Correction | None:
    if correction is None:
        return None
    places = (replace(place, score=round(place.score, 6)) for place in correction.places)
    return replace(correction, places=tuple(places))


def run(assertion: Assertion, moments: Sequence[Moment]) -> list[Finding]:
    """What an assertion finds.

    A second check is set up again before each moment, from the pickled snapshot of the one before,
    and must find the same; snapshots must be copies.
    """
    check, resumed = assertion.start(), assertion.start()
    found: list[Finding] = []
    for one in moments:
        saved = resumed.snapshot()
        kept = copy.deepcopy(saved)
        resumed.observe(one)
        assert saved == kept
        resumed = assertion.start(pickle.loads(pickle.dumps(saved)))
        news = check.observe(one)
        assert resumed.observe(one) == news
        found += news
    return found
