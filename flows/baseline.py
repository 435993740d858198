"""The trivial baseline: the reference detector on every frame, measured on a sample of blocks.

A speed-up is only worth its name beside it. The blocks are spread evenly over the video; within a
block every frame is decoded, converted and detected, as a run without a cascade would, and the
time is taken over the whole block. Frames between blocks are decoded too, but not counted.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from connectors.video import VideoSettings, read_video
from records import Detections, Detector, Frame, RecordError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping


@dataclass(frozen=True, slots=True)
class SampleSettings:
    """Which frames are sampled.

    Attributes:
        frames: Frames in the video.
        blocks: Blocks, spread evenly.
        block_frames: Frames in a block.
        batch: Frames in one call of the detector.
    """

    frames: int
    blocks: int = 5
    block_frames: int = 16
    batch: int = 8

    def __post_init__(self) -> None:
        for name in ("frames", "blocks", "block_frames", "batch"):
            if getattr(self, name) < 1:
                raise RecordError(f"{name} must be at least 1, got {getattr(self, name)}")

    @property
    def sampled(self) -> int:
        """How many frames are sampled."""
        return min(self.frames, self.blocks * self.block_frames)

    def starts(self) -> list[int]:
        """The first frame of each block.

        >>> SampleSettings(frames=100, blocks=2, block_frames=10).starts()
        [20, 70]
        """
        if self.frames <= self.blocks * self.block_frames:
            return [0]
        stride = self.frames / self.blocks
        return [int(stride * k + (stride - self.block_frames) / 2) for k in range(self.blocks)]


@dataclass(frozen=True, slots=True)
class Baseline:
    """The reference detector on every frame.

    Attributes:
        answers: What it found in each sampled frame, by sequence.
        seconds: Time over the sampled frames, decoding included.
    """

    answers: Mapping[int, Detections]
    seconds: float

    @property
    def fps(self) -> float:
        """Frames a second."""
        return len(self.answers) / self.seconds if self.seconds else 0.0


def measure_baseline(
    video: VideoSettings,
    detector: Detector,
    sample: SampleSettings,
    progress: Callable[[int], None] | None = None,
) -> Baseline:
    """Measure the detector on every frame of the sampled blocks.

    Args:
        video: The video.
        detector: The reference detector.
        sample: Which frames.
        progress: Called with the number of frames done.
    """
    frames = _frames(video)
    answers: dict[int, Detections] = {}
    seconds, at = 0.0, 0
    for start in sample.starts():
        for _ in range(start - at):
            next(frames, None)
        begun = time.perf_counter()
        for first in range(0, sample.block_frames, sample.batch):
            wanted = min(sample.batch, sample.block_frames - first)
            batch = [frame for _ in range(wanted) if (frame := next(frames, None)) is not None]
            found = detector.detect([frame.pixels.rgb() for frame in batch])
            answers |= {frame.sequence: one for frame, one in zip(batch, found, strict=True)}
        seconds += time.perf_counter() - begun
        at = start + sample.block_frames
        if progress is not None:
            progress(len(answers))
    return Baseline(answers, seconds)


def _frames(video: VideoSettings) -> Iterator[Frame]:
    return (item for item in read_video("baseline", video) if isinstance(item, Frame))
