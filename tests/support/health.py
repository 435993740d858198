"""Moments for health checks: real planes of real videos, and faults planted in them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from connectors.video import VideoSettings, read_video
from operators.assertions.api import FRAME, Moment
from operators.assertions.health.planes import PLANE_HEIGHT, PLANE_WIDTH
from records import Finding, Frame, Reading
from records.units import NANOSECONDS
from tests.support.pictures import TENTH_NS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from operators.assertions.api import Check


@dataclass(frozen=True, eq=False)
class Plane:
    """Pixels that were made small already, so that an hour of them fits into memory."""

    plane: NDArray[np.uint8]
    width: int = PLANE_WIDTH
    height: int = PLANE_HEIGHT

    def luma(self, width: int, height: int) -> NDArray[np.uint8]:
        assert (height, width) == self.plane.shape
        return self.plane

    def rgb(self, width: int | None = None, height: int | None = None) -> NDArray[np.uint8]:
        raise AssertionError(f"health checks look at luma only, not at colour {width}x{height}")


@cache
def planes(path: Path) -> tuple[NDArray[np.uint8], ...]:
    """The planes of all frames of a video."""
    return tuple(
        item.pixels.luma(PLANE_WIDTH, PLANE_HEIGHT)
        for item in read_video("gate", VideoSettings(uri=str(path)))
        if isinstance(item, Frame)
    )


@cache
def grey_frames(path: Path, count: int, step: int) -> tuple[NDArray[np.uint8], ...]:
    """Every `step`-th of the first frames of a video, at full size."""
    frames = []
    for item in read_video("gate", VideoSettings(uri=str(path))):
        if not isinstance(item, Frame):
            continue
        if item.sequence >= count:
            break
        if item.sequence % step == 0:
            frames.append(item.pixels.luma(item.pixels.width, item.pixels.height))
    return tuple(frames)


def moments(
    shown: Iterable[NDArray[np.uint8]], start: int = 0, stream: str = "gate"
) -> Iterator[Moment]:
    """Moments at 10 Hz that show these planes, from frame `start` on."""
    for sequence, plane in enumerate(shown, start):
        time_ns = sequence * TENTH_NS
        frame = Frame(stream, sequence, time_ns, Plane(plane))
        yield Moment(stream, sequence, time_ns, {FRAME: frame})


def looped(shown: Sequence[NDArray[np.uint8]], frames: int) -> Iterator[NDArray[np.uint8]]:
    """A video over and over, with its cut from the end to the start."""
    return (shown[k % len(shown)] for k in range(frames))


def found(check: Check, stretch: Iterable[Moment]) -> list[Finding]:
    """All that a check finds in a stretch."""
    return [finding for moment in stretch for finding in check.observe(moment)]


def blocks(
    samples: NDArray[np.float32], rate_hz: float, channels: tuple[str, ...], block: int
) -> Iterator[Moment]:
    """Moments that bring a sensor's samples, float32 (n, channels), in blocks."""
    for sequence, start in enumerate(range(0, len(samples), block)):
        time_ns = round(start * NANOSECONDS / rate_hz)
        part = samples[start : start + block]
        units = ("mV",) * len(channels)
        reading = Reading("ecg", sequence, time_ns, rate_hz, part, channels, units)
        yield Moment("ecg", sequence, time_ns, {"ecg": reading})
