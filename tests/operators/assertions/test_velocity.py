from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from operators.assertions.api import Moment
from operators.assertions.velocity import Velocity
from records import Finding, RecordError
from tests.support.moments import Object, moment, rounded, run
from tests.support.pictures import TENTH_NS

FREE = Velocity(jitter_heights=0.0)
"""Boxes are 20 pixels high, so 8 pixels in a tenth of a second are 4 heights a second."""


def test_a_track_that_jumps_is_told() -> None:
    moments = [moment(0, Object(1, 0)), moment(1, Object(1, 8)), moment(2, Object(1, 24))]
    assert rounded(run(FREE, moments)) == [
        Finding(
            stream="gate",
            assertion="velocity",
            sequence=2,
            time_ns=2 * TENTH_NS,
            start_sequence=1,
            start_ns=TENTH_NS,
            severity=2.0,
            message="person moved 8.0 of its heights a second, 4 are possible",
            object="1",
        )
    ]


@pytest.mark.parametrize(
    "moments",
    [
        pytest.param([moment(0, Object(1, 0)), moment(1, Object(2, 99))], id="other tracks"),
        pytest.param([moment(0, Object(-1, 0)), moment(1, Object(-1, 99))], id="no track"),
        pytest.param([moment(0, Object(1, 0)), moment(1, Object(1, 99, 0.3))], id="a weak box"),
        pytest.param([moment(0, Object(1, 0)), moment(12, Object(1, 999))], id="long ago"),
        pytest.param([moment(0, Object(1, 0)), moment(5, Object(1, 40))], id="slow, over a gap"),
        pytest.param(
            [moment(1, Object(1, 0)), replace(moment(2, Object(1, 99)), time_ns=0)],
            id="the clock was set back",
        ),
        pytest.param([moment(0, Object(1, 0)), Moment("gate", 1, TENTH_NS)], id="no output"),
    ],
)
def test_what_is_not_too_fast(moments: list[Moment]) -> None:
    assert run(FREE, moments) == []


def test_copied_outputs_say_nothing_of_motion() -> None:
    shown = [0, 8, 8, 8, 32]
    moments = [moment(k, Object(1, x), copied=k in {2, 3}) for k, x in enumerate(shown)]
    assert run(FREE, moments) == []
    assert len(run(FREE, [replace(each, copied=False) for each in moments])) == 1


def test_boxes_may_scatter() -> None:
    moments = [moment(0, Object(1, 0)), moment(1, Object(1, 12.5))]
    assert [len(run(Velocity(jitter_heights=j), moments)) for j in (0.0, 0.25)] == [1, 0]


def test_state_stays_small() -> None:
    check = Velocity().start()
    for k in range(500):
        check.observe(moment(k, Object(k)))
    state: Any = check.snapshot()
    assert len(state) <= 20


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"heights_per_second": 0.0}, "heights_per_second must be above 0, got 0.0"),
        ({"jitter_heights": -0.1}, "jitter_heights must be at least 0, got -0.1"),
        ({"seen_score": 7.0}, "seen_score must be in 0..1, got 7.0"),
    ],
)
def test_settings_say_what_must_be(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(RecordError) as caught:
        Velocity(**settings)
    assert str(caught.value) == message
