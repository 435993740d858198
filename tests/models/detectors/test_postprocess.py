"""Letterboxing and non-maximum suppression."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from torchvision.ops import batched_nms

from models.detectors.postprocess import (
    MOST_CANDIDATES,
    intersection_over_union,
    letterbox,
    non_maximum_suppression,
    stretch,
)

SIDES = st.integers(1, 300)

LIMITS = (0.0, 0.31, 0.47, 0.73, 1.0)
"""Limits that no overlap of the boxes below equals but 0 and 1, which are exact."""

Boxes = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int32]]


@st.composite
def boxes(draw: st.DrawFn) -> Boxes:
    """Boxes on a coarse grid, so that many overlap; scores all different, so that order is."""
    n = draw(st.integers(0, 40))
    corners = draw(arrays(np.int64, (n, 4), elements=st.integers(0, 8)))
    low = np.minimum(corners[:, :2], corners[:, 2:])
    high = np.maximum(corners[:, :2], corners[:, 2:]) + 1
    order = np.array(draw(st.permutations(range(n))), dtype=np.int64)
    return (
        np.concatenate([low, high], axis=1).astype(np.float32),
        ((order + 1) / (n + 1)).astype(np.float32),
        draw(arrays(np.int32, n, elements=st.integers(0, 2))),
    )


@given(boxes(), st.sampled_from(LIMITS))
@settings(deadline=None, derandomize=True)
def test_non_maximum_suppression_agrees_with_torchvision(raw: Boxes, limit: float) -> None:
    corners, scores, class_ids = raw
    kept = non_maximum_suppression(corners, scores, class_ids, limit)
    want = batched_nms(*(torch.from_numpy(part) for part in raw), limit)
    assert kept.tolist() == want.tolist()


@given(boxes(), st.floats(0, 1))
@settings(deadline=None, derandomize=True)
def test_kept_boxes_are_rivals_of_none(raw: Boxes, limit: float) -> None:
    corners, scores, class_ids = raw
    kept = non_maximum_suppression(corners, scores, class_ids, limit)
    assert (np.diff(scores[kept]) <= 0).all()
    gone = set(range(len(scores))) - set(kept.tolist())
    for i in range(len(scores)):
        better = kept[(scores[kept] > scores[i]) & (class_ids[kept] == class_ids[i])]
        overlap = intersection_over_union(corners[i], corners[better])
        assert (i in gone) == bool((overlap > limit).any())


@given(boxes(), st.floats(0, 1))
@settings(deadline=None, derandomize=True)
def test_suppressing_twice_changes_nothing(raw: Boxes, limit: float) -> None:
    corners, scores, class_ids = raw
    kept = non_maximum_suppression(corners, scores, class_ids, limit)
    again = non_maximum_suppression(corners[kept], scores[kept], class_ids[kept], limit)
    assert again.tolist() == list(range(len(kept)))


def test_only_the_best_candidates_compete() -> None:
    n = MOST_CANDIDATES + 5
    corners = np.arange(n, dtype=np.float32)[:, None] * 2 + np.array([0, 0, 1, 1], np.float32)
    scores = np.linspace(0, 1, n, dtype=np.float32)
    kept = non_maximum_suppression(corners, scores, np.zeros(n, np.int32), 0.5)
    assert kept.tolist() == list(range(n - 1, 4, -1))


def test_boxes_without_area_overlap_nothing() -> None:
    point = np.array([[1, 1, 1, 1], [1, 1, 1, 1]], np.float32)
    assert intersection_over_union(point[0], point).tolist() == [0, 0]


@given(SIDES, SIDES, st.integers(1, 10), st.integers(1, 10))
@settings(deadline=None, derandomize=True, max_examples=50)
def test_letterbox_round_trip(w: int, h: int, columns: int, rows: int) -> None:
    width, height = 32 * columns, 32 * rows
    image = np.full((h, w, 3), 200, np.uint8)
    canvas, placement = letterbox(image, width, height, 114)
    assert (canvas.shape, canvas.dtype) == ((height, width, 3), np.dtype(np.uint8))
    new_w, new_h = round(w * placement.scale_x), round(h * placement.scale_y)
    assert (canvas[:new_h, :new_w] == 200).all()
    assert (canvas[new_h:] == 114).all()
    assert (canvas[:, new_w:] == 114).all()
    assert new_w == width or new_h == height or max(width - new_w, height - new_h) <= 1
    whole = placement.to_image(np.array([[0, 0, new_w, new_h]], np.float32))
    np.testing.assert_allclose(whole, [[0, 0, w, h]], rtol=1e-5)
    box = np.array([[w / 4, h / 3, w / 2, h]], np.float32)
    scale = np.array([placement.scale_x, placement.scale_y] * 2, np.float32)
    np.testing.assert_allclose(placement.to_image(box * scale), box, rtol=1e-5)


@given(SIDES, SIDES)
@settings(deadline=None, derandomize=True, max_examples=50)
def test_stretch_round_trip(w: int, h: int) -> None:
    canvas, placement = stretch(np.full((h, w, 3), 9, np.uint8), 300, 200)
    assert canvas.shape == (200, 300, 3)
    assert (canvas == 9).all()
    whole = placement.to_image(np.array([[0, 0, 300, 200]], np.float32))
    np.testing.assert_allclose(whole, [[0, 0, w, h]], rtol=1e-5)


def test_boxes_outside_are_cut_at_the_edges() -> None:
    _, placement = letterbox(np.zeros((50, 100, 3), np.uint8), 200, 200, 0)
    cut = placement.to_image(np.array([[-10, -10, 500, 500]], np.float32))
    assert cut.tolist() == [[0, 0, 100, 50]]
