from __future__ import annotations

import pickle
import struct
from zlib import crc32

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.kafka.headers import JPEG, PNG
from connectors.kafka.pictures import CodedPixels, picture_size
from records import Pixels, RecordError, SourceError
from tests.support.records import repeatable

IMAGE = np.zeros((30, 40, 3), np.uint8)
IMAGE[:, 20:] = (10, 200, 90)
"""Left half black, right half a colour, in the order blue, green, red."""


def coded(suffix: str, image: np.ndarray = IMAGE) -> bytes:
    done, data = cv2.imencode(suffix, image)
    assert done
    return data.tobytes()


PICTURES = [(coded(".jpg"), JPEG), (coded(".png"), PNG)]


@pytest.mark.parametrize(("data", "content_type"), PICTURES)
def test_pixels(data: bytes, content_type: str) -> None:
    pixels = CodedPixels(data, content_type)
    assert isinstance(pixels, Pixels)
    assert (pixels.width, pixels.height) == (40, 30)
    rgb = pixels.rgb()
    assert rgb.shape == (30, 40, 3)
    assert np.abs(rgb.astype(int) - IMAGE[..., ::-1]).mean() < 3
    assert pixels.rgb(8, 6).shape == (6, 8, 3)
    luma = pixels.luma(4, 3)
    assert luma.shape == (3, 4)
    assert luma[:, 0].max() < 10 < luma[:, 3].min()


def test_gray_pictures() -> None:
    gray = np.full((6, 8), 77, np.uint8)
    for suffix, content_type in ((".jpg", JPEG), (".png", PNG)):
        pixels = CodedPixels(coded(suffix, gray), content_type)
        assert np.abs(pixels.rgb().astype(int) - 77).max() <= 2


@pytest.mark.parametrize(("data", "content_type"), PICTURES)
def test_pickled(data: bytes, content_type: str) -> None:
    pixels = CodedPixels(data, content_type)
    again = pickle.loads(pickle.dumps(pixels))
    assert np.array_equal(again.rgb(), pixels.rgb())


@pytest.mark.parametrize(("data", "content_type"), PICTURES)
def test_every_cut_is_found(data: bytes, content_type: str) -> None:
    for size in range(len(data)):
        with pytest.raises(RecordError):
            picture_size(data[:size], content_type)


def test_errors() -> None:
    jpeg, png = PICTURES[0][0], PICTURES[1][0]
    with pytest.raises(RecordError) as error:
        picture_size(png, JPEG)
    assert str(error.value) == "a picture of type image/jpeg must begin with JPEG's marker ff d8"
    with pytest.raises(RecordError) as error:
        picture_size(jpeg, PNG)
    assert str(error.value) == "a picture of type image/png must begin with PNG's signature"
    with pytest.raises(RecordError) as error:
        picture_size(jpeg[:-2], JPEG)
    assert str(error.value) == (
        "a picture of type image/jpeg must be whole; it ends or breaks within "
        f"{len(jpeg) - 2} bytes"
    )
    with pytest.raises(RecordError) as error:
        picture_size(png[:-20], PNG)
    assert str(error.value) == (
        f"a picture of type image/png must be whole; it ends after {len(png) - 20} bytes"
    )
    damaged = png[:20] + b"\xff" + png[21:]
    with pytest.raises(RecordError) as error:
        picture_size(damaged, PNG)
    assert str(error.value) == "a picture of type image/png is damaged at byte 8"


def test_a_size_that_is_too_large_is_refused_before_it_is_decoded() -> None:
    png = PICTURES[1][0]
    header = b"IHDR" + struct.pack(">II", 60_000, 60_000) + png[24:29]
    large = png[:12] + header + struct.pack(">I", crc32(header)) + png[33:]
    with pytest.raises(RecordError) as error:
        CodedPixels(large, PNG)
    assert str(error.value) == (
        "a picture must be 1 to 16384 pixels a side and at most 134217728 pixels, got 60000 x 60000"
    )


def test_trailing_bytes_and_a_small_picture_within_are_no_matter() -> None:
    jpeg = PICTURES[0][0]
    assert picture_size(jpeg + b"\0\0camera 7", JPEG) == (40, 30)
    thumbnail = coded(".jpg", np.zeros((4, 4, 3), np.uint8))
    exif = b"\xff\xe1" + struct.pack(">H", len(thumbnail) + 2) + thumbnail
    both = jpeg[:2] + exif + jpeg[2:]
    assert picture_size(both, JPEG) == (40, 30)
    with pytest.raises(RecordError):
        picture_size(both[: len(exif) + 300], JPEG)


def test_damage_behind_the_header_shows_when_pixels_are_asked_for() -> None:
    jpeg = PICTURES[0][0]
    place = jpeg.index(b"\xff\xc4")  # the Huffman tables
    pixels = CodedPixels(jpeg[: place + 4] + b"\xff" * 17 + jpeg[place + 21 :], JPEG)
    assert (pixels.width, pixels.height) == (40, 30)
    with pytest.raises(SourceError, match="^a picture \\(image/jpeg\\) is "):
        pixels.luma(8, 8)


@given(st.binary(max_size=300), st.sampled_from([b"", b"\xff\xd8", b"\x89PNG\r\n\x1a\n"]))
@repeatable
def test_any_bytes_are_refused_or_have_a_size(data: bytes, start: bytes) -> None:
    for content_type in (JPEG, PNG):
        try:
            width, height = picture_size(start + data, content_type)
        except RecordError:
            continue
        assert 0 < width <= 16_384
        assert 0 < height <= 16_384
