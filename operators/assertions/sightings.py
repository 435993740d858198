"""Sightings: which objects a moment shows, the common ground of the temporal assertions."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import NamedTuple

from operators.assertions.api import Moment
from records import UNTRACKED
from records.finding import Box
from records.units import NANOSECONDS

LONGEST_OBJECT = 100
"""The longest object in a finding made from an identifier, characters."""


class Sighting(NamedTuple):
    """One object at one moment.

    Attributes:
        identifier: Which object it is; None, or -1 as for tracks, where it is seen but not known.
        label: Its class.
        box: Its corners, pixels; None for outputs without boxes.
        score: How sure the model is, 0..1.
        track: Its track; -1 where it has none.
    """

    identifier: Hashable
    label: str
    box: Box | None = None
    score: float = 1.0
    track: int = UNTRACKED


PlainSighting = tuple[Hashable, str, Box | None, float, int]
"""The fields of a Sighting as a plain tuple, which is made in a fifth of the time."""

Sightings = Callable[[Moment], Sequence[PlainSighting] | None]
"""Gives what a moment shows; None where the model gave no output."""


class Seen(NamedTuple):
    """One object at one moment, with the moment.

    Attributes:
        sequence: The moment's number in its stream.
        time_ns: Its event time, nanoseconds since 1970 UTC.
        sighting: The object.
        sureness: The mean score of the object's last sightings, 0..1.
    """

    sequence: int
    time_ns: int
    sighting: Sighting
    sureness: float


def tracked(output: str) -> Sightings:
    """Take the boxes of an output as sightings, each identified by its track."""

    def sightings(moment: Moment) -> Sequence[PlainSighting] | None:
        plain = moment.plain(output)
        if plain is None:
            return None
        boxes, scores, classes, tracks = plain
        return list(zip(tracks, classes, boxes, scores, tracks, strict=True))

    return sightings


def between(before: Box, after: Box, share: float) -> Box:
    """The box at a share, 0..1, of the way from one box to another.

    >>> between((0.0, 0.0, 2.0, 2.0), (4.0, 2.0, 6.0, 8.0), 0.5)
    (2.0, 1.0, 4.0, 5.0)
    """
    a1, b1, a2, b2 = before
    c1, d1, c2, d2 = after
    return (
        a1 + (c1 - a1) * share,
        b1 + (d1 - b1) * share,
        a2 + (c2 - a2) * share,
        b2 + (d2 - b2) * share,
    )


def overlap(one: Box, other: Box) -> float:
    """Intersection over union of two boxes, 0..1.

    >>> overlap((0.0, 0.0, 2.0, 2.0), (1.0, 0.0, 3.0, 2.0))
    0.3333333333333333
    """
    a1, b1, a2, b2 = one
    c1, d1, c2, d2 = other
    width = min(a2, c2) - max(a1, c1)
    if width <= 0:
        return 0.0
    height = min(b2, d2) - max(b1, d1)
    if height <= 0:
        return 0.0
    shared = width * height
    return shared / ((a2 - a1) * (b2 - b1) + (c2 - c1) * (d2 - d1) - shared)


def heights_moved(before: Box, after: Box) -> float:
    """How far a box's middle moved, in heights of the taller box; 0 for boxes without height.

    >>> heights_moved((0.0, 0.0, 2.0, 4.0), (8.0, 0.0, 10.0, 4.0))
    2.0
    """
    a1, b1, a2, b2 = before
    c1, d1, c2, d2 = after
    height = max(b2 - b1, d2 - d1)
    if height <= 0:
        return 0.0
    across, down = (c1 + c2 - a1 - a2) / 2, (d1 + d2 - b1 - b2) / 2
    return float((across * across + down * down) ** 0.5 / height)


def seconds_between(earlier_ns: int, later_ns: int) -> float:
    """The time from one event time to another, seconds."""
    return (later_ns - earlier_ns) / NANOSECONDS


def object_name(identifier: Hashable) -> str:
    """An identifier as the object of a finding: text without ':', of a length that a name has."""
    text = "".join(each if each.isprintable() and each != ":" else "_" for each in str(identifier))
    return text[:LONGEST_OBJECT] or "_"
