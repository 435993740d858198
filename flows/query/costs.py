"""What asking costs: seconds of the reference, of decoding and of a proxy, measured in place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

MEASURED_CALLS = 4
"""Frames that the reference is shown to learn what a call costs; the first warms it up."""

MEASURED_RUN = 32
"""Frames in a row that are decoded, and scored, to learn what that costs."""

MEASURED_SHARE = 0.1
"""Measuring may take this share of a query's budget of calls; else the costs stay unknown."""


@dataclass(frozen=True, slots=True)
class Costs:
    """What one frame costs, seconds.

    Attributes:
        call: The reference's look at it.
        apart: Decoding it at full size, apart from others: from its keyframe on.
        in_row: Decoding it at full size, in a row of others.
        score: Decoding it small in a row, and the proxy's look at it; 0 without a proxy.

    >>> costs = Costs(call=0.1, apart=0.05, in_row=0.01, score=0.002)
    >>> costs.asking(calls=10, frames=1000), costs.asking(calls=1000, frames=1000)
    (1.5, 110.0)
    """

    call: float
    apart: float
    in_row: float
    score: float = 0.0

    def asking(self, calls: int, frames: int) -> float:
        """What so many calls among so many frames cost, seconds; at worst all are decoded."""
        return calls * self.call + min(calls * self.apart, frames * self.in_row)

    def scoring(self, frames: int) -> float:
        """What the proxy's look at so many frames costs, seconds."""
        return frames * self.score


def average_costs(costs: Sequence[Costs | None], frames: Sequence[int]) -> Costs | None:
    """The costs of a frame of several streams; None where those of a stream are not known.

    Args:
        costs: Those of each stream.
        frames: How many frames of each are asked about.
    """
    known = [one for one in costs if one is not None]
    if not known or len(known) < len(costs):
        return None
    table = np.array([[one.call, one.apart, one.in_row, one.score] for one in known])
    call, apart, in_row, score = np.average(table, axis=0, weights=frames).tolist()
    return Costs(call, apart, in_row, score)
