"""Arithmetic on small grey images, as the difference detector needs it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

LARGEST_ERROR = 255.0**2
"""The mean squared error between a black and a white 8-bit image, the largest there is."""

LEAST_GAIN, MOST_GAIN = 0.25, 4.0
"""The gains that an exposure jump may have; beyond, the picture is another one."""

LEAST_VARIANCE = 1.0
"""Below this variance an image has no texture to match a gain on, squared grey levels."""


def match_exposure(
    luma: NDArray[np.float32], reference: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Match gain and offset of an image to another by least squares.

    Args:
        luma: float32 (height, width), grey levels.
        reference: The same shape.

    >>> dark = np.arange(6, dtype=np.float32).reshape(2, 3)
    >>> bool(np.allclose(match_exposure(dark * 2 + 10, dark), dark))
    True
    """
    mean, wanted = float(luma.mean()), float(reference.mean())
    centred = luma - mean
    variance = float((centred * centred).mean())
    gain = 1.0
    if variance >= LEAST_VARIANCE:
        gain = float((centred * (reference - wanted)).mean()) / variance
        gain = min(max(gain, LEAST_GAIN), MOST_GAIN)
    return (centred * gain + wanted).astype(np.float32)


def block_errors(errors: NDArray[np.float32], blocks: int) -> NDArray[np.float32]:
    """The mean of each block of a grid, row by row, float32 (blocks * blocks,).

    >>> block_errors(np.array([[0, 4], [8, 12]], np.float32), 2).tolist()
    [0.0, 4.0, 8.0, 12.0]
    """
    small = cv2.resize(errors, (blocks, blocks), interpolation=cv2.INTER_AREA)
    return np.asarray(small, dtype=np.float32).reshape(-1)


def keep_mask(
    masks: Sequence[Sequence[tuple[float, float]]], size: tuple[int, int]
) -> NDArray[np.float32]:
    """1 where an image counts, 0 inside the masks; scaled so that its mean is 1.

    Args:
        masks: Polygons that are left out, corners (x, y) in shares of the image.
        size: Height and width, pixels.

    >>> keep_mask([[(0, 0), (0.5, 0), (0.5, 1), (0, 1)]], (2, 4)).round(2).tolist()[0][-1] > 1
    True
    """
    keep = np.ones(size, dtype=np.float32)
    for mask in masks:
        corners = np.array([(x * size[1], y * size[0]) for x, y in mask])
        cv2.fillPoly(keep, [np.round(corners).astype(np.int32)], 0.0)
    mean = float(keep.mean())
    return keep / mean if mean > 0 else keep
