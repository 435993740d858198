"""A synthetic camera whose frames wait in a retraining queue, and a trainer's job for it."""

from __future__ import annotations

import functools
import hashlib
import shutil
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2

from connectors.queue import RetrainingQueue
from connectors.scene import SceneSettings, render
from connectors.video.pixels import ArrayPixels
from flows.config import Configuration
from flows.picture import write_picture
from flows.training.settings import TrainingJob
from operators.retraining_value import HASH_SIZE, fingerprint
from records import Crop, Label, Origin, RetrainingItem
from records.retraining import PICTURE
from records.units import NANOSECONDS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from connectors.queue_items import Entry
    from records import Detections

SCENE = SceneSettings(
    width=128, height=128, rate_hz=2, seconds=400, objects_per_minute=4, noise=1, seed=11
)  # fmt: skip
"""800 frames of a quiet street, 400 s at 2 Hz."""

PROPENSITY = 0.1
"""With which the frames were drawn."""


@dataclass(frozen=True, slots=True)
class Camera:
    """A folder with a filled queue.

    Attributes:
        folder: Holds queue.sqlite3 and empty.png.
    """

    folder: Path

    @property
    def queue(self) -> Path:
        """The retraining queue."""
        return self.folder / "queue.sqlite3"

    def values(self, **training: Any) -> dict[str, Any]:
        """The configuration as plain values."""
        section = {
            "model": "gate", "kind": "cascade", "queue": "queue.sqlite3", "items": 700,
            "select": "all", "block_seconds": 10.0, "scheduling": "normal", "nice": 0, "seed": 3,
        } | training  # fmt: skip
        return {
            "version": 1,
            "name": "street",
            "detector": {"model": "silhouette", "weights": "empty.png"},
            "cascade": {
                "predicate": {"class": "person"},
                "contract": {"recall": 0.9, "precision": 0.9},
            },
            "training": section,
        }

    def job(self, **training: Any) -> TrainingJob:
        """A trainer's job."""
        configuration = Configuration.model_validate(self.values(**training))
        assert configuration.training is not None
        return TrainingJob(
            configuration.training,
            configuration,
            self.folder,
            self.folder / "registry",
            self.queue,
            time.time_ns,
        )


def item_of(
    rgb: NDArray[np.uint8], place: int, label: Label | None = None, stream: str = "gate"
) -> Entry:
    """A frame of the random share with its whole picture."""
    data = cv2.imencode(".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))[1].tobytes()
    height, width = rgb.shape[:2]
    crop = Crop(
        PICTURE, hashlib.sha256(data).hexdigest(), len(data), width, height,
        (0.0, 0.0, float(width), float(height)),
    )  # fmt: skip
    item = RetrainingItem(
        stream,
        place,
        round(place / SCENE.rate_hz * NANOSECONDS),
        (Origin.RANDOM,),
        priority=1.0,
        propensity=PROPENSITY,
        label=label,
        crop=crop,
        fingerprint=fingerprint(ArrayPixels(rgb).luma(*HASH_SIZE)),
        model="silhouette",
    )
    return item, data


@functools.cache
def frames() -> list[tuple[NDArray[np.uint8], Detections]]:
    """The frames of the street with what is in them."""
    return list(render(SCENE))


@functools.cache
def _filled() -> tempfile.TemporaryDirectory[str]:
    """The folder that others are copied from; removed when the process ends."""
    made = tempfile.TemporaryDirectory(prefix="sightflow-training-")
    folder = Path(made.name)
    empty, _ = next(render(replace(SCENE, objects_per_minute=0, noise=0)))
    write_picture(folder / "empty.png", empty)
    entries = [item_of(rgb, place) for place, (rgb, _) in enumerate(frames())]
    with RetrainingQueue(folder / "queue.sqlite3") as queue:
        queue.add(entries, now_ns=0)
    return made


def camera(folder: Path) -> Camera:
    """A camera of one's own, with 800 items in its queue that nobody has labelled."""
    for path in Path(_filled().name).iterdir():
        shutil.copy(path, folder)
    return Camera(folder)
