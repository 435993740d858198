"""The pictures that explain alerts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from flows.why import why
from flows.why_chart import HEIGHT
from flows.why_drawing import COLOURS, GROUND, canvas, draw_box, draw_labels, text_width, write
from flows.why_frames import Look, Marked, shown_frames
from flows.why_picture import (
    CAPTION_PIXELS,
    LONGEST_NAME,
    TILE_PIXELS,
    picture_name,
    strip,
    write_strip,
)
from records import SourceError
from tests.support.explained import recorded, seen

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from flows.why import Why

HEAD, LEGEND, GAP = 66, 26, 10


def crowded(tmp_path: Path) -> Why:
    counts = [0] * 12 + [2, 3, 2] + [0] * 20
    verdicts = [seen(place, *[0.9] * count) for place, count in enumerate(counts)]
    return why(recorded(tmp_path, verdicts), "gate:crowd:12")


def share_of(image: NDArray[np.uint8], colour: tuple[int, int, int]) -> float:
    return float((image == np.array(colour)).all(axis=2).mean())


def test_a_strip_holds_the_frames_and_a_chart(tmp_path: Path) -> None:
    found = crowded(tmp_path)
    shown = shown_frames(found)
    grey = np.full((180, 320, 3), 128, np.uint8)
    frames = {one.verdict.sequence: grey for one in shown}
    picture = strip(found, shown, frames)
    assert len(shown) == 6
    tile = round(180 * TILE_PIXELS / 320) + CAPTION_PIXELS
    assert picture.shape == (
        HEAD + 2 * (tile + GAP) + LEGEND + HEIGHT,
        3 * (TILE_PIXELS + GAP) + GAP,
        3,
    )
    first = picture[HEAD : HEAD + tile - CAPTION_PIXELS, GAP : GAP + TILE_PIXELS]
    assert (first[4:-4, 4:-4] == 128).all()
    assert share_of(picture, COLOURS[Look.COUNTED]) > 0.001
    assert share_of(picture[-HEIGHT:], GROUND) < 0.95
    assert (grey == 128).all()


def test_without_frames_boxes_stand_on_plain_ground(tmp_path: Path) -> None:
    found = crowded(tmp_path)
    shown = shown_frames(found)
    picture = strip(found, shown, {})
    assert share_of(picture, COLOURS[Look.COUNTED]) > 0.001
    mixed = strip(found, shown, {shown[0].verdict.sequence: np.zeros((90, 160, 3), np.uint8)})
    assert mixed.shape[1] == picture.shape[1]


def test_a_strip_is_written_into_a_folder_that_is_made(tmp_path: Path) -> None:
    found = crowded(tmp_path)
    shown = shown_frames(found)
    path = write_strip(tmp_path / "a" / "b", found, shown, {})
    assert path == tmp_path / "a" / "b" / "gate-crowd-12.png"
    read = cv2.imread(str(path))
    assert read is not None
    assert (read[:, :, ::-1] == strip(found, shown, {})).all()
    with pytest.raises(SourceError) as caught:
        write_strip(path / "c", found, shown, {})
    assert str(caught.value) == f"folder {path / 'c'} cannot be made: Not a directory"


def test_names_of_pictures_are_safe_and_short() -> None:
    assert picture_name("a/b:c d:7") == "a%2Fb-c%20d-7.png"
    assert picture_name("..:x:1") == "-x-1.png"
    long = picture_name(f"gate:{'r' * 200}:1")
    assert len(long) == LONGEST_NAME + 1 + 8 + 4
    assert long != picture_name(f"gate:{'r' * 200}:2")


@pytest.mark.parametrize("look", Look)
def test_every_look_is_drawn_in_its_colour(look: Look) -> None:
    image = canvas(200, 100)
    draw_box(image, Marked((20, 20, 120, 80), look, "x"), 0.5)
    changed = np.argwhere((image != canvas(200, 100)).any(axis=2))
    # Lines are smoothed, and at most two pixels wide.
    assert np.abs(changed.min(axis=0) - [10, 10]).max() <= 2
    assert np.abs(changed.max(axis=0) - [40, 60]).max() <= 2
    assert (image[25, 35] == COLOURS[look]).all() == (look is Look.DROPPED)
    near = np.abs(image.astype(int) - np.array(COLOURS[look])).max(axis=2) < 60
    assert near.any()


def test_labels_do_not_cover_each_other() -> None:
    boxes = [Marked((50, 50, 80, 90), Look.COUNTED, f"label {k}") for k in range(20)]
    image = canvas(300, 200)
    draw_labels(image, boxes, 1.0)
    labels = share_of(image, COLOURS[Look.COUNTED]) * 300 * 200
    area = (text_width("label 0", 0.38) + 6) * 16
    assert area < labels < 7 * area


def test_text_that_does_not_fit_ends_with_dots() -> None:
    image = canvas(300, 40)
    assert write(image, "a" * 100, (0, 20), width=100) <= 100
    assert write(image, "short", (0, 20), width=100) == text_width("short", 0.45)
    assert write(image, "wide", (0, 20), width=1) == text_width("...", 0.45)
    assert write(image, "caf\u00e9", (0, 20)) == text_width("caf?", 0.45)
