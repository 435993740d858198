from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.ecg_data import (
    LARGEST,
    NORMALISE_REACH,
    LabelledSignal,
    class_weights,
    crop_batch,
    normalise,
    split_records,
)
from records import RecordError
from tests.support.ecg import heart


@given(st.lists(st.integers(0, 3), min_size=1, max_size=200), st.integers(0, 99))
def test_a_split_parts_the_records_class_by_class(labels: list[int], seed: int) -> None:
    split = split_records(labels, seed, 0.2, 0.3)
    parts = (split.train, split.validation, split.test)
    assert sorted(i for part in parts for i in part) == list(range(len(labels)))
    for label in set(labels):
        count = labels.count(label)
        assert sum(labels[i] == label for i in split.test) == round(count * 0.3)
        assert sum(labels[i] == label for i in split.validation) == round(count * 0.2)
    assert split_records(labels, seed, 0.2, 0.3) == split


def test_another_seed_is_another_split() -> None:
    assert split_records([0] * 50, 0) != split_records([0] * 50, 1)


@pytest.mark.parametrize(("validation", "test"), [(0.0, 0.2), (0.2, 0.0), (0.5, 0.5)])
def test_shares_are_checked(validation: float, test: float) -> None:
    with pytest.raises(RecordError) as caught:
        split_records([0, 1], 0, validation, test)
    assert str(caught.value) == (
        "validation_share and test_share must be above 0 and together below 1, "
        f"got {validation} and {test}"
    )


@given(st.integers(0, 4000), st.integers(0, 4000), st.integers(0, 99))
def test_a_piece_is_normalised_as_the_whole_is(first: int, last: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    signal = random.normal(0, 0.3, 4000).astype(np.float32)
    signal[random.random(4000) < 0.02] = np.nan
    first, last = sorted((first, last))
    low, high = max(first - NORMALISE_REACH, 0), last + NORMALISE_REACH
    piece = normalise(signal[low:high])[first - low : last - low]
    assert np.allclose(piece, normalise(signal)[first:last], atol=1e-5)


def test_gain_and_baseline_make_little_difference() -> None:
    signal = heart(10, regular=True, random=np.random.default_rng(0))
    wander = 2 * np.sin(np.arange(3000) / 900).astype(np.float32)
    plain, other = normalise(signal), normalise(5 * signal + wander + 3)
    assert np.abs(plain - other).max() < 0.6
    assert np.corrcoef(plain, other)[0, 1] > 0.999


def test_what_is_missing_or_far_off_stays_harmless() -> None:
    assert normalise(np.full(900, np.nan, np.float32)).tolist() == [0.0] * 900
    assert len(normalise(np.empty(0, np.float32))) == 0
    wild = np.zeros(5000, np.float32)
    wild[[100, 101, 2500]] = [1e30, -np.inf, np.nan]
    found = normalise(wild)
    assert np.abs(found).max() == LARGEST
    assert found[[101, 2500]].tolist() == [0.0, 0.0]


def test_pieces_are_cut_turned_and_padded() -> None:
    signals = [np.full(9, 2, np.float32), np.arange(1, 4, dtype=np.float32)]
    seen = set()
    random = np.random.default_rng(0)
    for _ in range(20):
        pieces, real = crop_batch(signals, 5, random)
        assert real.tolist() == [5, 3]
        assert np.abs(pieces).tolist() == [[[2, 2, 2, 2, 2]], [[1, 2, 3, 0, 0]]]
        seen.add((float(pieces[0, 0, 0]), float(pieces[1, 0, 0])))
    assert seen == {(2, 1), (2, -1), (-2, 1), (-2, -1)}


def test_weights_have_mean_one_and_none_for_an_absent_class() -> None:
    labels = [0] * 16 + [2] * 4
    weights = class_weights(labels, 3)
    assert weights[labels].mean() == pytest.approx(1)
    assert weights[2] == pytest.approx(2 * weights[0])
    assert weights[1] == 0


def test_a_signal_is_checked() -> None:
    with pytest.raises(RecordError) as caught:
        LabelledSignal("a", np.zeros(3), 0)  # type: ignore[arg-type]  # what is refused
    assert str(caught.value) == "signal of a must be float32 (n,), got float64 (3,)"
    with pytest.raises(RecordError) as caught:
        LabelledSignal("a", np.zeros(3, np.float32), -1)
    assert str(caught.value) == "label of a must be at least 0, got -1"
