from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from models.certification import (
    Certificate,
    Contract,
    Procedure,
    accuracy_bounds,
    certify,
    event_blocks,
)
from records import RecordError
from records.units import NANOSECONDS

if TYPE_CHECKING:
    from numpy.typing import NDArray

CONTRACT = Contract(0.9, 0.9, 0.95)
EVENT = 50
RUNS = 200


def times(frames: int) -> NDArray[np.int64]:
    """Ten frames a second."""
    return np.arange(frames) * (NANOSECONDS // 10)


def events(count: int) -> NDArray[np.bool_]:
    """Events of 5 s, 5 s apart."""
    return np.tile(np.repeat([False, True], EVENT), count)


def missing(truth: NDArray[np.bool_], share: float, seed: int) -> NDArray[np.bool_]:
    """Answers that miss each event as a whole with this probability."""
    count = truth.size // (2 * EVENT)
    found = np.random.default_rng(seed).random(count) >= share
    return truth & np.repeat(found, 2 * EVENT)


@given(
    st.lists(st.tuples(st.booleans(), st.integers(1, 9)), max_size=60),
    st.integers(1, 20),
)
def test_blocks_begin_with_events_or_are_longest(
    steps: list[tuple[bool, int]], seconds: int
) -> None:
    truth = np.array([label for label, _ in steps], np.bool_)
    times_ns = np.cumsum([0, *(step for _, step in steps)])[: len(steps)] * NANOSECONDS
    blocks = event_blocks(truth, times_ns.astype(np.int64), seconds)
    starts = blocks.starts.tolist()
    assert starts[:1] == ([0] if steps else [])
    for start, end in pairwise(starts):
        lasted = times_ns[end] - times_ns[start]
        assert start < end
        assert end - start <= blocks.largest
        assert lasted >= 2 * seconds * NANOSECONDS or (
            truth[end] and not truth[end - 1] and lasted >= seconds * NANOSECONDS
        )
    assert blocks.count(truth).sum() == truth.sum()


def test_blocks_are_whole_events_and_long_events_are_cut() -> None:
    truth = np.array([*events(3), *[True] * 400])
    blocks = event_blocks(truth, times(700), seconds=8)
    assert blocks.starts.tolist() == [0, 150, 250, 410, 570]
    assert (blocks.frames, blocks.largest) == (700, 160)
    assert blocks.count(truth).tolist() == [50, 50, 160, 160, 130]


def test_the_cheapest_proven_candidate_is_chosen() -> None:
    truth = events(400)
    blocks = event_blocks(truth, times(truth.size), 9)
    ladder = [missing(truth, share, seed=1) for share in (0.5, 0.03, 0.02, 0.0)]
    sequence = certify(ladder, truth, blocks, CONTRACT)
    recall, precision = accuracy_bounds(ladder[1], truth, blocks, 0.95)
    assert sequence == Certificate(1, recall, precision, 0.95, 0.95, 4, 400)
    assert 0.9 <= recall < 0.97
    assert precision > 0.9
    corrected = certify(ladder, truth, blocks, CONTRACT, procedure=Procedure.BONFERRONI)
    assert (corrected.chosen, corrected.tried) == (1, 2)
    assert corrected.level == pytest.approx(1 - 0.05 / 4)
    assert corrected.recall_low < recall


def test_an_unproven_safest_candidate_ends_a_sequence_but_not_bonferroni() -> None:
    truth = events(400)
    blocks = event_blocks(truth, times(truth.size), 9)
    ladder = [truth.copy(), missing(truth, 0.5, seed=1)]
    assert certify(ladder, truth, blocks, CONTRACT).chosen is None
    assert certify(ladder, truth, blocks, CONTRACT, procedure=Procedure.BONFERRONI).chosen == 0


@pytest.mark.parametrize("procedure", Procedure)
def test_the_reference_alone_is_what_remains(procedure: Procedure) -> None:
    truth = events(5)
    blocks = event_blocks(truth, times(truth.size), 9)
    few = certify([truth.copy()], truth, blocks, CONTRACT, procedure=procedure)
    assert few == Certificate(None, 1.0, 1.0, 0.95, 0.95, 1, 5)
    none = certify([], truth, blocks, CONTRACT, procedure=procedure)
    assert none == Certificate(None, 1.0, 1.0, 0.95, 0.95, 0, 5)
    silent = np.zeros_like(truth)
    assert accuracy_bounds(silent, truth, blocks, 0.95) == (0.0, 0.0)


@pytest.mark.parametrize("procedure", Procedure)
@pytest.mark.parametrize("extra", [False, True])
def test_a_bad_plan_is_rarely_accepted(procedure: Procedure, *, extra: bool) -> None:
    # Every candidate is just below its target, of recall or of precision; the last one is right.
    accepted = 0
    truth = events(150)
    blocks = event_blocks(truth, times(truth.size), 9)
    for seed in range(RUNS):
        bad = [missing(truth, 0.11, 10 * seed + number) for number in range(5)]
        shown = [answers | (~truth if extra else False) & missing(~truth, 0.87, seed)
                 for answers in bad]  # fmt: skip
        chosen = certify([*shown, truth], truth, blocks, CONTRACT, procedure=procedure).chosen
        accepted += chosen is not None and chosen < len(shown)
    assert accepted <= binom.ppf(1 - 1e-4, RUNS, 0.05)


def test_bad_arguments_are_told() -> None:
    truth = events(2)
    blocks = event_blocks(truth, times(200), 9)
    with pytest.raises(RecordError, match="^target_recall must be between 0 and 1, got 1.0$"):
        Contract(1.0, 0.9)
    with pytest.raises(RecordError) as told:
        certify([truth[:-1]], truth, blocks, CONTRACT)
    assert str(told.value) == (
        "candidate 0 must be bool (200,), one answer for each frame of the blocks, got bool (199,)"
    )
    with pytest.raises(RecordError, match="^times_ns must ascend; sort the frames"):
        event_blocks(truth, times(200)[::-1].copy(), 9)
    with pytest.raises(RecordError, match=r"^truth must be bool \(n,\), got int64 \(200,\)$"):
        event_blocks(times(200), times(200), 9)  # type: ignore[arg-type]  # the mistake tested
    with pytest.raises(RecordError, match=r"^times_ns must be int64 \(200,\) like truth"):
        event_blocks(truth, times(199), 9)
    with pytest.raises(RecordError, match="^seconds must be finite and above 0, got 0$"):
        event_blocks(truth, times(200), 0)
