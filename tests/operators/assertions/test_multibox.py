from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.assertions.api import Moment
from operators.assertions.multibox import Multibox, heaps, overlapping
from operators.assertions.sightings import overlap
from records import Correction, CorrectionKind, Detections, Finding, Place, RecordError
from tests.support.moments import Object, moment, rounded, run
from tests.support.pictures import TENTH_NS


def test_three_boxes_that_overlap_are_one_object() -> None:
    found = run(
        Multibox(),
        [moment(3, Object(-1, 1, 0.5), Object(7, 0, 0.9), Object(-1, 2, 0.7), Object(9, 50))],
    )
    places = tuple(
        Place(3, 3 * TENTH_NS, (x, 0.0, x + 10, 20.0), score)
        for x, score in [(2.0, 0.7), (1.0, 0.5)]
    )
    assert rounded(found) == [
        Finding(
            stream="gate",
            assertion="multibox",
            sequence=3,
            time_ns=3 * TENTH_NS,
            start_sequence=3,
            start_ns=3 * TENTH_NS,
            severity=1.484848,
            message="3 boxes of person overlap each other",
            object="7",
            correction=Correction(CorrectionKind.DROP, places, "person"),
        )
    ]


@pytest.mark.parametrize(
    "objects",
    [
        pytest.param([Object(1, 0), Object(2, 1)], id="two"),
        pytest.param([Object(1, 0), Object(2, 4), Object(3, 8)], id="a chain"),
        pytest.param([Object(1, 0), Object(2, 1), Object(3, 2, label="dog")], id="other class"),
        pytest.param([Object(1, 0), Object(2, 1), Object(3, 2, 0.05)], id="too weak"),
        pytest.param([], id="none"),
    ],
)
def test_what_is_no_multibox(objects: list[Object]) -> None:
    assert run(Multibox(), [moment(0, *objects)]) == []


def test_a_moment_without_output_is_passed_over() -> None:
    assert run(Multibox(), [Moment("gate", 0, 0)]) == []


boxes = st.lists(
    st.tuples(*[st.integers(0, 12)] * 2, *[st.integers(1, 12)] * 2), min_size=3, max_size=12
)


@given(boxes, st.data())
def test_the_sweep_finds_every_pair(found: list[tuple[int, ...]], data: st.DataObject) -> None:
    n = len(found)
    corners = np.array([[x, y, x + w, y + h] for x, y, w, h in found], np.float32)
    labels = data.draw(st.lists(st.sampled_from("ab"), min_size=n, max_size=n))
    one = Moment("gate", 0, 0, outputs={"detections": Detections.of(corners, [0.5] * n, labels)})
    plain = one.plain()
    assert plain is not None
    want = {
        (i, j)
        for i in range(n)
        for j in range(n)
        if i != j and labels[i] == labels[j] and overlap(plain.boxes[i], plain.boxes[j]) >= 0.3
    }
    near = overlapping(plain, 0.3)
    assert {(i, j) for i, others in near.items() for j in others} == want
    places = [place for heap in heaps(near, plain.scores) for place in heap]
    assert len(places) == len(set(places))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"overlap": 0.0}, "overlap must be above 0 and at most 1, got 0.0"),
        ({"seen_score": 1.5}, "seen_score must be in 0..1, got 1.5"),
    ],
)
def test_settings_say_what_must_be(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(RecordError) as caught:
        Multibox(**settings)
    assert str(caught.value) == message
    assert Multibox().window_seconds == 0
