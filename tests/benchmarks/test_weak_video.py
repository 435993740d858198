"""Weak labels on video, and how what they gain is judged."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.weak_video_labels import (
    CONDITIONS,
    SURE_FRAMES,
    Condition,
    assertions,
    correct,
    track,
    trust_tracks,
    weak_labels,
)
from benchmarks.weak_video_score import both, gains, match
from records import Detections
from tests.support.ap import average_precision_50

NAMES = ("person",)


def scene(seed: int, frames: int = 8) -> tuple[list[np.ndarray], list[Detections]]:
    """Objects, and boxes of which some are near one and some are not."""
    rng = np.random.default_rng(seed)
    truth, found = [], []
    for _ in range(frames):
        corners = rng.uniform(0, 80, (rng.integers(0, 4), 2))
        boxes = np.concatenate([corners, corners + rng.uniform(10, 30, corners.shape)], axis=1)
        near = boxes.repeat(2, axis=0) + rng.uniform(-4, 4, (2 * len(boxes), 4))
        far = np.array([[90, 90, 99, 99]]).repeat(rng.integers(0, 2), axis=0)
        said = np.concatenate([near, far]).astype(np.float32)
        truth.append(boxes.astype(np.float32))
        scores = rng.permutation(len(said)) / 100 + rng.uniform(0, 0.009, len(said))
        found.append(Detections.of(said, scores, ["person"] * len(said), class_names=NAMES))
    return truth, found


@settings(max_examples=15)
@given(seed=st.integers(0, 10_000))
def test_average_precision_is_that_of_faster_coco_eval(seed: int) -> None:
    truth, found = scene(seed)
    truth[0], found[0] = (
        np.array([[0, 0, 10, 10]], np.float32),
        Detections.of([[0, 0, 10, 10]], [0.5], ["person"], class_names=NAMES),
    )
    want = average_precision_50(truth, found, "person")
    assert match(found, truth).average_precision()[0] == pytest.approx(want, abs=1e-9)


def test_weights_count_frames_as_if_they_were_there_so_often() -> None:
    truth, found = scene(3)
    times = np.array([0, 1, 2, 3, 0, 1, 1, 2])
    repeated = [k for k, count in enumerate(times) for _ in range(count)]
    want = match([found[k] for k in repeated], [truth[k] for k in repeated]).average_precision()
    got = match(found, truth).average_precision(times.astype(np.float64))
    np.testing.assert_allclose(got, want, atol=0.02)  # equal scores are in another order


def test_gain_and_its_interval() -> None:
    truth, found = scene(1, 40)
    better = [
        Detections.of(boxes, np.full(len(boxes), 0.9), ["person"] * len(boxes), class_names=NAMES)
        for boxes in truth
    ]
    blocks = np.arange(40) // 4
    before, after = match(found, truth), match(better, truth)
    same, gained = (gains(before, one, blocks, 200) for one in (before, after))
    assert both(after) == pytest.approx([1, 1])
    for one in same.values():
        assert (one.value, one.low, one.high) == (0, 0, 0)
    for place, name in enumerate(("ap50", "ap")):
        assert gained[name].value == pytest.approx(1 - both(before)[place])
        assert 0 < gained[name].low < gained[name].value < gained[name].high < 1
    assert gains(before, after, blocks, 200) == gained


def walk(frames: int, scores: dict[int, float], usual: float = 0.3) -> list[Detections]:
    """Someone who walks through the picture; a score of 0 is a miss."""
    found = []
    for k in range(frames):
        score = scores.get(k, usual)
        boxes = [[10 + 2 * k, 20, 30 + 2 * k, 70]] if score else []
        found.append(
            Detections.of(boxes, [score] * len(boxes), ["person"] * len(boxes), class_names=NAMES)
        )
    return found


def test_a_long_weak_track_is_labelled_and_its_gap_filled() -> None:
    labels, changed = weak_labels(walk(30, {15: 0.0}))
    assert [one.count("person") for one in labels[2:]] == [1] * 28
    assert all((one.scores == 1).all() for one in labels[2:])
    np.testing.assert_allclose(labels[15].boxes, [[40, 20, 60, 70]], atol=0.01)
    assert changed == {"flicker": 1, "appear": 0, "consistency.gap": 1, "consistency.span": 0}


def test_a_short_track_is_dropped() -> None:
    blip = {k: 0.0 for k in range(50) if k not in (20, 21, 22)}
    labels, changed = weak_labels(walk(50, blip))
    # A track has its number from its second box on; before that no assertion speaks of it.
    assert [k for k, one in enumerate(labels) if len(one)] == [20]
    assert changed["appear"] == 2
    assert labels[20].scores.tolist() == pytest.approx([0.3])


def test_only_tracks_of_a_second_are_trusted() -> None:
    for frames, trusted in ((SURE_FRAMES, False), (SURE_FRAMES + 2, True)):
        tracked, _ = correct(track(walk(frames, {})), assertions()[:1])
        scores = np.concatenate([one.scores for one in trust_tracks(tracked)])
        assert (scores == 1).any() == trusted


def test_conditions() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    np.testing.assert_array_equal(CONDITIONS["day"].apply(picture, 7), picture)
    night = CONDITIONS["night"].apply(picture, 7)
    assert night.dtype == np.uint8
    assert night.mean() < picture.mean() / 4
    np.testing.assert_array_equal(CONDITIONS["night"].apply(picture, 7), night)
    assert (CONDITIONS["night"].apply(picture, 8) != night).any()
    blurred = Condition(blur=3.0).apply(picture, 0)
    assert blurred.std() < picture.std() / 4
