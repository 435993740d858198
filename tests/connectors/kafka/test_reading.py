from __future__ import annotations

import json
from typing import Any

import cv2
import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.codec import encode, to_json
from connectors.kafka.messages import DeadLetter, Message, Reason
from connectors.kafka.reading import read_message
from connectors.kafka.topics import TopicKind
from records import Frame
from tests.support.records import START_NS, alert, estimate, event, reading, repeatable, verdict

JPEG = cv2.imencode(".jpg", np.full((4, 6, 3), 200, np.uint8))[1].tobytes()
MOST = 100_000
FRAME = {"content-type": "image/jpeg", "ce_sequence": "5", "ce_time": "2023-11-14T22:13:20Z"}


def message(
    value: bytes | None, key: bytes | None = b"gate", headers: dict[str, str] | None = None
) -> Message:
    pairs = tuple((name, text.encode()) for name, text in (headers or {}).items())
    return Message("t", 2, 9, 1_700_000_000_500, key, pairs, value)


def refused(found: object) -> tuple[Reason, str]:
    assert isinstance(found, DeadLetter)
    return found.reason, found.detail


@pytest.mark.parametrize(
    ("kind", "record"),
    [
        (TopicKind.DETECTIONS, verdict()),
        (TopicKind.DETECTIONS, event()),
        (TopicKind.ESTIMATES, estimate()),
        (TopicKind.ALERTS, alert()),
        (TopicKind.READINGS, reading()),
    ],
)
def test_records_in_msgpack_and_json(kind: TopicKind, record: Any) -> None:
    key, shown = record.stream.encode(), to_json(record)
    assert read_message(message(encode(record), key), kind, MOST) == record
    headers = {
        "content-type": "application/json; charset=utf-8",
        "ce_type": f"io.sightflow.{shown['record']}",
        "ce_specversion": "1.0",
    }
    assert read_message(message(json.dumps(shown).encode(), key, headers), kind, MOST) == record


def test_a_frame() -> None:
    frame = read_message(message(JPEG, headers=FRAME), TopicKind.FRAMES, MOST)
    assert isinstance(frame, Frame)
    assert (frame.stream, frame.sequence, frame.time_ns) == ("gate", 5, START_NS)
    assert (frame.coded_bytes, frame.keyframe, frame.reordered) == (len(JPEG), True, False)
    assert frame.pixels.rgb().tolist() == [[[200] * 3] * 6] * 4


def test_a_frame_without_a_time_has_that_of_kafka() -> None:
    headers = {name: text for name, text in FRAME.items() if name != "ce_time"}
    frame = read_message(message(JPEG, headers=headers), TopicKind.FRAMES, MOST)
    assert isinstance(frame, Frame)
    assert frame.time_ns == START_NS + 500_000_000


@pytest.mark.parametrize(
    ("name", "pixel", "rgb"),
    [("rgb24", [1, 2, 3], [1, 2, 3]), ("bgr24", [1, 2, 3], [3, 2, 1]), ("gray8", [7], [7, 7, 7])],
)
def test_raw_frames(name: str, pixel: list[int], rgb: list[int]) -> None:
    raw = {"width": 3, "height": 2, "format": name, "pixels": bytes(pixel * 6)}
    headers = FRAME | {"content-type": "application/msgpack"}
    frame = read_message(message(msgpack.packb(raw), headers=headers), TopicKind.FRAMES, MOST)
    assert isinstance(frame, Frame)
    assert frame.pixels.rgb().tolist() == [[rgb] * 3] * 2


RAW: dict[str, Any] = {"width": 1, "height": 1, "format": "gray8", "pixels": b"x"}


@pytest.mark.parametrize(
    ("change", "detail"),
    [
        ({"depth": 1}, "a raw frame must be whole msgpack: 5 exceeds max_map_len(4)"),
        ({"format": "yuv"}, "format must be one of rgb24, bgr24, gray8, got 'yuv'"),
        ({"format": []}, "format must be one of rgb24, bgr24, gray8, got []"),
        (
            {"width": 1 << 40, "height": 1 << 40},
            "a raw frame must be 1 to 16384 pixels a side and at most 134217728 pixels, "
            "got 1099511627776 x 1099511627776",
        ),
        (
            {"width": True},
            "a raw frame must be 1 to 16384 pixels a side and at most 134217728 pixels, "
            "got True x 1",
        ),
        ({"width": 9000, "height": 9000}, "pixels must be 81000000 bytes for 9000 x 9000 gray8, "
                                          "got 1"),
        ({"pixels": "x"}, "pixels must be 1 bytes for 1 x 1 gray8, got str"),
    ],
)  # fmt: skip
def test_raw_frames_that_are_none(change: dict[str, Any], detail: str) -> None:
    headers = FRAME | {"content-type": "application/msgpack"}
    found = read_message(
        message(msgpack.packb(RAW | change), headers=headers), TopicKind.FRAMES, MOST
    )
    assert refused(found) == (Reason.UNDECODABLE, detail)


@pytest.mark.parametrize(
    ("found", "reason", "detail"),
    [
        (message(b"x" * 99_997), Reason.OVERSIZED,
         "a message must be at most 100000 bytes, got 100001"),
        (message(b"x", None), Reason.KEY,
         "the key must be the stream's name: stream must be 1 to 200 printable characters "
         "without ':', got ''"),
        (message(b"x", b"\xff"), Reason.KEY,
         "the key must be the stream's name: 'utf-8' codec can't decode byte 0xff in position 0: "
         "invalid start byte"),
        (message(encode(verdict("gate")), b"yard"), Reason.KEY,
         "the key must be the record's stream 'gate', got 'yard'"),
        (message(b"x", headers={"ce_specversion": "0.3"}), Reason.HEADERS,
         "ce_specversion must be 1.0, got '0.3'"),
        (message(b"x", headers={"ce_type": "io.sightflow.alert"}), Reason.KIND,
         "ce_type must be io.sightflow.verdict or io.sightflow.event or "
         "io.sightflow.classification in a topic of detections, got 'io.sightflow.alert'"),
        (message(encode(alert())), Reason.KIND,
         "a topic of detections must hold verdict or event or classification, got alert"),
        (message(None), Reason.UNDECODABLE, "a message must have a value; this one is a deletion"),
        (message(b"x", headers={"content-type": "text/plain"}), Reason.CONTENT_TYPE,
         "content-type must be application/msgpack or application/json, got 'text/plain'"),
        (message(b"\xc1"), Reason.UNDECODABLE,
         "a record must be whole msgpack: FormatError"),
        (message(b"{}", headers={"content-type": "application/json"}), Reason.UNDECODABLE,
         "verdict: answer must be there"),
    ],
)  # fmt: skip
def test_what_is_refused(found: Message, reason: Reason, detail: str) -> None:
    letter = read_message(found, TopicKind.DETECTIONS, MOST)
    assert letter == DeadLetter(found, reason, detail)


@pytest.mark.parametrize(
    ("change", "reason", "detail"),
    [
        ({"ce_sequence": ""}, Reason.HEADERS,
         "ce_sequence must number the frame 0, 1, 2 …, got ''"),
        ({"ce_sequence": "-1"}, Reason.HEADERS,
         "ce_sequence must number the frame 0, 1, 2 …, got '-1'"),
        ({"ce_time": "noon"}, Reason.HEADERS,
         "ce_time: a time must be RFC 3339 between 1970 and 2262, got 'noon'"),
        ({"content-type": "image/gif"}, Reason.CONTENT_TYPE,
         "content-type must be image/jpeg, image/png or application/msgpack, got 'image/gif'"),
        ({"content-type": "image/png"}, Reason.UNDECODABLE,
         "a picture of type image/png must begin with PNG's signature"),
    ],
)  # fmt: skip
def test_frames_that_are_refused(change: dict[str, str], reason: Reason, detail: str) -> None:
    found = read_message(message(JPEG, headers=FRAME | change), TopicKind.FRAMES, MOST)
    assert refused(found) == (reason, detail)


def test_a_frame_that_no_time_is_known_of() -> None:
    timeless = Message("t", 0, 0, -1, b"gate", (("ce_sequence", b"0"),), JPEG)
    assert refused(read_message(timeless, TopicKind.FRAMES, MOST)) == (
        Reason.HEADERS,
        "ce_time: the message's time must be nanoseconds since 1970 UTC as an int, got -1000000",
    )


@given(
    st.sampled_from(TopicKind),
    st.none() | st.binary(max_size=40),
    st.lists(
        st.tuples(
            st.sampled_from(["content-type", "ce_sequence", "ce_time", "ce_type", "x"]),
            st.none()
            | st.binary(max_size=10)
            | st.sampled_from([b"image/jpeg", b"application/json", b"3", b"io.sightflow.event"]),
        )
    ),
    st.none() | st.binary(max_size=60) | st.sampled_from([JPEG, encode(event())]),
)
@repeatable
def test_any_message_is_read_or_dead(
    kind: TopicKind,
    key: bytes | None,
    headers: list[tuple[str, bytes | None]],
    value: bytes | None,
) -> None:
    found = read_message(Message("t", 0, 0, 5, key, tuple(headers), value), kind, MOST)
    assert found is not None
