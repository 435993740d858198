"""Records as bytes (msgpack) and as plain JSON values.

The bytes of a record are one msgpack array ``[version, kind, fields]``. ``fields`` maps names to
values; numeric arrays are little-endian raw bytes beside their count. Equal records have equal
bytes. Every size is checked before anything is built from it, so bytes of unknown origin cost
little more memory than their own length.

msgpack: https://github.com/msgpack/msgpack/blob/master/spec.md
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgpack

from connectors import codec_fields as field
from connectors.codec_correction import CORRECTION
from connectors.codec_fields import MOST_BOXES, MOST_BYTES, MOST_NAMES, MOST_TEXT_BYTES
from records import (
    Alert,
    AlertState,
    Classification,
    CodecError,
    Estimate,
    EventKind,
    Finding,
    Reading,
    Record,
    RecordError,
    Stage,
    StreamEvent,
    Verdict,
)

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "KINDS",
    "MOST_BOXES",
    "MOST_BYTES",
    "MOST_NAMES",
    "MOST_TEXT_BYTES",
    "SCHEMA_VERSION",
    "decode",
    "encode",
    "event_time_ns",
    "iso_time",
    "kind_of",
    "to_json",
]

SCHEMA_VERSION = 3
"""The version of the encoding; it rises when a field is added, removed or changes its meaning."""

_ENVELOPE = 3
_MOST_FIELDS = 32
_NANOSECONDS = 10**9
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class _Schema:
    """One kind of record: its class, and its fields in the order in which they are written."""

    kind: str
    record: Callable[..., Record]
    fields: dict[str, field.Field]
    names: frozenset[str]


def _schema(kind: str, record: Callable[..., Record], /, **fields: field.Field) -> _Schema:
    fields = {"stream": field.TEXT} | fields
    return _Schema(kind, record, fields, frozenset(fields))


_SCHEMAS: dict[type, _Schema] = {
    Verdict: _schema(
        "verdict",
        Verdict,
        sequence=field.INTEGER,
        time_ns=field.INTEGER,
        stage=field.member(Stage),
        score=field.NUMBER,
        answer=field.DETECTIONS,
        copied_from=field.OPTIONAL_INTEGER,
        positive=field.OPTIONAL_TRUTH,
        audited=field.TRUTH,
        unaudited=field.OPTIONAL_TRUTH,
        corrected=field.NAMES,
    ),
    Alert: _schema(
        "alert",
        Alert,
        rule=field.TEXT,
        state=field.member(AlertState),
        **dict.fromkeys(("time_ns", "sequence", "opened_ns", "opened_sequence"), field.INTEGER),
        **dict.fromkeys(("severity", "value", "peak"), field.NUMBER),
        **dict.fromkeys(("message", "stage", "model", "configuration", "object"), field.TEXT),
        count=field.INTEGER,
    ),
    StreamEvent: _schema(
        "event",
        StreamEvent,
        time_ns=field.INTEGER,
        kind=field.member(EventKind),
        count=field.INTEGER,
        reason=field.TEXT,
        detail=field.TEXT,
    ),
    Estimate: _schema(
        "estimate",
        Estimate,
        name=field.TEXT,
        start_ns=field.INTEGER,
        end_ns=field.INTEGER,
        **dict.fromkeys(("value", "low", "high", "confidence"), field.NUMBER),
        **dict.fromkeys(("reference_calls", "frames", "late", "revision"), field.INTEGER),
    ),
    Reading: _schema(
        "reading",
        Reading,
        sequence=field.INTEGER,
        time_ns=field.INTEGER,
        rate_hz=field.NUMBER,
        samples=field.SAMPLES,
        channels=field.NAMES,
        units=field.NAMES,
    ),
    Finding: _schema(
        "finding",
        Finding,
        assertion=field.TEXT,
        **dict.fromkeys(("sequence", "time_ns", "start_sequence", "start_ns"), field.INTEGER),
        severity=field.NUMBER,
        message=field.TEXT,
        object=field.TEXT,
        **dict.fromkeys(("model_wrong", "correction_right"), field.OPTIONAL_NUMBER),
        correction=CORRECTION,
    ),
    Classification: _schema(
        "classification",
        Classification,
        **dict.fromkeys(("sequence", "time_ns", "duration_ns"), field.INTEGER),
        classes=field.NAMES,
        probabilities=field.NUMBERS,
    ),
}
_BY_KIND = {schema.kind: schema for schema in _SCHEMAS.values()}

KINDS = tuple(_BY_KIND)
"""The kinds of record: verdict, alert, event, estimate, reading, finding, classification."""


def kind_of(record: Record) -> str:
    """Name the kind of a record, one of `KINDS`.

    >>> from records import EventKind, StreamEvent
    >>> kind_of(StreamEvent("gate", 0, EventKind.OPENED))
    'event'
    """
    return _schema_of(record).kind


def event_time_ns(record: Record) -> int:
    """When a record came true, nanoseconds since 1970 UTC: the end of the window for estimates."""
    return record.end_ns if isinstance(record, Estimate) else record.time_ns


def iso_time(time_ns: int) -> str:
    """Write an event time as ISO 8601 UTC with all nine digits of its nanoseconds.

    >>> iso_time(1_700_000_000_000_000_007)
    '2023-11-14T22:13:20.000000007Z'
    """
    seconds, nanoseconds = divmod(time_ns, _NANOSECONDS)
    moment = _EPOCH + timedelta(seconds=seconds)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{nanoseconds:09d}Z"


def encode(record: Record) -> bytes:
    """Encode a record; equal records give equal bytes.

    Raises:
        CodecError: it is no record, or larger than the limits of this module.
    """
    schema = _schema_of(record)
    fields: dict[str, object] = {}
    name = ""
    try:
        for name, each in schema.fields.items():
            fields[name] = each.write(getattr(record, name))
    except CodecError as error:
        raise CodecError(f"{schema.kind}.{name} {error}") from error
    envelope = (SCHEMA_VERSION, schema.kind, fields)
    data: bytes = msgpack.packb(envelope, unicode_errors=field.TEXT_ERRORS)
    if len(data) > MOST_BYTES:
        raise CodecError(f"a record must be at most {MOST_BYTES} bytes, got {len(data)}")
    return data


def decode(data: bytes) -> Record:
    """Decode what `encode` wrote.

    Arrays of the record are views into `data` and cannot be written to.

    Raises:
        CodecError: anything else than one whole, valid record of this schema version.
    """
    schema, fields = _open(data)
    values: dict[str, object] = {}
    name = ""
    try:
        checked = field.check_map(fields, schema.names)
        for name, each in schema.fields.items():
            values[name] = each.read(checked[name])
    except RecordError as error:
        place = f"{schema.kind}.{name}" if name else schema.kind
        raise CodecError(f"{place} {error}") from error
    try:
        return schema.record(**values)
    except RecordError as error:
        raise CodecError(f"{schema.kind}: {error}") from error


def to_json(record: Record) -> dict[str, Any]:
    """Show a record as plain JSON values.

    ``record`` is its kind and ``id`` its identity; the fields keep their names. Event time is
    there twice: ``time_ns`` and, as ISO 8601 UTC, ``time`` (for estimates the end of the window).
    Boxes are lists of x1, y1, x2, y2; a box without a track has the track null. Samples that are
    missing or infinite are null.

    Raises:
        CodecError: it is no record.
    """
    schema = _schema_of(record)
    time_ns = event_time_ns(record)
    shown = {name: each.show(getattr(record, name)) for name, each in schema.fields.items()}
    head = {"record": schema.kind, "id": record.id, "time": iso_time(time_ns), "time_ns": time_ns}
    return head | shown


def _schema_of(record: Record) -> _Schema:
    schema = _SCHEMAS.get(type(record))
    if schema is None:
        choice = ", ".join(known.__name__ for known in _SCHEMAS)
        raise CodecError(f"a record must be one of {choice}, got {type(record).__name__}")
    return schema


def _open(data: bytes) -> tuple[_Schema, object]:
    """Take the envelope off; the limits keep lying lengths from allocating anything."""
    if not isinstance(data, bytes):
        raise CodecError(f"a record must be bytes, got {type(data).__name__}")
    if len(data) > MOST_BYTES:
        raise CodecError(f"a record must be at most {MOST_BYTES} bytes, got {len(data)}")
    try:
        envelope = msgpack.unpackb(
            data,
            unicode_errors=field.TEXT_ERRORS,
            max_str_len=min(len(data), MOST_TEXT_BYTES),
            max_array_len=min(len(data), MOST_NAMES),
            max_map_len=_MOST_FIELDS,
            max_ext_len=0,
        )
    except (ValueError, msgpack.UnpackException) as error:
        reason = str(error) or type(error).__name__
        raise CodecError(f"a record must be whole msgpack: {reason}") from error
    if not isinstance(envelope, list) or len(envelope) != _ENVELOPE:
        raise CodecError("a record must be an array of version, kind and fields")
    version, kind, fields = envelope
    if type(version) is not int or version != SCHEMA_VERSION:
        raise CodecError(
            f"a record must have schema version {SCHEMA_VERSION}, got {field.shown(version)}; "
            "another release of Sightflow wrote it"
        )
    schema = _BY_KIND.get(kind) if isinstance(kind, str) else None
    if schema is None:
        raise CodecError(
            f"a record's kind must be one of {', '.join(KINDS)}, got {field.shown(kind)}"
        )
    return schema, fields
