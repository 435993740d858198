"""The images of frames, for the operators that show them to models."""

from __future__ import annotations

from typing import TYPE_CHECKING

from records import SourceError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from records import Frame

LARGEST_BATCH = 256
"""The most frames in one call of a model."""


def decoded(frames: Sequence[Frame], size: int | None) -> tuple[list[int], list[NDArray[np.uint8]]]:
    """The images of those frames that can be decoded, and the frames' places.

    Args:
        frames: The frames.
        size: The side of the images, pixels; None for full size.
    """
    ready, images = [], []
    for place, frame in enumerate(frames):
        try:
            images.append(frame.pixels.rgb(size, size))
        except SourceError:
            continue  # The caller sees it by the place that is missing.
        ready.append(place)
    return ready, images
