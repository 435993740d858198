"""Dark: nothing in the picture is bright enough to be seen.

A night street with lamps has bright pixels; a covered lens or a dead sensor has none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from typing_extensions import override

from operators.assertions.health.lasting import check_settings, resumed
from operators.assertions.health.planes import Looks, PlaneCheck

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Dark:
    """The assertion that something in the picture is bright.

    Attributes:
        name: The assertion's name.
        level: Pixels above this grey level are bright, 0..255. Black is 16 in video range.
        bright_share: It is dark when fewer than this share of the plane's pixels are bright, 0..1.
        hold_seconds: It must be dark for so long, seconds.

    Raises:
        RecordError: a setting is out of its range.
    """

    name: str = "dark"
    level: float = 32.0
    bright_share: float = 0.02
    hold_seconds: float = 3.0

    def __post_init__(self) -> None:
        check_settings(self, "level", "hold_seconds", shares=("bright_share",))

    @property
    def window_seconds(self) -> float:
        """How long it must be dark."""
        return self.hold_seconds

    def start(self, state: object = None) -> DarkCheck:
        """Begin on a stream, or go on."""
        return DarkCheck(self, resumed(state, Looks))

    def is_dark(self, plane: NDArray[np.uint8]) -> bool:
        """Whether a plane, uint8 (height, width), is dark."""
        return bool(np.count_nonzero(plane > self.level) < self.bright_share * plane.size)


class DarkCheck(PlaneCheck):
    """The check of one stream."""

    def __init__(self, settings: Dark, state: Looks | None) -> None:
        super().__init__(settings.name, state)
        self._settings = settings

    @property
    @override
    def hold_seconds(self) -> float:
        return self._settings.hold_seconds

    @override
    def judge(self, plane: NDArray[np.uint8]) -> tuple[float, str] | None:
        if not self._settings.is_dark(plane):
            return None
        mean = float(plane.mean())
        return 1 + max(0.0, 1 - mean / self._settings.level), f"dark: mean grey level {mean:.0f}"

    def snapshot(self) -> Looks:
        """What survives a restart; it is never changed afterwards."""
        return self._looks
