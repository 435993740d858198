"""Retraining items and labels as bytes (msgpack) and as plain JSON values.

The bytes are one msgpack array ``[version, kind, fields]``, kind ``item`` or ``label``. Equal items
have equal bytes. Every size is checked before anything is built from it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgpack

from connectors.codec import iso_time
from connectors.codec_fields import (
    DETECTIONS,
    INTEGER,
    MOST_BYTES,
    MOST_NAMES,
    MOST_TEXT_BYTES,
    NUMBER,
    OPTIONAL_INTEGER,
    OPTIONAL_NUMBER,
    TEXT,
    TEXT_ERRORS,
    Field,
    check_map,
    member,
    shown,
)
from records import CodecError, Crop, Flag, Label, Origin, RecordError, RetrainingItem
from records.retraining import MOST_FLAGS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

SCHEMA_VERSION = 1
"""The version of the encoding; it rises when a field is added, removed or changes its meaning."""

ITEM, LABEL = "item", "label"
"""The kinds."""

_ENVELOPE = 3
_MOST_FIELDS = 32
_CORNERS = 4


def _optional(inner: Field) -> Field:
    return Field(
        lambda value: None if value is None else inner.write(value),
        lambda value: None if value is None else inner.read(value),
        lambda value: None if value is None else inner.show(value),
    )


def _listed(inner: Field, most: int) -> Field:
    def read(value: object) -> tuple[object, ...]:
        if not isinstance(value, list) or len(value) > most:
            raise CodecError(f"must be a list of at most {most}, got {shown(value)}")
        return tuple(inner.read(each) for each in value)

    def write(values: Any) -> list[object]:  # noqa: ANN401 - as Field has it
        return [inner.write(each) for each in values]

    return Field(write, read, lambda values: [inner.show(each) for each in values])


def _nested(make: Callable[..., object], fields: Mapping[str, Field]) -> Field:
    names = frozenset(fields)

    def read(value: object) -> object:
        found, values, name = check_map(value, names), dict[str, object](), ""
        try:
            for name, each in fields.items():
                values[name] = each.read(found[name])
        except CodecError as error:
            raise CodecError(f"must have a valid {name}, which {error}") from error
        return make(**values)

    return Field(
        lambda value: {name: each.write(getattr(value, name)) for name, each in fields.items()},
        read,
        lambda value: {name: each.show(getattr(value, name)) for name, each in fields.items()},
    )


def _read_corners(value: object) -> tuple[object, ...]:
    if not isinstance(value, list) or len(value) != _CORNERS:
        raise CodecError(f"must be a list of x1, y1, x2, y2, got {shown(value)}")
    return tuple(NUMBER.read(each) for each in value)


_CORNERS_FIELD = Field(lambda box: [NUMBER.write(each) for each in box], _read_corners, list)
_LABEL = _nested(
    Label,
    {
        "source": TEXT,
        "boxes": _optional(DETECTIONS),
        "class_name": TEXT,
        "probability": OPTIONAL_NUMBER,
    },
)
_CROP = _nested(
    Crop,
    dict.fromkeys(("content_type", "sha256"), TEXT)
    | dict.fromkeys(("length", "width", "height"), INTEGER)
    | {"region": _optional(_CORNERS_FIELD)},
)
_FLAG = _nested(
    Flag,
    {"assertion": TEXT, "severity": NUMBER, "episode": TEXT, "model_wrong": OPTIONAL_NUMBER},
)
_ITEM = _nested(
    RetrainingItem,
    {
        "stream": TEXT,
        "sequence": INTEGER,
        "time_ns": INTEGER,
        "origins": _listed(member(Origin), len(Origin)),
        "priority": NUMBER,
        "propensity": NUMBER,
        "flags": _listed(_FLAG, MOST_FLAGS),
        "uncertainty": NUMBER,
        "label": _optional(_LABEL),
        "crop": _optional(_CROP),
        "fingerprint": OPTIONAL_INTEGER,
        "uri": TEXT,
        "model": TEXT,
        "configuration": TEXT,
    },
)
_KINDS: dict[str, Field] = {ITEM: _ITEM, LABEL: _LABEL}


def encode_item(item: RetrainingItem) -> bytes:
    """Encode an item; equal items give equal bytes.

    Raises:
        CodecError: it is larger than the limits of the codec.
    """
    return _encode(ITEM, item)


def decode_item(data: bytes) -> RetrainingItem:
    """Decode what `encode_item` wrote.

    Raises:
        CodecError: anything else than one whole, valid item of this schema version.
    """
    found = _decode(ITEM, data)
    assert isinstance(found, RetrainingItem)
    return found


def encode_label(label: Label) -> bytes:
    """Encode a label; equal labels give equal bytes."""
    return _encode(LABEL, label)


def decode_label(data: bytes) -> Label:
    """Decode what `encode_label` wrote.

    Raises:
        CodecError: anything else than one whole, valid label of this schema version.
    """
    found = _decode(LABEL, data)
    assert isinstance(found, Label)
    return found


def item_to_json(item: RetrainingItem) -> dict[str, Any]:
    """Show an item as plain JSON values; the fingerprint as 16 hexadecimal digits."""
    shown_item = _ITEM.show(item)
    assert isinstance(shown_item, dict)
    fingerprint = None if item.fingerprint is None else f"{item.fingerprint:016x}"
    head = {"id": item.id, "name": item.name, "time": iso_time(item.time_ns)}
    return head | shown_item | {"fingerprint": fingerprint}


def label_to_json(label: Label) -> dict[str, Any]:
    """Show a label as plain JSON values."""
    found = _LABEL.show(label)
    assert isinstance(found, dict)
    return found


def _encode(kind: str, value: object) -> bytes:
    try:
        fields = _KINDS[kind].write(value)
    except CodecError as error:
        raise CodecError(f"{kind} {error}") from error
    data: bytes = msgpack.packb((SCHEMA_VERSION, kind, fields), unicode_errors=TEXT_ERRORS)
    if len(data) > MOST_BYTES:
        raise CodecError(f"an {kind} must be at most {MOST_BYTES} bytes, got {len(data)}")
    return data


def _decode(kind: str, data: bytes) -> object:
    if not isinstance(data, bytes) or len(data) > MOST_BYTES:
        raise CodecError(f"{kind} must be at most {MOST_BYTES} bytes, got {shown(data)}")
    try:
        envelope = msgpack.unpackb(
            data,
            unicode_errors=TEXT_ERRORS,
            max_str_len=min(len(data), MOST_TEXT_BYTES),
            max_array_len=min(len(data), MOST_NAMES),
            max_map_len=_MOST_FIELDS,
            max_ext_len=0,
        )
    except (ValueError, msgpack.UnpackException) as error:
        reason = str(error) or type(error).__name__
        raise CodecError(f"{kind} must be whole msgpack: {reason}") from error
    if not isinstance(envelope, list) or len(envelope) != _ENVELOPE:
        raise CodecError(f"{kind} must be an array of version, kind and fields")
    version, found, fields = envelope
    if type(version) is not int or version != SCHEMA_VERSION or found != kind:
        raise CodecError(
            f"must be an encoded {kind} of version {SCHEMA_VERSION}, got {shown(found)} of version "
            f"{shown(version)}; another release of Sightflow may have written it"
        )
    try:
        return _KINDS[kind].read(fields)
    except RecordError as error:
        raise CodecError(f"{kind} {error}") from error
