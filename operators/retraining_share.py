"""The random share of the retraining queue: frames put aside whatever is in them.

One frame in each cell of `random_seconds` is drawn. While the reference detector decides alone,
every frame comes with its label for free; then one in each cell of `reference_seconds` is drawn
too, independently. A frame that the first draw takes with probability p and the second with q is so
put aside with probability 1 - (1 - p) (1 - q), and its inverse is the frame's weight in an unbiased
estimate over all frames (Horvitz & Thompson, JASA 1952). Who decides a frame is settled before and
without the draws, so the weights stay right when that changes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from operators.cells import CellPlan
from operators.draws import Draws, DrawState
from records.units import NANOSECONDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from operators.retraining_held import HeldFrame
    from operators.retraining_settings import NominationSettings

SECOND_DRAW = 2**32
"""Added to the seed for the second draw, which must not depend on the first."""


@dataclass(frozen=True, slots=True)
class ShareState:
    """What survives a restart.

    Attributes:
        random: Of the draw among all frames; None without one.
        reference: Of the draw while the reference detector decides alone; None without one.
        alone_ns: Since when it does, event time; None while other stages decide too.
    """

    random: DrawState | None = None
    reference: DrawState | None = None
    alone_ns: int | None = None


class RandomShare:
    """The draws of one stream.

    Args:
        settings: How many frames are drawn.
        stream: The stream's name.
        resume: The state to go on from; None at a new start.
    """

    def __init__(
        self, settings: NominationSettings, stream: str, resume: ShareState | None = None
    ) -> None:
        state = resume or ShareState()
        self._seconds = settings.reference_seconds
        seed = settings.seed
        self._random = _draws(seed, stream, settings.random_seconds, state.random)
        self._reference = _draws(seed + SECOND_DRAW, stream, self._seconds, state.reference)
        self._alone_ns = state.alone_ns

    def chances(self, frames: Sequence[HeldFrame]) -> list[float]:
        """The probability with which each frame was drawn; 0 for those that were not.

        To be called once for every frame, in order.
        """
        time_ns = np.array([frame.time_ns for frame in frames], np.int64)
        drawn, left = np.zeros(len(frames), bool), np.ones(len(frames))
        alone = np.array([self._alone(frame) for frame in frames], bool)
        for draws, among in ((self._random, True), (self._reference, alone)):
            if draws is not None:
                taken, chance = draws.draw_with_chances(time_ns)
                drawn |= taken & among
                left *= 1 - chance * among
        chances: list[float] = np.where(drawn, 1 - left, 0.0).tolist()
        return chances

    def snapshot(self) -> ShareState:
        """The state to go on from after a restart."""
        return ShareState(
            None if self._random is None else self._random.snapshot(),
            None if self._reference is None else self._reference.snapshot(),
            self._alone_ns,
        )

    def _alone(self, frame: HeldFrame) -> bool:
        """Whether the reference detector has decided every frame of a whole cell.

        A frame that the audit sent to it shows that other stages decide.
        """
        if not frame.referred or frame.audited:
            self._alone_ns = None
            return False
        if self._alone_ns is None:
            self._alone_ns = frame.time_ns
        return frame.time_ns - self._alone_ns >= self._seconds * NANOSECONDS


def _draws(seed: int, stream: str, seconds: float, resume: DrawState | None) -> Draws | None:
    if seconds == 0:
        return None
    return Draws(seed, stream, CellPlan(round(seconds * NANOSECONDS), 1), resume)
