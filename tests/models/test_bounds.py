from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta, binom

from models.bounds import (
    clopper_pearson,
    mean_lower,
    mean_upper,
    ratio_lower,
    ratio_upper,
    wilson,
)
from records import RecordError

if TYPE_CHECKING:
    from numpy.typing import NDArray

RUNS = 400
MISS_RATE = 0.1


def clustered_misses(seed: int, blocks: int = 120) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Positives of blocks of 1 to 60 frames, of which one block in ten is missed as a whole."""
    rng = np.random.default_rng(seed)
    wholes = rng.integers(1, 61, blocks)
    return np.where(rng.random(blocks) < MISS_RATE, 0, wholes), wholes


@given(st.integers(0, 60), st.integers(0, 60), st.floats(0.5, 0.999))
def test_clopper_pearson_is_the_quantiles_of_the_beta_distribution(
    hits: int, misses: int, confidence: float
) -> None:
    low, high = clopper_pearson(hits, hits + misses, confidence)
    tail = (1 - confidence) / 2
    assert low == pytest.approx(beta.ppf(tail, hits, misses + 1) if hits else 0.0)
    assert high == pytest.approx(beta.ppf(1 - tail, hits + 1, misses) if misses else 1.0)


@given(st.integers(0, 200), st.integers(0, 200), st.floats(0.5, 0.99))
def test_wilson_holds_the_share(hits: int, misses: int, confidence: float) -> None:
    low, high = wilson(hits, hits + misses, confidence)
    assert 0 <= low <= high <= 1
    if hits + misses:
        assert low - 1e-12 <= hits / (hits + misses) <= high + 1e-12


@pytest.mark.parametrize("share", [0.02, 0.5, 0.97])
def test_betting_bounds_of_a_mean_cover(share: float) -> None:
    draws = np.random.default_rng(1).random((RUNS, 150)) < share
    low = sum(mean_lower(row, 0.9, seed) <= share for seed, row in enumerate(draws))
    high = sum(mean_upper(row, 0.9, seed) >= share for seed, row in enumerate(draws))
    assert min(low, high) >= binom.ppf(1e-4, RUNS, 0.9)


def test_block_bounds_cover_where_bounds_of_frames_do_not() -> None:
    by_block = by_frame = upper = 0
    for seed in range(RUNS):
        parts, wholes = clustered_misses(seed)
        truth = 1 - MISS_RATE
        by_block += ratio_lower(parts, wholes, 60, 0.95, seed) <= truth
        upper += ratio_upper(parts, wholes, 60, 0.95, seed) >= truth
        by_frame += clopper_pearson(int(parts.sum()), int(wholes.sum()), 0.9)[0] <= truth
    assert min(by_block, upper) >= binom.ppf(1e-4, RUNS, 0.95)
    assert by_frame <= 0.75 * RUNS


def test_a_bound_comes_near_the_ratio_with_many_blocks() -> None:
    parts, wholes = clustered_misses(0, blocks=4000)
    ratio = parts.sum() / wholes.sum()
    assert ratio - 0.04 < ratio_lower(parts, wholes, 60, 0.95) < ratio
    assert ratio < ratio_upper(parts, wholes, 60, 0.95) < ratio + 0.04


def test_blocks_without_a_miss_prove_what_their_number_allows() -> None:
    # Every block multiplies the wealth by at most 1 + 0.9 (1 - r) / r.
    bound = ratio_lower([60] * 100, [60] * 100, 60, 0.95)
    assert 0.95 < bound < 0.9 / (0.9 + 20 ** (1 / 100) - 1)


@given(
    st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), max_size=30),
    st.integers(0, 2**31),
)
def test_bounds_are_ordered_and_do_not_depend_on_scale(
    pairs: list[tuple[int, int]], seed: int
) -> None:
    parts = np.array([min(pair) for pair in pairs])
    wholes = np.array([max(pair) for pair in pairs])
    low = ratio_lower(parts, wholes, 20, 0.9, seed)
    strict = ratio_lower(parts, wholes, 20, 0.99, seed)
    high = ratio_upper(parts, wholes, 20, 0.9, seed)
    assert 0 <= strict <= low <= high <= 1
    assert ratio_lower(parts / 20, wholes / 20, 1, 0.9, seed) == pytest.approx(low, abs=1e-9)


def test_nothing_can_be_said_without_blocks_or_without_wholes() -> None:
    assert ratio_lower([], [], 1, 0.95) == 0.0
    assert ratio_lower([0] * 50, [0] * 50, 1, 0.95) == 0.0
    assert ratio_upper([0] * 50, [0] * 50, 1, 0.95) == 1.0
    assert clopper_pearson(0, 0, 0.95) == (0.0, 1.0)
    assert wilson(0, 0, 0.95) == (0.0, 1.0)


def test_bad_arguments_are_told() -> None:
    with pytest.raises(RecordError) as told:
        ratio_lower([1, 2], [2, 1], 2, 0.95)
    assert str(told.value) == (
        "0 <= part <= whole <= largest = 2 must hold for every block; "
        "'largest' is the most a block can hold, known before the data"
    )
    with pytest.raises(RecordError, match="^confidence must be between 0 and 1, got 1$"):
        ratio_lower([1], [1], 1, 1)
    with pytest.raises(RecordError, match="^parts and wholes must be of one shape"):
        ratio_lower([1], [1, 1], 1, 0.9)
    with pytest.raises(RecordError, match="^largest must be a finite number above 0, got 0$"):
        ratio_lower([0], [0], 0, 0.9)
    with pytest.raises(RecordError, match="^0 <= successes <= trials must hold, got 3 and 2$"):
        clopper_pearson(3, 2, 0.9)
    with pytest.raises(RecordError, match="must hold for every block"):
        mean_lower([float("nan")], 0.9)
