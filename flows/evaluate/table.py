"""What is known of each frame of a recorded stretch, so that plans can be simulated on it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from records import RecordError

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """A stretch of consecutive frames, in the order in which they are shown. n is their number.

    Attributes:
        time_ns: int64 (n,), event times.
        coded_bytes: int64 (n,), sizes of the packets.
        keyframe: bool (n,), whether a frame is coded by itself.
        reordered: bool (n,), whether it is coded after a frame that is shown later.
        counts: int64 (n,), what the reference detector counts for the predicate.
        truth: bool (n,), whether the predicate holds by the reference detector.
        lumas: uint8 (n, height, width), small grey images; empty (0, 0, 0) when none were made.
        images: uint8 (n, size, size, 3), small colour images; empty when none were made.
        packet_scores: float32 (n,), the packet model's; empty when there is none.
        specialised_scores: float32 (n,), the specialised model's; empty when there is none.
    """

    time_ns: NDArray[np.int64]
    coded_bytes: NDArray[np.int64]
    keyframe: NDArray[np.bool_]
    reordered: NDArray[np.bool_]
    counts: NDArray[np.int64]
    truth: NDArray[np.bool_]
    lumas: NDArray[np.uint8]
    images: NDArray[np.uint8]
    packet_scores: NDArray[np.float32]
    specialised_scores: NDArray[np.float32]

    def __post_init__(self) -> None:
        n = len(self.time_ns)
        for name in ("coded_bytes", "keyframe", "reordered", "counts", "truth"):
            if len(getattr(self, name)) != n:
                raise RecordError(f"{name} must have {n} entries, got {len(getattr(self, name))}")
        for name in ("lumas", "images", "packet_scores", "specialised_scores"):
            if len(getattr(self, name)) not in {0, n}:
                raise RecordError(f"{name} must have 0 or {n} entries")

    def __len__(self) -> int:
        return len(self.time_ns)

    def part(self, start: int, stop: int) -> Table:
        """The frames from `start` up to before `stop`."""
        fields = {name: getattr(self, name)[start:stop] for name in self.__dataclass_fields__}
        return Table(**fields)

    def without(self, start: int, stop: int) -> Table:
        """The frames before `start` and from `stop` on, as if they followed each other."""
        fields = {
            name: np.concatenate([getattr(self, name)[:start], getattr(self, name)[stop:]])
            for name in self.__dataclass_fields__
        }
        return Table(**fields)

    def with_scores(
        self,
        packets: NDArray[np.float32] | None = None,
        specialised: NDArray[np.float32] | None = None,
    ) -> Table:
        """The same frames with these scores, float32 (n,); None for none."""
        none = np.empty(0, dtype=np.float32)
        return replace(
            self,
            packet_scores=none if packets is None else packets,
            specialised_scores=none if specialised is None else specialised,
        )
