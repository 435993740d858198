"""From images to a network's input, and from its raw boxes to Detections.

Legend: ``n4`` corners x1, y1, x2, y2 of n boxes. A pixel's left edge is at its index, so a
coordinate scales with the image, without an offset of half a pixel.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from records import Detections, DetectorError, RecordError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

LONGEST_SIDE = 16384
"""The longest side an image may have, pixels."""

LARGEST_ASPECT = 100
"""How many times longer one side of an image may be than the other; in a network's input a
thinner strip would be less than a pixel wide."""

MOST_CANDIDATES = 1000
"""The most boxes of one image that enter non-maximum suppression, the best first."""


def check_images(images: Sequence[NDArray[np.uint8]]) -> None:
    """Raise RecordError unless each image is RGB, uint8 (height, width, 3), of a sane size.

    >>> check_images([np.zeros((2, 2), np.uint8)])
    Traceback (most recent call last):
    ...
    records.errors.RecordError: image 0 must be RGB, uint8 (height, width, 3), got uint8 (2, 2)
    """
    for i, image in enumerate(images):
        is_array = isinstance(image, np.ndarray)
        if not is_array or image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            got = f"{image.dtype} {image.shape}" if is_array else type(image).__name__
            raise RecordError(f"image {i} must be RGB, uint8 (height, width, 3), got {got}")
        height, width = image.shape[:2]
        short, long = sorted((height, width))
        if short < 1 or long > LONGEST_SIDE or long > LARGEST_ASPECT * short:
            raise RecordError(
                f"image {i} must have sides of 1..{LONGEST_SIDE} pixels, one at most "
                f"{LARGEST_ASPECT} times the other, got {width}x{height}"
            )


@dataclass(frozen=True, slots=True)
class Placement:
    """How an image lies in a network's input, from the top left corner.

    Attributes:
        width: Width of the image, pixels.
        height: Height of the image, pixels.
        scale_x: Pixels of the input for one pixel of the image, along x.
        scale_y: The same along y; the two differ by rounding to whole pixels.
    """

    width: int
    height: int
    scale_x: float = 1.0
    scale_y: float = 1.0

    def to_image(self, boxes_n4: NDArray[np.float32]) -> NDArray[np.float32]:
        """Boxes in pixels of the input, as boxes in pixels of the image, cut at its edges."""
        scale = np.array([self.scale_x, self.scale_y] * 2, dtype=np.float32)
        limit = np.array([self.width, self.height] * 2, dtype=np.float32)
        boxes: NDArray[np.float32] = np.clip(boxes_n4 / scale, 0, limit)
        return boxes


def letterbox(
    image: NDArray[np.uint8], width: int, height: int, fill: int
) -> tuple[NDArray[np.uint8], Placement]:
    """Resize to fit, keeping the proportions, and fill the rest at the right and bottom.

    Args:
        image: uint8 (h, w, 3).
        width: Width of the canvas, pixels.
        height: Height of the canvas, pixels.
        fill: The value of the pixels that the image does not cover, 0..255.

    Returns:
        The canvas, uint8 (height, width, 3), and how the image lies in it.

    >>> canvas, placement = letterbox(np.zeros((50, 100, 3), np.uint8), 416, 416, 114)
    >>> canvas.shape, canvas[207, 0, 0], canvas[208, 0, 0], placement.scale_x
    ((416, 416, 3), np.uint8(0), np.uint8(114), 4.16)
    """
    h, w = image.shape[:2]
    scale = min(width / w, height / h)
    new_w, new_h = max(1, int(w * scale)), max(1, int(h * scale))
    canvas = np.full((height, width, 3), fill, dtype=np.uint8)
    resized = cv2.resize(
        np.ascontiguousarray(image), (new_w, new_h), interpolation=cv2.INTER_LINEAR
    )
    canvas[:new_h, :new_w] = resized
    return canvas, Placement(w, h, new_w / w, new_h / h)


def stretch(
    image: NDArray[np.uint8], width: int, height: int
) -> tuple[NDArray[np.uint8], Placement]:
    """Resize to exactly width x height, whatever the proportions; returns as `letterbox`."""
    h, w = image.shape[:2]
    resized = cv2.resize(
        np.ascontiguousarray(image), (width, height), interpolation=cv2.INTER_LINEAR
    )
    return np.asarray(resized, dtype=np.uint8), Placement(w, h, width / w, height / h)


def intersection_over_union(
    box_4: NDArray[np.float32], boxes_n4: NDArray[np.float32]
) -> NDArray[np.float32]:
    """How much one box overlaps each of the others, float32 (n,), in 0..1.

    >>> boxes = np.array([[0, 0, 2, 2], [1, 0, 3, 2], [5, 5, 6, 6]], np.float32)
    >>> intersection_over_union(boxes[0], boxes).round(3).tolist()
    [1.0, 0.3330000042915344, 0.0]
    """
    corner = np.minimum(box_4[2:], boxes_n4[:, 2:]) - np.maximum(box_4[:2], boxes_n4[:, :2])
    shared = np.prod(np.maximum(corner, 0), axis=1)
    areas = np.prod(boxes_n4[:, 2:] - boxes_n4[:, :2], axis=1)
    union = np.prod(box_4[2:] - box_4[:2]) + areas - shared
    overlap: NDArray[np.float32] = np.divide(
        shared, union, out=np.zeros_like(shared), where=union > 0
    )
    return overlap


def non_maximum_suppression(
    boxes_n4: NDArray[np.float32],
    scores_n: NDArray[np.float32],
    class_ids_n: NDArray[np.int32],
    iou_at_most: float,
) -> NDArray[np.intp]:
    """Greedy, class by class: the best box stays, what overlaps it too much goes.

    Args:
        boxes_n4: float32 (n, 4).
        scores_n: float32 (n,).
        class_ids_n: int32 (n,); boxes of different classes never compete.
        iou_at_most: The largest overlap of two boxes that both stay, 0..1.

    Returns:
        Indices of the boxes that stay, best first; among equal scores the earlier box first.
        Only the best 1000 boxes compete.

    >>> boxes = np.array([[0, 0, 9, 10], [0, 0, 10, 10], [0, 0, 10, 10]], np.float32)
    >>> scores = np.array([0.5, 0.9, 0.7], np.float32)
    >>> non_maximum_suppression(boxes, scores, np.array([0, 0, 1], np.int32), 0.5).tolist()
    [1, 2]
    """
    order = np.argsort(-scores_n, kind="stable")[:MOST_CANDIDATES]
    boxes, class_ids = boxes_n4[order], class_ids_n[order]
    alive = np.ones(len(order), dtype=np.bool_)
    for i in range(len(order)):
        if alive[i]:
            overlap = intersection_over_union(boxes[i], boxes[i + 1 :])
            rival = (overlap > iou_at_most) & (class_ids[i + 1 :] == class_ids[i])
            alive[i + 1 :] &= ~rival
    return order[alive]


@dataclass(frozen=True, slots=True)
class BoxFilter:
    """Turns the raw boxes of one image into Detections.

    Attributes:
        model: The model's name, for errors.
        class_names: The vocabulary.
        wanted: bool (classes,), the classes to return.
        score_at_least: Boxes below this score are dropped, 0..1.
        iou_at_most: For non-maximum suppression, 0..1.
    """

    model: str
    class_names: tuple[str, ...]
    wanted: NDArray[np.bool_]
    score_at_least: float
    iou_at_most: float

    def strong(
        self, scores_n: NDArray[np.float32], class_ids_n: NDArray[np.int32]
    ) -> NDArray[np.bool_]:
        """Which raw boxes are worth decoding, bool (n,).

        Raises:
            DetectorError: a score is not a number: the weights are damaged.
        """
        if not np.isfinite(scores_n).all():
            raise DetectorError(
                f"{self.model} gave scores that are not finite; its weights are damaged. "
                "Fetch or export them again"
            )
        return (scores_n >= self.score_at_least) & self.wanted[class_ids_n]

    def detections(
        self,
        boxes_n4: NDArray[np.float32],
        scores_n: NDArray[np.float32],
        class_ids_n: NDArray[np.int32],
        placement: Placement,
    ) -> Detections:
        """The boxes that stay, in pixels of the image, best first.

        Args:
            boxes_n4: float32 (n, 4), pixels of the network's input.
            scores_n: float32 (n,), all `strong`.
            class_ids_n: int32 (n,).
            placement: How the image lies in the input.

        Raises:
            DetectorError: a box is not finite: the weights are damaged.
        """
        if not np.isfinite(boxes_n4).all():
            raise DetectorError(
                f"{self.model} gave boxes that are not finite; its weights are damaged. "
                "Fetch or export them again"
            )
        boxes = placement.to_image(boxes_n4)
        inside = ((boxes[:, 2:] - boxes[:, :2]) > 0).all(axis=1)
        boxes, scores, class_ids = boxes[inside], scores_n[inside], class_ids_n[inside]
        keep = non_maximum_suppression(boxes, scores, class_ids, self.iou_at_most)
        return Detections.of(
            boxes[keep], np.clip(scores[keep], 0, 1), class_ids[keep], class_names=self.class_names
        )
