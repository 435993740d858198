"""Recording a stretch: what the reference detector and the small images say of every frame."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from flows.evaluate.table import Table
from operators.difference import DifferenceSettings

if TYPE_CHECKING:
    from flows.evaluate.driving import Stretch
    from operators.predicate import Predicate
    from records import Detections, Detector, Frame

LUMA = DifferenceSettings()
"""Gives the size of the small grey images."""


@dataclass(frozen=True, slots=True)
class Recording:
    """A recorded stretch.

    Attributes:
        table: What is known of each frame.
        answers: What the reference detector found in each.
        seconds: How long reading, decoding, converting and detecting every frame took: the
            reference detector alone. Making the small images is not in it.
    """

    table: Table
    answers: list[Detections]
    seconds: float


def record(
    stretch: Stretch,
    detector: Detector,
    predicate: Predicate,
    size: int,
    batch: int,
) -> Recording:
    """Run the reference detector over every frame of a stretch, and keep the small images.

    Args:
        stretch: What to record.
        detector: The reference detector.
        predicate: The question.
        size: The side of the small colour images, pixels; 0 makes none.
        batch: Frames in one call of the detector.
    """
    rows: list[tuple[int, int, bool, bool]] = []
    lumas, images = [], []
    answers: list[Detections] = []
    waiting: list[Frame] = []
    seconds, begun = 0.0, time.perf_counter()

    def detect() -> None:
        answers.extend(detector.detect([frame.pixels.rgb() for frame in waiting]))
        waiting.clear()

    for frame in stretch.frames():
        waiting.append(frame)
        if len(waiting) == batch:
            detect()
        seconds += time.perf_counter() - begun
        rows.append((frame.time_ns, frame.coded_bytes, frame.keyframe, frame.reordered))
        lumas.append(frame.pixels.luma(LUMA.width, LUMA.height))
        if size:
            images.append(frame.pixels.rgb(size, size))
        begun = time.perf_counter()
    if waiting:
        detect()
    seconds += time.perf_counter() - begun
    return Recording(_table(rows, lumas, images, answers, predicate), answers, seconds)


def _table(
    rows: list[tuple[int, int, bool, bool]],
    lumas: list[np.ndarray[tuple[int, int], np.dtype[np.uint8]]],
    images: list[np.ndarray[tuple[int, int, int], np.dtype[np.uint8]]],
    answers: list[Detections],
    predicate: Predicate,
) -> Table:
    times, sizes, keys, reordered = zip(*rows, strict=True)
    counts = np.array([predicate.count(answer) for answer in answers], dtype=np.int64)
    none = np.empty(0, dtype=np.float32)
    return Table(
        time_ns=np.array(times, dtype=np.int64),
        coded_bytes=np.array(sizes, dtype=np.int64),
        keyframe=np.array(keys, dtype=np.bool_),
        reordered=np.array(reordered, dtype=np.bool_),
        counts=counts,
        truth=counts >= predicate.at_least,
        lumas=np.stack(lumas),
        images=np.stack(images) if images else np.empty((0, 0, 0, 3), dtype=np.uint8),
        packet_scores=none,
        specialised_scores=none,
    )
