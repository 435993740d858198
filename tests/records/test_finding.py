from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from records import Correction, CorrectionKind, Finding, Place, RecordError
from tests.support.records import finding

FOUND = finding()
CORRECTION = Correction(
    CorrectionKind.MODIFY, (Place(1, 100, (1.0, 2.0, 3.0, 4.0), 0.5), Place(2, 200, (1, 2, 3, 4))),
    "person", 7,
)  # fmt: skip


def test_identities_name_stream_assertion_object_and_moment() -> None:
    assert FOUND.id == "gate:flicker:7:2"
    assert replace(FOUND, object="").id == "gate:flicker::2"


def test_a_correction_begins_at_its_first_place() -> None:
    assert (CORRECTION.sequence, CORRECTION.time_ns, CORRECTION.output) == (1, 100, "detections")


@pytest.mark.parametrize(
    ("record", "change", "message"),
    [
        (FOUND, {"start_sequence": 3}, "start_sequence must be at most 2, got 3"),
        (FOUND, {"severity": 0}, "severity must be above 0, got 0"),
        (FOUND, {"severity": float("nan")}, "severity must be a finite number, got nan"),
        (FOUND, {"model_wrong": 1.5}, "model_wrong must be a probability in 0..1, got 1.5"),
        (
            FOUND,
            {"correction": None, "correction_right": 0.5},
            "correction_right must be None without a correction",
        ),
        (
            FOUND,
            {"object": []},
            "object must be 1 to 200 printable characters without ':', got []",
        ),
        (
            FOUND,
            {"start_ns": None},
            "start_ns must be nanoseconds since 1970 UTC as an int, got None",
        ),
        (CORRECTION, {"kind": "drop"}, "kind must be a CorrectionKind, got 'drop'"),
        (CORRECTION, {"places": ()}, "places must be 1 to 4096, got 0"),
        (
            CORRECTION,
            {"places": CORRECTION.places[::-1]},
            "places must be in order of sequence, got [2, 1]",
        ),
        (
            CORRECTION,
            {"places": (Place(1, 1), Place(1, 1, (0, 0, 1, 1)))},
            "places must all have a box, or none",
        ),
        (
            CORRECTION,
            {"kind": CorrectionKind.INTERPOLATE, "places": (Place(1, 1),)},
            "places must have boxes for interpolate",
        ),
        (
            CORRECTION,
            {"class_name": ""},
            "class_name must be 1 to 200 printable characters without ':', got ''",
        ),
        (CORRECTION, {"track": -2}, "track must be a whole number of at least 0, got -2"),
        (
            CORRECTION,
            {"output": ""},
            "output must be 1 to 200 printable characters without ':', got ''",
        ),
        (CORRECTION.places[0], {"score": 1.1}, "score must be in 0..1, got 1.1"),
        (
            CORRECTION.places[0],
            {"box": [1, 2, 3, 4]},
            "box must be a tuple of x1, y1, x2, y2, got [1, 2, 3, 4]",
        ),
        (
            CORRECTION.places[0],
            {"box": (3, 2, 1, 4)},
            "box must have x1 <= x2 and y1 <= y2, got (3, 2, 1, 4)",
        ),
        (
            CORRECTION.places[0],
            {"box": (3, 2, float("inf"), 4)},
            "box must be a finite number, got inf",
        ),
    ],
)
def test_what_is_wrong_is_said(record: Any, change: dict[str, Any], message: str) -> None:
    with pytest.raises(RecordError) as caught:
        replace(record, **change)
    assert str(caught.value) == message


def test_a_drop_needs_no_class() -> None:
    assert Correction(CorrectionKind.DROP, (Place(1, 1),)).class_name == ""
    assert Finding("a", "b", 1, 1, 1, 1, 0.5, "").object == ""
