"""Pixels of a frame that came as the bytes of a picture.

What must hold before anything is allocated is read from the bytes themselves: the size, and that
the picture is whole. Sources: ITU-T T.81, annex B (JPEG); Portable Network Graphics, third
edition, section 5 (PNG).
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, cast
from zlib import crc32

import av

from connectors.kafka.headers import JPEG, PNG
from connectors.video.pixels import MOST_PIXELS, MOST_SIDE, AvPixels, size_is_allowed
from records import RecordError, SourceError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_DECODERS = {JPEG: "mjpeg", PNG: "png"}
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PNG_CHUNK = struct.Struct(">I4s")
_PNG_SIZE = struct.Struct(">II")
_PNG_CHECKSUM = struct.Struct(">I")
_JPEG_SEGMENT = struct.Struct(">BBH")
"""A marker and the length of its segment, which counts itself."""
_JPEG_SIZE = struct.Struct(">5xHH")
"""Height and width, behind marker, length and sample precision."""
_JPEG_MARKER = 0xFF
_JPEG_START = b"\xff\xd8"
_JPEG_END = b"\xff\xd9"
_JPEG_SCAN = 0xDA
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""The markers SOF0 to SOF15, which hold the size; the other three have other meanings."""
_JPEG_BARE = frozenset({0x01, *range(0xD0, 0xD8)})
"""Markers without a length: TEM and RST0 to RST7."""


class CodedPixels:
    """Pixels of a picture, decoded once, at the latest when asked for; used like AvPixels.

    Args:
        data: The picture.
        content_type: image/jpeg or image/png.

    Raises:
        RecordError: the bytes are no whole picture of that type, or the picture is too large.
    """

    __slots__ = ("__weakref__", "_content_type", "_data", "_decoded", "_size")

    def __init__(self, data: bytes, content_type: str) -> None:
        self._size = picture_size(data, content_type)
        self._data, self._content_type = data, content_type
        self._decoded: AvPixels | None = None

    @property
    def width(self) -> int:
        """Width of the full frame, pixels."""
        return self._size[0]

    @property
    def height(self) -> int:
        """Height of the full frame, pixels."""
        return self._size[1]

    def luma(self, width: int, height: int) -> NDArray[np.uint8]:
        """Brightness, uint8 (height, width); see AvPixels.luma.

        Raises:
            RecordError: the size is out of range.
            SourceError: the picture is damaged.
        """
        return self._pixels().luma(width, height)

    def rgb(self, width: int | None = None, height: int | None = None) -> NDArray[np.uint8]:
        """Colour, uint8 (height, width, 3); see AvPixels.rgb.

        Raises:
            RecordError: the size is out of range.
            SourceError: the picture is damaged.
        """
        return self._pixels().rgb(width, height)

    @property
    def held_bytes(self) -> int:
        """What they take in memory before they are decoded, bytes."""
        return len(self._data)

    def detached(self) -> CodedPixels:
        """The same pixels, not decoded yet."""
        return CodedPixels(self._data, self._content_type)

    def check(self) -> None:
        """Decode now, so that damage shows where the bytes are still at hand.

        Raises:
            RecordError: the picture is damaged.
        """
        try:
            self._pixels()
        except SourceError as error:
            raise RecordError(str(error)) from error

    def _pixels(self) -> AvPixels:
        if self._decoded is None:
            self._decoded = AvPixels(self._decode())
        return self._decoded

    def _decode(self) -> av.VideoFrame:
        codec = cast(
            "av.VideoCodecContext", av.CodecContext.create(_DECODERS[self._content_type], "r")
        )
        codec.thread_count = 1
        try:
            frames = [*codec.decode(av.Packet(self._data)), *codec.decode(None)]
        except av.FFmpegError as error:
            raise SourceError(f"a picture ({self._content_type}) is damaged: {error}") from error
        if len(frames) != 1 or (frames[0].width, frames[0].height) != self._size:
            raise SourceError(f"a picture ({self._content_type}) is not what its header says")
        return frames[0]

    def __reduce__(self) -> tuple[Any, ...]:
        return CodedPixels, (self._data, self._content_type)


def picture_size(data: bytes, content_type: str) -> tuple[int, int]:
    """Width and height of a whole picture, pixels, without decoding it.

    Raises:
        RecordError: the bytes are no whole picture of that type, or the picture is too large.
    """
    width, height = _png_size(data) if content_type == PNG else _jpeg_size(data)
    if not size_is_allowed(width, height):
        raise RecordError(
            f"a picture must be 1 to {MOST_SIDE} pixels a side and at most {MOST_PIXELS} pixels, "
            f"got {width} x {height}"
        )
    return width, height


def _png_size(data: bytes) -> tuple[int, int]:
    if not data.startswith(_PNG_SIGNATURE):
        raise RecordError("a picture of type image/png must begin with PNG's signature")
    size: tuple[int, int] | None = None
    place = len(_PNG_SIGNATURE)
    while place + _PNG_CHUNK.size <= len(data):
        length, kind = _PNG_CHUNK.unpack_from(data, place)
        body = place + _PNG_CHUNK.size
        end = body + length
        if end + _PNG_CHECKSUM.size > len(data):
            break
        checksum = crc32(memoryview(data)[place + 4 : end])
        if checksum != _PNG_CHECKSUM.unpack_from(data, end)[0]:
            raise RecordError(f"a picture of type image/png is damaged at byte {place}")
        if kind == b"IHDR" and length >= _PNG_SIZE.size:
            size = _PNG_SIZE.unpack_from(data, body)
        if kind == b"IEND" and size is not None:
            return size
        place = end + _PNG_CHECKSUM.size
    raise RecordError(f"a picture of type image/png must be whole; it ends after {len(data)} bytes")


def _jpeg_size(data: bytes) -> tuple[int, int]:
    if not data.startswith(_JPEG_START):
        raise RecordError("a picture of type image/jpeg must begin with JPEG's marker ff d8")
    size: tuple[int, int] | None = None
    place = len(_JPEG_START)
    while place + _JPEG_SEGMENT.size <= len(data):
        begins, marker, length = _JPEG_SEGMENT.unpack_from(data, place)
        if begins != _JPEG_MARKER:
            break
        if marker == _JPEG_MARKER:  # a fill byte
            place += 1
            continue
        if marker == _JPEG_SCAN:
            # Only the end of the picture looks like this behind the first scan's header.
            if size is not None and data.find(_JPEG_END, place) > 0:
                return size
            break
        if marker in _JPEG_FRAMES and place + _JPEG_SIZE.size <= len(data):
            height, width = _JPEG_SIZE.unpack_from(data, place)
            size = width, height
        place += 2 if marker in _JPEG_BARE else 2 + length
    raise RecordError(
        f"a picture of type image/jpeg must be whole; it ends or breaks within {len(data)} bytes"
    )
