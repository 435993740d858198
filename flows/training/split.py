"""The split of examples by stream and block of time: for training, for tuning, for judging.

The part of a block depends on its stream and its number alone, so what one round held out no later
round trains on, and a new version can be compared with its parent on examples that neither saw.
Numbers follow each other in golden steps (a Kronecker sequence), so each part is spread evenly over
time however long a stream lasts.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from hashlib import blake2b
from typing import TYPE_CHECKING

import numpy as np

from records.units import NANOSECONDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from records import RetrainingItem

GOLDEN = (5**0.5 - 1) / 2
"""The step of the sequence whose first n values are spread most evenly for every n."""

_DIGEST_BYTES = 8
_DIGESTS: int = 256**_DIGEST_BYTES


class Part(IntEnum):
    """What a block is for: weights, thresholds, or figures alone."""

    TRAIN = 0
    TUNE = 1
    JUDGE = 2


@dataclass(frozen=True, slots=True)
class Split:
    """How examples are split.

    Attributes:
        held_out_share: The share of blocks for tuning and judging, half each, 0..1.
        block_seconds: Length of a block, seconds of event time.
        seed: Where each stream's sequence begins follows from it.
    """

    held_out_share: float
    block_seconds: float
    seed: int = 0

    def part(self, stream: str, time_ns: int) -> Part:
        """What an example is for.

        >>> split = Split(0.4, 60.0)
        >>> [split.part("gate", minute * 60 * 10**9).value for minute in range(10)]
        [0, 2, 0, 0, 1, 0, 2, 1, 0, 2]
        """
        place = (self._offset(stream) + GOLDEN * self._number(time_ns)) % 1.0
        if place >= self.held_out_share:
            return Part.TRAIN
        return Part.TUNE if place < self.held_out_share / 2 else Part.JUDGE

    def parts(self, items: Sequence[RetrainingItem]) -> NDArray[np.int64]:
        """The part of each item, int64 (n,)."""
        return np.array([self.part(one.stream, one.time_ns) for one in items], np.int64)

    def blocks(self, items: Sequence[RetrainingItem]) -> NDArray[np.int64]:
        """The block of each item, int64 (n,), numbered from 0 without a gap."""
        names = [f"{one.stream}:{self._number(one.time_ns)}" for one in items]
        return np.unique(names, return_inverse=True)[1].astype(np.int64)

    def _number(self, time_ns: int) -> int:
        return time_ns // max(round(self.block_seconds * NANOSECONDS), 1)

    def _offset(self, stream: str) -> float:
        text = f"{self.seed}:{stream}".encode("utf-8", "surrogatepass")
        digest = blake2b(text, digest_size=_DIGEST_BYTES).digest()
        return int.from_bytes(digest) / _DIGESTS
