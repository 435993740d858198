"""What a packet model sees: sizes of packets by kind of frame, averaged over bands of distance."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from records import RecordError

if TYPE_CHECKING:
    from numpy.typing import NDArray

FRAME_KINDS = 3
"""Keyframes, reordered frames (B) and the others (P): each has sizes of its own order."""

MOST_REACH = 10_000
"""The longest reach, frames."""

LEAST_REACH = 2
"""The shortest reach, frames, and the innermost band around the frame itself."""

STEPS_A_UNIT = 4096
"""Normalised sizes are rounded to this part of a unit: sums of whole numbers are exact, so that a
score does not depend on where the run of frames began."""

FURTHEST = 6.0
"""Normalised sizes are cut at this distance from the middle."""

LEAST_FRAMES_OF_A_KIND = 8
"""A kind of frame with fewer packets in the training part is left out of account."""

LEAST_WIDTH = 0.1
"""The smallest spread of log sizes that is told from none."""

QUARTILES_TO_DEVIATION = 0.7413
"""From the distance of the quartiles to the standard deviation, for a normal distribution."""


@dataclass(frozen=True, slots=True)
class SizeScale:
    """What sizes are normal, for each kind of frame: keyframe, reordered, other.

    Attributes:
        centre: The median of log(1 + bytes).
        width: The robust standard deviation of log(1 + bytes); 0 where the training part held too
            few frames of the kind, whose sizes are then left out of account.
    """

    centre: tuple[float, float, float]
    width: tuple[float, float, float]


def size_scale(
    coded_bytes: NDArray[np.integer[Any]],
    keyframe: NDArray[np.bool_],
    reordered: NDArray[np.bool_],
) -> SizeScale:
    """The usual sizes of each kind of frame, by median and quartiles."""
    logs, kind_of = np.log1p(coded_bytes.astype(np.float64)), kinds_of(keyframe, reordered)
    centre, width = [0.0] * FRAME_KINDS, [0.0] * FRAME_KINDS
    for kind in range(FRAME_KINDS):
        mine = logs[kind_of == kind]
        if len(mine) >= LEAST_FRAMES_OF_A_KIND:
            low, centre[kind], high = np.percentile(mine, [25, 50, 75]).tolist()
            width[kind] = max(QUARTILES_TO_DEVIATION * (high - low), LEAST_WIDTH)
    return SizeScale((centre[0], centre[1], centre[2]), (width[0], width[1], width[2]))


def check_packets(
    coded_bytes: NDArray[np.integer[Any]],
    keyframe: NDArray[np.bool_],
    reordered: NDArray[np.bool_],
) -> None:
    """Raise RecordError unless these describe a run of packets; see `PacketModel.score`."""
    given = {"coded_bytes": coded_bytes, "keyframe": keyframe, "reordered": reordered}
    for field, array in given.items():
        kinds, wanted = ("iu", "integer") if field == "coded_bytes" else ("b", "bool")
        right = isinstance(array, np.ndarray) and array.ndim == 1 and array.dtype.kind in kinds
        if not right or len(array) != len(coded_bytes):
            got = (
                f"{array.dtype} {array.shape}"
                if isinstance(array, np.ndarray)
                else type(array).__name__
            )
            raise RecordError(f"{field} must be {wanted} (n,), one value a frame, got {got}")
    if coded_bytes.size and int(coded_bytes.min()) < 0:
        raise RecordError(f"coded_bytes must be at least 0, got {int(coded_bytes.min())}")


def bands(reach: int) -> tuple[tuple[int, int], ...]:
    """The distances from a frame, in frames, first to last, over which sizes are averaged.

    >>> bands(40)
    ((-2, 2), (3, 5), (-5, -3), (6, 10), (-10, -6), (11, 20), (-20, -11), (21, 40), (-40, -21))
    """
    edges = [reach]
    while edges[-1] > LEAST_REACH:
        edges.append(max(edges[-1] // 2, LEAST_REACH))
    edges.reverse()
    found = [(-edges[0], edges[0])]
    for low, high in itertools.pairwise(edges):
        found += [(low + 1, high), (-high, -low - 1)]
    return tuple(found)


def feature_count(reach: int) -> int:
    """How many features `packet_features` makes."""
    return FRAME_KINDS * (1 + len(bands(reach)))


def packet_features(
    coded_bytes: NDArray[np.integer[Any]],
    keyframe: NDArray[np.bool_],
    reordered: NDArray[np.bool_],
    scale: SizeScale,
    reach: int,
) -> NDArray[np.float32]:
    """What the network sees: per kind of frame an indicator and the mean size in each band.

    Returns:
        float32 (features, n). A mean over no frame at all is 0, the usual size.
    """
    n = len(coded_bytes)
    logs = np.log1p(coded_bytes.astype(np.float64))
    kind_of = kinds_of(keyframe, reordered)
    rows = []
    for kind in range(FRAME_KINDS):
        mine = kind_of == kind
        rows.append(mine.astype(np.float32))
        width = scale.width[kind]
        size = (logs - scale.centre[kind]) / width if width > 0 else np.zeros(n)
        steps = np.rint(np.clip(size, -FURTHEST, FURTHEST) * STEPS_A_UNIT).astype(np.int64)
        sums = _running(np.where(mine, steps, 0), reach)
        counts = _running(mine.astype(np.int64), reach)
        for first, last in bands(reach):
            low, high = reach + first, reach + last + 1
            total = sums[high : high + n] - sums[low : low + n]
            frames = counts[high : high + n] - counts[low : low + n]
            mean = total / (STEPS_A_UNIT * np.maximum(frames, 1))
            rows.append(mean.astype(np.float32))
    return np.stack(rows)


def kinds_of(keyframe: NDArray[np.bool_], reordered: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The kind of each frame: 0 keyframe, 1 reordered, 2 other."""
    return np.where(keyframe, 0, np.where(reordered, 1, 2))


def _running(values: NDArray[np.int64], reach: int) -> NDArray[np.int64]:
    """Sums of all values before each place, from `reach` places before the run to as many after."""
    padded = np.zeros(len(values) + 2 * reach + 1, dtype=np.int64)
    np.cumsum(values, out=padded[reach + 1 : reach + 1 + len(values)])
    padded[reach + 1 + len(values) :] = padded[reach + len(values)]
    return padded
