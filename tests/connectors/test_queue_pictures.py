from __future__ import annotations

import gc
import hashlib
import weakref
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest

from connectors.kafka import CodedPixels
from connectors.queue_pictures import PictureSettings, detached, take_picture
from connectors.video import ArrayPixels, AvPixels, OnDemandPixels, VideoSettings, read_video
from records import Crop, Frame, RecordError
from records.retraining import PICTURE
from tests.support.queues import picture

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from records import Pixels

LUMA = (9, 8)


def scene(width: int = 320, height: int = 180) -> NDArray[np.uint8]:
    """A smooth picture with a bright patch at (200, 100) to (220, 120)."""
    rows, columns = np.mgrid[:height, :width]
    made = np.stack([columns % 200, rows % 150, (rows + columns) % 120], axis=2).astype(np.uint8)
    made[100:120, 200:220] = 255
    return made


def decoded(data: bytes) -> NDArray[np.uint8]:
    found = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
    return np.asarray(found, np.uint8)


def test_the_whole_frame_as_it_is() -> None:
    pixels = ArrayPixels(scene())
    made = take_picture(pixels, (200.0, 100.0, 220.0, 120.0), PictureSettings(), LUMA)
    digest = hashlib.sha256(made.data).hexdigest()
    region = (0.0, 0.0, 320.0, 180.0)
    assert made.crop == Crop(PICTURE, digest, len(made.data), 320, 180, region)
    assert np.abs(decoded(made.data).astype(int) - scene()).mean() < 5
    assert np.array_equal(made.luma, pixels.luma(*LUMA))
    again = take_picture(ArrayPixels(scene()), None, PictureSettings(), LUMA)
    assert again.data == made.data


def test_larger_frames_are_scaled_down_and_smaller_ones_stay() -> None:
    small = take_picture(ArrayPixels(scene()), None, PictureSettings(side_at_most=160), LUMA)
    assert (small.crop.width, small.crop.height) == (160, 90)
    assert small.crop.region == (0.0, 0.0, 320.0, 180.0)
    assert decoded(small.data).shape == (90, 160, 3)
    flat = take_picture(ArrayPixels(scene(300, 1)), None, PictureSettings(side_at_most=100), LUMA)
    assert (flat.crop.width, flat.crop.height) == (100, 1)


@pytest.mark.parametrize(
    ("box", "region"),
    [
        ((200.0, 100.0, 220.0, 120.0), (184.0, 84.0, 236.0, 136.0)),
        ((200.0, 60.0, 220.0, 140.0), (160.0, 20.0, 260.0, 180.0)),
        ((-10.0, -5.0, 4.0, 3.0), (0.0, 0.0, 20.0, 19.0)),
        ((5.0, 5.0, 5.0, 5.0), (0.0, 0.0, 21.0, 21.0)),
        ((900.0, 900.0, 910.0, 910.0), (0.0, 0.0, 320.0, 180.0)),
        (None, (0.0, 0.0, 320.0, 180.0)),
    ],
)
def test_around_what_a_finding_is_about(box: Any, region: tuple[float, ...]) -> None:
    made = take_picture(ArrayPixels(scene()), box, PictureSettings(around_box=True), LUMA)
    assert made.crop.region == region
    x1, y1, x2, y2 = map(int, region)
    assert decoded(made.data).shape == (y2 - y1, x2 - x1, 3)
    assert np.abs(decoded(made.data).astype(int) - scene()[y1:y2, x1:x2]).mean() < 12
    assert made.luma.shape == LUMA[::-1]


def test_a_part_that_is_too_large_is_scaled_down_too() -> None:
    settings = PictureSettings(around_box=True, side_at_most=26)
    made = take_picture(ArrayPixels(scene()), (200.0, 100.0, 220.0, 120.0), settings, LUMA)
    assert (made.crop.width, made.crop.height) == (26, 26)
    assert made.crop.region == (184.0, 84.0, 236.0, 136.0)


def first(path: Path, **settings: Any) -> Pixels:
    items = list(read_video("gate", VideoSettings(str(path), **settings)))
    return next(item.pixels for item in items if isinstance(item, Frame))


@pytest.mark.parametrize("decode", ["ahead", "on_demand"])
def test_frames_that_wait_do_not_hold_up_their_source(assets: Path, decode: Any) -> None:
    pixels = first(assets / "video" / "vtest.avi", frames_at_most=1, decode=decode)
    assert isinstance(pixels, AvPixels | OnDemandPixels)
    want, alive = pixels.rgb(96, 72), weakref.ref(pixels)
    kept, size = detached(pixels)
    assert size == (768 * 576 * 3 // 2 if decode == "ahead" else 1024)
    del pixels
    gc.collect()
    assert alive() is None
    assert np.array_equal(kept.rgb(96, 72), want)


def test_pictures_that_came_as_bytes_wait_as_bytes() -> None:
    data = picture(3)
    pixels = CodedPixels(data, PICTURE)
    pixels.check()
    kept, size = detached(pixels)
    assert (size, kept is pixels) == (len(data), False)
    assert np.array_equal(kept.rgb(), pixels.rgb())
    raw = ArrayPixels(scene())
    assert detached(raw) == (raw, 320 * 180 * 3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"side_at_most": 0}, "side_at_most must be 1 to 2048, got 0"),
        ({"side_at_most": 4096}, "side_at_most must be 1 to 2048, got 4096"),
        ({"quality": 101}, "quality must be 1 to 100, got 101"),
    ],
)
def test_settings_that_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(RecordError) as caught:
        PictureSettings(**changes)
    assert str(caught.value) == message


def test_any_picture_of_the_largest_size_fits_into_a_crop() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (2048, 2048, 3), np.uint8)
    settings = PictureSettings(side_at_most=2048, quality=100)
    made = take_picture(ArrayPixels(noise), None, settings, LUMA)
    assert made.crop.length == len(made.data) < 8 * 2**20
