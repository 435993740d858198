"""Draws the pictures of a synthetic street: its background and the objects on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

_HORIZON = 0.38
"""Where the wall ends and the pavement begins, share of the height."""

_KERB = 0.58
"""Where the pavement ends and the road begins, share of the height."""

_WALL, _PAVEMENT, _ROAD = (104, 96, 88), (150, 146, 138), (82, 84, 88)
"""Colours of the background, RGB."""


@dataclass(frozen=True, slots=True)
class Actor:
    """One object that crosses the picture.

    Attributes:
        track: Its number.
        name: Its class.
        enters: When it begins to enter, seconds.
        leaves: When it has left, seconds.
        leftwards: Whether it goes from right to left.
        ground: Where its feet or wheels are, pixels from the top.
        width: Its width, pixels.
        height: Its height, pixels.
        colour: Its colour, RGB, float32 (3,).
    """

    track: int
    name: str
    enters: float
    leaves: float
    leftwards: bool
    ground: float
    width: float
    height: float
    colour: NDArray[np.float32]

    def box(self, seconds: float, picture_width: int) -> tuple[float, float, float, float]:
        """x1, y1, x2, y2, partly outside while entering and leaving."""
        share = (seconds - self.enters) / (self.leaves - self.enters)
        share = 1 - share if self.leftwards else share
        x1 = share * (picture_width + self.width) - self.width
        return x1, self.ground - self.height, x1 + self.width, self.ground


def draw_background(width: int, height: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """A wall with windows, a paved walk and a road, float32 (height, width, 3)."""
    horizon, kerb = round(height * _HORIZON), round(height * _KERB)
    picture = np.empty((height, width, 3), dtype=np.float32)
    picture[:horizon], picture[horizon:kerb], picture[kerb:] = _WALL, _PAVEMENT, _ROAD
    y, x = np.mgrid[0:height, 0:width]
    brick = max(height // 40, 3)
    rows = y // brick
    mortar = (y % brick == 0) | ((x + rows % 2 * brick) % (2 * brick) == 0)
    picture[(y < horizon) & mortar] *= 0.88
    slab = max(height // 12, 6)
    picture[(horizon <= y) & (y < kerb) & ((x + y // 2) % slab == 0)] *= 0.9
    picture[kerb - max(height // 90, 1) : kerb] *= 1.18
    dashes = (np.abs(y - round(0.8 * height)) <= height // 160) & (x % (width // 8) < width // 16)
    picture[dashes] = (205, 202, 190)
    pane, gap = max(width // 14, 4), max(width // 8, 8)
    for left in range(gap // 3, width - pane, gap):
        picture[horizon // 5 : horizon * 3 // 5, left : left + pane] = (58, 72, 88)
    for cell, strength in ((height // 6, 5.0), (height // 24, 4.0), (2, 3.0)):
        picture += strength * _smooth_noise(height, width, max(cell, 1), rng)[:, :, None]
    return picture


def _smooth_noise(
    height: int, width: int, cell: int, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Normal noise interpolated from a grid with this many pixels a cell."""
    grid = rng.normal(0.0, 1.0, (height // cell + 2, width // cell + 2))
    down, across = np.arange(height) / cell, np.arange(width) / cell
    rows = np.stack([np.interp(across, np.arange(grid.shape[1]), row) for row in grid])
    top, part = down.astype(int), (down % 1)[:, None]
    return np.asarray(rows[top] * (1 - part) + rows[top + 1] * part, dtype=np.float32)


_Part: TypeAlias = tuple[str, float, float, float, float, "NDArray[np.float32]"]


def _parts(actor: Actor, seconds: float) -> Iterator[_Part]:
    """What an object is drawn of: shape, left, top, right, bottom in shares of its box, colour."""
    dark, skin = _colour(34, 34, 38), _colour(206, 164, 136)
    if actor.name == "person":
        swing = 0.13 * float(np.sin(2 * np.pi * 1.7 * (seconds - actor.enters)))
        for shift in (swing, -swing):
            yield "block", 0.34 + shift, 0.55, 0.66 + shift, 1.0, dark
        yield "ellipse", 0.0, 0.2, 0.3, 0.6, actor.colour * 0.8
        yield "ellipse", 0.7, 0.2, 1.0, 0.6, actor.colour * 0.8
        yield "block", 0.16, 0.18, 0.84, 0.62, actor.colour
        yield "ellipse", 0.3, 0.0, 0.7, 0.2, skin
        return
    wheel = 0.36 * actor.height / actor.width
    yield "block", 0.16, 0.0, 0.76, 0.6, actor.colour * 0.85
    yield "block", 0.22, 0.1, 0.45, 0.4, _colour(150, 178, 196)
    yield "block", 0.49, 0.1, 0.7, 0.4, _colour(150, 178, 196)
    yield "block", 0.0, 0.36, 1.0, 0.84, actor.colour
    yield "block", 0.95, 0.44, 1.0, 0.56, _colour(250, 240, 190)
    yield "block", 0.0, 0.44, 0.04, 0.56, _colour(200, 40, 36)
    for middle in (0.22, 0.78):
        yield "ellipse", middle - wheel / 2, 0.64, middle + wheel / 2, 1.0, dark


def _colour(*rgb: float) -> NDArray[np.float32]:
    return np.array(rgb, dtype=np.float32)


def draw_actor(picture: NDArray[np.float32], actor: Actor, seconds: float) -> None:
    """Blend an object into the picture, with a shadow on the ground below it."""
    x1, y1, x2, y2 = actor.box(seconds, picture.shape[1])
    margin = 0.1 * actor.width + 2
    left, right = max(int(x1 - margin), 0), min(int(x2 + margin) + 1, picture.shape[1])
    top, bottom = max(int(y1) - 2, 0), min(int(y2 + margin) + 1, picture.shape[0])
    if left >= right or top >= bottom:
        return
    patch = picture[top:bottom, left:right]
    x, y = np.arange(left, right)[None, :] + 0.5, np.arange(top, bottom)[:, None] + 0.5
    shadow: _Part = ("ellipse", -0.05, 0.95, 1.05, 1.03, _colour(40, 40, 44))
    for shape, u1, v1, u2, v2, colour in (shadow, *_parts(actor, seconds)):
        middle = 1 - (u1 + u2) / 2 if actor.leftwards else (u1 + u2) / 2
        centre = x1 + actor.width * middle, y1 + actor.height * (v1 + v2) / 2
        half = actor.width * (u2 - u1) / 2, actor.height * (v2 - v1) / 2
        cover = _coverage(shape, (x - centre[0], y - centre[1]), half)
        patch += cover[:, :, None] * (colour - patch)


def _coverage(
    shape: str,
    offset: tuple[NDArray[np.float64], NDArray[np.float64]],
    half: tuple[float, float],
) -> NDArray[np.float32]:
    """How much of each pixel an ellipse or a block with round corners covers, 0..1."""
    if shape == "ellipse":
        away = np.hypot(offset[0] / half[0], offset[1] / half[1])
        distance = (away - 1) * min(half)
    else:
        corner = 0.35 * min(half)
        over_x = np.abs(offset[0]) - half[0] + corner
        over_y = np.abs(offset[1]) - half[1] + corner
        inside = np.minimum(np.maximum(over_x, over_y), 0)
        distance = np.hypot(np.maximum(over_x, 0), np.maximum(over_y, 0)) + inside - corner
    return np.clip(0.5 - distance, 0, 1).astype(np.float32)
