"""COCO's average precision of one class, and an interval for the gain of one model over another.

Lin et al., "Microsoft COCO", 2014, with the usual 10 overlaps and 101 recalls. Boxes are matched
once; a resample only counts frames anew. Frames next to each other look alike, so whole blocks of
time are drawn, the same for both models (Künsch, Annals of Statistics 1989). Percentiles are
expanded for few blocks (Hesterberg, The American Statistician 2015, section 5.1).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import norm, t

from operators.assertions.agreement import overlaps

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from records import Detections

OVERLAPS = np.linspace(0.5, 0.95, 10)
"""The intersections over union at which a box is right."""

RECALLS = np.linspace(0, 1, 101)
"""The recalls at which precision is read off."""

MOST_BOXES = 100
"""The most boxes of a frame that count, the best first."""

CONFIDENCE = 0.95
"""Of the intervals."""

RESAMPLES = 2000
"""How often blocks are drawn, usually."""

SEED = 0
"""Of the resamples."""


@dataclass(frozen=True, slots=True, eq=False)
class Matches:
    """The boxes of all frames, the highest score first, and which are right.

    Attributes:
        right: bool (overlaps, boxes).
        frames: int64 (boxes,), the frame of each.
        objects: int64 (frames,), the objects in each frame.
    """

    right: NDArray[np.bool_]
    frames: NDArray[np.int64]
    objects: NDArray[np.int64]

    def average_precision(self, weights: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
        """The average precision at each overlap, float64 (overlaps,).

        Args:
            weights: float64 (frames,), how often each frame counts; None for once.
        """
        weights = np.ones(len(self.objects)) if weights is None else weights
        of_boxes = weights[self.frames]
        right = np.cumsum(self.right * of_boxes, axis=1)
        said = np.cumsum(of_boxes)
        recall = right / max(float(weights @ self.objects), 1e-9)
        precision = np.divide(right, said, out=np.zeros_like(right), where=said > 0)
        best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
        padded = np.pad(best, ((0, 0), (0, 1)))
        return np.array(
            [padded[k, np.searchsorted(recall[k], RECALLS)].mean() for k in range(len(recall))]
        )


def match(found: Sequence[Detections], truth: Sequence[NDArray[np.float32]]) -> Matches:
    """Match boxes to objects as COCO does: each box takes the free object that it overlaps most.

    Args:
        found: The boxes of one class in each frame.
        truth: The objects of each frame, float32 (n, 4), corners in pixels.
    """
    right, scores, frames = [], [], []
    for k, (boxes, objects) in enumerate(zip(found, truth, strict=True)):
        order = np.argsort(-boxes.scores, kind="stable")[:MOST_BOXES]
        shared = overlaps(boxes.boxes[order], objects)
        free = np.ones((len(OVERLAPS), len(objects)), dtype=np.bool_)
        hits = np.zeros((len(OVERLAPS), len(order)), dtype=np.bool_)
        for i, row in enumerate(shared):
            for j, least in enumerate(OVERLAPS):
                open_to = np.where(free[j] & (row >= least), row, -1)
                if len(open_to) and (best := int(open_to.argmax())) >= 0 <= open_to[best]:
                    hits[j, i], free[j, best] = True, False
        right.append(hits)
        scores.append(boxes.scores[order])
        frames.append(np.full(len(order), k))
    order = np.argsort(-np.concatenate(scores), kind="stable")
    return Matches(
        np.concatenate(right, axis=1)[:, order],
        np.concatenate(frames)[order],
        np.array([len(objects) for objects in truth]),
    )


@dataclass(frozen=True, slots=True)
class Gain:
    """How much better one model is than another, with an interval.

    Attributes:
        value: The difference.
        low: Lower end of the interval.
        high: Its upper end.
    """

    value: float
    low: float
    high: float


def gains(
    before: Matches, after: Matches, blocks: NDArray[np.int64], resamples: int = RESAMPLES
) -> dict[str, Gain]:
    """The gain in AP50 and in AP (the mean over all overlaps) on the same frames.

    Args:
        before: The matches of the one model.
        after: Those of the other.
        blocks: int64 (frames,), the block of each frame, from 0.
        resamples: How often blocks are drawn.
    """
    count = int(blocks[-1]) + 1
    rng = np.random.default_rng(SEED)
    drawn = rng.multinomial(count, np.full(count, 1 / count), resamples).astype(np.float64)
    resampled = np.array(
        [both(after, weights[blocks]) - both(before, weights[blocks]) for weights in drawn]
    )
    tail = norm.cdf(-math.sqrt(count / (count - 1)) * t.ppf((1 + CONFIDENCE) / 2, count - 1))
    low, high = np.quantile(resampled, (tail, 1 - tail), axis=0)
    value = both(after) - both(before)
    return {
        name: Gain(float(value[i]), float(low[i]), float(high[i]))
        for i, name in enumerate(("ap50", "ap"))
    }


def both(matches: Matches, weights: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
    """AP50 and AP, float64 (2,); weights as in `Matches.average_precision`."""
    found = matches.average_precision(weights)
    return np.array([found[0], found.mean()])
