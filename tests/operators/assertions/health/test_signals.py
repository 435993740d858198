from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.io import loadmat

from operators.assertions.api import Moment
from operators.assertions.health.flat_signal import FlatSignal
from operators.assertions.health.swapped_lead import SwappedLead, portrait
from records import Reading, RecordError
from tests.support.health import blocks, found

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from operators.assertions.api import Assertion
    from records import Finding

RATE_HZ = 300.0
BLOCK = 150
"""Samples in a block: half a second."""

RECORDS = 60
"""Real ECG records that are looked at."""


@pytest.fixture(scope="module")
def ecgs(assets: Path) -> list[NDArray[np.float32]]:
    """Real records of at least 30 s that no one called too noisy, float32 (n, 1)."""
    folder = assets / "ecg" / "cinc2017"
    lines = (folder / "REFERENCE.csv").read_text("utf-8").split()
    names = [name for name, label in (line.split(",")[:2] for line in lines) if label != "~"]
    found: list[NDArray[np.float32]] = []
    for name in names:
        samples = loadmat(folder / f"{name}.mat")["val"][0].astype(np.float32)[:, None]
        if len(samples) >= 30 * RATE_HZ:
            found.append(samples)
        if len(found) == RECORDS:
            break
    return found


def run(assertion: Assertion, samples: NDArray[np.float32], *channels: str) -> list[Finding]:
    return found(assertion.start(), blocks(samples, RATE_HZ, channels, BLOCK))


def _bump(time: NDArray[np.float64], width: float) -> NDArray[np.float64]:
    return np.asarray(np.exp(-((time / width) ** 2)), np.float64)


def spikes(seconds: int, *signs: float) -> NDArray[np.float32]:
    """Channels of one spike a second with a slow wave after it, each of its own width."""
    time = np.arange(seconds * int(RATE_HZ)) / RATE_HZ
    phase = time % 1 - 0.4
    noise = np.random.default_rng(0).normal(0, 0.02, (len(time), len(signs)))
    channels = [
        sign * (_bump(phase, 0.01 + 0.03 * k) - k * _bump(phase - 0.08, 0.02))
        for k, sign in enumerate(signs)
    ]
    return (np.stack(channels, axis=1) + noise).astype(np.float32)


def test_real_leads_upside_down_are_found_and_clean_ones_are_not(
    ecgs: list[NDArray[np.float32]],
) -> None:
    late = []
    for samples in ecgs:
        assert run(SwappedLead("ecg"), samples, "I") == []
        assert run(FlatSignal("ecg"), samples, "I") == []
        turned = samples.copy()
        turned[int(15 * RATE_HZ) :] *= -1
        told = run(SwappedLead("ecg"), turned, "I")
        late.append(not told or told[0].time_ns > 25 * 10**9)
    assert np.mean(late) <= 0.1


def test_real_channels_that_change_places_are_found_and_clean_pairs_are_not(
    ecgs: list[NDArray[np.float32]],
) -> None:
    late, half = [], int(15 * RATE_HZ)
    for first, second in zip(ecgs[::2], ecgs[1::2], strict=True):
        length = min(len(first), len(second))
        pair = np.concatenate([first[:length], second[:length]], axis=1)
        assert run(SwappedLead("ecg"), pair, "I", "II") == []
        pair[half:] = pair[half:, ::-1]
        told = run(SwappedLead("ecg"), pair, "I", "II")
        late.append(not told or told[0].time_ns > 25 * 10**9)
    assert np.mean(late) <= 0.2  # some hearts look alike


def test_an_inverted_channel_is_told_each_second() -> None:
    samples = spikes(40, 1.0, 1.0)
    samples[int(20 * RATE_HZ) :, 1] *= -1
    got = run(SwappedLead("ecg"), samples, "I", "II")
    assert [finding.time_ns / 1e9 for finding in got][:3] == [26.5, 27.5, 28.5]
    assert {(finding.object, finding.message) for finding in got} == {("II", "II is upside down")}
    assert got[0].severity == pytest.approx(1 / 0.55, abs=0.2)


def test_swapped_channels_are_told_apart() -> None:
    samples = spikes(40, 1.0, 1.0)
    half = int(20 * RATE_HZ)
    samples[half:] = samples[half:, ::-1]
    got = run(SwappedLead("ecg"), samples, "I", "II")
    assert {finding.message for finding in got} == {
        "I looks like II used to", "II looks like I used to"
    }  # fmt: skip
    assert got[0].time_ns <= 30 * 10**9


def test_a_flat_a_saturated_and_a_missing_channel_are_told() -> None:
    samples = spikes(30, 1.0, 1.0, 1.0, 1.0)
    late = int(20 * RATE_HZ)
    samples[late:, 0] = 0.25
    samples[late:, 1] = samples[late:, 1].clip(-0.005, 10)
    samples[late:, 2] = np.nan
    got = run(FlatSignal("ecg"), samples, "flat", "clipped", "gone", "fine")
    firsts = {finding.object: finding for finding in reversed(got)}
    assert sorted(firsts) == ["clipped", "flat", "gone"]
    assert all(20e9 < finding.time_ns <= 25e9 for finding in firsts.values())
    assert firsts["flat"].message == "flat is flat: its range is 0"
    assert firsts["gone"].message == "gone: 100% of its samples are missing"
    assert firsts["clipped"].message.startswith("clipped is saturated: ")


def test_a_channel_that_gets_small_is_flat_and_recovers() -> None:
    samples = spikes(60, 1.0)
    samples[int(20 * RATE_HZ) : int(40 * RATE_HZ)] *= 0.02
    got = run(FlatSignal("ecg"), samples, "I")
    assert 20e9 < got[0].time_ns <= 24e9
    assert 39e9 <= got[-1].time_ns <= 41e9


def test_blocks_of_any_size_say_the_same() -> None:
    samples = spikes(40, 1.0)
    samples[int(20 * RATE_HZ) :] *= -1
    said = set()
    for block in (7, 300, 1000, 12_000):
        got = found(SwappedLead("ecg").start(), blocks(samples, RATE_HZ, ("I",), block))
        said |= {finding.message for finding in got}
        assert got or block == 12_000  # one block is one moment, at its start
    assert said == {"I is upside down"}


def test_a_new_layout_and_a_hole_start_afresh() -> None:
    samples = spikes(20, 1.0)
    check = SwappedLead("ecg").start()
    assert found(check, blocks(samples, RATE_HZ, ("I",), BLOCK)) == []
    assert found(check, blocks(-samples, RATE_HZ, ("II",), BLOCK)) == []
    other = Moment("ecg", 0, 0, {"ecg": "no reading"})
    assert check.observe(other) == []


def test_a_window_that_is_too_large_is_refused() -> None:
    reading = Reading("ecg", 0, 0, 1e7, np.zeros((1, 1), np.float32), ("I",), ("mV",))
    with pytest.raises(RecordError, match="^a window of 3.0 s must hold at most 16777216 values"):
        SwappedLead("ecg").start().observe(Moment("ecg", 0, 0, {"ecg": reading}))


def test_a_sensor_that_falls_silent_has_no_fault_any_more() -> None:
    samples = spikes(30, 1.0)
    samples[int(20 * RATE_HZ) :] = 0
    check = FlatSignal("ecg").start()
    assert found(check, blocks(samples, RATE_HZ, ("I",), BLOCK))
    silent = [Moment("ecg", k, k * 10**9) for k in range(30, 50)]
    assert [finding.sequence for finding in found(check, silent)] == [31]


@given(
    arrays(
        np.float32,
        st.tuples(st.integers(1, 60), st.just(2)),
        elements=st.floats(width=32),
        fill=st.nothing(),
    )
)
def test_whatever_a_sensor_says_is_taken(samples: NDArray[np.float32]) -> None:
    for assertion in (SwappedLead("ecg"), FlatSignal("ecg")):
        with np.errstate(over="raise", invalid="raise", divide="raise"):
            found(assertion.start(), blocks(np.tile(samples, (6, 1)), 10.0, ("I", "II"), 10))


def test_nothing_has_no_shape() -> None:
    assert not portrait(np.zeros(900), RATE_HZ).any()
    assert not portrait(np.full(900, np.nan), RATE_HZ).any()
    assert not portrait(np.ones(5), RATE_HZ).any()
    spike = spikes(3, 1.0)[:, 0].astype(np.float64)
    assert np.linalg.norm(portrait(spike, RATE_HZ)[:-2]) == pytest.approx(1.0)


def test_faults_say_what_must_be() -> None:
    with pytest.raises(RecordError, match="^inverted must be between 0 and 1, got 0"):
        SwappedLead("ecg", inverted=0)
    with pytest.raises(RecordError, match="^signal must be 1 to 200 printable characters"):
        FlatSignal("")
