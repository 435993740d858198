"""Frames: what a video source hands to the operators, with pixels that are made on demand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from records.checks import check_count, check_name, check_time
from records.errors import RecordError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from records.event import StreamEvent
    from records.finding import Finding


@runtime_checkable
class Pixels(Protocol):
    """Pixels that are converted only when a stage asks for them, at the size it asks for."""

    @property
    def width(self) -> int:
        """Width of the full frame, pixels."""

    @property
    def height(self) -> int:
        """Height of the full frame, pixels."""

    def luma(self, width: int, height: int) -> NDArray[np.uint8]:
        """Brightness only, uint8 (height, width), resized to this size."""

    def rgb(self, width: int | None = None, height: int | None = None) -> NDArray[np.uint8]:
        """Colour, uint8 (height, width, 3); at full size when no size is given."""


_SEEN_PIXELS: set[type] = set()
"""Types that passed: looking up a protocol's members costs more than all else in a frame."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame of one stream.

    Attributes:
        stream: The stream's name.
        sequence: Its number in the stream: 0, 1, 2 … without a gap.
        time_ns: Event time, nanoseconds since 1970 UTC: the stream's start + presentation time.
        pixels: Its pixels, made on demand.
        coded_bytes: The size of its packet, bytes; 0 where the source tells none.
        keyframe: Whether it is coded by itself, without other frames.
        reordered: Whether it is coded after a frame that is shown later (a B-frame).
        arrival_ns: When it arrived, by the clock of who took it in, nanoseconds since 1970 UTC;
            None where that is not known. Never part of a result, but clocks are compared by it.
    """

    stream: str
    sequence: int
    time_ns: int
    pixels: Pixels
    coded_bytes: int = 0
    keyframe: bool = False
    reordered: bool = False
    arrival_ns: int | None = None

    def __post_init__(self) -> None:
        check_name("stream", self.stream)
        check_count("sequence", self.sequence)
        check_time("time_ns", self.time_ns)
        check_count("coded_bytes", self.coded_bytes)
        if type(self.pixels) not in _SEEN_PIXELS:
            if not isinstance(self.pixels, Pixels):
                raise RecordError(f"pixels must offer luma() and rgb(), got {type(self.pixels)}")
            _SEEN_PIXELS.add(type(self.pixels))

    @property
    def id(self) -> str:
        """The deterministic identity, ``stream:sequence``."""
        return f"{self.stream}:{self.sequence}"


@dataclass(frozen=True, slots=True)
class FrameBatch:
    """What a source emits at once: consecutive frames of one stream, and what befell it.

    Attributes:
        stream: The stream's name.
        frames: Consecutive frames, in order of sequence; may be empty.
        events: What happened to the stream since the last batch, in order; may be empty.
        findings: What the checks of the input's health say of these frames.
    """

    stream: str
    frames: tuple[Frame, ...]
    events: tuple[StreamEvent, ...] = ()
    findings: tuple[Finding, ...] = ()
