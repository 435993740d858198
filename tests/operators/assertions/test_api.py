from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from operators.assertions import Assertion, Moment
from operators.assertions.flicker import Flicker
from operators.assertions.function import assertion
from records import Classification, Detections, Frame, RecordError, Stage, Verdict
from tests.support.moments import Object, moment
from tests.support.pictures import Flat
from tests.support.records import verdict


def test_a_moment_of_a_verdict_holds_its_answer_and_frame() -> None:
    found = verdict(sequence=3)
    frame = Frame("gate", 3, found.time_ns, Flat(0))
    assert Moment.of(found, frame) == Moment(
        "gate", 3, found.time_ns, {"frame": frame}, {"detections": found.answer}
    )


@pytest.mark.parametrize(
    ("stage", "fields", "boxes", "outputs"),
    [
        (Stage.REFERENCE, {"positive": False}, 0, ["detections"]),
        (Stage.SPECIALISED, {"positive": True}, 0, []),
        (Stage.SPECIALISED, {"positive": False}, 0, []),
        (Stage.SPECIALISED, {"positive": False, "audited": True}, 0, ["detections"]),
        (Stage.DIFFERENCE, {"positive": True}, 1, ["detections"]),
        (Stage.SKIP, {}, 0, ["detections"]),
    ],
)
def test_stages_that_look_for_no_boxes_leave_the_detections_missing(
    stage: Stage, fields: dict[str, Any], boxes: int, outputs: list[str]
) -> None:
    answer = Detections.of([[0, 0, 1, 1]] * boxes, [1] * boxes, ["a"] * boxes)
    found = replace(Verdict("gate", 1, 5, stage, 0.5, answer, copied_from=0), **fields)
    assert Moment.of(found) == Moment(
        "gate", 1, 5, outputs=dict.fromkeys(outputs, answer), copied=True
    )


def test_a_moment_of_a_classified_window() -> None:
    found = Classification("bed", 4, 9, 1, ("N", "A"), (0.25, 0.75))
    assert Moment.of_classification(found) == Moment("bed", 4, 9, outputs={"classification": found})


def test_plain_boxes_are_made_once() -> None:
    one = moment(0, Object(7, 5.0, 0.5, "car"), Object(-1))
    plain = one.plain()
    assert plain == (
        [(5.0, 0.0, 15.0, 20.0), (0.0, 0.0, 10.0, 20.0)],
        [0.5, pytest.approx(0.9)],
        ["car", "person"],
        [7, -1],
    )
    assert one.plain() is plain
    assert one.plain("lidar") is None


def test_only_detections_have_plain_boxes() -> None:
    with pytest.raises(RecordError) as caught:
        Moment("bed", 0, 0, outputs={"detections": "A"}).plain()
    assert str(caught.value) == "the output detections must be Detections, got str"


def test_assertions_are_known_by_their_shape() -> None:
    assert isinstance(Flicker(), Assertion)
    assert isinstance(assertion(name="never")(lambda _inputs, _outputs: 0.0), Assertion)
    assert not isinstance("flicker", Assertion)
