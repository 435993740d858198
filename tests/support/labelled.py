"""Small recordings with truth, and their files, for tests of the evaluation of assertions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from flows.evaluate.assertions_recording import LIDAR, Recording
from flows.evaluate.truth import FrameTruth
from records import Detections, Stage, Verdict
from records.range_boxes import RangeBoxes
from tests.support.sensors import MS, cars

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.support.sensors import Corners

TENTH = 100
"""Milliseconds from one frame to the next."""


def corners(boxes: Sequence[Corners]) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """Boxes as float32 (n, 4)."""
    return np.array(boxes, np.float32).reshape(-1, 4)


def truth_of(
    boxes: Sequence[Corners],
    tracks: Sequence[int] = (),
    neutral: Sequence[Corners] = (),
    unlabelled: Sequence[Corners] = (),
) -> FrameTruth:
    """The truth of a frame; tracks count from 1 unless they are given."""
    found = cars(boxes).with_tracks(np.array(tracks or range(1, len(boxes) + 1), np.int64))
    return FrameTruth(found, corners(neutral), corners(unlabelled))


def recording(
    camera: Sequence[Detections],
    truth: Sequence[FrameTruth],
    lidar: Sequence[Detections] | None = None,
    name: str = "gate",
) -> Recording:
    """A recording at 10 Hz; the LIDAR's boxes stand 20 m ahead."""
    verdicts = tuple(
        Verdict(name, k, k * TENTH * MS, Stage.REFERENCE, 0.0, answer)
        for k, answer in enumerate(camera)
    )
    scans = None if lidar is None else tuple(_scan(k, one) for k, one in enumerate(lidar))
    return Recording(name, verdicts, scans, tuple(truth))


def _scan(k: int, found: Detections) -> RangeBoxes:
    solids = np.tile(np.array([1.5, 1.6, 4, 0, 1.7, 20, 0], np.float32), (len(found), 1))
    return RangeBoxes(LIDAR, k, k * TENTH * MS, found, solids)
