"""The difference detector: has the picture changed enough to ask the next stage?

NoScope (Kang et al., VLDB 2017), section 5: the mean squared error between a frame and a reference
image, on a small image. The reference here is the last frame that fired, so that a slow change adds
up until it fires; against the previous frame it never would.

A frame that does not fire is *quiet*: it takes the answer of the last frame that fired. (The
released NoScope code answers "nothing there" instead, and parked objects vanish.)
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import bytewax.operators as op
import numpy as np
from bytewax.dataflow import operator
from bytewax.operators import KeyedStream
from typing_extensions import override

from operators.keyed import KeyedLogic
from records import Frame, FrameBatch, RecordError
from records.units import NANOSECONDS

if TYPE_CHECKING:
    from numpy.typing import NDArray

LARGEST_ERROR = 255.0**2
"""The mean squared error between a black and a white 8-bit image, the largest there is."""

MOST_PIXELS_A_SIDE = 1024
"""The largest side of the compared image, pixels; a larger one would cost more than it tells."""


@dataclass(frozen=True, slots=True)
class DifferenceSettings:
    """How the difference detector compares frames.

    Attributes:
        threshold: Fire when the mean squared error is above this, in squared grey levels
            (0..65025). 0 fires on every change at all.
        width: Width of the compared image, pixels.
        height: Height of the compared image, pixels.
        hold_seconds: Fire at the latest this long after the last frame that fired, in seconds of
            event time, however quiet the picture is; ``inf`` never does.

    Raises:
        RecordError: a setting is out of its range.
    """

    threshold: float = 5.0
    width: int = 96
    height: int = 72
    hold_seconds: float = 5.0

    def __post_init__(self) -> None:
        if not 0 <= self.threshold <= LARGEST_ERROR:
            raise RecordError(f"threshold must be in 0..{LARGEST_ERROR:.0f}, got {self.threshold}")
        for field in ("width", "height"):
            if not 1 <= getattr(self, field) <= MOST_PIXELS_A_SIDE:
                raise RecordError(
                    f"{field} must be in 1..{MOST_PIXELS_A_SIDE} pixels, got {getattr(self, field)}"
                )
        if not self.hold_seconds > 0:
            raise RecordError(f"hold_seconds must be above 0, got {self.hold_seconds}")


@dataclass(frozen=True, slots=True)
class Screened:
    """A frame after the difference detector.

    Attributes:
        frame: The frame.
        score: The mean squared error against the last frame that fired, squared grey levels.
        copy_of: The sequence of the frame whose answer this one takes; None when it fired.
    """

    frame: Frame
    score: float
    copy_of: int | None


@dataclass(frozen=True, slots=True)
class ScreenedBatch:
    """Consecutive screened frames of one stream.

    Attributes:
        stream: The stream's name.
        frames: In order of sequence.
    """

    stream: str
    frames: tuple[Screened, ...]


@dataclass(frozen=True, slots=True)
class DifferenceState:
    """What survives a restart.

    Attributes:
        luma: uint8 (height, width), the reference image.
        sequence: The frame it was taken from.
        time_ns: That frame's event time, nanoseconds.
    """

    luma: NDArray[np.uint8]
    sequence: int
    time_ns: int


def mean_squared_error(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    """The mean squared error between two uint8 images of one shape, squared grey levels.

    >>> mean_squared_error(np.zeros((2, 2), np.uint8), np.full((2, 2), 3, np.uint8))
    9.0
    """
    change = a.astype(np.float32).ravel() - b.astype(np.float32).ravel()
    return float(np.dot(change, change)) / change.size


class DifferenceDetector(KeyedLogic[FrameBatch, ScreenedBatch, DifferenceState | None]):
    """The difference detector of one stream.

    Args:
        settings: How it compares.
        resume: The state to go on from; None at a new start.
    """

    def __init__(self, settings: DifferenceSettings, resume: DifferenceState | None = None) -> None:
        self._settings = settings
        self._reference = resume

    @override
    def on_item(self, item: FrameBatch) -> ScreenedBatch:
        """Screen the frames of one batch, in order."""
        return ScreenedBatch(item.stream, tuple(self._screen(frame) for frame in item.frames))

    @override
    def snapshot(self) -> DifferenceState | None:
        """The state to go on from after a restart; it is never changed afterwards."""
        return self._reference

    def _screen(self, frame: Frame) -> Screened:
        luma = frame.pixels.luma(self._settings.width, self._settings.height)
        reference = self._reference
        if reference is None:
            score = LARGEST_ERROR
        else:
            score = mean_squared_error(luma, reference.luma)
            if score <= self._settings.threshold and not self._overdue(frame, reference):
                return Screened(frame, score, copy_of=reference.sequence)
        self._reference = DifferenceState(luma, frame.sequence, frame.time_ns)
        return Screened(frame, score, copy_of=None)

    def _overdue(self, frame: Frame, reference: DifferenceState) -> bool:
        if math.isinf(self._settings.hold_seconds):
            return False
        quiet_ns = frame.time_ns - reference.time_ns
        return quiet_ns >= self._settings.hold_seconds * NANOSECONDS


def screen_nothing(batch: FrameBatch) -> ScreenedBatch:
    """Let every frame pass, for cascades without a difference detector."""
    return ScreenedBatch(
        batch.stream, tuple(Screened(frame, LARGEST_ERROR, None) for frame in batch.frames)
    )


@operator
def difference(
    step_id: str, up: KeyedStream[FrameBatch], settings: DifferenceSettings
) -> KeyedStream[ScreenedBatch]:
    """Screen the frames of each stream with a difference detector of its own."""
    return op.stateful_batch(
        "screen", up, lambda resume: DifferenceDetector(settings, resume).as_bytewax()
    )
