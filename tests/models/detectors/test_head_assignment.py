"""Which anchors answer for which object."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from models.detectors.head_assignment import (
    BACKGROUND,
    CENTRE_RADIUS,
    MOST_ANCHORS,
    UNKNOWN,
    Grid,
    Predictions,
    assign,
    inside_any,
)
from models.detectors.onnx import grid_of

GRID = Grid(*grid_of(64, 64))
ANCHORS = len(GRID.cells_a2)
NOWHERE = np.zeros(ANCHORS, dtype=bool)


def predictions(seed: int) -> Predictions:
    rng = np.random.default_rng(seed)
    sizes = rng.uniform(2, 40, (ANCHORS, 2)).astype(np.float32)
    boxes = np.concatenate([GRID.centres() - sizes / 2, GRID.centres() + sizes / 2], axis=1)
    scores = rng.uniform(0, 1, (ANCHORS, 4)).astype(np.float32)
    return Predictions(boxes.astype(np.float32), scores[:, 0], scores[:, 1:])


def objects(seed: int, count: int) -> np.ndarray:
    corners = np.random.default_rng(seed).uniform(0, 60, (count, 2, 2))
    low, high = corners.min(axis=1), corners.max(axis=1) + 1
    return np.concatenate([low, high], axis=1).astype(np.float32)


def test_an_object_takes_the_anchors_whose_boxes_are_its_own() -> None:
    found = predictions(0)
    box = np.array([[16, 16, 40, 40]], np.float32)
    middle = 3 * 8 + 3  # the cell of stride 8 whose middle is at (28, 28)
    found.boxes_a4[middle], found.objectness_a[middle], found.classes_ac[middle] = box[0], 1, 1
    result = assign(found, GRID, box, np.array([1], np.int32), NOWHERE)
    assert result.objects_a[middle] == 0
    assert result.overlaps_a[middle] == 1
    assert not result.overlaps_a[result.objects_a == BACKGROUND].any()


def test_without_objects_all_is_background_or_unknown() -> None:
    unknown = NOWHERE.copy()
    unknown[5] = True
    none = np.empty((0, 4), np.float32)
    result = assign(predictions(0), GRID, none, np.empty(0, np.int32), unknown)
    assert np.flatnonzero(result.objects_a == UNKNOWN).tolist() == [5]
    assert (result.objects_a == BACKGROUND).sum() == ANCHORS - 1
    assert not result.overlaps_a.any()


@given(seed=st.integers(0, 10_000), count=st.integers(1, 6))
def test_every_object_has_few_near_anchors(seed: int, count: int) -> None:
    boxes = objects(seed, count)
    result = assign(predictions(seed), GRID, boxes, np.zeros(count, np.int32), ~NOWHERE)
    taken = result.objects_a
    assert set(taken.tolist()) <= {UNKNOWN, *range(count)}
    assert (taken >= 0).any()
    middles = (boxes[:, :2] + boxes[:, 2:]) / 2
    for g in range(count):
        mine = taken == g
        assert mine.sum() <= MOST_ANCHORS
        away = np.abs(GRID.centres()[mine] - middles[g]).max(axis=1, initial=0)
        assert (away < CENTRE_RADIUS * GRID.strides_a1[mine, 0]).all()


def test_anchors_inside_boxes() -> None:
    boxes = np.array([[0, 0, 8, 8], [56, 56, 64, 64]], np.float32)
    assert np.flatnonzero(inside_any(GRID, boxes)).tolist() == [0, 63]
    assert not inside_any(GRID, boxes[:0]).any()
