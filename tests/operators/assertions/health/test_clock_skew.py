from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from operators.assertions.api import Moment
from operators.assertions.health.clock_skew import ARRIVAL, ClockSkew
from records import Finding, RecordError
from records.units import NANOSECONDS
from tests.support.health import found
from tests.support.pictures import TENTH_NS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

START_NS = 1_700_000_000 * NANOSECONDS


def arriving(
    clock: Callable[[float], float], seconds: float, jitter: float = 0.05
) -> Iterator[Moment]:
    """Moments at 10 Hz whose event time `clock` makes of the true one; the way takes a while."""
    rng = np.random.default_rng(0)
    for sequence in range(round(seconds * 10)):
        true = sequence / 10
        arrival_ns = START_NS + int((true + 0.2 + rng.exponential(jitter)) * NANOSECONDS)
        event_ns = START_NS + int(clock(true) * NANOSECONDS)
        yield Moment("gate", sequence, event_ns, {ARRIVAL: arrival_ns})


def test_a_clock_that_jumps_is_told_each_second() -> None:
    got = found(ClockSkew().start(), arriving(lambda t: t + 5 * (t >= 30), seconds=40, jitter=0.0))
    assert got[0] == Finding(
        "gate",
        "clock_skew",
        328,
        START_NS + 37_800_000_000,
        308,
        START_NS + 35_800_000_000,
        9.999999999,
        "event time is 5.0 s ahead of where it was against arrival",
    )
    assert [finding.sequence for finding in got] == [328, 338, 348, 358, 368, 378, 388, 398]


@pytest.mark.parametrize(
    ("rate", "said"), [(1.2, "ahead of"), (0.8, "behind"), (1.1, "ahead of"), (0.9, "behind")]
)
def test_a_clock_that_runs_wrong_is_found_within_ten_seconds(rate: float, said: str) -> None:
    def skewed(t: float) -> float:
        return t if t < 60 else 60 + (t - 60) * rate

    (first, *_) = found(ClockSkew().start(), arriving(skewed, seconds=75))
    assert 600 < first.sequence <= 700
    assert said in first.message


def test_the_slowest_drift_is_found_in_the_end() -> None:
    (first, *_) = found(ClockSkew().start(), arriving(lambda t: t * 1.0005, seconds=1500))
    assert first.message == "event time is 0.5 s ahead of where it was against arrival"


def test_a_clean_hour_with_a_bad_way_is_clean() -> None:
    assert found(ClockSkew().start(), arriving(lambda t: t, seconds=3600, jitter=0.5)) == []


def test_a_step_back_is_told_once_without_arrival() -> None:
    times = [0, 1, 2, 3, 1, 2, 3]
    check = ClockSkew().start()
    got = found(check, (Moment("gate", k, t * TENTH_NS) for k, t in enumerate(times)))
    assert got == [
        Finding(
            "gate", "clock_skew", 4, TENTH_NS, 3, 3 * TENTH_NS, 200.0,
            "event time stepped back by 0.2 s",
        )
    ]  # fmt: skip


def test_an_arrival_that_is_no_time_is_refused() -> None:
    with pytest.raises(RecordError, match="^arrival_ns must be nanoseconds as an int, got 0.5"):
        ClockSkew().start().observe(Moment("gate", 0, 0, {ARRIVAL: 0.5}))
