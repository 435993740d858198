"""Frames and detectors small enough to state whole outputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from records import Detections, Frame, FrameBatch, SourceError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

TENTH_NS = 100_000_000
"""A tenth of a second, the time between two frames here."""


@dataclass(frozen=True)
class Flat:
    """Pixels of one grey level."""

    level: int
    width: int = 100
    height: int = 80

    def luma(self, width: int, height: int) -> NDArray[np.uint8]:
        return np.full((height, width), self.level, np.uint8)

    def rgb(self, width: int | None = None, height: int | None = None) -> NDArray[np.uint8]:
        return np.full((height or self.height, width or self.width, 3), self.level, np.uint8)


class Brightness:
    """A detector that finds one person, at x = the grey level, unless the picture is dark.

    Args:
        darkest: The darkest grey level at which it finds one.
    """

    name = "brightness"
    class_names = ("person", "car")

    def __init__(self, darkest: int = 1) -> None:
        self.darkest = darkest
        self.batches: list[int] = []

    def detect(self, images: Sequence[NDArray[np.uint8]]) -> list[Detections]:
        self.batches.append(len(images))
        levels = [int(image[0, 0, 0]) for image in images]
        return [person_at(level if level >= self.darkest else 0) for level in levels]


def person_at(x: int) -> Detections:
    """What `Brightness` finds in a picture of grey level x."""
    if x == 0:
        return Detections.empty(("person", "car"))
    return Detections.of([[x, 1, x + 20, 31]], [0.75], ["person"], class_names=("person", "car"))


class BrightnessScorer:
    """A specialised model whose score is the grey level, 0..1."""

    size = 8

    def score(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        assert images.shape[1:] == (8, 8, 3)
        return (images[:, 0, 0, 0] / 255).astype(np.float32)


class SizeScorer:
    """A packet model whose score is the packet's size in thousands of bytes."""

    reach = 1

    def score(
        self,
        coded_bytes: NDArray[np.int64],
        keyframe: NDArray[np.bool_],
        reordered: NDArray[np.bool_],
    ) -> NDArray[np.float32]:
        assert len(coded_bytes) == len(keyframe) == len(reordered)
        return (coded_bytes / 1000).clip(0, 1).astype(np.float32)


@dataclass(frozen=True)
class Undecodable:
    """Pixels that cannot be decoded."""

    width: int = 100
    height: int = 80

    def luma(self, width: int, height: int) -> NDArray[np.uint8]:
        raise SourceError(f"the packet is damaged: {width}x{height}")

    def rgb(self, width: int | None = None, height: int | None = None) -> NDArray[np.uint8]:
        raise SourceError(f"the packet is damaged: {width}x{height}")


def undecodable() -> Undecodable:
    """Pixels that cannot be decoded."""
    return Undecodable()


def coded(
    sizes: Sequence[int], levels: Sequence[int | Undecodable], *, start: int = 0
) -> FrameBatch:
    """A batch of frames with packets of these sizes, bytes."""
    return FrameBatch(
        "gate",
        tuple(
            Frame(
                "gate",
                sequence,
                sequence * TENTH_NS,
                level if isinstance(level, Undecodable) else Flat(level),
                coded_bytes=size,
            )
            for sequence, (size, level) in enumerate(zip(sizes, levels, strict=True), start)
        ),
    )


def frames(levels: Sequence[int], *, stream: str = "gate", start: int = 0) -> FrameBatch:
    """A batch of flat frames, a tenth of a second apart."""
    return FrameBatch(
        stream,
        tuple(
            Frame(stream, sequence, sequence * TENTH_NS, Flat(level))
            for sequence, level in enumerate(levels, start)
        ),
    )
