from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from operators.assertions.appear import Appear
from records import Correction, CorrectionKind, Finding, Place, RecordError
from tests.support.moments import Object, moment, rounded, run
from tests.support.pictures import TENTH_NS

RULE = Appear(absent_seconds=0.5)


def shown(*scores: float | None, start: int = 1) -> list[Any]:
    """The moments of one object with these scores, behind a moment without it."""
    head = [moment(k) for k in range(start)]
    body = [
        moment(k, *[Object(1, float(k), score)] if score is not None else [])
        for k, score in enumerate(scores, start)
    ]
    tail = [moment(k) for k in range(start + len(scores), start + len(scores) + 6)]
    return head + body + tail


def test_what_appears_for_a_moment_is_dropped_once_it_does_not_come_back() -> None:
    places = tuple(
        Place(k, k * TENTH_NS, (float(k), 0.0, k + 10.0, 20.0), score)
        for k, score in [(1, 0.25), (2, 0.5), (4, 0.3)]
    )
    assert rounded(run(RULE, shown(0.25, 0.5, None, 0.3))) == [
        Finding(
            stream="gate",
            assertion="appear",
            sequence=9,
            time_ns=9 * TENTH_NS,
            start_sequence=1,
            start_ns=TENTH_NS,
            severity=0.455,
            message="person was seen for 0.30 s only, 3 times",
            object="1",
            correction=Correction(CorrectionKind.DROP, places, "person", 1),
        )
    ]


@pytest.mark.parametrize(
    "moments",
    [
        pytest.param(shown(*[0.3] * 11), id="it lived for T"),
        pytest.param(shown(0.6, 0.5), id="the detector was sure of it"),
        pytest.param(shown(0.3, start=0), id="it was there when the stream began"),
        pytest.param(shown(0.3)[:5], id="it may still come back"),
        pytest.param(
            [moment(0), moment(1, Object(-1, score=0.3)), *[moment(k) for k in range(2, 9)]],
            id="it has no track",
        ),
        pytest.param(
            [moment(0), moment(1, Object(1, score=0.3)),
             *[replace(each, time_ns=each.sequence) for each in shown()[2:]]],
            id="the clock was set back",
        ),
    ],
)  # fmt: skip
def test_what_is_not_too_short(moments: list[Any]) -> None:
    assert run(RULE, moments) == []


def test_several_objects_end_at_once() -> None:
    moments = [moment(0), moment(1, Object(1, score=0.2), Object(2, score=0.3)),
               *[moment(k, Object(3)) for k in range(2, 9)]]  # fmt: skip
    assert [(each.object, each.sequence) for each in run(RULE, moments)] == [("1", 6), ("2", 6)]


def test_state_stays_small() -> None:
    check = Appear().start()
    for k in range(300):
        check.observe(moment(k, Object(k, score=0.9), Object(-1)))
    state: Any = check.snapshot()
    assert len(state.lives) == 20


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"short_seconds": 0.0}, "short_seconds must be above 0, got 0.0"),
        ({"absent_seconds": float("inf")}, "absent_seconds must be above 0, got inf"),
        ({"sure_score": -0.5}, "sure_score must be in 0..1, got -0.5"),
    ],
)
def test_settings_say_what_must_be(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(RecordError) as caught:
        Appear(**settings)
    assert str(caught.value) == message


def test_the_window_is_a_short_life_and_the_wait() -> None:
    assert RULE.window_seconds == 1.5
