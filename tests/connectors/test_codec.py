from __future__ import annotations

import json
from dataclasses import replace

import msgpack
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from connectors.codec import (
    KINDS,
    MOST_BOXES,
    MOST_BYTES,
    MOST_TEXT_BYTES,
    decode,
    encode,
    event_time_ns,
    iso_time,
    kind_of,
    to_json,
)
from records import CodecError, EventKind, Reading, Record
from tests.support.encoded import repacked
from tests.support.records import (
    FRAME_NS,
    START_NS,
    alert,
    estimate,
    event,
    finding,
    people,
    reading,
    records,
    repeatable,
    verdict,
)


@repeatable
@given(records())
def test_round_trip(record: Record) -> None:
    data = encode(record)
    again = decode(data)
    assert again == record
    assert type(again) is type(record)
    assert encode(again) == data
    assert kind_of(record) in KINDS


@repeatable
@given(records())
def test_json_is_plain_and_keeps_every_field(record: Record) -> None:
    shown = to_json(record)
    assert json.loads(json.dumps(shown, allow_nan=False)) == shown
    assert shown["record"] == kind_of(record)
    assert shown["id"] == record.id
    assert shown["time_ns"] == event_time_ns(record)
    assert set(shown) >= set(record.__dataclass_fields__)


@repeatable
@given(
    records(),
    st.lists(
        st.tuples(st.sampled_from(["flip", "cut", "insert"]), st.integers(0, 5000), st.binary()),
        min_size=1,
        max_size=4,
    ),
)
def test_mutated_bytes_are_refused_or_valid(
    record: Record, changes: list[tuple[str, int, bytes]]
) -> None:
    data = bytearray(encode(record))
    for change, where, junk in changes:
        at = where % (len(data) + 1)
        if change == "flip" and at < len(data):
            data[at] ^= 1 << (where % 8)
        elif change == "cut":
            del data[at:]
        else:
            data[at:at] = junk
    try:
        again = decode(bytes(data))
    except CodecError:
        return
    assert decode(encode(again)) == again


@repeatable
@given(st.binary())
@example(b"\x91" * 100_000)
@example(b"\xdd\xff\xff\xff\xff")
@example(b"\xdf\xff\xff\xff\xff")
@example(b"\xc6\xff\xff\xff\xff")
@example(b"\xd6\xff\x00\x00\x00\x00")
@example(msgpack.packb([3, "alert", {b"\x00": 1, "stream": "a"}]))
@example(msgpack.packb({1: 2}))
def test_any_bytes_are_refused_or_valid(data: bytes) -> None:
    try:
        decode(data)
    except CodecError as error:
        assert len(str(error)) < 1000


def test_bytes_are_pinned() -> None:
    # A change of these bytes needs a new SCHEMA_VERSION: logs of earlier releases hold them.
    assert encode(event(count=3, reason="stalled")) == (
        b"\x93\x03\xa5event\x86\xa6stream\xa4gate\xa7time_ns\xcf\x17\x97\x9c\xfe6*\x00\x00"
        b"\xa4kind\xa6opened\xa5count\x03\xa6reason\xa7stalled\xa6detail\xa0"
    )
    fields = msgpack.unpackb(encode(verdict()))[2]
    assert fields["answer"] == {
        "n": 1,
        "boxes": np.array([1, 2, 3, 4], "<f4").tobytes(),
        "scores": np.array([0.5], "<f4").tobytes(),
        "names": ["person"],
        "classes": np.array([0], "<i4").tobytes(),
        "tracks": np.array([1], "<i8").tobytes(),
    }


def test_json_of_each_kind() -> None:
    head = {"time": "2023-11-14T22:13:20.000000000Z", "time_ns": START_NS}
    assert to_json(verdict()) == head | {
        "record": "verdict",
        "id": "gate:0",
        "stream": "gate",
        "sequence": 0,
        "stage": "reference",
        "score": 0.5,
        "answer": {
            "boxes": [[1.0, 2.0, 3.0, 4.0]],
            "scores": [0.5],
            "classes": ["person"],
            "tracks": [1],
        },
        "copied_from": None,
        "positive": None,
        "audited": False,
        "unaudited": None,
        "corrected": [],
    }
    assert to_json(event(kind=EventKind.DROPPED, count=2, reason="stalled")) == head | {
        "record": "event",
        "id": f"gate:dropped:{START_NS}",
        "stream": "gate",
        "kind": "dropped",
        "count": 2,
        "reason": "stalled",
        "detail": "",
    }
    assert to_json(reading()) == head | {
        "record": "reading",
        "id": "ecg:0",
        "stream": "ecg",
        "sequence": 0,
        "rate_hz": 300.0,
        "samples": [[0.5], [None], [-0.25]],
        "channels": ["lead I"],
        "units": ["mV"],
    }
    assert to_json(finding()) == {
        "record": "finding",
        "id": "gate:flicker:7:2",
        "time": "2023-11-14T22:13:20.200000000Z",
        "time_ns": START_NS + 2 * FRAME_NS,
        "stream": "gate",
        "assertion": "flicker",
        "sequence": 2,
        "start_sequence": 1,
        "start_ns": START_NS + FRAME_NS,
        "severity": 0.75,
        "message": "person 7 was gone for 1 frame",
        "object": "7",
        "model_wrong": None,
        "correction_right": None,
        "correction": {
            "kind": "interpolate",
            "class_name": "person",
            "track": 7,
            "output": "detections",
            "places": [
                {
                    "sequence": 1,
                    "time_ns": START_NS + FRAME_NS,
                    "box": [1.0, 2.0, 3.0, 4.0],
                    "score": 0.5,
                }
            ],
        },
    }
    shown = to_json(estimate())
    assert shown["time"] == "2023-11-14T22:14:20.000000000Z"
    assert (shown["start_ns"], shown["end_ns"]) == (START_NS, START_NS + 60 * 10**9)


@pytest.mark.parametrize(
    ("time_ns", "text"),
    [(0, "1970-01-01T00:00:00.000000000Z"), (2**63 - 1, "2262-04-11T23:47:16.854775807Z")],
)
def test_iso_time(time_ns: int, text: str) -> None:
    assert iso_time(time_ns) == text


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("text", "a record must be bytes, got str"),
        (b"", "a record must be whole msgpack: Unpack failed: incomplete input"),
        (
            encode(event()) + b"\x00",
            "a record must be whole msgpack: unpack(b) received extra data.",
        ),
        (b"\x91" * 5000, "a record must be whole msgpack: StackError"),
        (msgpack.packb([3, "event"]), "a record must be an array of version, kind and fields"),
        (
            msgpack.packb([9, "event", {}]),
            "a record must have schema version 3, got 9; another release of Sightflow wrote it",
        ),
        (
            msgpack.packb([3, "frame", {}]),
            (
                "a record's kind must be one of verdict, alert, event, estimate, reading, "
                "finding, classification, got 'frame'"
            ),
        ),
        (msgpack.packb([3, "event", []]), "event must be a map, got list"),
        (
            repacked(event(), without="reason", colour=1),
            "event must have exactly its fields; missing: reason; unknown: 'colour'",
        ),
        (
            repacked(event(), kind="exploded"),
            (
                "event.kind must be one of opened, lost, reconnected, corrupt, dropped, truncated, "
                "unreadable, ended, contract, window, assertion, model, got 'exploded'"
            ),
        ),
        (repacked(event(), count=1.0), "event.count must be a whole number, got float"),
        (repacked(event(), count=True), "event.count must be a whole number, got bool"),
        (repacked(event(), detail=7), "event.detail must be text, got int"),
        (repacked(alert(), value=7), "alert.value must be a float, got int"),
        (repacked(event(), count=-1), "event: count must be a whole number of at least 0, got -1"),
        (repacked(reading(), channels="I"), "reading.channels must be a list of texts, got str"),
        (
            repacked(reading(), samples={"n": 2, "channels": 1, "values": b"\x00" * 4}),
            "reading.samples must have 8 bytes of values (2 of <f4), got 4",
        ),
        (
            repacked(reading(), samples={"n": 2**40, "channels": 1, "values": b""}),
            f"reading.samples must have 1 to 4096 channels, got {2**40} samples of 1",
        ),
        (
            repacked(verdict(), answer={"n": 1}),
            (
                "verdict.answer must have exactly its fields; "
                "missing: boxes, classes, names, scores, tracks; unknown: none"
            ),
        ),
    ],
    ids=lambda value: value[:50] if isinstance(value, str) else "",
)
def test_what_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(CodecError) as caught:
        decode(data)
    assert str(caught.value) == message


def test_sizes_are_bounded_both_ways() -> None:
    crowd = people(*[(0, 0, 1, 1)] * (MOST_BOXES + 1))
    with pytest.raises(CodecError, match=r"^verdict.answer must have at most 16384 boxes, got"):
        encode(replace(verdict(), answer=crowd))
    with pytest.raises(CodecError, match=r"^alert.message must be at most 65536 bytes of text"):
        encode(replace(alert(), message="x" * (MOST_TEXT_BYTES + 1)))
    many = np.zeros((MOST_BYTES // 4, 1), np.float32)
    with pytest.raises(CodecError, match=r"^a record must be at most 16777216 bytes, got 167"):
        encode(Reading("ecg", 0, 0, 1.0, many, ("I",), ("mV",)))
    with pytest.raises(CodecError, match=r"^a record must be at most 16777216 bytes, got 16777217"):
        decode(bytes(MOST_BYTES + 1))
    whole = replace(alert(), message="é" * (MOST_TEXT_BYTES // 2))
    assert decode(encode(whole)) == whole


def test_no_record_is_refused() -> None:
    message = (
        "a record must be one of Verdict, Alert, StreamEvent, Estimate, Reading, Finding, "
        "Classification, got Detections"
    )
    for act in (encode, to_json, kind_of):
        with pytest.raises(CodecError) as caught:
            act(people())  # type: ignore[arg-type]  # the fault under test
        assert str(caught.value) == message
