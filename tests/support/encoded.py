"""Encoded records with faults."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgpack

from connectors.codec import (
    encode,
)

if TYPE_CHECKING:
    from records import Record


def repacked(record: Record, without: str = "", **changes: object) -> bytes:
    """The bytes of `record` with some fields replaced and one left out."""
    version, kind, fields = msgpack.unpackb(encode(record))
    fields |= changes
    fields.pop(without, None)
    data: bytes = msgpack.packb([version, kind, fields])
    return data
