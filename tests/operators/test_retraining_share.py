from __future__ import annotations

import numpy as np
import pytest

from operators.retraining_held import HeldFrame
from operators.retraining_settings import NominationSettings
from operators.retraining_share import RandomShare

TENTH = 10**8
RUNS = 400


def frames(referred: list[bool], *, step: int = TENTH) -> list[HeldFrame]:
    return [HeldFrame(k, k * step, None, 0.0, referred=one) for k, one in enumerate(referred)]


def chances(seed: int, given: list[HeldFrame], *, random: float, reference: float) -> list[float]:
    settings = NominationSettings(random_seconds=random, reference_seconds=reference, seed=seed)
    return RandomShare(settings, "gate").chances(given)


def test_the_reference_alone_draws_more_and_only_after_a_whole_cell_of_its_own() -> None:
    # 100 s of a cascade that now and then asks the reference, then 200 s of the reference alone.
    referred = [k % 3 == 0 for k in range(1000)] + [True] * 2000
    drawn = chances(0, frames(referred), random=0.0, reference=4.0)
    numbers = np.flatnonzero(drawn)
    # 4 s of frames 0.1 s apart: one in forty, from frame 1039 on, 4 s after the last other one.
    assert numbers.min() >= 1039
    assert 48 <= len(numbers) <= 50
    assert {round(drawn[k], 6) for k in numbers} == {0.025}
    assert np.flatnonzero(chances(0, frames(referred), random=0.0, reference=0.0)).size == 0


def test_frames_that_the_audit_asked_for_show_that_other_stages_decide() -> None:
    given = frames([True] * 1000)
    audited = [
        HeldFrame(one.sequence, one.time_ns, None, 0.0, referred=True, audited=k % 30 == 0)
        for k, one in enumerate(given)
    ]
    assert any(chances(0, given, random=0.0, reference=4.0))
    assert not any(chances(0, audited, random=0.0, reference=4.0))


def test_however_frames_are_batched_and_resumed_the_draws_are_the_same() -> None:
    given = frames([k % 700 > 100 for k in range(2100)])
    settings = NominationSettings(random_seconds=7.0, reference_seconds=3.0)
    whole = RandomShare(settings, "gate").chances(given)
    parts: list[float] = []
    share = RandomShare(settings, "gate")
    for k in range(0, 2100, 150):
        parts += share.chances(given[k : k + 150])
        share = RandomShare(settings, "gate", share.snapshot())
    assert parts == whole
    assert share.chances([]) == []


@pytest.mark.parametrize("steady", [True, False])
def test_frames_are_put_aside_with_the_probability_that_is_told(*, steady: bool) -> None:
    """Both draws together: the inverse of the probability estimates any mean without bias."""
    steps = np.full(900, TENTH) if steady else np.random.default_rng(5).integers(1, 3 * TENTH, 900)
    times = np.cumsum(steps)
    referred = [k % 2 == 0 for k in range(300)] + [True] * 600
    given = [
        HeldFrame(k, int(time), None, 0.0, referred=one)
        for k, (time, one) in enumerate(zip(times, referred, strict=True))
    ]
    value = np.array([k % 7 + 5.0 * (k > 300) for k in range(900)])
    counts, told = np.zeros(900), np.zeros(900)
    estimates = []
    for seed in range(RUNS):
        drawn = np.array(chances(seed, given, random=5.0, reference=2.0))
        taken = drawn > 0
        counts += taken
        # Whenever a frame is drawn, and by whichever draw, the same probability is told.
        assert np.allclose(told[taken & (told > 0)], drawn[taken & (told > 0)])
        told[taken] = drawn[taken]
        estimates.append(float((value[taken] / drawn[taken]).sum()))
    # The first frame is never drawn, as the time before it is not known.
    error = np.std(estimates, ddof=1) / np.sqrt(RUNS)
    assert abs(np.mean(estimates) - value[1:].sum()) < 3 * error
    assert error < 0.02 * value.sum()
    # Frames that are often drawn come out as often as is told.
    often = told > 0.02
    spread = np.sqrt(RUNS * told[often] * (1 - told[often]))
    assert np.abs((counts[often] - RUNS * told[often]) / spread).mean() < 1.0
    assert counts[~often].sum() <= RUNS * 900 * 0.02
