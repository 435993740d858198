"""Which anchors answer for which object: SimOTA (Ge et al., YOLOX, 2021, section 2.1).

An anchor near the middle of an object is a candidate for it. The cost of a candidate is what its
box and its class are off; each object takes the cheapest, the more of them the better boxes it
has. The terms of other classes, which hardly differ, are left out of the cost.

Legend: ``a`` anchors, ``g`` objects, ``c`` classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from models.detectors.postprocess import intersection_over_union

if TYPE_CHECKING:
    from numpy.typing import NDArray

BACKGROUND, UNKNOWN = -1, -2
"""Stand for an object: the anchor shows none; or it is not known, and the anchor is left out."""

CENTRE_RADIUS = 1.5
"""How far an anchor may be from the middle of its object along x and y, strides."""

OVERLAP_WEIGHT = 3.0
"""The weight of the box beside the class in the cost; YOLOX's own."""

MOST_ANCHORS = 10
"""The most anchors of one object."""

LEAST = 1e-8
"""Added where a logarithm could meet 0."""


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """The anchors of a network.

    Attributes:
        cells_a2: float32, the cell of each, x and y.
        strides_a1: float32, the stride of each, pixels of the network's input.
    """

    cells_a2: NDArray[np.float32]
    strides_a1: NDArray[np.float32]

    def centres(self) -> NDArray[np.float32]:
        """The middle of each anchor's cell, float32 (a, 2), pixels of the input."""
        centres: NDArray[np.float32] = (self.cells_a2 + np.float32(0.5)) * self.strides_a1
        return centres


@dataclass(frozen=True, slots=True, eq=False)
class Predictions:
    """What a detector says of one picture.

    Attributes:
        boxes_a4: float32, corners in pixels of the network's input.
        objectness_a: float32, 0..1.
        classes_ac: float32, 0..1, the score of each class, without the objectness.
    """

    boxes_a4: NDArray[np.float32]
    objectness_a: NDArray[np.float32]
    classes_ac: NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Assignment:
    """What each anchor answers for.

    Attributes:
        objects_a: int64, an index of an object, `BACKGROUND` or `UNKNOWN`.
        overlaps_a: float32, the intersection over union of the anchor's box and its object, 0..1;
            0 without an object.
    """

    objects_a: NDArray[np.int64]
    overlaps_a: NDArray[np.float32]


def assign(
    found: Predictions,
    grid: Grid,
    boxes_g4: NDArray[np.float32],
    class_ids_g: NDArray[np.int32],
    unknown_a: NDArray[np.bool_],
) -> Assignment:
    """Give anchors to objects.

    Args:
        found: What the detector says.
        grid: Its anchors.
        boxes_g4: float32, the objects, corners in pixels of the network's input.
        class_ids_g: int32, their classes.
        unknown_a: bool, anchors that are left out unless an object takes them.

    >>> grid = Grid(np.array([[0, 0], [1, 0]], np.float32), np.full((2, 1), 8, np.float32))
    >>> boxes = np.array([[0, 0, 8, 8], [0, 0, 4, 4]], np.float32)
    >>> found = Predictions(boxes, np.ones(2, np.float32), np.ones((2, 1), np.float32))
    >>> nowhere = np.zeros(2, bool)
    >>> given = assign(found, grid, boxes[:1], np.zeros(1, np.int32), nowhere)
    >>> given.objects_a.tolist(), given.overlaps_a.tolist()
    ([0, -1], [1.0, 0.0])
    """
    objects = np.where(unknown_a, UNKNOWN, BACKGROUND)
    overlaps_a = np.zeros(len(objects), dtype=np.float32)
    if not len(boxes_g4):
        return Assignment(objects, overlaps_a)
    overlaps = np.stack([intersection_over_union(box, found.boxes_a4) for box in boxes_g4])
    middles = (boxes_g4[:, :2] + boxes_g4[:, 2:]) / 2
    away = np.abs(grid.centres() - middles[:, None]).max(axis=2)
    near = away < CENTRE_RADIUS * grid.strides_a1[:, 0]
    scores = np.sqrt(found.objectness_a * found.classes_ac[:, class_ids_g].T)
    cost = -np.log(scores + LEAST) - OVERLAP_WEIGHT * np.log(overlaps + LEAST)
    cost[~near] = np.inf
    taken = np.full_like(cost, np.inf)
    for g in range(len(boxes_g4)):
        best = np.sort(overlaps[g, near[g]])[-MOST_ANCHORS:]
        wanted = min(max(int(best.sum()), 1), int(near[g].sum()))
        cheapest = np.argsort(cost[g], kind="stable")[:wanted]
        taken[g, cheapest] = cost[g, cheapest]
    held = np.isfinite(taken).any(axis=0)
    objects[held] = taken[:, held].argmin(axis=0)
    overlaps_a[held] = overlaps[objects[held], held]
    return Assignment(objects, overlaps_a)


def inside_any(grid: Grid, boxes_g4: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which anchors have their middle in one of some boxes, bool (a,)."""
    x, y = grid.centres().T
    inside = np.zeros(len(x), dtype=np.bool_)
    for x1, y1, x2, y2 in boxes_g4:
        inside |= (x > x1) & (x < x2) & (y > y1) & (y < y2)
    return inside
