"""The bounds of a shadow hold however often one looks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.shadow_counts import ShadowCounts
from operators.shadow_statistics import difference_bounds

RUNS, FRAMES = 400, 600


def outcomes(better: float, worse: float, seed: int) -> list[bool | None]:
    """What each of many runs judges, looked at after every tenth frame.

    Args:
        better: How often only the candidate is right.
        worse: How often only the incumbent is.
        seed: Of the frames.
    """
    rng = np.random.default_rng(seed)
    drawn = rng.choice([1, -1, 0], (RUNS, FRAMES), p=[better, worse, 1 - better - worse])
    judged: list[bool | None] = []
    for run in drawn:
        said = None
        for end in range(100, FRAMES + 1, 10):
            wins, losses = int((run[:end] == 1).sum()), int((run[:end] == -1).sum())
            counts = ShadowCounts(end - wins - losses, wins, losses)
            said = counts.no_worse(0.05, 0.9)
            if said is not None:
                break
        judged.append(said)
    return judged


def most(probability: float) -> float:
    """A share that is not exceeded by chance, but once in a thousand times."""
    return float(probability + 3.1 * np.sqrt(probability * (1 - probability) / RUNS))


@pytest.mark.parametrize(("better", "worse"), [(0.0, 0.05), (0.05, 0.1), (0.2, 0.25)])
def test_a_candidate_at_the_limit_passes_no_more_often_than_promised(
    better: float, worse: float
) -> None:
    judged = outcomes(better, worse, seed=11)
    assert judged.count(True) / RUNS <= most(0.1)
    assert judged.count(False) / RUNS <= most(0.1)


def test_a_good_candidate_passes_and_a_bad_one_fails() -> None:
    assert outcomes(0.02, 0.01, seed=12).count(True) / RUNS > 0.9
    assert outcomes(0.02, 0.25, seed=13).count(False) / RUNS > 0.9


@given(
    wins=st.integers(0, 300),
    losses=st.integers(0, 300),
    ties=st.integers(0, 300),
    confidence=st.floats(0.5, 0.999),
)
def test_bounds_enclose_the_mean_and_mirror_each_other(
    wins: int, losses: int, ties: int, confidence: float
) -> None:
    low, high = difference_bounds(wins, losses, ties, confidence)
    mean = (wins - losses) / max(wins + losses + ties, 1)
    assert -1 <= low <= mean <= high <= 1
    mirrored = difference_bounds(losses, wins, ties, confidence)
    assert mirrored == pytest.approx((-high, -low))
    wider = difference_bounds(wins, losses, ties, (1 + confidence) / 2)
    assert wider[0] <= low
    assert high <= wider[1]


def test_what_all_call_quiet_proves_nothing() -> None:
    """Where reports are rare, a candidate that never reports must not pass."""
    counts = ShadowCounts()
    for frame in range(1000):
        truth = frame % 100 == 0
        counts = counts.added(candidate=False, incumbent=truth, truth=truth)
    assert (counts.frames, counts.quiet, counts.incumbent) == (1000, 990, 10)
    assert counts.no_worse(0.02, 0.95) is False


def test_targets_are_reached_missed_or_open() -> None:
    def said(hits: int, misses: int, false: int) -> bool | None:
        counts = ShadowCounts()
        for times, candidate, truth in (
            (hits, True, True),
            (misses, False, True),
            (false, True, False),
        ):
            for _ in range(times):
                counts = counts.added(candidate=candidate, incumbent=truth, truth=truth)
        return counts.reaches(0.9, 0.9, 0.95)

    assert said(100, 0, 0) is True
    assert said(20, 0, 0) is None
    assert said(50, 50, 0) is False
    assert said(50, 0, 50) is False
    assert said(0, 0, 0) is None
