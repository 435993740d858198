from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.thresholds import Thresholds, ThresholdSweep
from records import RecordError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

Frames = list[tuple[int, bool]]
FRAMES = st.lists(st.tuples(st.integers(0, 7), st.booleans()), max_size=14)
# Neighbouring float32 values, equal values and both zeros are the hard cases.
LEVELS = np.array([-0.0, 0.0, 0.25, 0.5, 0.0, 0.75, 1.0, 2.0], np.float32)
LEVELS[4] = np.nextafter(np.float32(0.5), np.float32(1))
TARGETS = st.sampled_from([0.0, 0.5, 0.6, 0.75, 0.8, 0.9, 1.0])


def arrays(frames: Frames) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    places = np.array([place for place, _ in frames], np.int64)
    return LEVELS[places], np.array([label for _, label in frames], np.bool_)


def measured(
    scores: NDArray[np.float32], labels: NDArray[np.bool_], low: float, high: float
) -> Thresholds:
    """A band tried out, frame by frame."""
    referred = ~(scores < low) & ~(scores > high)
    said = np.where(referred, labels, scores > high)
    right, count = int((said & labels).sum()), max(1, scores.size)
    return Thresholds(
        low,
        high,
        int(referred.sum()) / count,
        right / int(labels.sum()) if labels.any() else 1.0,
        right / int(said.sum()) if said.any() else 1.0,
        int((said == labels).sum()) / count if scores.size else 1.0,
    )


def fewest(
    scores: NDArray[np.float32], labels: NDArray[np.bool_], keeps: Callable[[Thresholds], bool]
) -> float:
    """The least share referred, by trying every pair of float32 thresholds that differ."""
    ends = np.array([-np.inf, np.inf], np.float32)
    values = np.unique(
        np.concatenate((scores, np.nextafter(scores, ends[0]), np.nextafter(scores, ends[1]), [0]))
    )
    bands = (
        measured(scores, labels, low, high) for low in values for high in values if low <= high
    )
    return min(band.referred for band in bands if keeps(band))


@given(FRAMES, TARGETS, TARGETS)
def test_recall_and_precision_are_kept_with_the_fewest_referred(
    frames: Frames, recall: float, precision: float
) -> None:
    scores, labels = arrays(frames)
    best = ThresholdSweep(scores, labels).for_recall_precision(recall, precision)
    assert best == measured(scores, labels, best.low, best.high)
    assert best.low <= best.high
    assert [best.low, best.high] == np.array([best.low, best.high], np.float32).tolist()
    assert best.recall >= recall
    assert best.precision >= precision
    assert best.referred == fewest(
        scores, labels, lambda band: band.recall >= recall and band.precision >= precision
    )


@given(FRAMES, TARGETS)
def test_accuracy_is_kept_with_the_fewest_referred(frames: Frames, accuracy: float) -> None:
    scores, labels = arrays(frames)
    best = ThresholdSweep(scores, labels).for_accuracy(accuracy)
    assert best == measured(scores, labels, best.low, best.high)
    assert best.accuracy >= accuracy
    assert best.referred == fewest(scores, labels, lambda band: band.accuracy >= accuracy)


@given(
    st.lists(st.tuples(st.integers(0, 7), st.booleans(), st.integers(1, 3)), max_size=12), TARGETS
)
def test_a_weight_counts_like_that_many_frames(
    frames: list[tuple[int, bool, int]], target: float
) -> None:
    scores, labels = arrays([(place, label) for place, label, _ in frames])
    weights = np.array([weight for *_, weight in frames], np.float64)
    weighted = ThresholdSweep(scores, labels, weights)
    times = weights.astype(int)
    repeated = ThresholdSweep(np.repeat(scores, times), np.repeat(labels, times))
    assert weighted.for_accuracy(target) == repeated.for_accuracy(target)
    assert weighted.for_recall_precision(target, 0.8) == repeated.for_recall_precision(target, 0.8)


def test_a_large_sweep_keeps_its_targets() -> None:
    rng = np.random.default_rng(3)
    labels = rng.random(200_000) < 0.2
    scores = (labels + rng.standard_normal(labels.size)).astype(np.float32)
    best = ThresholdSweep(scores, labels).for_recall_precision(0.95, 0.9)
    assert best == measured(scores, labels, best.low, best.high)
    assert 0.95 <= best.recall < 0.9501
    assert 0.9 <= best.precision < 0.9001
    assert 0 < best.referred < 1


def test_empty_classes_and_no_frames() -> None:
    scores = np.array([0.1, 0.9], np.float32)
    nothing = ThresholdSweep(scores, np.zeros(2, np.bool_)).for_recall_precision(1, 1)
    everything = ThresholdSweep(scores, np.ones(2, np.bool_)).for_recall_precision(1, 1)
    assert nothing.referred == everything.referred == 0.0
    assert nothing.low > float(scores[1])
    assert everything.high < float(scores[0])
    empty = ThresholdSweep(scores[:0], np.zeros(0, np.bool_)).for_accuracy(1)
    assert empty == Thresholds(0.0, 0.0, 0.0, 1.0, 1.0, 1.0)


def test_bad_arguments_are_told() -> None:
    scores, labels = np.zeros(3, np.float32), np.zeros(3, np.bool_)
    broken = np.array([0, np.nan, np.inf], np.float32)
    with pytest.raises(
        RecordError, match="^scores must be finite, got 2 that are NaN or infinite$"
    ):
        ThresholdSweep(broken, labels)
    with pytest.raises(RecordError) as told:
        ThresholdSweep(np.zeros((3, 1), np.float32), labels)
    assert str(told.value) == "scores must be float32 (n,), got float32 (3, 1)"
    with pytest.raises(RecordError) as told:
        ThresholdSweep(scores, np.zeros(2, np.bool_))
    assert str(told.value) == "labels must be bool (3,) like the scores, got bool (2,)"
    with pytest.raises(RecordError) as told:
        ThresholdSweep(scores, labels, np.zeros(2))
    assert str(told.value) == "weights must be float64 (3,) like the scores, got float64 (2,)"
    with pytest.raises(RecordError, match="^weights must be finite and above 0"):
        ThresholdSweep(scores, labels, np.zeros(3))
    with pytest.raises(RecordError, match="^recall must be in 0..1, got 1.5$"):
        ThresholdSweep(scores, labels).for_recall_precision(1.5, 1)
    with pytest.raises(RecordError, match="^accuracy must be in 0..1, got nan$"):
        ThresholdSweep(scores, labels).for_accuracy(float("nan"))
