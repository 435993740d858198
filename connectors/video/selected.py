"""Decodes chosen frames of recorded video, and only the groups of pictures they lie in."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

from connectors.video.reader import read_video
from connectors.video.settings import VideoSettings
from records.errors import RecordError, SourceError
from records.event import StreamEvent

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from connectors.video.settings import Decode
    from records.frame import Frame

Kind = Literal["rgb", "luma", "full"]
"""What to make of a frame: colour or brightness at a size, or colour at full size."""


def decode_frames(
    video: str | VideoSettings,
    sequences: Sequence[int] | NDArray[np.int64],
    width: int = 0,
    height: int = 0,
    kind: Kind = "rgb",
) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Decode chosen frames, in order.

    Video that cannot be decoded on demand is decoded whole.

    Args:
        video: The file or folder, or the settings of a stream that is not live.
        sequences: The frames' numbers in the stream, each greater than the one before.
        width: Width to resize to, pixels; not used for "full".
        height: Height to resize to, pixels; not used for "full".
        kind: "rgb" gives uint8 (height, width, 3), "luma" uint8 (height, width), "full" uint8
            (frame height, frame width, 3).

    Yields:
        The frame's number and its pixels.

    Raises:
        RecordError: the stream is live, the numbers do not increase, or the size is out of range.
        SourceError: a frame is damaged, or the stream has no frame of that number.
    """
    settings = VideoSettings(video) if isinstance(video, str) else video
    wanted = [int(sequence) for sequence in sequences]
    if settings.is_live:
        raise RecordError("video must be recorded to choose frames of it, got a live stream")
    if any(after <= before for before, after in pairwise([-1, *wanted])):
        raise RecordError("sequences must be at least 0, each greater than the one before")
    if kind not in ("rgb", "luma", "full"):
        raise RecordError(f"kind must be 'rgb', 'luma' or 'full', got {kind!r}")
    return _decode(settings, wanted, width, height, kind)


def _decode(
    settings: VideoSettings, wanted: list[int], width: int, height: int, kind: Kind
) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    found = 0
    ways: tuple[Decode, ...] = ("on_demand", "ahead")
    for decode in ways:
        unfit = False
        for item in _read(replace(settings, decode=decode), wanted):
            if isinstance(item, StreamEvent):
                unfit = item.reason == "not_on_demand"
                if unfit:
                    break
            elif found < len(wanted) and item.sequence == wanted[found]:
                found += 1
                yield item.sequence, _convert(item, width, height, kind)
        if not unfit:
            break
    if found < len(wanted):
        raise SourceError(f"the video has no frame {wanted[found]}")


def _read(settings: VideoSettings, wanted: list[int]) -> Iterator[Frame | StreamEvent]:
    if not wanted:
        return iter(())
    most = min(settings.frames_at_most or wanted[-1] + 1, wanted[-1] + 1)
    return read_video("chosen", replace(settings, frames_at_most=most))


def _convert(frame: Frame, width: int, height: int, kind: Kind) -> NDArray[np.uint8]:
    if kind == "full":
        return frame.pixels.rgb()
    return frame.pixels.luma(width, height) if kind == "luma" else frame.pixels.rgb(width, height)
