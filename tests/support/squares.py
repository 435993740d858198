"""Small square pictures of a synthetic street with the count of people, to train on."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import cv2
import numpy as np

from connectors.scene import SceneSettings, render

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIZE = 50
"""The side of the pictures, pixels."""


@functools.cache
def street_squares(seed: int = 3) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """600 frames at 5 Hz: uint8 (n, 50, 50, 3), and how many objects are in each, int64 (n,)."""
    settings = SceneSettings(
        width=128, height=128, rate_hz=5, seconds=120, objects_per_minute=5, noise=1, seed=seed
    )
    pictures, counts = [], []
    for picture, found in render(settings):
        small = cv2.resize(picture, (SIZE, SIZE), interpolation=cv2.INTER_AREA)
        pictures.append(np.asarray(small, dtype=np.uint8))
        counts.append(len(found))
    return np.stack(pictures), np.array(counts, dtype=np.int64)
