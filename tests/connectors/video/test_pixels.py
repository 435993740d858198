from __future__ import annotations

from fractions import Fraction
from multiprocessing.reduction import ForkingPickler
from typing import TYPE_CHECKING

import av
import numpy as np
import pytest

from connectors.video import ArrayPixels, AvPixels, VideoSettings, read_video
from records import Frame, Pixels, RecordError

if TYPE_CHECKING:
    from pathlib import Path

FORMATS = ["yuv420p", "yuvj420p", "nv12", "yuv422p10le", "rgb24", "bgra", "gray", "pal8", "monow"]


def noise(pixel_format: str, width: int = 61, height: int = 37) -> av.VideoFrame:
    frame = av.VideoFrame(width, height, pixel_format)
    rng = np.random.default_rng(7)
    for plane in frame.planes:
        plane.update(rng.integers(0, 255, plane.buffer_size, dtype=np.uint8).tobytes())
    return frame


@pytest.mark.parametrize("pixel_format", FORMATS)
def test_pixels_survive_a_pickle_without_loss(pixel_format: str) -> None:
    pixels = AvPixels(noise(pixel_format))
    back = ForkingPickler.loads(ForkingPickler.dumps(pixels))
    assert (back.width, back.height) == (61, 37)
    for size in ((20, 10), (61, 37), (90, 80)):
        assert np.array_equal(back.luma(*size), pixels.luma(*size))
        assert np.array_equal(back.rgb(*size), pixels.rgb(*size))
    assert np.array_equal(back.rgb(), pixels.rgb())


def test_padded_lines_and_colour_fields_survive_a_pickle(assets: Path) -> None:
    settings = VideoSettings(str(assets / "video" / "vtest.avi"), frames_at_most=1)
    frame = next(item for item in read_video("gate", settings) if isinstance(item, Frame))
    back = ForkingPickler.loads(ForkingPickler.dumps(frame))
    assert (back.id, back.time_ns) == (frame.id, frame.time_ns)
    assert np.array_equal(back.pixels.rgb(), frame.pixels.rgb())
    assert np.array_equal(back.pixels.luma(100, 100), frame.pixels.luma(100, 100))


def test_a_frame_that_is_stored_upside_down_is_turned() -> None:
    flipped = av.filter.Graph()
    source = flipped.add_buffer(
        width=16, height=16, format=av.VideoFormat("gray"), time_base=Fraction(1)
    )
    flip, sink = flipped.add("vflip"), flipped.add("buffersink")
    source.link_to(flip)
    flip.link_to(sink)
    flipped.configure()
    ramp = np.repeat(np.arange(16, dtype=np.uint8)[:, None] * 10, 16, axis=1)
    source.push(av.VideoFrame.from_ndarray(ramp, format="gray"))
    frame = sink.pull()
    assert isinstance(frame, av.VideoFrame)
    assert frame.planes[0].line_size < 0
    back = ForkingPickler.loads(ForkingPickler.dumps(AvPixels(frame)))
    assert np.array_equal(back.luma(16, 16), ramp[::-1])


def test_luma_is_the_mean_of_the_area() -> None:
    checks = np.indices((48, 64)).sum(0) % 2 * 200
    pixels = ArrayPixels(np.repeat(checks[:, :, None], 3, axis=2).astype(np.uint8))
    small = pixels.luma(8, 6)
    assert small.shape == (6, 8)
    assert small.dtype == np.uint8
    assert np.abs(small.astype(int) - 100).max() <= 1


def test_colours_are_kept() -> None:
    array = np.zeros((40, 60, 3), dtype=np.uint8)
    array[:, :, 0] = 250
    pixels = ArrayPixels(array)
    assert isinstance(pixels, Pixels)
    assert (pixels.width, pixels.height) == (60, 40)
    assert np.array_equal(pixels.rgb(), array)
    assert np.array_equal(pixels.rgb(6, 4), array[:4, :6])
    assert np.array_equal(ForkingPickler.loads(ForkingPickler.dumps(pixels)).rgb(), array)


def test_what_is_handed_out_is_a_copy() -> None:
    array = np.zeros((16, 16, 3), dtype=np.uint8)
    for pixels in (ArrayPixels(array), AvPixels(av.VideoFrame.from_ndarray(array))):
        pixels.rgb()[:] = 255
        assert not pixels.rgb().any()
    gray = AvPixels(av.VideoFrame.from_ndarray(array[:, :, 0].copy(), format="gray"))
    gray.luma(16, 16)[:] = 255
    assert not gray.luma(16, 16).any()


@pytest.mark.parametrize(("width", "height"), [(0, 5), (5, -1), (16_385, 1), (16_384, 16_384)])
def test_sizes_are_bounded_before_memory_is_taken(width: int, height: int) -> None:
    pixels = ArrayPixels(np.zeros((4, 4, 3), dtype=np.uint8))
    message = (
        "^a frame must be 1 to 16384 pixels a side and at most 134217728 pixels, "
        f"got {width} x {height}$"
    )
    with pytest.raises(RecordError, match=message):
        pixels.rgb(width, height)
    with pytest.raises(RecordError, match=message):
        pixels.luma(width, height)


@pytest.mark.parametrize(
    ("array", "got"),
    [
        (np.zeros((4, 4), dtype=np.uint8), r"uint8 \(4, 4\)"),
        (np.zeros((4, 4, 4), dtype=np.uint8), r"uint8 \(4, 4, 4\)"),
        (np.zeros((0, 4, 3), dtype=np.uint8), r"uint8 \(0, 4, 3\)"),
        (np.zeros((4, 4, 3), dtype=np.float32), r"float32 \(4, 4, 3\)"),
    ],
)
def test_an_array_that_is_no_picture_is_refused(array: np.ndarray, got: str) -> None:
    with pytest.raises(
        RecordError, match=rf"^array must be uint8 \(height, width, 3\), got {got}$"
    ):
        ArrayPixels(array)
