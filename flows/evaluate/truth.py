"""What is true of each frame, and how a model's boxes compare with it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import linear_sum_assignment

from operators.assertions.agreement import overlaps
from records import Detections

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

OVERLAP = 0.5
"""The intersection over union from which a box finds an object (PASCAL VOC)."""

UNLABELLED_SHARE = 0.5
"""The share of a box that lies in an unlabelled region for it to be neither true nor false (KITTI's
evaluation, Geiger et al., CVPR 2012)."""


class Status(IntEnum):
    """What a box is: NEUTRAL is neither true nor false, since the truth does not say."""

    FALSE = 0
    TRUE = 1
    NEUTRAL = 2


@dataclass(frozen=True, slots=True, eq=False)
class FrameTruth:
    """The truth of one frame.

    Attributes:
        objects: The objects of the class, n of them, with their tracks; scores are 1.
        neutral: float32 (m, 4), objects of classes so near that either answer is right.
        unlabelled: float32 (k, 4), regions in which objects may be without a label.
    """

    objects: Detections
    neutral: NDArray[np.float32]
    unlabelled: NDArray[np.float32]

    @classmethod
    def empty(cls) -> FrameTruth:
        """No object, and everything is labelled."""
        none = np.empty((0, 4), np.float32)
        return cls(Detections.empty(), none, none)


@dataclass(frozen=True, slots=True, eq=False)
class JudgedFrame:
    """A model's boxes in one frame against the truth.

    Attributes:
        found: The boxes, n of them.
        truth: The truth.
        status: int64 (n,), a `Status` each.
        object_of: int64 (n,), the place of the object that a box found; -1 for none.
    """

    found: Detections
    truth: FrameTruth
    status: NDArray[np.int64]
    object_of: NDArray[np.int64]

    @property
    def missed(self) -> list[int]:
        """The places of the objects that no box found."""
        seen = set(self.object_of.tolist())
        return [place for place in range(len(self.truth.objects)) if place not in seen]

    def status_at(self, box: NDArray[np.float32]) -> Status:
        """What another box of shape (4,) would be, that should find an object that was missed."""
        missed = self.truth.objects.boxes[self.missed]
        if (overlaps(box[None], missed) >= OVERLAP).any():
            return Status.TRUE
        neutral = _neutral(box[None], self.truth).item()
        return Status.NEUTRAL if neutral else Status.FALSE


def judge(found: Detections, truth: FrameTruth) -> JudgedFrame:
    """Match boxes with objects one to one, so that overlaps are greatest in sum (Hungarian).

    >>> objects = Detections.of([[0, 0, 10, 10], [50, 0, 60, 10]], [1, 1], ["car", "car"])
    >>> none = np.empty((0, 4), np.float32)
    >>> found = Detections.of([[0, 0, 10, 9], [80, 0, 90, 10]], [1, 1], ["car", "car"])
    >>> judged = judge(found, FrameTruth(objects, none, none))
    >>> judged.status.tolist(), judged.object_of.tolist(), judged.missed
    ([1, 0], [0, -1], [1])
    """
    object_of = matched(found.boxes, truth.objects.boxes)
    neutral = _neutral(found.boxes, truth)
    status = np.where(neutral, Status.NEUTRAL, Status.FALSE)
    status[object_of >= 0] = Status.TRUE
    return JudgedFrame(found, truth, status, object_of)


def matched(boxes: NDArray[np.float32], objects: NDArray[np.float32]) -> NDArray[np.int64]:
    """The object of each box, int64 (n,), -1 for none, from `OVERLAP` on."""
    overlap = overlaps(boxes, objects)
    overlap[overlap < OVERLAP] = 0
    found = np.full(len(boxes), -1)
    rows, columns = linear_sum_assignment(overlap, maximize=True)
    good = overlap[rows, columns] > 0
    found[rows[good]] = columns[good]
    return found


def _neutral(boxes: NDArray[np.float32], truth: FrameTruth) -> NDArray[np.bool_]:
    """Whether each box is one of a near class, or lies in an unlabelled region."""
    near = (overlaps(boxes, truth.neutral) >= OVERLAP).any(axis=1)
    inside = (_shares(boxes, truth.unlabelled) >= UNLABELLED_SHARE).any(axis=1)
    return np.asarray(near | inside)


def _shares(boxes: NDArray[np.float32], regions: NDArray[np.float32]) -> NDArray[np.float64]:
    """The share of each box in each region, float64 (n, k)."""
    low = np.maximum(boxes[:, None, :2], regions[None, :, :2]).astype(np.float64)
    sides = np.clip(np.minimum(boxes[:, None, 2:], regions[None, :, 2:]) - low, 0, None)
    area = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1, dtype=np.float64)
    return np.asarray(np.prod(sides, axis=2) / np.maximum(area, 1e-9)[:, None])


@dataclass(frozen=True, slots=True)
class Tally:
    """How a model's boxes compare with the truth over many frames.

    Attributes:
        true: Boxes that found an object.
        false: Boxes that found none.
        missed: Objects that no box found.
    """

    true: int
    false: int
    missed: int

    @classmethod
    def of(cls, frames: Iterable[JudgedFrame]) -> Tally:
        """Add up frames."""
        true = false = missed = 0
        for frame in frames:
            true += int((frame.status == Status.TRUE).sum())
            false += int((frame.status == Status.FALSE).sum())
            missed += len(frame.missed)
        return cls(true, false, missed)

    def __add__(self, other: Tally) -> Tally:
        return Tally(self.true + other.true, self.false + other.false, self.missed + other.missed)

    @property
    def accuracy(self) -> float:
        """F1 of the boxes, 2 true / (2 true + false + missed); 1 where there was nothing.

        >>> Tally(true=8, false=2, missed=2).accuracy
        0.8
        """
        total = 2 * self.true + self.false + self.missed
        return 2 * self.true / total if total else 1.0
