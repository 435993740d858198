"""Blocked: most of the picture has lost the texture that it usually has.

The plane is cut into blocks; each block's texture is its mean step of brightness between
neighbours. What is usual is learned slowly on the stream, and only while the view is free, so that
an object that stays in front of the camera does not become usual.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from typing_extensions import override

from operators.assertions.health.dark import Dark
from operators.assertions.health.lasting import check_settings, resumed
from operators.assertions.health.planes import LOOKS_PER_SECOND, Looks, PlaneCheck
from operators.images import block_errors

if TYPE_CHECKING:
    from numpy.typing import NDArray

BLOCKS = 6
"""Blocks along each side of the plane."""

EVERY = LOOKS_PER_SECOND
"""It looks once a second."""

LEARN_RATE = 1 / 60.0
"""The share of a new look in the usual texture: it is learned over about a minute."""

FIRST_LOOKS = 10
"""Looks that are learned from, evenly, before the first judgement: ten seconds."""

LEAST_TEXTURE = 1.0
"""A block with less texture than this, grey levels a pixel, has none to lose."""


@dataclass(frozen=True, slots=True)
class Blocked:
    """The assertion that the view is free.

    Attributes:
        name: The assertion's name.
        kept_share: A block is lost when it has less than this share of its usual texture, 0..1.
        lost_share: The view is blocked when this share of the textured blocks is lost, 0..1.
        hold_seconds: It must be blocked for so long, seconds.
        dark: When the picture is dark; then it is `Dark`'s to tell.

    Raises:
        RecordError: a setting is out of its range.
    """

    name: str = "blocked"
    kept_share: float = 0.3
    lost_share: float = 0.6
    hold_seconds: float = 3.0
    dark: Dark = field(default_factory=Dark)

    def __post_init__(self) -> None:
        check_settings(self, "hold_seconds", shares=("kept_share", "lost_share"))

    @property
    def window_seconds(self) -> float:
        """How long it must be blocked."""
        return self.hold_seconds

    def start(self, state: object = None) -> BlockedCheck:
        """Begin on a stream, or go on."""
        return BlockedCheck(self, resumed(state, BlockedState))


@dataclass(frozen=True, slots=True)
class BlockedState:
    """What survives a restart.

    Attributes:
        looks: What all checks of planes remember.
        usual: The usual texture of each block, float32 (blocks,); None before the first look.
        learned: Looks that were learned from.
    """

    looks: Looks = field(default_factory=Looks)
    usual: NDArray[np.float32] | None = None
    learned: int = 0


class BlockedCheck(PlaneCheck):
    """The check of one stream."""

    def __init__(self, settings: Blocked, state: BlockedState | None) -> None:
        state = state or BlockedState()
        super().__init__(settings.name, state.looks, EVERY)
        self._settings = settings
        self._usual, self._learned = state.usual, state.learned

    @property
    @override
    def hold_seconds(self) -> float:
        return self._settings.hold_seconds

    @override
    def judge(self, plane: NDArray[np.uint8]) -> tuple[float, str] | None:
        texture = block_texture(plane)
        usual = texture if self._usual is None else self._usual
        if self._learned >= FIRST_LOOKS:
            textured = usual >= LEAST_TEXTURE
            lost = textured & (texture < self._settings.kept_share * usual)
            share = float(lost.sum()) / max(float(textured.sum()), 1.0)
            if share >= self._settings.lost_share:
                # What is not learned from stays unusual for as long as it lasts.
                if self._settings.dark.is_dark(plane):
                    return None
                severity = share / self._settings.lost_share
                return severity, f"the view is blocked: {share:.0%} of it has lost its texture"
        self._learned += 1
        rate = max(1 / self._learned, LEARN_RATE)
        self._usual = usual + np.float32(rate) * (texture - usual)
        return None

    def snapshot(self) -> BlockedState:
        """What survives a restart; it is never changed afterwards."""
        return BlockedState(self._looks, self._usual, self._learned)


def block_texture(plane: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The mean step between neighbours in each block, float32 (blocks,), grey levels a pixel.

    >>> stripes = np.tile(np.array([0, 10], np.uint8), (36, 32))
    >>> block_texture(stripes).round(3).tolist()[:2]
    [10.0, 10.0]
    """
    grey = plane.astype(np.float32)
    steps = np.zeros_like(grey)
    steps[:, :-1] = np.abs(grey[:, 1:] - grey[:, :-1])
    steps[:-1] += np.abs(grey[1:] - grey[:-1])
    # The last column and row have no neighbour after them.
    steps[:, -1] = steps[:, -2]
    steps[-1] = steps[-2]
    return block_errors(steps, BLOCKS)
