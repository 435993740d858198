"""Multibox: three boxes of one class that highly overlap.

Suppression of doubles leaves two boxes for two objects side by side, but three that all overlap
each other are boxes of one object (Kang et al., MLSys 2020, section 2.2). The correction drops all
but the one with the highest score.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from operators.assertions.sightings import overlap
from records import UNTRACKED, Correction, CorrectionKind, Finding, Place, RecordError
from records.checks import check_name
from records.finding import DETECTIONS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from operators.assertions.api import Check, Moment, PlainBoxes

TRIPLE = 3
"""So many boxes that overlap each other are too many."""


@dataclass(frozen=True, slots=True)
class Multibox:
    """The assertion "multibox"; it has no state.

    Attributes:
        name: Its name.
        overlap: Boxes overlap highly from this intersection over union on, 0..1. Detectors suppress
            doubles above about 0.45, and three people seldom hide each other by a third.
        seen_score: A box counts from this score on, 0..1.
        output: The name of the output that is watched.

    Raises:
        RecordError: a setting is out of its range.
    """

    name: str = "multibox"
    overlap: float = 0.35
    seen_score: float = 0.1
    output: str = DETECTIONS

    def __post_init__(self) -> None:
        check_name("name", self.name)
        check_name("output", self.output)
        if not 0 < self.overlap <= 1:
            raise RecordError(f"overlap must be above 0 and at most 1, got {self.overlap}")
        if not 0 <= self.seen_score <= 1:
            raise RecordError(f"seen_score must be in 0..1, got {self.seen_score}")

    @property
    def window_seconds(self) -> float:
        """One moment is enough."""
        return 0.0

    def start(self, state: object = None) -> Check:  # noqa: ARG002 - there is no state
        """Begin on a stream."""
        return _MultiboxCheck(self)


class _MultiboxCheck:
    """Looks at one moment at a time."""

    def __init__(self, rule: Multibox) -> None:
        self._rule = rule

    def observe(self, moment: Moment) -> list[Finding]:
        """A finding for each heap of boxes."""
        rule = self._rule
        plain = moment.plain(rule.output)
        if plain is None or len(plain.boxes) < TRIPLE:
            return []
        near = overlapping(plain, rule.overlap, rule.seen_score)
        return [_finding(rule, moment, plain, heap) for heap in heaps(near, plain.scores)]

    def snapshot(self) -> None:
        """Nothing."""


def overlapping(plain: PlainBoxes, least: float, least_score: float = 0.0) -> dict[int, set[int]]:
    """The boxes that each box overlaps by at least `least`, of the same class, both ways."""
    boxes, scores, classes, _ = plain
    # Swept from left to right: a box is compared only with those that begin left of its right edge.
    order = [place for place in sorted(range(len(boxes)), key=boxes.__getitem__)
             if scores[place] >= least_score]  # fmt: skip
    near: dict[int, set[int]] = {}
    for rank, place in enumerate(order, 1):
        box = boxes[place]
        for other in order[rank:]:
            if boxes[other][0] >= box[2]:
                break
            if classes[other] == classes[place] and overlap(boxes[other], box) >= least:
                near.setdefault(place, set()).add(other)
                near.setdefault(other, set()).add(place)
    return near


def heaps(near: dict[int, set[int]], scores: Sequence[float]) -> list[list[int]]:
    """The heaps of at least three boxes that overlap each other, each box in one, best first.

    >>> heaps({0: {1, 2}, 1: {0, 2}, 2: {0, 1, 3}, 3: {2}}, [0.5, 0.9, 0.3, 0.8])
    [[1, 0, 2]]
    """
    found: list[list[int]] = []
    used: set[int] = set()
    for best in sorted(near, key=lambda place: (-scores[place], place)):
        around = near[best] - used
        if best in used or len(around) < TRIPLE - 1:
            continue
        rest = [place for place in around if near[place] & around]
        if rest:
            heap = [best, *sorted(rest, key=lambda place: (-scores[place], place))]
            used.update(heap)
            found.append(heap)
    return found


def _finding(rule: Multibox, moment: Moment, plain: PlainBoxes, heap: list[int]) -> Finding:
    best, *rest = heap
    label, track = plain.classes[best], plain.tracks[best]
    severity = sum(overlap(plain.boxes[best], plain.boxes[place]) for place in rest)
    places = tuple(
        Place(moment.sequence, moment.time_ns, plain.boxes[place], plain.scores[place])
        for place in rest
    )
    return Finding(
        moment.stream,
        rule.name,
        moment.sequence,
        moment.time_ns,
        moment.sequence,
        moment.time_ns,
        severity,
        f"{len(heap)} boxes of {label} overlap each other",
        "" if track == UNTRACKED else str(track),
        correction=Correction(CorrectionKind.DROP, places, label, output=rule.output),
    )
