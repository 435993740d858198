"""Silhouettes: what differs from a picture of the empty scene.

A detector without a model, for synthetic scenes: they have a picture of the empty street, so tests
and `sightflow demo --synthetic` need no weights. Real scenes change their light; use a real model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from models.detectors.labels import class_mask
from models.detectors.postprocess import BoxFilter, Placement, check_images
from models.detectors.weights import check_weights
from records import DetectorError, RecordError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from models.detectors.settings import DetectorSettings
    from records import Detections

CLASS_NAMES = ("car", "person")
"""What a silhouette can be: wide or tall."""

CHANGED_LEVELS = 24
"""A pixel differs when a colour channel is further than this from the empty scene, of 255 levels;
well above the noise of a synthetic scene and of its compression."""

JOINED_SHARE = 1 / 40
"""Gaps within an object up to this share of the picture's height are closed."""

LEAST_AREA_SHARE = 1 / 1500
"""Silhouettes smaller than this share of the picture are left out as noise."""


class SilhouetteDetector:
    """Boxes of what differs from the empty scene; tall ones are persons, wide ones cars.

    A box's score is the share of it that differs. Objects that overlap become one box.

    Args:
        path: A picture of the empty scene, PNG or JPEG, of the size of the frames.
        settings: Which boxes are kept.

    Raises:
        DetectorError: the picture cannot be read, or a class is unknown.
    """

    def __init__(self, path: Path, settings: DetectorSettings) -> None:
        check_weights(path)
        picture = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR_RGB)
        if picture is None:
            raise DetectorError(f"weights must be a picture of the empty scene, {path} is none")
        self._empty = picture
        self._filter = BoxFilter(
            self.name,
            CLASS_NAMES,
            class_mask(settings.classes, CLASS_NAMES, self.name),
            settings.score_at_least,
            settings.iou_at_most,
        )

    @property
    def name(self) -> str:
        """The detector's name."""
        return "silhouette"

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes it can find."""
        return CLASS_NAMES

    def detect(self, images: Sequence[NDArray[np.uint8]]) -> list[Detections]:
        """Find the silhouettes in each image.

        Args:
            images: RGB, uint8 (height, width, 3), of the size of the empty scene's picture.

        Raises:
            RecordError: an image has another size, shape or dtype.
        """
        check_images(images)
        return [self._detect_one(image) for image in images]

    def _detect_one(self, image: NDArray[np.uint8]) -> Detections:
        if image.shape != self._empty.shape:
            want, got = self._empty.shape, image.shape
            raise RecordError(
                f"images must be {want[1]}x{want[0]} like the empty scene, got {got[1]}x{got[0]}"
            )
        height, width = image.shape[:2]
        red, green, blue = cv2.split(cv2.absdiff(image, self._empty))
        furthest = cv2.max(cv2.max(red, green), blue)
        _, changed = cv2.threshold(furthest, CHANGED_LEVELS, 1, cv2.THRESH_BINARY)
        side = max(round(height * JOINED_SHARE), 1)
        joined = cv2.morphologyEx(changed, cv2.MORPH_CLOSE, np.ones((side, side), np.uint8))
        _, _, stats, _ = cv2.connectedComponentsWithStats(joined)
        parts = stats[1:]  # the first is the ground
        parts = parts[parts[:, cv2.CC_STAT_AREA] >= LEAST_AREA_SHARE * height * width]
        left, top, wide, tall, area = (parts[:, k].astype(np.float32) for k in range(5))
        boxes = np.stack([left, top, left + wide, top + tall], axis=1).reshape(-1, 4)
        scores = (area / np.maximum(wide * tall, 1)).clip(0, 1)
        class_ids = (tall > wide).astype(np.int32)
        keep = self._filter.strong(scores, class_ids)
        return self._filter.detections(
            boxes[keep], scores[keep], class_ids[keep], Placement(width, height)
        )
