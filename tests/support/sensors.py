"""Verdicts and scans at given times, for tests of joins and agreement."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from records import Detections, Stage, Verdict
from records.range_boxes import RangeBoxes

if TYPE_CHECKING:
    from collections.abc import Sequence

MS = 1_000_000
"""Nanoseconds in a millisecond."""

Corners = tuple[float, float, float, float]


def cars(boxes: Sequence[Corners], scores: Sequence[float] | None = None) -> Detections:
    """Cars at these corners; scores of 0.9 unless they are given."""
    return Detections.of(
        np.array(boxes), [0.9] * len(boxes) if scores is None else scores, ["car"] * len(boxes)
    )


def verdict(sequence: int, milliseconds: int, answer: Detections | None = None) -> Verdict:
    """A verdict of camera gate."""
    found = Detections.empty() if answer is None else answer
    return Verdict("gate", sequence, milliseconds * MS, Stage.REFERENCE, 0.0, found)


def scan(
    milliseconds: int,
    boxes: Detections | None = None,
    depths: Sequence[float] = (),
    stream: str = "roof",
) -> RangeBoxes:
    """A scan of boxes at these depths, metres; their solid form is that of a usual car."""
    found = Detections.empty() if boxes is None else boxes
    solids = np.array([[1.5, 1.6, 4.0, 0.0, 1.7, depth, 0.0] for depth in depths], np.float32)
    sequence = milliseconds
    return RangeBoxes(stream, sequence, milliseconds * MS, found, solids.reshape(-1, 7))
