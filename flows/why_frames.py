"""Which frames show an episode best, and which boxes of them matter how."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import TYPE_CHECKING

from flows.why import Kind
from records import UNTRACKED, CorrectionKind
from records.units import NANOSECONDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flows.why import Why
    from operators.alerting import CountRule
    from records import Detections, Verdict
    from records.finding import Box

MOST_FRAMES = 7
"""The most frames of a strip."""

LEAST_FRAMES = 5
"""A strip has so many frames where the log has them."""

ASIDE_SECONDS = 1.0
"""The frames before the beginning and after the end lie so far away from them, event time."""

SAME_PIXELS = 0.51
"""Corners that differ by no more are those of one box: logs keep boxes as float32."""

_DISPENSABLE = ("last", "peak", "begins", "after")
"""What is given up first when a strip has too many frames."""


class Look(StrEnum):
    """How a box is drawn, by what it means for the alert."""

    COUNTED = "counted"
    CONCERNED = "the object"
    LOW = "score too low"
    OTHER = "other"
    DROPPED = "dropped"
    ADDED = "added"
    MODIFIED = "class corrected"


_LOOKS = {
    CorrectionKind.DROP: Look.DROPPED,
    CorrectionKind.INTERPOLATE: Look.ADDED,
    CorrectionKind.MODIFY: Look.MODIFIED,
}


@dataclass(frozen=True, slots=True)
class Marked:
    """A box of a frame.

    Attributes:
        box: Corners x1, y1, x2, y2, pixels of the full frame.
        look: What it means for the alert.
        label: Its class, score and track.
    """

    box: Box
    look: Look
    label: str


@dataclass(frozen=True, slots=True)
class Shown:
    """A frame of the strip.

    Attributes:
        verdict: What was decided of it.
        moments: Why it is shown: before, begins, opened, corrected, peak, last, closed, after,
            latest, between.
        value: The count of the rule, or the severity; None where nothing was measured.
        boxes: Its boxes, those that matter most last.
    """

    verdict: Verdict
    moments: tuple[str, ...]
    value: float | None
    boxes: tuple[Marked, ...]


def shown_frames(found: Why) -> tuple[Shown, ...]:
    """Choose five to seven frames of an episode, in order; fewer where the log has no more."""
    verdicts = found.verdicts
    if not verdicts:
        return ()
    values = _values(found)
    chosen: dict[int, list[str]] = {}
    for moment, place in _moments(found, values):
        chosen.setdefault(place, []).append(moment)
    for moment in _DISPENSABLE:
        if len(chosen) > MOST_FRAMES:
            chosen = {place: names for place, names in chosen.items() if names != [moment]}
    _fill(chosen, len(verdicts))
    return tuple(
        Shown(
            verdicts[place],
            tuple(chosen[place]),
            None if found.kind is Kind.UNKNOWN else values[place],
            tuple(sorted(_boxes(found, verdicts[place]), key=lambda one: _weight(one.look))),
        )
        for place in sorted(chosen)
    )


def _values(found: Why) -> list[float]:
    """What was measured at each verdict."""
    if found.rule is not None:
        return [float(len(_counted(found.rule, verdict.answer))) for verdict in found.verdicts]
    severities: dict[int, float] = {}
    for one in found.own_findings:
        severities[one.sequence] = max(severities.get(one.sequence, 0.0), one.severity)
    return [severities.get(verdict.sequence, 0.0) for verdict in found.verdicts]


def _moments(found: Why, values: list[float]) -> Iterator[tuple[str, int]]:
    """What happens in an episode, each with the place of its verdict."""
    verdicts, last = found.verdicts, found.last
    times = [verdict.time_ns for verdict in verdicts]
    sequences = [verdict.sequence for verdict in verdicts]
    opened = min(bisect_left(sequences, last.opened_sequence), len(verdicts) - 1)
    begins = _begins(found, values, sequences, opened)
    aside_ns = round(ASIDE_SECONDS * NANOSECONDS)
    if begins > 0:
        yield "before", max(bisect_right(times, times[begins] - aside_ns) - 1, 0)
    if begins < opened:
        yield "begins", begins
    yield from (("corrected", place) for place in _corrected(found, sequences))
    yield "opened", opened
    end = len(verdicts) if found.closed_ns is None else bisect_left(times, found.closed_ns)
    inside = range(opened, max(end, opened + 1))
    peak = max(inside, key=lambda place: values[place])
    if values[peak] > values[opened]:
        yield "peak", peak
    least = 1.0 if found.rule is None else float(found.rule.at_least)
    firing = [place for place in inside if values[place] >= min(least, values[peak])]
    if firing:
        yield "last", firing[-1]
    if found.closed_ns is None:
        yield "latest", len(verdicts) - 1
    elif end < len(verdicts):
        yield "closed", end
        yield "after", min(bisect_left(times, times[end] + aside_ns), len(verdicts) - 1)


def _begins(found: Why, values: list[float], sequences: list[int], opened: int) -> int:
    """Where what led to the opening began."""
    if found.rule is None:
        starts = [one.start_sequence for one in found.own_findings[:1]]
        return min([opened, *(bisect_left(sequences, start) for start in starts)])
    begins = opened
    while begins > 0 and values[begins - 1] >= found.rule.at_least:
        begins -= 1
    return begins


def _corrected(found: Why, sequences: list[int]) -> list[int]:
    """The frame in the middle of what the first correction of the episode changes."""
    for one in found.own_findings:
        if one.correction is not None:
            changed = [place.sequence for place in one.correction.places]
            middle = changed[len(changed) // 2]
            return [sequences.index(middle)] if middle in sequences else []
    return []


def _fill(chosen: dict[int, list[str]], count: int) -> None:
    """Add frames in the middle of the widest gaps."""
    while len(chosen) < min(LEAST_FRAMES, count):
        edges = sorted({-1, count, *chosen})
        gaps = list(pairwise(edges))
        inner = [gap for gap in gaps if gap[0] >= 0 and gap[1] < count and gap[1] - gap[0] > 1]
        low, high = max(inner or gaps, key=lambda gap: gap[1] - gap[0])
        chosen[(low + high) // 2] = ["between" if inner else "beside"]


def _boxes(found: Why, verdict: Verdict) -> Iterator[Marked]:
    """The boxes of a verdict, then those that corrections took away, in their places."""
    changed = list(_changed(found, verdict))
    for look, box, label in changed:
        yield Marked(box, look, label)
    answer = verdict.answer
    counted = set() if found.rule is None else set(_counted(found.rule, answer))
    boxes = [(x1, y1, x2, y2) for x1, y1, x2, y2 in answer.boxes.tolist()]
    for place, box in enumerate(boxes):
        if any(_same(box, other) for _, other, _ in changed):
            continue
        track = int(answer.tracks[place])
        look = _look(found, place, answer, counted)
        # What is counted has one class, and needs the room.
        name = "" if look is Look.COUNTED else f"{answer.classes[place]} "
        number = "" if track == UNTRACKED else f" #{track}"
        yield Marked(box, look, f"{name}{answer.scores[place]:.2f}{number}")


def _look(found: Why, place: int, answer: Detections, counted: set[int]) -> Look:
    if found.rule is not None:
        if place in counted:
            return Look.COUNTED
        return Look.LOW if answer.classes[place] == found.rule.class_name else Look.OTHER
    concerned = found.last.object != "" and str(answer.tracks[place]) == found.last.object
    return Look.CONCERNED if concerned else Look.OTHER


def _counted(rule: CountRule, answer: Detections) -> list[int]:
    """The places of the boxes that the rule counts."""
    return [
        place
        for place, (name, score) in enumerate(zip(answer.classes, answer.scores, strict=True))
        if name == rule.class_name and score >= rule.score_at_least
    ]


def _changed(found: Why, verdict: Verdict) -> Iterator[tuple[Look, Box, str]]:
    """The boxes of corrections: those of the alert itself, and those that changed the verdict."""
    own = set(found.own_findings)
    for finding in found.findings:
        correction = finding.correction
        if correction is None or not (finding in own or finding.assertion in verdict.corrected):
            continue
        for place in correction.places:
            if place.sequence == verdict.sequence and place.box is not None:
                look = _LOOKS[correction.kind]
                words = (str(look), correction.class_name, f"{place.score:.2f}")
                yield look, place.box, " ".join(word for word in words if word)


def _same(box: Box, other: Box) -> bool:
    return all(abs(one - two) <= SAME_PIXELS for one, two in zip(box, other, strict=True))


def _weight(look: Look) -> int:
    """What is drawn later lies above."""
    order = [Look.OTHER, Look.LOW, Look.COUNTED, Look.CONCERNED]
    return order.index(look) if look in order else len(order)
