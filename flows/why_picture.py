"""The picture that explains an alert: a strip of frames with boxes, and a chart below."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING
from urllib.parse import quote

import cv2
import numpy as np

from flows.picture import write_picture
from flows.why_chart import chart
from flows.why_drawing import (
    ALARM,
    COLOURS,
    FAINT,
    PLAIN,
    Colour,
    canvas,
    draw_box,
    draw_labels,
    text_width,
    write,
)
from flows.why_frames import Look
from flows.why_words import frame_words, headline, summary_words
from records import SourceError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from flows.why import Why
    from flows.why_frames import Shown

COLUMNS = 4
"""The most frames side by side."""

TILE_PIXELS = 420
"""Width of a frame in the strip, pixels."""

CAPTION_PIXELS = 58
"""Height of the three lines of text below a frame, pixels."""

LONGEST_NAME = 120
"""Longer names of files are cut, and told apart by a digest."""

_GAP = 10
_HEAD = 66
_LEGEND = 26


def picture_name(episode: str) -> str:
    """The file's name for the picture of an episode.

    >>> picture_name("gate:people:12")
    'gate-people-12.png'
    """
    stem = "-".join(quote(part, safe="") for part in episode.split(":"))
    if len(stem) > LONGEST_NAME:
        stem = f"{stem[:LONGEST_NAME]}-{sha256(episode.encode()).hexdigest()[:8]}"
    return f"{stem.lstrip('.')}.png"


def write_strip(
    folder: Path, found: Why, shown: Sequence[Shown], frames: Mapping[int, NDArray[np.uint8]]
) -> Path:
    """Write the picture of an episode into a folder, which is made if it is not there.

    Args:
        folder: Where it goes.
        found: The episode.
        shown: The frames, at least one.
        frames: The pixels of those that could be had, by sequence, RGB, uint8 (height, width, 3).

    Raises:
        SourceError: it cannot be written.
    """
    path = folder / picture_name(found.last.episode)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SourceError(f"folder {folder} cannot be made: {error.strerror}") from error
    write_picture(path, strip(found, shown, frames))
    return path


def strip(
    found: Why, shown: Sequence[Shown], frames: Mapping[int, NDArray[np.uint8]]
) -> NDArray[np.uint8]:
    """Draw the strip, uint8 (height, width, 3), RGB; see `write_strip`."""
    size = _frame_size(shown, frames)
    tiles = [_tile(found, number, one, frames, size) for number, one in enumerate(shown, 1)]
    rows_needed = -(-len(tiles) // COLUMNS)
    columns = -(-len(tiles) // rows_needed)
    width = columns * (TILE_PIXELS + _GAP) + _GAP
    rows = [_row(tiles[first : first + columns], width) for first in range(0, len(tiles), columns)]
    parts = [_head(found, width), *rows, _legend(shown, width)]
    if found.series.values:
        parts.append(chart(found, shown, width))
    return np.asarray(np.vstack(parts), np.uint8)


def _frame_size(
    shown: Sequence[Shown], frames: Mapping[int, NDArray[np.uint8]]
) -> tuple[float, float]:
    """Width and height of the frames, pixels; what the boxes reach where there is none."""
    for image in frames.values():
        return image.shape[1], image.shape[0]
    corners = [marked.box[2:] for one in shown for marked in one.boxes]
    width = max((right for right, _ in corners), default=0.0)
    height = max((bottom for _, bottom in corners), default=0.0)
    # Boxes rarely reach the edges; and a picture is not much higher than wide.
    width = max(width * 1.05, 64.0)
    return width, min(max(height * 1.05, width * 9 / 16), width * 4 / 3)


def _tile(
    found: Why,
    number: int,
    one: Shown,
    frames: Mapping[int, NDArray[np.uint8]],
    size: tuple[float, float],
) -> NDArray[np.uint8]:
    """A frame with its boxes and its caption."""
    scale = TILE_PIXELS / size[0]
    height = max(round(size[1] * scale), 1)
    frame = frames.get(one.verdict.sequence)
    if frame is None:
        image = canvas(TILE_PIXELS, height, PLAIN)
    else:
        resized = cv2.resize(frame, (TILE_PIXELS, height), interpolation=cv2.INTER_AREA)
        image = np.asarray(resized, np.uint8)
    for marked in one.boxes:
        draw_box(image, marked, scale)
    draw_labels(image, one.boxes, scale)
    caption = canvas(TILE_PIXELS, CAPTION_PIXELS)
    first, *others = frame_words(found, one)
    colour: Colour = ALARM if "opened" in one.moments else FAINT
    cv2.rectangle(image, (0, 0), (TILE_PIXELS - 1, height - 1), colour, 2)
    used = write(caption, f"{number}  {', '.join(one.moments)}", (2, 16), colour=colour)
    write(caption, first, (used + 14, 16), width=TILE_PIXELS - used - 16)
    for place, line in enumerate(others):
        at = (2, 34 + 17 * place)
        write(caption, line, at, colour=FAINT, scale=0.4, width=TILE_PIXELS - 4)
    return np.asarray(np.vstack([image, caption]), np.uint8)


def _row(tiles: Sequence[NDArray[np.uint8]], width: int) -> NDArray[np.uint8]:
    height = tiles[0].shape[0]
    row = canvas(width, height + _GAP)
    for place, tile in enumerate(tiles):
        left = _GAP + place * (TILE_PIXELS + _GAP)
        row[:height, left : left + TILE_PIXELS] = tile
    return row


def _head(found: Why, width: int) -> NDArray[np.uint8]:
    image = canvas(width, _HEAD)
    write(image, headline(found), (_GAP, 26), scale=0.62, width=width - 2 * _GAP)
    words = summary_words(found)
    write(image, words, (_GAP, 50), colour=FAINT, width=width - 2 * _GAP)
    return image


def _legend(shown: Sequence[Shown], width: int) -> NDArray[np.uint8]:
    """What the looks of the boxes mean, of those that are there."""
    image = canvas(width, _LEGEND)
    there = {marked.look for one in shown for marked in one.boxes}
    left = _GAP
    for look in Look:
        if look not in there or left + text_width(look, 0.42) > width:
            continue
        cv2.rectangle(image, (left, 8), (left + 14, 18), COLOURS[look], cv2.FILLED)
        left += 20 + write(image, str(look), (left + 20, 18), colour=FAINT, scale=0.42) + 20
    return image
