from __future__ import annotations

import sys
from dataclasses import replace

import msgpack
import numpy as np
import pytest

from connectors.codec import (
    MOST_BOXES,
    decode,
    encode,
    to_json,
)
from records import CodecError, Detections, EventKind, Record, StreamEvent, Verdict
from tests.support.encoded import repacked
from tests.support.records import (
    alert,
    estimate,
    event,
    finding,
    reading,
    verdict,
)

EXAMPLES: list[Record] = [verdict(), alert(), event(), estimate(), reading(), finding()]


def test_equal_records_have_equal_bytes() -> None:
    used = Detections.of([[0.0, 0, 1, 1]], [0.0], ["car"])
    vocabulary = Detections.of([[-0.0, 0, 1, 1]], [-0.0], ["car"], class_names=["person", "car"])
    first, second = replace(verdict(), answer=used), replace(verdict(), answer=vocabulary)
    assert first == second
    assert encode(first) == encode(second)
    assert encode(replace(alert(), value=0.0)) == encode(replace(alert(), value=-0.0))
    other_nan = np.array([[0.5], [0], [-0.25]], np.float32)
    other_nan.view(np.uint32)[1] = 0xFF812345  # a signalling one
    assert encode(reading()) == encode(replace(reading(), samples=other_nan))


def test_only_class_names_in_use_are_written() -> None:
    names = [f"class {i}" for i in range(80)]
    answer = Detections.of([[0, 0, 1, 1]] * 3, [1] * 3, ["class 7", "class 3", "class 7"],
                           class_names=names)  # fmt: skip
    again = decode(encode(replace(verdict(), answer=answer)))
    assert isinstance(again, Verdict)
    assert again.answer.class_names == ("class 3", "class 7")
    assert again.answer.classes == ("class 7", "class 3", "class 7")


def test_text_of_a_file_name_that_is_no_utf8_survives() -> None:
    name = b"caf\xe9.mp4".decode("utf-8", "surrogateescape")
    record = StreamEvent("gate", 0, EventKind.UNREADABLE, detail=f"cannot open {name}")
    assert decode(encode(record)) == record


def test_json_shows_no_track_as_null() -> None:
    answer = Detections.of([[0, 0, 1, 1]], [1], ["car"])
    assert to_json(replace(verdict(), answer=answer))["answer"]["tracks"] == [None]


def test_detections_are_checked() -> None:
    answer = msgpack.unpackb(encode(verdict()))[2]["answer"]
    for changes, message in [
        ({"n": MOST_BOXES + 1}, "verdict.answer must have 0 to 16384 boxes, got 16385"),
        ({"n": 2}, "verdict.answer must have 32 bytes of boxes (8 of <f4), got 16"),
        ({"boxes": "text"}, "verdict.answer must have 16 bytes of boxes (4 of <f4), got str"),
        ({"names": []}, "verdict.answer class_ids must be in 0..-1"),
    ]:
        with pytest.raises(CodecError) as caught:
            decode(repacked(verdict(), answer=answer | changes))
        assert str(caught.value) == message


def test_corrections_are_checked() -> None:
    correction = msgpack.unpackb(encode(finding()))[2]["correction"]
    for changes, message in [
        (
            {"n": 4097},
            "finding.correction must have 0 to 4096 places, all or none boxed, got 4097",
        ),
        ({"boxed": 2}, "finding.correction must have 0 to 4096 places, all or none boxed, got 1"),
        ({"n": 0, "boxed": 0, "sequences": b"", "times": b"", "boxes": b"", "scores": b""},
         "finding.correction places must be 1 to 4096, got 0"),
        ({"times": b""}, "finding.correction must have 8 bytes of times (1 of <i8), got 0"),
        (
            {"kind": "mend"},
            "finding.correction must be one of drop, modify, interpolate, got 'mend'",
        ),
        (
            {"track": 2**64 - 1},
            "finding.correction track must be a whole number of at least 0, "
            "got 18446744073709551615",
        ),
    ]:  # fmt: skip
        with pytest.raises(CodecError) as caught:
            decode(repacked(finding(), correction=correction | changes))
        assert str(caught.value) == message


@pytest.mark.parametrize("record", EXAMPLES, ids=lambda record: type(record).__name__)
def test_decoded_arrays_are_views(record: Record) -> None:
    again = decode(encode(record))
    assert again == record
    if isinstance(again, Verdict) and sys.byteorder == "little":
        assert not again.answer.boxes.flags.writeable
