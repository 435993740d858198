from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from operators.assertions.api import Moment
from operators.assertions.count_jump import CountJump
from records import Finding, RecordError
from tests.support.moments import Object, moment, run
from tests.support.pictures import TENTH_NS


def street(counts: list[int], start: int = 0, label: str = "person") -> list[Moment]:
    return [
        moment(k, *[Object(n, 20.0 * n, label=label) for n in range(count)])
        for k, count in enumerate(counts, start)
    ]


QUIET = [4] * 25


def told(moments: list[Moment], rule: CountJump | None = None) -> list[tuple[int, str, float]]:
    return [(f.sequence, f.message, f.severity) for f in run(rule or CountJump(), moments)]


def test_a_sudden_change_is_told_once() -> None:
    assert run(CountJump(), street([*QUIET, 0, 4, 4])) == [
        Finding(
            stream="gate",
            assertion="count_jump",
            sequence=25,
            time_ns=25 * TENTH_NS,
            start_sequence=24,
            start_ns=24 * TENTH_NS,
            severity=4 / 3,
            message="suddenly 0 of person, 4 before",
            object="person",
        )
    ]


def test_a_change_that_stays_becomes_usual() -> None:
    assert [each[0] for each in told(street([*QUIET, *[9] * 10]))] == [25, 26, 27]


@pytest.mark.parametrize(
    "moments",
    [
        pytest.param(street([*QUIET, 6, 6]), id="a small change"),
        pytest.param(street([4, 4, 9, 4, 0]), id="too little is known"),
        pytest.param(street(QUIET) + street([9], start=40), id="no neighbours"),
        pytest.param([*street(QUIET), replace(street([9])[0], sequence=25)], id="clock set back"),
        pytest.param([*street(QUIET), Moment("gate", 25, 25 * TENTH_NS)], id="no output"),
        pytest.param(
            [*street(QUIET), replace(street([9], start=25)[0], copied=True)], id="a copy"
        ),
        pytest.param(
            [*street(QUIET), moment(25, *[Object()] * 4, *[Object(score=0.4)] * 5)],
            id="weak boxes",
        ),
    ],
)  # fmt: skip
def test_what_is_plausible(moments: list[Moment]) -> None:
    assert told(moments) == []


def test_a_lively_stream_may_change_more() -> None:
    chance = np.random.default_rng(3)
    lively = chance.poisson(8, 300).tolist()
    steady = [8 + k % 2 for k in range(300)]
    spike = [15, 15]
    assert 300 not in [each[0] for each in told(street([*lively, *spike]))]
    assert 300 in [each[0] for each in told(street([*steady, *spike]))]
    assert len(told(street(lively))) == 0


def test_classes_are_counted_apart() -> None:
    def both(people: int, dogs: int, k: int) -> Moment:
        return moment(k, *[Object()] * people, *[Object(label="dog")] * dogs)

    moments = [both(4, 5, k) for k in range(25)] + [both(8, 0, 25)]
    assert [each[1] for each in told(moments)] == [
        "suddenly 0 of dog, 5 before",
        "suddenly 8 of person, 4 before",
    ]
    only = told(moments, CountJump(classes=("person",)))
    assert [each[1] for each in only] == ["suddenly 8 of person, 4 before"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"at_least": 0}, "at_least must be at least 1, got 0"),
        ({"times": 0.0}, "times must be above 0, got 0.0"),
        ({"window_seconds": float("nan")}, "window_seconds must be above 0, got nan"),
        ({"seen_score": -1.0}, "seen_score must be in 0..1, got -1.0"),
    ],
)
def test_settings_say_what_must_be(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(RecordError) as caught:
        CountJump(**settings)
    assert str(caught.value) == message


def test_a_class_that_was_absent_for_long_may_come_suddenly_wrong() -> None:
    dogs = [[2, 2] * 15, [0] * 50, [6]]
    moments = street([count for part in dogs for count in part], label="dog")
    assert [each[1] for each in told(moments)] == ["suddenly 6 of dog, 0 before"]
