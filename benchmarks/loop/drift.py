"""A stream that drifts: a day, then night falls and the camera is nudged.

From an asset video, played again and again, or from a drawn street that never repeats. The same
stated transforms make both drift; nothing else changes:

* *night*: light falls to a share of the day's, with a gamma and a blue cast, and the sensor's noise
  grows, as when a camera raises its gain;
* *nudge*: the picture moves by some pixels and turns a little; what comes in at the edges is
  repeated from the edge.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, cast

import av
import cv2
import numpy as np

from connectors.scene import SceneSettings, render

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from av.video.stream import VideoStream
    from numpy.typing import NDArray

    Picture = NDArray[np.uint8]

CRF = "23"
"""The quality of the written file (x264's constant rate factor)."""

FIELDS = 16
"""How many fields of noise are drawn."""

TICKS_A_SECOND = 30_000
"""The time base of the written file."""


class Grain:
    """Noise of a sensor: fields that are drawn once, and taken in a random order and place.

    Args:
        seed: What is random follows from it.
    """

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        self._fields: list[NDArray[np.float32]] = []

    def next(self, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """A field of standard normal noise, float32 of this shape."""
        if not self._fields:
            self._fields = [self._random.standard_normal(shape, np.float32) for _ in range(FIELDS)]
        place, down, right = self._random.integers(0, [FIELDS, *shape]).tolist()
        return np.roll(self._fields[place], (down, right), (0, 1))


@dataclass(frozen=True, slots=True)
class Drift:
    """What changes, and when.

    Attributes:
        night_seconds: When night begins to fall, seconds of the stream.
        dusk_seconds: How long it takes, seconds.
        light: The share of the light that is left at night, 0..1.
        gamma: Exponent on the light of each pixel at night; above 1 darkens what is dark more.
        blue: How much red and green lose to blue at night, 0..1.
        noise: Standard deviation of the noise at night, grey levels of 256.
        nudge_seconds: When the camera is nudged, seconds of the stream.
        shift: By how much it moves the picture, pixels right and down.
        turn_degrees: And turns it, degrees.
        seed: Of the noise.
    """

    night_seconds: float
    dusk_seconds: float = 20.0
    light: float = 0.35
    gamma: float = 1.15
    blue: float = 0.25
    noise: float = 4.0
    nudge_seconds: float = float("inf")
    shift: tuple[int, int] = (18, 8)
    turn_degrees: float = 1.5
    seed: int = 0

    def night(self, seconds: float) -> float:
        """How far night has fallen, 0..1."""
        return float(np.clip((seconds - self.night_seconds) / self.dusk_seconds, 0, 1))

    def apply(self, picture: Picture, seconds: float, grain: Grain) -> Picture:
        """The picture as the camera sees it at this moment, uint8 (height, width, 3) RGB."""
        if seconds >= self.nudge_seconds:
            picture = self._nudged(picture)
        night = self.night(seconds)
        if night == 0:
            return picture
        dark = cast("Picture", cv2.LUT(picture, self._levels(night)))
        noise = np.rint(night * self.noise * grain.next(picture.shape[:2])).astype(np.int16)
        noisy: Picture = (dark + noise[..., None]).clip(0, 255).astype(np.uint8)
        return noisy

    def _levels(self, night: float) -> Picture:
        """What becomes of each grey level in each colour, uint8 (256, 1, 3)."""
        light = np.linspace(0, 1, 256)[:, None] ** (1 + night * (self.gamma - 1))
        lost = np.array([self.blue, self.blue / 2, 0.0])
        levels = 255 * light * (1 - night * (1 - self.light)) * (1 - night * lost)
        return np.rint(levels).astype(np.uint8)[:, None, :]

    def _nudged(self, picture: Picture) -> Picture:
        height, width = picture.shape[:2]
        turned = cv2.getRotationMatrix2D((width / 2, height / 2), self.turn_degrees, 1.0)
        turned[:, 2] += self.shift
        return cast(
            "Picture",
            cv2.warpAffine(picture, turned, (width, height), borderMode=cv2.BORDER_REPLICATE),
        )


def repeated(video: Path, times: int) -> Iterator[Picture]:
    """The frames of a video, again and again."""
    for _ in range(times):
        with av.open(str(video)) as container:
            for frame in container.decode(video=0):
                yield cast("Picture", frame.to_ndarray(format="rgb24"))


def street(settings: SceneSettings) -> Iterator[Picture]:
    """The frames of a drawn street."""
    for picture, _ in render(settings):
        yield picture


def write_drifting(path: Path, pictures: Iterator[Picture], rate_hz: int, drift: Drift) -> int:
    """Write a drifting stream as H.264; its number of frames."""
    grain = Grain(drift.seed)
    count = 0
    with av.open(str(path), "w") as container:
        stream: VideoStream | None = None
        for count, picture in enumerate(pictures, 1):
            if stream is None:
                stream = container.add_stream("libx264", rate=rate_hz)
                stream.height, stream.width = picture.shape[:2]
                stream.pix_fmt = "yuv420p"
                stream.options = {"crf": CRF, "preset": "veryfast"}
                stream.codec_context.time_base = Fraction(1, TICKS_A_SECOND)
            seen = drift.apply(picture, (count - 1) / rate_hz, grain)
            frame = av.VideoFrame.from_ndarray(seen, format="rgb24")
            frame.pts = (count - 1) * TICKS_A_SECOND // rate_hz
            frame.time_base = Fraction(1, TICKS_A_SECOND)
            container.mux(stream.encode(frame))
        if stream is not None:
            container.mux(stream.encode(None))
    return count
