"""The learner in rounds: on synthetic hearts, regular and irregular."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.ecg_data import normalise
from models.ecg_learner import (
    EcgLearner,
    LearnSettings,
    TaughtSignal,
    _cut,
    _drawn,
    constant_targets,
)
from models.ecg_network import WINDOW, EcgArchitecture
from records import RecordError
from tests.support.ecg import hearts

ARCHITECTURE = EcgArchitecture((4, 4, 6, 8), kernel=3, last_kernel=3, dropout=0.1)
SETTINGS = LearnSettings(steps=50, batch_size=8, crop_windows=6, learning_rate=0.02)


def taught(count: int, seed: int = 0) -> list[TaughtSignal]:
    found = []
    for one in hearts(count, seed=seed):
        target = np.eye(2, dtype=np.float32)[one.label]
        signal = normalise(one.signal)
        found.append(TaughtSignal(signal, constant_targets(target, len(signal) // WINDOW)))
    return found


def share_right(learner: EcgLearner, signals: list[TaughtSignal]) -> float:
    found = learner.probabilities([one.signal for one in signals])
    return float(
        np.mean(
            [p.argmax(1) == one.targets.argmax(1) for p, one in zip(found, signals, strict=True)]
        )
    )


def test_it_learns_and_goes_on_from_what_it_knows() -> None:
    unseen, seen = taught(30, seed=1), taught(30)
    learner = EcgLearner(ARCHITECTURE, 2, seed=0)
    learner.learn(seen, SETTINGS, np.random.default_rng(0))
    after = share_right(learner, unseen)
    assert after > 0.85
    copied = learner.copy()
    gentle = LearnSettings(steps=2, batch_size=8, crop_windows=6, learning_rate=1e-4)
    copied.learn(seen, gentle, np.random.default_rng(1))
    assert abs(share_right(copied, unseen) - after) < 0.1
    assert share_right(learner, unseen) == after


def test_the_same_seeds_give_the_same_model_and_leave_the_process_alone() -> None:
    seen = taught(10)
    found = []
    for _ in range(2):
        before = torch.get_rng_state()
        learner = EcgLearner(ARCHITECTURE, 2, seed=3)
        loss = learner.learn(seen, SETTINGS, np.random.default_rng(7))
        assert torch.equal(before, torch.get_rng_state())
        found.append((loss, learner.probabilities([seen[0].signal])[0].tobytes()))
    assert found[0] == found[1]
    other = EcgLearner(ARCHITECTURE, 2, seed=4)
    assert other.probabilities([seen[0].signal])[0].tobytes() != found[0][1]


def test_signals_of_many_lengths_keep_their_order() -> None:
    signals = [one.signal for one in taught(40)]
    mixed = [signal[: len(signal) - 300 * (place % 3)] for place, signal in enumerate(signals)]
    learner = EcgLearner(ARCHITECTURE, 2, seed=0)
    together = learner.probabilities(mixed)
    assert [len(one) for one in together] == [len(signal) // WINDOW for signal in mixed]
    for signal, one in zip(mixed, together, strict=True):
        np.testing.assert_allclose(learner.probabilities([signal])[0], one, atol=1e-5)
        np.testing.assert_allclose(one.sum(axis=1), 1, atol=1e-5)


@settings(max_examples=40)
@given(st.integers(1, 9), st.integers(0, WINDOW - 1), st.integers(1, 9), st.integers(0, 2**31))
def test_pieces_have_the_targets_of_their_windows(
    windows: int, more: int, crop: int, seed: int
) -> None:
    # The signal tells its own place, and each window's target its number.
    signal = np.arange(1, windows * WINDOW + more + 1, dtype=np.float32)
    targets = np.stack([np.arange(windows), -np.arange(windows)], axis=1).astype(np.float32)
    short = TaughtSignal(signal[:WINDOW], targets[:1])
    how = LearnSettings(crop_windows=crop, smoothing=0.0)
    pieces, found = _cut(
        [TaughtSignal(signal, targets), short] * 3, how, np.random.default_rng(seed)
    )
    longest = min(crop, windows)
    assert pieces.shape == (6, 1, longest * WINDOW)
    assert found.shape == (6, 2, longest)
    assert (pieces[1::2, 0, WINDOW:] == 0).all()
    assert (found[1::2, :, 1:] == 0).all()
    for piece, target in zip(pieces[::2, 0].numpy(), found[::2].numpy(), strict=True):
        there = min(crop, windows)
        assert (piece[there * WINDOW :] == 0).all()
        assert (target[:, there:] == 0).all()
        for place in range(there):
            middle = abs(piece[place * WINDOW + WINDOW // 2]) - 1
            # A piece may begin up to half a window beside the last one that is whole.
            assert abs(middle / WINDOW - (target[0, place] + 0.5)) <= 1.0


@settings(max_examples=40)
@given(st.integers(1, 50), st.integers(1, 20), st.integers(2, 16))
def test_every_signal_is_drawn_before_any_comes_again(count: int, steps: int, batch: int) -> None:
    how = LearnSettings(steps=steps, batch_size=batch)
    drawn = _drawn(count, how, np.random.default_rng(0))
    assert drawn.shape == (steps, batch)
    times = np.bincount(drawn.ravel(), minlength=count)
    assert times.max() - times.min() <= 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": 0}, "steps must be a whole number in 1..1000000, got 0"),
        ({"batch_size": 1}, "batch_size must be a whole number in 2..4096, got 1"),
        ({"learning_rate": 2.0}, "learning_rate must be in 1e-06..1.0, got 2.0"),
        ({"smoothing": 0.6}, "smoothing must be in 0.0..0.5, got 0.6"),
    ],
)
def test_settings_that_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(RecordError) as caught:
        LearnSettings(**changes)
    assert str(caught.value) == message


def test_signals_that_are_refused() -> None:
    signal = np.zeros(2 * WINDOW, np.float32)
    with pytest.raises(RecordError) as caught:
        TaughtSignal(signal, np.zeros((3, 2), np.float32))
    assert str(caught.value) == (
        "targets must have a row for each of the signal's 2 windows, got (3, 2)"
    )
    with pytest.raises(RecordError) as caught:
        TaughtSignal(signal[:9], np.zeros((0, 2), np.float32))
    assert str(caught.value) == "signal must have at least 256 samples, got 9"
    with pytest.raises(RecordError) as caught:
        EcgLearner(ARCHITECTURE, 2, 0).learn([], SETTINGS, np.random.default_rng(0))
    assert str(caught.value) == "signals must be at least 1, got 0"
