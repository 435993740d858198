"""Measuring in place what each thing costs: on this machine, this video and these models."""

from __future__ import annotations

import statistics
import time
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from flows.evaluate.driving import drive, on_demand
from flows.evaluate.recording import LUMA
from models.optimiser import Costs
from operators.difference import DifferenceDetector
from operators.plan import Band, Plan

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from flows.evaluate.driving import Stretch
    from operators.cascade import Models
    from operators.predicate import Predicate
    from records import Frame

SAMPLE_FRAMES = 128
"""Decoded frames on which the costs of the stages that see pixels are measured."""

REPEATS = 3
"""How often each cost is measured; the median counts."""

EVERYTHING = Plan(packets=Band(0.5, 0.5))
"""Decides (nearly) everything by packets: what is left is reading and writing verdicts."""


def measure_costs(
    stretch: Stretch, predicate: Predicate, models: Models, batch: int, score_batch: int
) -> Costs:
    """Measure every cost on a stretch.

    Args:
        stretch: A stretch of the video, of a few hundred frames.
        predicate: The question.
        models: The models; a missing one costs nothing, as no plan uses it.
        batch: The most frames in one call of the reference detector.
        score_batch: The most frames in one call of the specialised model.
    """
    count = stretch.stop - stretch.start
    frame = _median(lambda: _reading_seconds(stretch, predicate, models, batch)) / count
    keyframe, other = _decoding(stretch)
    # All of the sample is held at once, so the source must be allowed as many frames and more.
    roomy = replace(stretch.video, frames_in_memory=4 * SAMPLE_FRAMES)
    frames = list(islice(replace(stretch, video=roomy).frames(), SAMPLE_FRAMES))
    for one in frames:
        one.pixels.luma(LUMA.width, LUMA.height)  # decoded once, outside the time
    return Costs(
        frame=frame,
        packets=0.0,  # within `frame`
        keyframe=keyframe,
        other=other,
        luma=_median(lambda: _luma_seconds(frames)) / len(frames),
        specialised=_median(lambda: _specialised_seconds(frames, models, score_batch))
        / len(frames),
        reference=_median(lambda: _reference_seconds(frames[: 4 * batch], models, batch))
        / len(frames[: 4 * batch]),
    )


def _median(measure: Callable[[], float]) -> float:
    return statistics.median(measure() for _ in range(REPEATS))


def _timed(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def _reading_seconds(stretch: Stretch, predicate: Predicate, models: Models, batch: int) -> float:
    if models.packets is not None:
        return drive(stretch, EVERYTHING, predicate, models, batch).seconds
    # Without a packet model: one look at the first frame, and the rest takes its verdict.
    return drive(stretch, Plan(stride=10_000), predicate, models, batch).seconds


def _decoding(stretch: Stretch) -> tuple[float, float]:
    """What a keyframe and any other frame cost to decode, seconds."""
    reading = replace(stretch, video=on_demand(stretch.video))

    def decode(*, keyframes_only: bool) -> tuple[int, float]:
        begun, seen = time.perf_counter(), 0
        for frame in reading.frames():
            if frame.keyframe or not keyframes_only:
                frame.pixels.luma(1, 1)
                seen += 1
        return seen, time.perf_counter() - begun

    idle = _median(lambda: _timed(lambda: sum(1 for _ in reading.frames())))
    keys, key_seconds = decode(keyframes_only=True)
    every, seconds = decode(keyframes_only=False)
    keyframe = max(key_seconds - idle, 0.0) / keys if keys else 0.0
    other = max(seconds - idle - keys * keyframe, 0.0) / max(every - keys, 1)
    return keyframe or other, other


def _luma_seconds(frames: Sequence[Frame]) -> float:
    detector = DifferenceDetector(LUMA)
    return _timed(lambda: [detector.screen(frame) for frame in frames])


def _specialised_seconds(frames: Sequence[Frame], models: Models, score_batch: int) -> float:
    model = models.specialised
    if model is None:
        return 0.0
    size = model.size

    def score() -> None:
        for start in range(0, len(frames), score_batch):
            chunk = frames[start : start + score_batch]
            model.score(np.stack([frame.pixels.rgb(size, size) for frame in chunk]))

    return _timed(score)


def _reference_seconds(frames: Sequence[Frame], models: Models, batch: int) -> float:
    def detect() -> None:
        for start in range(0, len(frames), batch):
            models.reference.detect([f.pixels.rgb() for f in frames[start : start + batch]])

    return _timed(detect)
