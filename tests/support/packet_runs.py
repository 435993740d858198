"""The packets of a written street, with the truth, to train packet models on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import av
import numpy as np

from connectors.scene import SceneSettings, write_scene

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

STREET = SceneSettings(
    width=160, height=96, seconds=160, objects_per_minute=6, noise=1, seed=4, b_frames=2
)
"""A quiet street, 1600 frames at 10 Hz."""


@dataclass(frozen=True)
class PacketRun:
    """A run of frames in order of presentation.

    Attributes:
        coded_bytes: int64 (n,), packet sizes, bytes.
        keyframe: bool (n,).
        reordered: bool (n,).
        positive: bool (n,), whether anything is in the picture.
    """

    coded_bytes: NDArray[np.int64]
    keyframe: NDArray[np.bool_]
    reordered: NDArray[np.bool_]
    positive: NDArray[np.bool_]

    def part(
        self, start: int, stop: int
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.bool_]]:
        """The packets of frames `start` to `stop`, as models take them."""
        kept = slice(start, stop)
        return self.coded_bytes[kept], self.keyframe[kept], self.reordered[kept]


def write_run(folder: Path, settings: SceneSettings = STREET) -> PacketRun:
    """Write a street and read the sizes of its packets."""
    path = folder / "packets.mp4"
    truth = write_scene(path, settings)
    with av.open(path) as container:
        found = [
            (packet.pts, packet.size, packet.is_keyframe)
            for packet in container.demux(video=0)
            if packet.pts is not None and packet.size
        ]
    times = np.array([pts for pts, _, _ in found])
    reordered = times < np.maximum.accumulate(times)
    order = np.argsort(times)
    return PacketRun(
        np.array([size for _, size, _ in found], dtype=np.int64)[order],
        np.array([key for _, _, key in found], dtype=bool)[order],
        reordered[order],
        np.array([len(boxes) > 0 for boxes in truth], dtype=bool),
    )
