"""Frozen feed: frames arrive, and all show the same picture.

A live camera is never exactly still: its sensor's noise changes some pixels of even a small plane.
Where a codec takes the noise away, as at night, still looks are usual, and the check waits longer:
the longer the more usual they have been on the stream.

A picture that stands still is coded anew with every key frame, which changes some pixels by one
grey level. Such looks are let pass between ones that are truly still.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from typing_extensions import override

from operators.assertions.health.lasting import check_settings, resumed
from operators.assertions.health.planes import LOOKS_PER_SECOND, Looks, PlaneCheck

if TYPE_CHECKING:
    from numpy.typing import NDArray

PRIOR_LOOKS = 20.0
"""How many looks with changes are assumed before the first: a stream that is still from its start
may be a night scene, so the first still looks already make the check wait longer."""

CODED_ANEW_SHARE = 0.15
"""The most pixels that a key frame of a standing picture changes by one level, share of all."""

LEAST_STILL_SHARE = 0.4
"""The share of truly still looks in a picture that stands: key frames come every second or so."""

MEMORY_LOOKS = 300.0 * LOOKS_PER_SECOND
"""How many looks the usual share of still ones is learned over: five minutes."""


@dataclass(frozen=True, slots=True)
class Frozen:
    """The assertion that the picture changes.

    Attributes:
        name: The assertion's name.
        still_share: A look is still when at most this share of the plane's pixels changed since
            the look before, 0..1; the default is one pixel.
        hold_seconds: The picture must be still for so long, seconds, where still looks are rare.
        most_seconds: The longest that it waits where they are usual, seconds.

    Raises:
        RecordError: a setting is out of its range.
    """

    name: str = "frozen"
    still_share: float = 0.0005
    hold_seconds: float = 5.0
    most_seconds: float = 60.0

    def __post_init__(self) -> None:
        check_settings(self, "hold_seconds", "most_seconds", shares=("still_share",))

    @property
    def window_seconds(self) -> float:
        """The longest that it waits."""
        return self.most_seconds

    def start(self, state: object = None) -> FrozenCheck:
        """Begin on a stream, or go on."""
        return FrozenCheck(self, resumed(state, FrozenState))


@dataclass(frozen=True, slots=True)
class FrozenState:
    """What survives a restart.

    Attributes:
        looks: What all checks of planes remember.
        plane: The plane before, uint8 (36, 64); None before the first.
        still: Still looks, with those long ago counting less.
        looked: All looks, counted alike.
        run: Of the looks since the picture last changed for sure, the truly still ones, and all.
    """

    looks: Looks = field(default_factory=Looks)
    plane: NDArray[np.uint8] | None = None
    still: float = 0.0
    looked: float = PRIOR_LOOKS
    run: tuple[int, int] = (0, 0)


class FrozenCheck(PlaneCheck):
    """The check of one stream."""

    def __init__(self, settings: Frozen, state: FrozenState | None) -> None:
        state = state or FrozenState()
        super().__init__(settings.name, state.looks)
        self._settings = settings
        self._plane = state.plane
        self._still, self._looked = state.still, state.looked
        self._run = state.run

    @property
    @override
    def hold_seconds(self) -> float:
        changing = 1 - self._still / self._looked
        wait = self._settings.hold_seconds / max(changing * changing, 1e-9)
        return min(wait, self._settings.most_seconds)

    @override
    def judge(self, plane: NDArray[np.uint8]) -> tuple[float, str] | None:
        before, self._plane = self._plane, plane
        if before is None:
            return None
        steps = np.abs(plane.astype(np.int16) - before)
        changed = np.count_nonzero(steps) / plane.size
        still = bool(changed <= self._settings.still_share)
        if not self.telling:
            forget = 1 - 1 / MEMORY_LOOKS
            self._still = self._still * forget + still
            self._looked = self._looked * forget + 1
        if not still and not (changed <= CODED_ANEW_SHARE and steps.max() <= 1):
            self._run = 0, 0
            return None
        exact, every = self._run
        self._run = exact + still, every + 1
        if self._run[0] < LEAST_STILL_SHARE * self._run[1]:
            self._run = 0, 0
            return None
        usual = 1 - self._still / self._looked
        return 1.0, f"the picture stands still; {usual:.0%} of looks usually differ"

    def snapshot(self) -> FrozenState:
        """What survives a restart; it is never changed afterwards."""
        return FrozenState(self._looks, self._plane, self._still, self._looked, self._run)
