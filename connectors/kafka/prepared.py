"""Messages that are ready to be sent: records, and what is no record but goes the same way."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from connectors.codec import encode, to_json
from connectors.kafka.headers import JSON, MSGPACK, Header, record_headers
from connectors.kafka.topics import topic_kind
from records import CodecError

if TYPE_CHECKING:
    from records import Record


@dataclass(frozen=True, slots=True)
class Prepared:
    """A message that is ready to be sent.

    Attributes:
        kind: The kind of its topic.
        id: Its identity, ``ce_id``.
        key: Its key, the stream.
        headers: Its headers.
        value: Its value; empty where it could not be written.
        fault: Why its value could not be written; empty where it could.
    """

    kind: str
    id: str
    key: bytes
    headers: tuple[Header, ...]
    value: bytes
    fault: str = ""


def prepare(record: Record, flow: str, content: str) -> Prepared:
    """The message of a record.

    Args:
        record: The record.
        flow: The name of the flow that sends it.
        content: How its value is written, msgpack or json.
    """
    in_json = content == "json"
    headers = tuple(record_headers(record, flow, JSON if in_json else MSGPACK))
    value, fault = b"", ""
    try:
        value = _json(record) if in_json else encode(record)
    except CodecError as error:
        fault = str(error)
    key = record.stream.encode()
    return Prepared(topic_kind(record), record.id, key, headers, value, fault)


def _json(record: Record) -> bytes:
    return json.dumps(
        to_json(record), sort_keys=True, separators=(",", ":"), allow_nan=False
    ).encode()
