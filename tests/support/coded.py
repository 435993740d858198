"""Videos coded with chosen groups of pictures, and what decoding ahead makes of a stream."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple, cast

import av
import numpy as np

from connectors.video import OnDemandPixels, VideoSettings
from tests.support.videos import read_all

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from av.video.stream import VideoStream
    from numpy.typing import NDArray

    from connectors.video import OnDemandDecoder
    from records import Frame, StreamEvent

SIZE = (96, 64)
"""Width and height of the pictures, pixels."""


CODED: dict[str, str] = {
    "b_frames.mp4": "keyint=12:min-keyint=12:scenecut=0:bframes=3:b-pyramid=normal",
    "open.mp4": "open-gop=1:keyint=12:min-keyint=1:scenecut=0:bframes=3:b-adapt=0",
    "open.ts": "open-gop=1:keyint=12:min-keyint=1:scenecut=0:bframes=3:b-adapt=0",
    "b_frames.mkv": "keyint=10:bframes=2:ref=4",
    "intra.mp4": "keyint=1",
    "one_keyframe.mp4": "keyint=1000:scenecut=0:bframes=2",
    "refresh.mkv": "intra-refresh=1:keyint=15:bframes=0",
}
"""Files and the parameters of x264 that they are written with."""

VARIABLE = [0, 40, 90, 100, 180, 181, 300, 1300, 1340, 1400, 1500, 1580, 1600, 1700, 1710, 1900]
"""Times of frames, ms."""

NAMES = (*CODED, "variable.mp4", "motion_jpeg.mkv")
"""The names of the files of coded_videos."""


def write_coded(
    path: Path,
    x264: str,
    *,
    ticks: Sequence[int] = range(0, 2400, 40),
    codec: str = "libx264",
    seed: int = 0,
) -> Path:
    """Write moving noise, lossily, with these parameters of x264; ticks are milliseconds."""
    rng = np.random.default_rng(seed)
    still = rng.integers(0, 256, (SIZE[1], SIZE[0], 3), dtype=np.uint8)
    with av.open(path, "w") as container:
        video = cast("VideoStream", container.add_stream(codec, rate=25))
        pixel_format = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        video.width, video.height, video.pix_fmt = *SIZE, pixel_format
        video.time_base = video.codec_context.time_base = Fraction(1, 1000)
        if codec == "libx264":
            video.options = {"preset": "medium", "x264-params": x264}
        for number, shown in enumerate(ticks):
            picture = np.roll(still, (number, 2 * number), axis=(0, 1))
            picture[20:40, 20 + number % 40 : 40 + number % 40] = number * 3 % 256
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = shown, Fraction(1, 1000)
            container.mux(video.encode(frame.reformat(format=pixel_format)))
        container.mux(video.encode(None))
    return path


class Told(NamedTuple):
    """All that a frame tells before its pixels are asked for."""

    sequence: int
    time_ns: int
    coded_bytes: int
    keyframe: bool
    reordered: bool


class Truth(NamedTuple):
    """What decoding ahead makes of a stream."""

    frames: list[Told]
    luma: list[NDArray[np.uint8]]
    rgb: list[NDArray[np.uint8]]
    events: list[StreamEvent]


def tell(frames: Iterable[Frame]) -> list[Told]:
    """What frames tell without pixels."""
    return [Told(f.sequence, f.time_ns, f.coded_bytes, f.keyframe, f.reordered) for f in frames]


def truth_of(settings: VideoSettings, width: int = SIZE[0], height: int = SIZE[1]) -> Truth:
    """Decode a stream ahead."""
    frames, events = read_all(replace(settings, decode="ahead"))
    luma = [frame.pixels.luma(width, height) for frame in frames]
    rgb = [frame.pixels.rgb(width, height) for frame in frames]
    return Truth(tell(frames), luma, rgb, events)


def on_demand(settings: VideoSettings) -> list[Frame]:
    """The frames of a video that is read on demand."""
    return read_all(settings)[0]


def decoder_of(frame: Frame) -> OnDemandDecoder:
    """What decodes a frame on demand."""
    assert isinstance(frame.pixels, OnDemandPixels)
    return frame.pixels.decoder


def coded_videos(folder: Path) -> dict[str, tuple[VideoSettings, Truth]]:
    """Write a file of each kind; how to read it on demand, and what decoding ahead makes of it."""
    paths = [write_coded(folder / name, x264) for name, x264 in CODED.items()]
    paths.append(write_coded(folder / "variable.mp4", "keyint=5:bframes=3", ticks=VARIABLE))
    paths.append(write_coded(folder / "motion_jpeg.mkv", "", codec="mjpeg"))
    made = {path.name: VideoSettings(str(path), decode="on_demand") for path in paths}
    return {name: (settings, truth_of(settings)) for name, settings in made.items()}
