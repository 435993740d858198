from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.codec import KINDS, kind_of, to_json
from connectors.kafka.json_records import MOST_JSON_BYTES, decode_json
from records import CodecError, Detections, Reading, Record, Stage, Verdict
from tests.support.records import START_NS, finding, records, repeatable


@given(records().filter(lambda each: not isinstance(each, Reading)))
@repeatable
def test_what_is_shown_is_read(record: Record) -> None:
    data = json.dumps(to_json(record)).encode()
    assert decode_json(data, kind_of(record)) == record


def test_readings_lose_only_infinities() -> None:
    samples = np.array([[0.5, np.nan], [np.inf, -1.25]], np.float32)
    record = Reading("pump", 3, START_NS, 100.0, samples, ("a", "b"), ("V", "A"))
    found = decode_json(json.dumps(to_json(record)).encode(), "reading")
    samples[1, 0] = np.nan
    assert found == Reading("pump", 3, START_NS, 100.0, samples, ("a", "b"), ("V", "A"))


def test_a_verdict_needs_little() -> None:
    values = {
        "stream": "gate",
        "sequence": 4,
        "time_ns": START_NS,
        "answer": {
            "boxes": [[1, 2, 3, 4], [5, 6, 7, 8.5]],
            "scores": [0.25, 0.5],
            "classes": ["person", "dog"],
        },
    }
    answer = Detections.of([[1, 2, 3, 4], [5, 6, 7, 8.5]], [0.25, 0.5], ["person", "dog"])
    assert decode_json(json.dumps(values).encode(), "verdict") == Verdict(
        "gate", 4, START_NS, Stage.REFERENCE, 0.5, answer
    )
    values["answer"] = {"boxes": [], "scores": [], "classes": []}
    assert decode_json(json.dumps(values).encode(), "verdict") == Verdict(
        "gate", 4, START_NS, Stage.REFERENCE, 0.0, Detections.empty()
    )


VERDICT: dict[str, Any] = {
    "stream": "gate",
    "sequence": 0,
    "time_ns": 5,
    "answer": {"boxes": [[1, 2, 3, 4]], "scores": [0.5], "classes": ["a"]},
}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"record": "alert"}, "record must be verdict, got 'alert'"),
        ({"colour": 1}, "verdict has no field 'colour'"),
        ({"stage": "oracle"}, "verdict: stage must be one of packets, skip, difference, "
                              "specialised, reference, got 'oracle'"),
        ({"stage": []}, "verdict: stage must be one of packets, skip, difference, "
                        "specialised, reference, got []"),
        ({"sequence": -1}, "verdict: sequence must be a whole number of at least 0, got -1"),
        ({"score": 10**400}, f"verdict: score must be a finite number, got {10**400}"),
        ({"answer": 5}, "verdict: answer must be an object of boxes, scores, classes and tracks"),
        ({"answer": {"boxes": 1}}, "verdict: answer.boxes must be a list of at most 16384"),
        (
            {"answer": {"boxes": [], "scores": [1], "classes": []}},
            "verdict: answer must have as many boxes as scores, classes and tracks",
        ),
        (
            {"answer": {"boxes": [[1, 2, 3]], "scores": [1], "classes": ["a"]}},
            "verdict: answer.boxes must be lists of x1, y1, x2, y2",
        ),
        (
            {"answer": {"boxes": [[1, 2, 3, True]], "scores": [1], "classes": ["a"]}},
            "verdict: answer.boxes must be numbers",
        ),
        (
            {"answer": {"boxes": [[1, 2, 3, 4]], "scores": [10**400], "classes": ["a"]}},
            "verdict: answer.scores must be numbers that a float holds",
        ),
        (
            {"answer": {"boxes": [[1, 2, 3, 4]], "scores": [1], "classes": [None]}},
            "verdict: answer.classes must be texts",
        ),
        (
            {"answer": {"boxes": [[1, 2, 3, 4]], "scores": [1], "classes": ["a"],
                        "tracks": [2**63]}},
            "verdict: answer.tracks must be whole numbers or null",
        ),
    ],
)  # fmt: skip
def test_faults(change: dict[str, Any], message: str) -> None:
    with pytest.raises(CodecError) as error:
        decode_json(json.dumps(VERDICT | change).encode(), "verdict")
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("correction", "message"),
    [
        (5, "correction must be an object of kind, places, class_name, track, output"),
        ({"kind": "drop"}, "places must be there"),
        ({"kind": "drop", "places": 5}, "correction.places must be a list of at most 4096"),
        (
            {"kind": "mend", "places": []},
            "kind must be one of drop, modify, interpolate, got 'mend'",
        ),
        (
            {"kind": "drop", "places": [7]},
            "a place must be an object of sequence, time_ns, box and score",
        ),
        ({"kind": "drop", "places": [{"sequence": 1}]}, "fields are missing: time_ns"),
        (
            {"kind": "drop", "places": [{"sequence": 1, "time_ns": 5, "box": [1, 2]}]},
            "box must be a tuple of x1, y1, x2, y2, got (1, 2)",
        ),
    ],
)
def test_faults_of_corrections(correction: object, message: str) -> None:
    values = to_json(finding()) | {"correction": correction}
    with pytest.raises(CodecError) as error:
        decode_json(json.dumps(values).encode(), "finding")
    assert str(error.value) == f"finding: {message}"


@pytest.mark.parametrize(
    ("data", "kind", "message"),
    [
        (b"[1]", "event", "the value must be a JSON object, got list"),
        (b"{}", "event", "event: fields are missing: kind, stream, time_ns"),
        (b"{}", "verdict", "verdict: answer must be there"),
        (b"{", "event", "the value must be JSON: Expecting property name enclosed in double "
                        "quotes: line 1 column 2 (char 1)"),
        (b'{"a": NaN}', "event", "the value must be JSON: NaN is no JSON"),
        (b" " * (MOST_JSON_BYTES + 1), "event", "JSON must be at most 4194304 bytes, got 4194305"),
        (
            b'{"stream": "a", "time_ns": 1, "kind": "lost", "reason": 5}',
            "event",
            "event: reason must be text, got int",
        ),
        (
            b'{"channels": ["a"], "units": ["b"], "samples": [[1, 2]]}',
            "reading",
            "reading: samples must be lists of 1 numbers or null",
        ),
        (b'{"channels": "a"}', "reading",
         "reading: channels must be a list of at most 4096 texts"),
    ],
)  # fmt: skip
def test_other_faults(data: bytes, kind: str, message: str) -> None:
    with pytest.raises(CodecError) as error:
        decode_json(data, kind)
    assert str(error.value) == message


def test_depth_is_no_crash() -> None:
    with pytest.raises(CodecError, match="^the value must be JSON: "):
        decode_json(b"[" * 100_000, "event")


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=10,
)


@given(
    st.sampled_from(KINDS),
    records().map(to_json),
    st.data(),
)
@repeatable
def test_any_value_in_any_field_gives_a_record_or_an_error(
    kind: str, values: dict[str, Any], data: st.DataObject
) -> None:
    name = data.draw(st.sampled_from(sorted(values)))
    values[name] = data.draw(anything)
    text = json.dumps(values).encode()
    try:
        assert kind_of(decode_json(text, kind)) == kind
    except CodecError as error:
        assert str(error)
