"""The vtest clip: its frames and the truth of its pedestrians."""

from __future__ import annotations

from typing import TYPE_CHECKING

import av
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

FRAMES = 795
"""Frames in the clip."""


def frames(path: Path) -> Iterator[NDArray[np.uint8]]:
    """The frames of a video in order, RGB, uint8 (height, width, 3)."""
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            yield frame.to_ndarray(format="rgb24").astype(np.uint8, copy=False)


def truth(path: Path) -> list[NDArray[np.float32]]:
    """The pedestrians of each video frame from a MOT15 file.

    Returns:
        For each of the 795 frames float32 (n, 4), x1, y1, x2, y2 in pixels. The file counts
        frames from 1; the list counts from 0, as the video does.
    """
    rows = np.loadtxt(path, delimiter=",", dtype=np.float32)
    corners = np.concatenate([rows[:, 2:4], rows[:, 2:4] + rows[:, 4:6]], axis=1)
    return [corners[rows[:, 0] == number] for number in range(1, FRAMES + 1)]
