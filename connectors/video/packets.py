"""What all packets of a file tell of its frames, read without decoding."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from connectors.video.coding import shown_ticks
from connectors.video.container import VideoContainer
from connectors.video.damage import Damage, OpenError
from connectors.video.timeline import SECOND_NS
from connectors.video.uri import parse_uri
from records.errors import SourceError

if TYPE_CHECKING:
    from fractions import Fraction
    from pathlib import Path

    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class PacketIndex:
    """The packets of a file in order of presentation: entry i belongs to the frame of sequence i.

    Damaged packets, those before the first keyframe and those that are not shown are left out, as
    they are by the video source.

    Attributes:
        times_ns: int64 (n,): presentation time after the first frame's, nanoseconds.
        coded_bytes: int64 (n,): the size of the packet, bytes.
        keyframe: bool (n,): whether the frame is coded by itself.
        reordered: bool (n,): whether a frame that is shown later was coded earlier.
        groups: int64 (g,): the index of the first frame of each group of pictures, in order.
    """

    times_ns: NDArray[np.int64]
    coded_bytes: NDArray[np.int64]
    keyframe: NDArray[np.bool_]
    reordered: NDArray[np.bool_]
    groups: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.times_ns)


def read_packets(path: str | Path) -> PacketIndex:
    """Read the packets of a video file at the speed of its container.

    Args:
        path: The file.

    Raises:
        SourceError: it cannot be opened, or frames cannot be told from its packets.
    """
    address = parse_uri(str(path))
    if address.path is None or address.path.is_dir():
        raise SourceError(f"{address.label}: must be a file to read packets from")
    try:
        video = VideoContainer(address, live=False, on_demand=True)
    except OpenError as error:
        raise SourceError(f"{address.label}: {error.detail}") from error
    with closing(video):
        return _index(_collect(video), video.time_base)


def _collect(video: VideoContainer) -> NDArray[np.int64]:
    """Presentation time in ticks, size and keyframe of each packet, int64 (n, 3), as coded."""
    ticks: list[int] = []
    sizes: list[int] = []
    keys: list[bool] = []
    in_order = video.codes_in_order
    for packet in video.packets():
        if isinstance(packet, Damage) or packet.is_corrupt or packet.is_discard:
            continue
        shown = shown_ticks(packet, codes_in_order=in_order)
        if shown is None or not (keys or packet.is_keyframe):
            continue
        ticks.append(shown)
        sizes.append(packet.size)
        keys.append(packet.is_keyframe)
    return np.array([ticks, sizes, keys], dtype=np.int64).T.reshape(-1, 3)


def _index(coded: NDArray[np.int64], time_base: Fraction | None) -> PacketIndex:
    ticks, sizes, keys = coded.T
    group = np.cumsum(keys)
    order = np.lexsort((ticks, group))
    # The latest time so far within the group: ranks keep the groups apart without overflow.
    _, rank = np.unique(ticks, return_inverse=True)
    rank = rank.reshape(-1).astype(np.int64) + group * (len(ticks) + 1)
    reordered = rank < np.maximum.accumulate(rank) if len(rank) else np.zeros(0, dtype=np.bool_)
    group = group[order]
    return PacketIndex(
        _nanoseconds(ticks[order], time_base),
        sizes[order],
        keys[order].astype(np.bool_),
        reordered[order],
        np.flatnonzero(np.diff(group, prepend=0)).astype(np.int64),
    )


def _nanoseconds(ticks: NDArray[np.int64], time_base: Fraction | None) -> NDArray[np.int64]:
    """Ticks after the first in nanoseconds, rounded down; whole seconds apart, to stay exact."""
    if time_base is None or not len(ticks):
        return np.zeros(len(ticks), dtype=np.int64)
    whole, rest = np.divmod((ticks - ticks[0]) * time_base.numerator, time_base.denominator)
    return np.asarray(whole * SECOND_NS + rest * SECOND_NS // time_base.denominator, dtype=np.int64)
