"""Reads what a message holds: a frame or a record, or tells why it holds none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgpack
import numpy as np

from connectors.codec import decode, kind_of
from connectors.kafka.headers import (
    CONTENT_TYPE,
    JPEG,
    JSON,
    MSGPACK,
    PNG,
    SPECIFICATION,
    TYPE_PREFIX,
    parse_time,
    read_headers,
)
from connectors.kafka.json_records import decode_json
from connectors.kafka.messages import DeadLetter, Message, Reason
from connectors.kafka.pictures import CodedPixels
from connectors.kafka.topics import HOLDS, TopicKind
from connectors.video.pixels import MOST_PIXELS, MOST_SIDE, ArrayPixels, size_is_allowed
from records import Frame, Pixels, Record, RecordError
from records.checks import check_name, check_time

if TYPE_CHECKING:
    from numpy.typing import NDArray

SEQUENCE = "ce_sequence"
"""The header that numbers the frames of a stream: 0, 1, 2 …"""

FORMATS = {"rgb24": 3, "bgr24": 3, "gray8": 1}
"""The formats of raw frames, and the bytes of a pixel in each."""

_NANOSECONDS_A_MILLISECOND = 1_000_000
_RAW_FIELDS = frozenset({"width", "height", "format", "pixels"})
_LONGEST_RAW_NAME = 16
_MOST_DIGITS = 19
_LONGEST_SHOWN = 60


class _RefusedError(RecordError):
    """A message that becomes a dead letter."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


def read_message(message: Message, kind: TopicKind, most_bytes: int) -> Frame | Record | DeadLetter:
    """Read what a message holds; never raises for what is in it.

    Args:
        message: The message.
        kind: What its topic holds.
        most_bytes: The largest key and value together, bytes.

    Returns:
        A frame or record, or a dead letter that tells why there is none.
    """
    try:
        return _read(message, kind, most_bytes)
    except _RefusedError as refused:
        return DeadLetter(message, refused.reason, str(refused))
    except RecordError as error:
        return DeadLetter(message, Reason.UNDECODABLE, str(error))


def _read(message: Message, kind: TopicKind, most_bytes: int) -> Frame | Record:
    value = message.value
    size = len(value or b"") + len(message.key or b"")
    if size > most_bytes:
        raise _RefusedError(
            Reason.OVERSIZED, f"a message must be at most {most_bytes} bytes, got {size}"
        )
    stream = _stream(message.key)
    headers = _headers(message)
    names = HOLDS[kind]
    told = headers.get("ce_type", TYPE_PREFIX + names[0])
    if told.removeprefix(TYPE_PREFIX) not in names:
        choice = " or ".join(TYPE_PREFIX + name for name in names)
        raise _RefusedError(
            Reason.KIND, f"ce_type must be {choice} in a topic of {kind}, got {_cut(told)}"
        )
    if value is None:
        raise RecordError("a message must have a value; this one is a deletion")
    if kind is TopicKind.FRAMES:
        return _frame(message, stream, value, headers)
    record = _record(value, _content_type(headers), told.removeprefix(TYPE_PREFIX))
    if kind_of(record) not in names:
        raise _RefusedError(
            Reason.KIND, f"a topic of {kind} must hold {' or '.join(names)}, got {kind_of(record)}"
        )
    if record.stream != stream:
        raise _RefusedError(
            Reason.KEY, f"the key must be the record's stream {record.stream!r}, got {stream!r}"
        )
    return record


def _frame(message: Message, stream: str, value: bytes, headers: dict[str, str]) -> Frame:
    return Frame(
        stream,
        time_ns=_time(message, headers),
        pixels=_pixels(value, _content_type(headers)),
        sequence=_sequence(headers),
        coded_bytes=len(value),
        keyframe=True,
        arrival_ns=max(message.time_ms, 0) * _NANOSECONDS_A_MILLISECOND or None,
    )


def _stream(key: bytes | None) -> str:
    try:
        stream = (key or b"").decode()
        check_name("stream", stream)
    except (UnicodeDecodeError, RecordError) as error:
        raise _RefusedError(Reason.KEY, f"the key must be the stream's name: {error}") from error
    return stream


def _headers(message: Message) -> dict[str, str]:
    try:
        headers = read_headers(message.headers)
    except RecordError as error:
        raise _RefusedError(Reason.HEADERS, str(error)) from error
    version = headers.get("ce_specversion", SPECIFICATION)
    if version != SPECIFICATION:
        raise _RefusedError(
            Reason.HEADERS, f"ce_specversion must be {SPECIFICATION}, got {_cut(version)}"
        )
    return headers


def _content_type(headers: dict[str, str]) -> str:
    return headers.get(CONTENT_TYPE, MSGPACK).partition(";")[0].strip().lower()


def _record(value: bytes, content_type: str, kind: str) -> Record:
    if content_type == MSGPACK:
        return decode(value)
    if content_type == JSON:
        return decode_json(value, kind)
    raise _RefusedError(
        Reason.CONTENT_TYPE, f"{CONTENT_TYPE} must be {MSGPACK} or {JSON}, got {_cut(content_type)}"
    )


def _sequence(headers: dict[str, str]) -> int:
    number = headers.get(SEQUENCE, "")
    if not (number.isascii() and number.isdecimal() and len(number) <= _MOST_DIGITS):
        raise _RefusedError(
            Reason.HEADERS, f"{SEQUENCE} must number the frame 0, 1, 2 …, got {_cut(number)}"
        )
    return int(number)


def _time(message: Message, headers: dict[str, str]) -> int:
    """Event time: the header's, or else Kafka's own time of the message."""
    told = headers.get("ce_time")
    time_ns = message.time_ms * _NANOSECONDS_A_MILLISECOND
    try:
        if told is not None:
            return parse_time(told)
        check_time("the message's time", time_ns)
    except RecordError as error:
        raise _RefusedError(Reason.HEADERS, f"ce_time: {error}") from error
    return time_ns


def _pixels(value: bytes, content_type: str) -> Pixels:
    if content_type in (JPEG, PNG):
        coded = CodedPixels(value, content_type)
        coded.check()
        return coded
    if content_type == MSGPACK:
        return ArrayPixels(_raw(value))
    raise _RefusedError(
        Reason.CONTENT_TYPE,
        f"{CONTENT_TYPE} must be {JPEG}, {PNG} or {MSGPACK}, got {_cut(content_type)}",
    )


def _raw(value: bytes) -> NDArray[np.uint8]:
    """A raw frame as RGB; its size is checked against its bytes before anything is built."""
    try:
        fields = msgpack.unpackb(
            value,
            max_map_len=len(_RAW_FIELDS),
            max_array_len=0,
            max_ext_len=0,
            max_str_len=_LONGEST_RAW_NAME,
        )
    except (ValueError, msgpack.UnpackException) as error:
        raise RecordError(f"a raw frame must be whole msgpack: {error}") from error
    if not isinstance(fields, dict) or fields.keys() != _RAW_FIELDS:
        raise RecordError(f"a raw frame must be a map of {', '.join(sorted(_RAW_FIELDS))}")
    width, height, name, data = (fields[key] for key in ("width", "height", "format", "pixels"))
    if not isinstance(name, str) or name not in FORMATS:
        raise RecordError(f"format must be one of {', '.join(FORMATS)}, got {name!r}")
    if type(width) is not int or type(height) is not int or not size_is_allowed(width, height):
        raise RecordError(
            f"a raw frame must be 1 to {MOST_SIDE} pixels a side and at most {MOST_PIXELS} "
            f"pixels, got {width!r} x {height!r}"
        )
    size = width * height * FORMATS[name]
    if not isinstance(data, bytes) or len(data) != size:
        got = len(data) if isinstance(data, bytes) else type(data).__name__
        raise RecordError(f"pixels must be {size} bytes for {width} x {height} {name}, got {got}")
    array = np.frombuffer(data, np.uint8).reshape(height, width, FORMATS[name])
    if name == "gray8":
        return np.repeat(array, 3, axis=2)
    return array[..., ::-1] if name == "bgr24" else array


def _cut(text: str) -> str:
    """A text of unknown origin as messages show it."""
    return repr(text[:_LONGEST_SHOWN])
