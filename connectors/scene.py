"""A synthetic street: moving people and cars over a textured background, with exact truth."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, cast

import av
import numpy as np

from connectors.scene_drawing import Actor, draw_actor, draw_background
from records.checks import check_count, check_finite
from records.detections import Detections
from records.errors import RecordError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from av.video.stream import VideoStream
    from numpy.typing import NDArray

CLASS_NAMES = ("car", "person")
"""The classes of the objects in a scene."""

TICKS_A_SECOND = 30_000
"""The time base of written scenes; every usual frame rate divides it."""

MOST_FRAMES = 10_000_000
"""The most frames of a scene."""

LEAST_SIDE, MOST_SIDE = 64, 4096
"""The smallest and largest width and height of a scene, pixels."""

LEAST_VISIBLE = 0.2
"""The share of an object's box that must be in the picture for it to count."""

_CROSSING_SECONDS = {"person": (9.0, 18.0), "car": (3.0, 7.0)}
"""How long an object takes to cross the picture, seconds, from quick to slow."""

_SIZES = {"person": (0.10, 0.27), "car": (0.34, 0.15)}
"""Width and height of an object at the lower edge, shares of the picture's height."""

_LANES = {"person": (0.46, 0.58), "car": (0.72, 0.94)}
"""Where the feet or wheels of an object may be, shares of the height."""

_CAR_SHARE = 0.45
"""The share of cars among the objects."""

_JITTER = 0.4
"""How far a frame of variable rate may be off its place, in frames."""


@dataclass(frozen=True, slots=True)
class SceneSettings:
    """What a scene looks like.

    Attributes:
        width: Width of the picture, pixels; even.
        height: Height of the picture, pixels; even.
        rate_hz: Frames a second.
        seconds: Length of the scene, seconds.
        objects_per_minute: How many objects enter in a minute, on average.
        noise: Standard deviation of the sensor's noise, grey levels of 256.
        seed: What is random follows from it.
        variable_rate: Frames are not evenly spaced, but up to 0.4 frames early or late.
        b_frames: Most frames in a row that are coded from both sides, and so out of order.

    Raises:
        RecordError: a value is out of range; the message names the field.
    """

    width: int = 640
    height: int = 360
    rate_hz: float = 10.0
    seconds: float = 60.0
    objects_per_minute: float = 20.0
    noise: float = 2.5
    seed: int = 0
    variable_rate: bool = False
    b_frames: int = 0

    def __post_init__(self) -> None:
        for field in ("width", "height"):
            side = getattr(self, field)
            check_count(field, side)
            if not LEAST_SIDE <= side <= MOST_SIDE or side % 2:
                raise RecordError(
                    f"{field} must be even and in {LEAST_SIDE}..{MOST_SIDE}, got {side}"
                )
        for field in ("rate_hz", "seconds", "objects_per_minute", "noise"):
            check_finite(field, getattr(self, field))
        for field in ("seed", "b_frames"):
            check_count(field, getattr(self, field))
        if self.rate_hz <= 0 or not 1 <= self.frames <= MOST_FRAMES:
            raise RecordError(
                f"rate_hz x seconds must be 1 to {MOST_FRAMES} frames, "
                f"got {self.rate_hz} x {self.seconds}"
            )
        if self.objects_per_minute < 0 or self.noise < 0:
            raise RecordError("objects_per_minute and noise must be at least 0")

    @property
    def frames(self) -> int:
        """How many frames the scene has."""
        return round(self.rate_hz * self.seconds)


def render(settings: SceneSettings) -> Iterator[tuple[NDArray[np.uint8], Detections]]:
    """Draw a scene.

    Yields:
        For each frame the picture, uint8 (height, width, 3) RGB, and what is in it: the boxes
        clipped to the picture, score 1, with the track of each object.

    >>> picture, truth = next(render(SceneSettings(seconds=1, objects_per_minute=0)))
    >>> picture.shape, len(truth)
    ((360, 640, 3), 0)
    """
    rng = np.random.default_rng(settings.seed)
    background = draw_background(settings.width, settings.height, rng)
    actors = _cast(settings, rng)
    spare = 32
    shape = (settings.height + spare, settings.width + spare, 1)
    noise = rng.normal(0.0, settings.noise, shape).astype(np.float32)
    for ticks in frame_ticks(settings):
        seconds = ticks / TICKS_A_SECOND
        on_stage = [actor for actor in actors if actor.enters <= seconds < actor.leaves]
        picture = background.copy()
        for actor in sorted(on_stage, key=lambda actor: actor.ground):
            draw_actor(picture, actor, seconds)
        y, x = rng.integers(0, spare, 2)
        picture += noise[y : y + settings.height, x : x + settings.width]
        yield picture.clip(0, 255).astype(np.uint8), _truth(settings, on_stage, seconds)


def frame_ticks(settings: SceneSettings) -> list[int]:
    """When each frame is shown, in ticks of 1 / TICKS_A_SECOND seconds; strictly increasing.

    >>> frame_ticks(SceneSettings(rate_hz=10, seconds=0.3))
    [0, 3000, 6000]
    """
    step = TICKS_A_SECOND / settings.rate_hz
    places = np.arange(settings.frames, dtype=np.float64)
    if settings.variable_rate:
        rng = np.random.default_rng([settings.seed, 1])
        places[1:] += rng.uniform(-_JITTER, _JITTER, settings.frames - 1)
    return [round(place * step) for place in places.tolist()]


def write_scene(
    path: Path,
    settings: SceneSettings,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Detections, ...]:
    """Write a scene as H.264 (MPEG-4 part 2 where FFmpeg has no encoder for it).

    Args:
        path: The file; its suffix chooses the container.
        settings: The scene.
        progress: Called after each frame with the frames done and the frames in all.

    Returns:
        What is in each frame.
    """
    truth = []
    codec = "libx264" if "libx264" in av.codecs_available else "mpeg4"
    with av.open(path, "w") as container:
        rate = Fraction(settings.rate_hz).limit_denominator(1001)
        video = cast("VideoStream", container.add_stream(codec, rate=rate))
        video.width, video.height, video.pix_fmt = settings.width, settings.height, "yuv420p"
        video.time_base = video.codec_context.time_base = Fraction(1, TICKS_A_SECOND)
        video.codec_context.max_b_frames = settings.b_frames
        if codec == "libx264":
            video.options = {"preset": "veryfast", "bf": str(settings.b_frames)}
        for ticks, (picture, found) in zip(frame_ticks(settings), render(settings), strict=True):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = ticks, Fraction(1, TICKS_A_SECOND)
            container.mux(video.encode(frame))
            truth.append(found)
            if progress is not None:
                progress(len(truth), settings.frames)
        container.mux(video.encode(None))
    return tuple(truth)


def _cast(settings: SceneSettings, rng: np.random.Generator) -> list[Actor]:
    """Everyone who enters, at times of a Poisson process."""
    actors: list[Actor] = []
    enters = -max(high for _, high in _CROSSING_SECONDS.values())
    while settings.objects_per_minute > 0:
        enters += rng.exponential(60.0 / settings.objects_per_minute)
        if enters >= settings.seconds:
            break
        name = "car" if rng.random() < _CAR_SHARE else "person"
        lane = rng.uniform(*_LANES[name])
        nearness = 0.55 + 0.45 * lane
        width, height = (share * nearness * settings.height for share in _SIZES[name])
        actors.append(
            Actor(
                track=len(actors) + 1,
                name=name,
                enters=enters,
                leaves=enters + rng.uniform(*_CROSSING_SECONDS[name]),
                leftwards=bool(rng.random() < 0.5),
                ground=lane * settings.height,
                width=width,
                height=height,
                colour=rng.uniform(30, 225, 3).astype(np.float32),
            )
        )
    return actors


def _truth(settings: SceneSettings, actors: list[Actor], seconds: float) -> Detections:
    limits = np.array([settings.width, settings.height] * 2, dtype=np.float32)
    whole_n4 = np.array([actor.box(seconds, settings.width) for actor in actors], dtype=np.float32)
    whole_n4 = whole_n4.reshape(-1, 4)
    boxes_n4 = np.clip(whole_n4, 0, limits)
    seen = _areas(boxes_n4) >= LEAST_VISIBLE * _areas(whole_n4)
    return Detections.of(
        boxes_n4[seen],
        np.ones(int(seen.sum())),
        [actor.name for actor, is_seen in zip(actors, seen, strict=True) if is_seen],
        class_names=CLASS_NAMES,
        tracks=[actor.track for actor, is_seen in zip(actors, seen, strict=True) if is_seen],
    )


def _areas(boxes_n4: NDArray[np.float32]) -> NDArray[np.float32]:
    sides = boxes_n4[:, 2:] - boxes_n4[:, :2]
    return sides[:, 0] * sides[:, 1]
