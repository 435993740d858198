"""Targets: records as bytes, in event logs, in the queue and in messages of Kafka."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import cv2
import msgpack
import numpy as np

from connectors.codec import decode, encode, event_time_ns, iso_time, to_json
from connectors.kafka.headers import parse_time, record_headers
from connectors.kafka.json_records import decode_json
from connectors.kafka.messages import DeadLetter, Message
from connectors.kafka.reading import read_message
from connectors.kafka.topics import TopicKind
from connectors.lines import describe
from connectors.log_format import LOG_FOLDER, frame, header, segment_name, stream_folder
from connectors.log_manifest import Manifest, read_manifest, write_manifest
from connectors.queue_codec import decode_item, encode_item, item_to_json
from connectors.queue_kafka import from_message, to_message
from connectors.replay import EventLog
from records import CodecError, Frame, LogError, Record, RecordError, SightflowError
from tests.fuzz.mutation import Form
from tests.fuzz.target import Target
from tests.support.queues import item, pictured, signalled
from tests.support.records import (
    START_NS,
    alert,
    estimate,
    event,
    finding,
    reading,
    verdict,
)

if TYPE_CHECKING:
    from pathlib import Path

RECORDS: tuple[Record, ...] = (verdict(), alert(), event(), estimate(), reading(), finding())
"""One record of each kind."""

ENCODED = [encode(record) for record in RECORDS]
_MOST_BYTES = 2**20
_JPEG = cv2.imencode(".jpg", np.full((8, 12, 3), 200, np.uint8))[1].tobytes()
_PNG = cv2.imencode(".png", np.full((8, 12, 3), 200, np.uint8))[1].tobytes()
_RAW = msgpack.packb({"width": 3, "height": 2, "format": "rgb24", "pixels": bytes(18)})
_KIND = re.compile(rb'"record": "(verdict|alert|event|finding|estimate|reading)"')
_SHOWN_HEAD = 100
_SEGMENT = header("gate") + b"".join(
    frame(encode(one)) for one in (verdict(), alert(), event(), verdict(sequence=1))
)


def used(record: Record) -> None:
    """Do with a record what sinks do with it."""
    encode(record)
    json.dumps(to_json(record), allow_nan=False)
    describe(record)
    iso_time(event_time_ns(record))


def _decode(data: bytes, _: Path) -> None:
    used(decode(data))


def _decode_json(data: bytes, _: Path) -> None:
    said = _KIND.search(data[:_SHOWN_HEAD])
    used(decode_json(data, said[1].decode() if said else "verdict"))


def _decode_item(data: bytes, _: Path) -> None:
    found = decode_item(data)
    encode_item(found)
    json.dumps(item_to_json(found))


def _queue_message(data: bytes, _: Path) -> None:
    found = from_message(Message("t", 0, 0, 0, b"gate", (), data))
    to_message(found, "flow")


def _segment(data: bytes, folder: Path) -> None:
    path = folder / "run" / LOG_FOLDER / stream_folder("gate") / segment_name(0)
    if not path.parent.exists():
        path.parent.mkdir(parents=True)
        write_manifest(folder / "run", Manifest("f", "run", START_NS, "version: 1\n", ("gate",)))
    path.write_bytes(data)
    log = EventLog.open(folder / "run")
    for record in log.records():
        used(record)
    if log.faults:
        raise LogError("\n".join(map(str, log.faults)))


def _framed(data: bytes, folder: Path) -> None:
    _segment(header("gate") + frame(data), folder)


def _manifest(data: bytes, folder: Path) -> None:
    (folder / "manifest.json").write_bytes(data)
    read_manifest(folder)
    for stream in EventLog.open(folder).streams:
        stream_folder(stream)


def _manifest_sample() -> bytes:
    made = {
        "schema_version": 1, "name": "f", "run": "run", "created_ns": START_NS,
        "configuration": "a: 1",
        "configuration_sha256": "", "software": {"numpy": "2"}, "streams": ["gate"],
    }  # fmt: skip
    return json.dumps(made).encode()


def message_sample(value: bytes, content_type: str, kind: str, **more: str) -> bytes:
    """A message of Kafka as one msgpack array: topic's kind, time, key, headers, value."""
    headers = {"content-type": content_type, "ce_specversion": "1.0"} | more
    pairs = [[name, text.encode()] for name, text in headers.items()]
    packed: bytes = msgpack.packb([kind, START_NS // 10**6, b"gate", pairs, value])
    return packed


def _message(data: bytes, _: Path) -> None:
    try:
        kind, time_ms, key, pairs, value = msgpack.unpackb(data, strict_map_key=False)
        headers = tuple((str(name), told) for name, told in pairs)
        wire = [key, value, *(told for _, told in headers)]
        fits = type(time_ms) is int and -1 <= time_ms < 2**63 and kind in tuple(TopicKind)
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        raise CodecError("no message") from error
    if not fits or any(not isinstance(one, bytes | None) for one in wire):
        raise CodecError("Kafka's protocol carries no such message")
    message = Message("t", 0, 0, time_ms, key, headers, value)
    assert message.replays >= 0
    assert message.fingerprint >= 0
    found = read_message(message, TopicKind(kind), _MOST_BYTES)
    if isinstance(found, DeadLetter):
        raise RecordError(found.detail)
    if isinstance(found, Frame):
        found.pixels.luma(4, 4)
        return
    used(found)
    record_headers(found, "flow", "application/msgpack")


def _messages() -> list[bytes]:
    typed = {one: f"io.sightflow.{one}" for one in ("verdict", "event", "alert", "reading")}
    shown = json.dumps(to_json(verdict())).encode()
    frames = {"ce_sequence": "5", "ce_time": "2023-11-14T22:13:20.5Z"}
    return [
        message_sample(encode(verdict()), "application/msgpack", "detections"),
        message_sample(shown, "application/json", "detections", ce_type=typed["verdict"]),
        message_sample(encode(alert()), "application/msgpack", "alerts", ce_type=typed["alert"]),
        message_sample(_JPEG, "image/jpeg", "frames", **frames),
        message_sample(_PNG, "image/png", "frames", **frames, **{"sightflow.replays": "3"}),
        message_sample(_RAW, "application/msgpack", "frames", **frames),
    ]


def _time(data: bytes, _: Path) -> None:
    iso_time(parse_time(data.decode("utf-8", "surrogateescape")))


_SHOWN = [json.dumps(to_json(one)).encode() for one in RECORDS]
TARGETS = (
    Target.of("codec", ENCODED, _decode, Form.MSGPACK, errors=(CodecError,)),
    Target.of("json records", _SHOWN, _decode_json, Form.JSON, errors=(CodecError,)),
    Target.of("event log segments", [_SEGMENT], _segment, errors=(LogError,)),
    Target.of("event log records", ENCODED[:1], _framed, Form.MSGPACK, errors=(LogError,)),
    Target.of("event log manifests", [_manifest_sample()], _manifest, Form.JSON),
    Target.of(
        "queue codec",
        [encode_item(one) for one in (item(), pictured()[0], signalled()[0])],
        _decode_item,
        Form.MSGPACK,
        errors=(CodecError,),
    ),
    Target.of(
        "queue messages",
        [to_message(pictured(), "flow")[1]],
        _queue_message,
        Form.MSGPACK,
        errors=(RecordError,),
    ),
    Target.of("kafka messages", _messages(), _message, Form.MSGPACK, errors=(RecordError,)),
    Target.of(
        "event times",
        [b"2023-11-14T23:13:20.000000007+01:00", b"1970-01-01t00:00:00z"],
        _time,
        Form.TEXT,
        errors=(SightflowError,),
    ),
)
"""The targets of this module."""
