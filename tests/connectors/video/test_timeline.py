from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.video.timeline import (
    LIVE_JUMP_NS,
    LIVE_LAG_NS,
    LONGEST_GAP_NS,
    SECOND_NS,
    Timeline,
    ticks_to_ns,
)
from records.checks import LATEST_TIME_NS

BASES = st.builds(Fraction, st.integers(1, 100_000), st.integers(1, 10_000_000))
TICKS = st.integers(-(2**62), 2**62)


@given(TICKS, BASES)
def test_ticks_become_the_nanosecond_they_fall_in(ticks: int, base: Fraction) -> None:
    exact = ticks * base * SECOND_NS
    assert 0 <= exact - ticks_to_ns(ticks, base) < 1


@given(TICKS, TICKS, BASES)
def test_conversion_keeps_the_order(one: int, other: int, base: Fraction) -> None:
    assert (one <= other) <= (ticks_to_ns(one, base) <= ticks_to_ns(other, base))


@given(st.integers(0, 2**60), st.lists(st.integers(0, 10**6), unique=True, min_size=1), BASES)
def test_sound_timestamps_are_kept_exactly(start: int, ticks: list[int], base: Fraction) -> None:
    ticks.sort()
    shown = [start + ticks_to_ns(tick - ticks[0], base) for tick in ticks]
    steps = [after - before for before, after in pairwise(shown)]
    timeline = Timeline(start)
    timeline.anchor(base, 1)
    times = [timeline.stamp(tick) for tick in ticks]
    if all(0 < step <= LONGEST_GAP_NS for step in steps) and shown[-1] <= LATEST_TIME_NS:
        assert times == [(time_ns, False) for time_ns in shown]


@given(
    frames=st.lists(
        st.tuples(st.none() | TICKS, st.none() | st.integers(-5, 2**62), st.integers(0, 2**61))
    ),
    base=BASES,
    live=st.booleans(),
)
def test_event_time_always_increases(
    *, frames: list[tuple[int | None, int | None, int]], base: Fraction, live: bool
) -> None:
    timeline = Timeline(5)
    timeline.anchor(base, 40_000_000)
    last = -1
    for ticks, duration, now in frames:
        time_ns, _ = timeline.stamp(ticks, duration, now if live else None)
        assert last < time_ns <= LATEST_TIME_NS
        last = time_ns


@pytest.mark.parametrize(
    ("ticks", "times", "repaired"),
    [
        pytest.param([0, 40, 40, 80], [0, 40e6, 40e6 + 1, 80e6], [2], id="repeated"),
        pytest.param([0, 40, 20, 80], [0, 40e6, 40e6 + 1, 80e6], [2], id="a little back"),
        pytest.param([200, 240, 0, 40], [0, 40e6, 40e6 + 1, 80e6 + 1], [2, 3], id="back twice"),
        pytest.param([0, 40, None, 90], [0, 40e6, 80e6, 90e6], [], id="none"),
        pytest.param([5000, 5040, 0, 40], [0, 40e6, 80e6, 120e6], [2], id="begins anew"),
        pytest.param([0, 2**50, 2**50 + 40], [0, 40e6, 80e6], [1], id="jumps ahead"),
        pytest.param([0, 3_600_000], [0, 3600e9], [], id="a gap of an hour"),
    ],
)
def test_repairs(ticks: list[int | None], times: list[float], repaired: list[int]) -> None:
    timeline = Timeline(0)
    timeline.anchor(Fraction(1, 1000), 40_000_000)
    stamped = [timeline.stamp(tick) for tick in ticks]
    assert [time_ns for time_ns, _ in stamped] == [int(time_ns) for time_ns in times]
    assert [i for i, (_, was) in enumerate(stamped) if was] == repaired


def test_the_next_container_follows_the_end_of_the_last_frame() -> None:
    timeline = Timeline(0)
    timeline.anchor(Fraction(1, 10), 100_000_000)
    assert timeline.stamp(3, duration=2) == (0, False)
    timeline.anchor(Fraction(1, 1000), 1)
    assert timeline.stamp(70) == (200_000_000, False)


def test_a_live_stream_is_never_ahead_of_the_clock() -> None:
    timeline = Timeline(0)
    timeline.anchor(Fraction(1, 1000), 40_000_000, at_ns=1000 * SECOND_NS)
    burst = [timeline.stamp(40 * i, 40, 1000 * SECOND_NS + i) for i in range(5)]
    assert burst == [(1000 * SECOND_NS + i, False) for i in range(5)]
    # Then each frame comes when it is due, and the anchor holds, late or not.
    due = 1000 * SECOND_NS + 4 + 40_000_000
    assert timeline.stamp(200, 40, due + 7_000_000) == (due, False)


def test_a_clock_that_is_set_back_leaves_the_pace_alone() -> None:
    timeline = Timeline(0)
    timeline.anchor(Fraction(1, 1000), 40_000_000, at_ns=1000 * SECOND_NS)
    assert timeline.stamp(0, 40, 1000 * SECOND_NS) == (1000 * SECOND_NS, False)
    back = 500 * SECOND_NS
    assert timeline.stamp(40, 40, back) == (1000 * SECOND_NS + 40_000_000, False)
    assert timeline.stamp(None, 40, back) == (1000 * SECOND_NS + 80_000_000, False)
    assert timeline.stamp(2**50, 40, back) == (1000 * SECOND_NS + 120_000_000, True)


def test_a_live_stream_that_loses_its_clock_gets_ours() -> None:
    timeline = Timeline(0)
    timeline.anchor(Fraction(1, 1000), 40_000_000, at_ns=1000 * SECOND_NS)
    assert timeline.stamp(0, 40, 1000 * SECOND_NS) == (1000 * SECOND_NS, False)
    jump = 1001 + LIVE_JUMP_NS // 1_000_000
    assert timeline.stamp(jump, 40, 1001 * SECOND_NS) == (1001 * SECOND_NS, True)
    assert timeline.stamp(jump + 40, 40, 1002 * SECOND_NS) == (1001 * SECOND_NS + 40_000_000, False)
    late = 1003 * SECOND_NS + LIVE_LAG_NS
    assert timeline.stamp(jump + 80, 40, late) == (late, True)
