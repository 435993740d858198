from __future__ import annotations

import pytest

from operators.assertions.api import Moment
from operators.assertions.health.gap import Gap
from records import Finding, RecordError
from tests.support.health import found
from tests.support.pictures import TENTH_NS


def at(*tenths: int) -> list[Moment]:
    return [Moment("gate", k, t * TENTH_NS) for k, t in enumerate(tenths)]


def test_a_gap_is_told_once_by_the_frame_after_it() -> None:
    got = found(Gap().start(), at(*range(20), 50, 51, 52))
    assert got == [
        Finding(
            "gate", "gap", 20, 50 * TENTH_NS, 19, 19 * TENTH_NS, 1.55,
            "nothing came for 3.1 s, usually something every 0.1 s",
        )
    ]  # fmt: skip


def test_a_slow_stream_has_longer_gaps() -> None:
    slow = [k * 10 for k in range(20)]
    assert found(Gap().start(), at(*slow, 240, 250)) == []
    assert [f.sequence for f in found(Gap().start(), at(*slow, 300, 310))] == [20]


def test_nothing_is_usual_at_the_start_and_a_step_back_is_no_gap() -> None:
    assert found(Gap().start(), at(0, 100, 101)) == []
    assert found(Gap().start(), at(*range(20), 5, 6, 7)) == []


def test_faults_say_what_must_be() -> None:
    with pytest.raises(RecordError, match="^times_usual must be above 0, got 0"):
        Gap(times_usual=0)
