from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from operators.assertions import Moment, assertion
from operators.assertions.function import FunctionAssertion
from records import Finding, RecordError
from tests.support.moments import Object, moment, run
from tests.support.pictures import TENTH_NS


@assertion(window=0.2)
def crowded(times: list[int], found: list[Any]) -> float:
    """The most boxes in the window, from two on."""
    assert len(times) == len(found)
    most = max(len(each) for each in found)
    return float(most) if most > 1 else 0


def test_the_window_moves_in_event_time() -> None:
    shown = [1, 2, 1, 1, 1]
    moments = [moment(k, *[Object()] * n) for k, n in enumerate(shown)]
    assert run(crowded, moments) == [
        Finding("gate", "crowded", k, k * TENTH_NS, start, start * TENTH_NS, 2.0, message)
        for k, start, message in [
            (1, 0, "severity 2 over 2 moments"),
            (2, 0, "severity 2 over 3 moments"),
            (3, 1, "severity 2 over 3 moments"),
        ]
    ]


def test_a_decorated_function_can_still_be_called() -> None:
    assert crowded([0], [["a", "b"]]) == 2.0
    assert (crowded.name, crowded.window_seconds) == ("crowded", 0.2)


def test_several_names_give_tuples_and_missing_values_pass_the_moment_over() -> None:
    calls: list[Any] = []

    @assertion(window=9, name="pair", inputs=("frame",), outputs=("detections", "lidar"))
    def pair(frames: list[Any], found: list[Any]) -> bool:
        calls.append((list(frames), list(found)))
        return True

    moments = [
        Moment("gate", 0, 0, {"frame": "f0"}, {"detections": "d0", "lidar": "l0"}),
        Moment("gate", 1, 1, {"frame": "f1"}, {"detections": "d1"}),
        Moment("gate", 2, 2, {}, {"detections": "d2", "lidar": "l2"}),
        Moment("gate", 3, 3, {"frame": "f3"}, {"detections": "d3", "lidar": "l3"}),
    ]
    check = pair.start()
    assert [len(check.observe(each)) for each in moments] == [1, 0, 0, 1]
    assert calls == [
        (["f0"], [("d0", "l0")]),
        (["f0", "f3"], [("d0", "l0"), ("d3", "l3")]),
    ]


def test_the_window_is_bounded_in_number() -> None:
    sizes: list[int] = []

    @assertion(window=1e6, most=3)
    def counting(_times: list[int], found: list[Any]) -> float:
        sizes.append(len(found))
        return 0.0

    check = counting.start()
    for k in range(5):
        check.observe(moment(k))
    assert sizes == [1, 2, 3, 3, 3]


def test_a_clock_that_is_set_back_begins_a_new_window() -> None:
    times: list[list[int]] = []

    @assertion(window=60)
    def noting(seen: list[int], _found: list[Any]) -> float:
        times.append(list(seen))
        return 0.0

    check = noting.start()
    for sequence, when in enumerate([5, 6, 1, 2]):
        check.observe(Moment("gate", sequence, when, outputs={"detections": 0}))
    assert times == [[5], [5, 6], [1], [1, 2]]


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf"), None, "high", [1.0]])
def test_what_is_no_severity_is_refused(value: Any) -> None:
    check = assertion(name="bad")(lambda _inputs, _outputs: value).start()
    with pytest.raises(RecordError) as caught:
        check.observe(moment(0))
    assert str(caught.value) == (
        f"an assertion must return a finite severity of at least 0, got {value!r}"
    )


@pytest.mark.parametrize(("value", "severity"), [(np.float32(0.5), 0.5), (np.True_, 1.0), (3, 3.0)])
def test_numbers_of_numpy_are_severities(value: Any, severity: float) -> None:
    check = assertion(name="good")(lambda _inputs, _outputs: value).start()
    assert [each.severity for each in check.observe(moment(0))] == [severity]


async def _later(inputs: Any, outputs: Any) -> float:
    return 0.0


def _one(inputs: Any) -> float:
    return 0.0


def _optional(inputs: Any, outputs: Any, least: float = 0.5) -> float:
    return least


MUST = "an assertion must be a plain function (inputs, outputs) -> severity, got "


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (_one, "_one(inputs: 'Any') -> 'float'"),
        (_later, "an async function or a generator"),
        (5, "int"),
    ],
)
def test_a_wrong_signature_is_told_at_once(function: Any, message: str) -> None:
    with pytest.raises(RecordError) as caught:
        assertion(name="wrong")(function)
    assert str(caught.value) == MUST + message


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"window": -1.0}, "window must be at least 0 seconds, got -1.0"),
        ({"window": float("inf")}, "window must be at least 0 seconds, got inf"),
        ({"name": "a:b"}, "name must be 1 to 200 printable characters without ':', got 'a:b'"),
        ({"inputs": ()}, "inputs must be a tuple of at least one name, got ()"),
        ({"outputs": ("",)}, "outputs must be 1 to 200 printable characters without ':', got ''"),
        ({"most": 0}, "most must be at least 1, got 0"),
    ],
)
def test_settings_say_what_must_be(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(RecordError) as caught:
        assertion(**settings)(_optional)
    assert str(caught.value) == message


def test_defaults_of_other_parameters_are_kept() -> None:
    made = assertion()(_optional)
    assert made == FunctionAssertion("_optional", 0.0, _optional)
    assert [each.severity for each in run(made, [moment(0)])] == [0.5]
