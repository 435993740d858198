"""The hand of the pictures that explain alerts: text, dashed boxes, frames with captions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from flows.why_frames import Look

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from flows.why_frames import Marked

Colour = tuple[int, int, int]
"""Red, green, blue."""

GROUND: Colour = (24, 27, 32)
"""Behind everything."""

PLAIN: Colour = (74, 80, 88)
"""In place of a frame that is not there any more."""

TEXT: Colour = (240, 240, 240)
"""Text that matters."""

FAINT: Colour = (160, 166, 174)
"""Text beside it, and axes."""

ALARM: Colour = (213, 94, 0)
"""The episode itself."""

COLOURS: dict[Look, Colour] = {
    Look.COUNTED: (230, 159, 0),
    Look.CONCERNED: (230, 159, 0),
    Look.LOW: (240, 228, 66),
    Look.OTHER: (190, 196, 204),
    Look.DROPPED: (255, 80, 60),
    Look.ADDED: (86, 180, 233),
    Look.MODIFIED: (204, 121, 167),
}
"""Colours that people who do not tell red from green can tell apart (Okabe & Ito, 2008)."""

DASHED = frozenset({Look.LOW, Look.DROPPED, Look.ADDED})
"""The boxes that are not in the answer, or do not count, are dashed."""

DASH_PIXELS = 6
"""Length of a dash, and of the gap behind it, pixels."""

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_LABEL_SCALE = 0.38
_PAD = 3


def canvas(width: int, height: int, colour: Colour = GROUND) -> NDArray[np.uint8]:
    """A plain picture, uint8 (height, width, 3), RGB."""
    return np.full((height, width, 3), colour, np.uint8)


def write(
    image: NDArray[np.uint8],
    text: str,
    at: tuple[int, int],
    *,
    colour: Colour = TEXT,
    scale: float = 0.45,
    width: int = 0,
) -> int:
    """Write a line of text, in ASCII since the font has no more; gives its width, pixels.

    Args:
        image: What is written on.
        text: The text; what does not fit into `width` becomes an ellipsis.
        at: The left end of the text's baseline, pixels.
        colour: Of the text.
        scale: Size of the letters; at 1 they are 22 pixels high.
        width: The most pixels the text may take; 0 for no limit.
    """
    plain = text.encode("ascii", "replace").decode()
    while width and len(plain) > 1 and text_width(plain, scale) > width:
        plain = plain.removesuffix("...")[:-1] + "..."
        if plain == "...":
            break
    cv2.putText(image, plain, at, _FONT, scale, colour, 1, cv2.LINE_AA)
    return text_width(plain, scale)


def text_width(text: str, scale: float) -> int:
    """How wide a line of text is, pixels."""
    (width, _), _ = cv2.getTextSize(text, _FONT, scale, 1)
    return int(width)


def dashed(
    image: NDArray[np.uint8],
    start: tuple[int, int],
    end: tuple[int, int],
    colour: Colour,
    thickness: int = 1,
) -> None:
    """Draw a dashed line."""
    a, b = np.array(start, np.float64), np.array(end, np.float64)
    steps = max(int(np.hypot(*(b - a)) // DASH_PIXELS), 1)
    for step in range(0, steps, 2):
        first = a + (b - a) * step / steps
        last = a + (b - a) * min(step + 1, steps) / steps
        ends = [(round(float(x)), round(float(y))) for x, y in (first, last)]
        cv2.line(image, ends[0], ends[1], colour, thickness, cv2.LINE_AA)


def draw_box(image: NDArray[np.uint8], marked: Marked, scale: float) -> None:
    """Draw a box; `scale` is the picture's size over the frame's."""
    x1, y1, x2, y2 = (round(corner * scale) for corner in marked.box)
    colour = COLOURS[marked.look]
    thickness = 1 if marked.look is Look.OTHER else 2
    if marked.look in DASHED:
        corners = [(x1, y1), (x2, y1), (x2, y2), (x1, y2)]
        for start, end in zip(corners, [*corners[1:], corners[0]], strict=True):
            dashed(image, start, end, colour, thickness)
    else:
        cv2.rectangle(image, (x1, y1), (x2, y2), colour, thickness, cv2.LINE_AA)
    if marked.look is Look.DROPPED:
        cv2.line(image, (x1, y1), (x2, y2), colour, 1, cv2.LINE_AA)
        cv2.line(image, (x1, y2), (x2, y1), colour, 1, cv2.LINE_AA)


def draw_labels(image: NDArray[np.uint8], boxes: Sequence[Marked], scale: float) -> None:
    """Write the labels of boxes where there is room, those that matter most first."""
    taken: list[tuple[int, int, int, int]] = []
    for marked in reversed(boxes):
        width = text_width(marked.label, _LABEL_SCALE) + 2 * _PAD
        height = 10 + 2 * _PAD
        x1, y1, x2, y2 = (round(corner * scale) for corner in marked.box)
        left = min(max(x1, 0), max(image.shape[1] - width, 0))
        other = min(max(x2 - width, 0), max(image.shape[1] - width, 0))
        spots = [(x, y) for y in (y1 - height, y2, y1) for x in (left, other)]
        for x, y in spots:
            area = (x, y, x + width, y + height)
            if y < 0 or area[3] > image.shape[0] or any(_touch(area, each) for each in taken):
                continue
            taken.append(area)
            ground, ink = COLOURS[marked.look], GROUND
            if marked.look is Look.OTHER:
                ground, ink = ink, ground
            cv2.rectangle(image, (x, y), (area[2], area[3]), ground, cv2.FILLED)
            at = (x + _PAD, area[3] - _PAD - 1)
            write(image, marked.label, at, colour=ink, scale=_LABEL_SCALE)
            break


def _touch(one: tuple[int, int, int, int], other: tuple[int, int, int, int]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
