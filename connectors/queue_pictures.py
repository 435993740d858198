"""Pictures for the retraining queue: frames that wait without being decoded, and their JPEG."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from connectors.kafka.pictures import CodedPixels
from connectors.video.demand_pixels import OnDemandPixels
from connectors.video.pixels import AvPixels
from records import Crop, RecordError
from records.retraining import MOST_CROP_BYTES, PICTURE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from records import Pixels
    from records.finding import Box

BOX_MARGIN = 0.5
"""How much is shown around a box on each side, as a share of its longer side."""

LEAST_MARGIN_PIXELS = 16.0
"""The least that is shown around a box on each side, pixels."""

BYTES_A_PIXEL = 3
"""What a pixel of pixels that tell nothing else takes in memory, bytes."""

LARGEST_SIDE = 2048
"""The longest side of a picture, pixels: any such JPEG fits into a crop."""

MOST_QUALITY = 100
"""The highest quality of JPEG."""


@dataclass(frozen=True, slots=True)
class PictureSettings:
    """How pictures are made.

    Attributes:
        around_box: Whether a picture shows only what a finding is about, with a margin.
        side_at_most: The longest side, pixels; larger pictures are scaled down.
        quality: Of the JPEG, 1..100.

    Raises:
        RecordError: a setting is out of its range.
    """

    around_box: bool = False
    side_at_most: int = 1280
    quality: int = 90

    def __post_init__(self) -> None:
        for name, most in (("side_at_most", LARGEST_SIDE), ("quality", MOST_QUALITY)):
            if not 1 <= getattr(self, name) <= most:
                raise RecordError(f"{name} must be 1 to {most}, got {getattr(self, name)}")


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A picture of a frame, or of a part of it.

    Attributes:
        crop: What it is.
        data: Its bytes, a JPEG.
        luma: uint8 (height, width), its brightness shrunk to the size that was asked for.
    """

    crop: Crop
    data: bytes
    luma: NDArray[np.uint8]


def detached(pixels: Pixels) -> tuple[Pixels, int]:
    """Pixels that may wait for long without holding up their source, and what they take, bytes.

    Sources bound the frames that are alive and wait when these are not let go of. What is given
    back here is not counted by them: whoever keeps it must bound it.
    """
    if isinstance(pixels, AvPixels | OnDemandPixels | CodedPixels):
        return pixels.detached(), pixels.held_bytes
    return pixels, pixels.width * pixels.height * BYTES_A_PIXEL


def take_picture(
    pixels: Pixels, box: Box | None, settings: PictureSettings, luma_size: tuple[int, int]
) -> Picture:
    """Make the picture of a frame.

    Args:
        pixels: The frame's.
        box: What a finding is about, x1, y1, x2, y2 in pixels; None for the whole frame.
        settings: How it is made.
        luma_size: Width and height of the picture's brightness, pixels.

    Raises:
        RecordError: the pixels are of a size that cannot be converted, or the JPEG is too large.
        SourceError: the pixels cannot be had any more.
    """
    # First, since pixels that are decoded on demand know their size only then.
    luma = pixels.luma(*luma_size)
    frame = (0, 0, pixels.width, pixels.height)
    region = _around(box, frame) if settings.around_box and box is not None else frame
    x1, y1, x2, y2 = region
    scale = min(settings.side_at_most / max(x2 - x1, y2 - y1), 1.0)
    size = max(round((x2 - x1) * scale), 1), max(round((y2 - y1) * scale), 1)
    if region == frame:
        rgb = pixels.rgb(*size)
    else:
        part = pixels.rgb()[y1:y2, x1:x2]
        rgb = np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_AREA), np.uint8)
        grey = cv2.cvtColor(part, cv2.COLOR_RGB2GRAY)
        luma = np.asarray(cv2.resize(grey, luma_size, interpolation=cv2.INTER_AREA), np.uint8)
    data = _jpeg(rgb, settings.quality)
    digest = hashlib.sha256(data).hexdigest()
    shown = (float(x1), float(y1), float(x2), float(y2))
    return Picture(Crop(PICTURE, digest, len(data), *size, shown), data, luma)


def _around(box: Box, frame: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    """The part of a frame around a box, whole pixels; all of it where the box lies outside."""
    x1, y1, x2, y2 = box
    margin = max(BOX_MARGIN * max(x2 - x1, y2 - y1), LEAST_MARGIN_PIXELS)
    _, _, width, height = frame
    left, right = np.clip([x1 - margin, x2 + margin], 0, width).round().astype(int).tolist()
    top, bottom = np.clip([y1 - margin, y2 + margin], 0, height).round().astype(int).tolist()
    return (left, top, right, bottom) if left < right and top < bottom else frame


def _jpeg(rgb: NDArray[np.uint8], quality: int) -> bytes:
    options = [cv2.IMWRITE_JPEG_QUALITY, quality]
    done, data = cv2.imencode(".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), options)
    assert done, "JPEG holds pictures of up to 65535 pixels a side"
    if data.nbytes > MOST_CROP_BYTES:
        raise RecordError(f"a picture must be at most {MOST_CROP_BYTES} bytes, got {data.nbytes}")
    return data.tobytes()
