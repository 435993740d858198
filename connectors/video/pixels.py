"""Pixels of a frame, converted by FFmpeg's swscale only when a stage asks for them."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import av
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter

from records.errors import RecordError

if TYPE_CHECKING:
    from av.video.plane import VideoPlane
    from numpy.typing import NDArray

MOST_SIDE = 16_384
"""The largest width and height of a frame, pixels."""

MOST_PIXELS = 2**27
"""The largest width x height of a frame, pixels."""

_MOST_REFORMATTERS = 32
"""How many scalers a thread keeps; each is bound to one pair of sizes and pixel formats."""

_COLOUR_FIELDS = ("colorspace", "color_range", "color_trc", "color_primaries")
"""The fields of a frame that say how its values are to be read as colours."""


class AvPixels:
    """The pixels of a decoded frame, kept in the decoder's own format until asked for.

    Can be pickled: the frame's planes travel as they are, so that what comes out at the other
    end converts to exactly the same values.

    Args:
        frame: The decoded frame; must not be changed afterwards.
    """

    __slots__ = ("__weakref__", "_frame")

    def __init__(self, frame: av.VideoFrame) -> None:
        self._frame = frame

    @property
    def width(self) -> int:
        """Width of the full frame, pixels."""
        return self._frame.width

    @property
    def height(self) -> int:
        """Height of the full frame, pixels."""
        return self._frame.height

    def luma(self, width: int, height: int) -> NDArray[np.uint8]:
        """Brightness, uint8 (height, width), 0 black to 255 white; shrunk by area means.

        Raises:
            RecordError: the size is out of range.
        """
        return _luma(self._frame, width, height)

    def rgb(self, width: int | None = None, height: int | None = None) -> NDArray[np.uint8]:
        """Colour, uint8 (height, width, 3), resized bilinearly; at full size without arguments.

        Raises:
            RecordError: the size is out of range.
        """
        return _rgb(self._frame, width, height)

    @property
    def held_bytes(self) -> int:
        """What they take in memory, bytes."""
        return sum(plane.buffer_size for plane in self._frame.planes)

    def detached(self) -> AvPixels:
        """The same pixels as another object, which no bound of the source counts."""
        return AvPixels(self._frame)

    def __reduce__(self) -> tuple[Any, ...]:
        frame = self._frame
        colour = tuple(int(getattr(frame, name)) for name in _COLOUR_FIELDS)
        planes = tuple((plane.line_size, _top_down(plane)) for plane in frame.planes)
        return _restore, (frame.width, frame.height, frame.format.name, colour, planes)


class ArrayPixels:
    """Pixels that come as an array; the same interface as AvPixels.

    Args:
        array: uint8 (height, width, 3), RGB; must not be changed afterwards.

    Raises:
        RecordError: the array has another shape or dtype.

    >>> pixels = ArrayPixels(np.full((4, 6, 3), 255, dtype=np.uint8))
    >>> pixels.width, pixels.height, pixels.luma(3, 2).tolist()
    (6, 4, [[255, 255, 255], [255, 255, 255]])
    """

    __slots__ = ("__weakref__", "_array")

    def __init__(self, array: NDArray[np.uint8]) -> None:
        if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3 or not array.size:
            raise RecordError(
                f"array must be uint8 (height, width, 3), got {array.dtype} {array.shape}"
            )
        _check_size(array.shape[1], array.shape[0])
        self._array = np.ascontiguousarray(array)

    @property
    def width(self) -> int:
        """Width of the full frame, pixels."""
        return int(self._array.shape[1])

    @property
    def height(self) -> int:
        """Height of the full frame, pixels."""
        return int(self._array.shape[0])

    def luma(self, width: int, height: int) -> NDArray[np.uint8]:
        """Brightness, uint8 (height, width); see AvPixels.luma."""
        return _luma(self._frame(), width, height)

    def rgb(self, width: int | None = None, height: int | None = None) -> NDArray[np.uint8]:
        """Colour, uint8 (height, width, 3); see AvPixels.rgb."""
        return _rgb(self._frame(), width, height)

    def _frame(self) -> av.VideoFrame:
        return av.VideoFrame.from_ndarray(self._array, format="rgb24")


def size_is_allowed(width: int, height: int) -> bool:
    """Whether a frame of this size may be converted."""
    return 0 < width <= MOST_SIDE and 0 < height <= MOST_SIDE and width * height <= MOST_PIXELS


def _check_size(width: int, height: int) -> None:
    if not size_is_allowed(width, height):
        raise RecordError(
            f"a frame must be 1 to {MOST_SIDE} pixels a side and at most {MOST_PIXELS} pixels, "
            f"got {width} x {height}"
        )


def _luma(frame: av.VideoFrame, width: int, height: int) -> NDArray[np.uint8]:
    shrinks = width <= frame.width and height <= frame.height
    how = Interpolation.AREA if shrinks else Interpolation.BILINEAR
    return _convert(frame, width, height, "gray", how)


def _rgb(frame: av.VideoFrame, width: int | None, height: int | None) -> NDArray[np.uint8]:
    if width is None:
        width = frame.width
    if height is None:
        height = frame.height
    return _convert(frame, width, height, "rgb24", Interpolation.BILINEAR)


class _Scalers(threading.local):
    """The scalers of one thread: each serves one thread only and is costly to set up."""

    def __init__(self) -> None:
        self.kept: dict[tuple[object, ...], VideoReformatter] = {}


_scalers = _Scalers()


def _convert(
    frame: av.VideoFrame, width: int, height: int, pixel_format: str, how: Interpolation
) -> NDArray[np.uint8]:
    _check_size(width, height)
    kept = _scalers.kept
    key = (frame.width, frame.height, frame.format.name, width, height, pixel_format)
    scaler = kept.get(key)
    if scaler is None:
        if len(kept) >= _MOST_REFORMATTERS:
            kept.clear()
        scaler = kept[key] = VideoReformatter()
    out = scaler.reformat(frame, width, height, pixel_format, interpolation=how, threads=1)
    array: NDArray[np.uint8] = np.asarray(out.to_ndarray(), dtype=np.uint8)
    # Without a change of size and format it is the frame itself, whose memory is not to be lent.
    return array.copy() if out is frame else array


def _top_down(plane: VideoPlane) -> bytes:
    """The bytes of a plane, first line first; a negative line size stores the last line first."""
    if plane.line_size >= 0:
        return bytes(plane)
    lines = np.frombuffer(memoryview(plane), dtype=np.uint8).reshape(plane.height, -1)
    return lines[::-1].tobytes()


def _restore(
    width: int,
    height: int,
    pixel_format: str,
    colour: tuple[int, ...],
    planes: tuple[tuple[int, bytes], ...],
) -> AvPixels:
    """Build AvPixels from raw planes: for each its bytes a line, and its bytes top down."""
    _check_size(width, height)
    frame = av.VideoFrame(width, height, pixel_format)
    for name, value in zip(_COLOUR_FIELDS, colour, strict=True):
        setattr(frame, name, value)
    for plane, (line, data) in zip(frame.planes, planes, strict=True):
        if line == plane.line_size:
            plane.update(data)
            continue
        target = np.frombuffer(memoryview(plane), dtype=np.uint8).reshape(plane.height, -1)
        source = np.frombuffer(data, dtype=np.uint8).reshape(plane.height, -1)
        common = min(target.shape[1], source.shape[1])
        target[:, :common] = source[:, :common]
    return AvPixels(frame)
