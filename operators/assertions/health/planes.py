"""Health checks that look at a small grey plane of some frames.

All look at the same frames: the first one in each cell of event time. The plane of the last frame
is kept, so that it is made once for all checks of a stream.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

from operators.assertions.api import FRAME, Moment
from operators.assertions.health.lasting import Held
from records import Finding, Frame, SourceError
from records.units import NANOSECONDS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PLANE_WIDTH, PLANE_HEIGHT = 64, 36
"""Size of the plane, pixels."""

LOOKS_PER_SECOND = 2
"""How many frames are looked at in a second of event time, Hz. Faults of cameras last, and a few
looks a second find them within seconds at next to no cost."""

LOOK_NS = NANOSECONDS // LOOKS_PER_SECOND
"""Length of a cell of event time, nanoseconds."""


@dataclass(frozen=True, slots=True)
class _Kept:
    """The last plane made."""

    frame: Frame | None = None
    plane: NDArray[np.uint8] | None = None


_kept = [_Kept()]
"""One for the process: checks of one frame run after one another. It is swapped whole, so a thread
finds either its own frame or another's, which it does not take."""


def plane_of(frame: Frame) -> NDArray[np.uint8] | None:
    """The grey plane of a frame, uint8 (36, 64); None where its pixels cannot be decoded."""
    kept = _kept[0]
    if kept.frame is frame:
        return kept.plane
    try:
        plane = frame.pixels.luma(PLANE_WIDTH, PLANE_HEIGHT)
    except SourceError:
        # The cascade, which asks for the same pixels, counts and reports it.
        plane = None
    _kept[0] = _Kept(frame, plane)
    return plane


@dataclass(frozen=True, slots=True)
class Looks:
    """What every check of planes must remember.

    Attributes:
        cell: The cell of event time of the last look; None before the first.
        held: Since when the condition holds; None while it does not.
    """

    cell: int | None = None
    held: Held | None = None


class PlaneCheck(ABC):
    """A check of one stream that looks at planes.

    Args:
        name: The assertion's name.
        looks: The state to go on from; None at a new start.
        every: It looks at one of so many looked-at frames.
    """

    def __init__(self, name: str, looks: Looks | None, every: int = 1) -> None:
        self._name = name
        self._cell_ns = every * LOOK_NS
        self._looks = looks or Looks()

    @abstractmethod
    def judge(self, plane: NDArray[np.uint8]) -> tuple[float, str] | None:
        """Severity and message if the condition holds in this plane; None if it does not."""

    @property
    @abstractmethod
    def hold_seconds(self) -> float:
        """How long the condition must hold, seconds."""

    def observe(self, moment: Moment) -> list[Finding]:
        """Look at the frame if it is the first one of its cell."""
        cell = moment.time_ns // self._cell_ns
        if cell == self._looks.cell:
            return []
        frame = moment.inputs.get(FRAME)
        plane = plane_of(frame) if isinstance(frame, Frame) else None
        if plane is None:
            return []
        judged = self.judge(plane)
        if judged is None:
            self._looks = Looks(cell)
            return []
        held = self._looks.held or Held.since(moment)
        due = held.due(moment, self.hold_seconds)
        if due:
            held = held.told(moment)
        self._looks = Looks(cell, held)
        return [held.finding(self._name, moment, *judged)] if due else []

    @property
    def telling(self) -> bool:
        """Whether the condition has been told and still holds."""
        return self._looks.held is not None and self._looks.held.told_ns is not None
