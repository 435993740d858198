"""Retraining items as messages of Kafka: the queue's clustered form, with the same contract.

One message is one item with its crop. The key is the stream, ``ce_id`` the item's id, so that an
item that is sent twice is known, as in the file. What reads the topic adds the items to a queue.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgpack

from connectors.codec import iso_time
from connectors.kafka.headers import (
    CONTENT_TYPE,
    MSGPACK,
    SPECIFICATION,
    TYPE_PREFIX,
    event_source,
    read_headers,
)
from connectors.kafka.prepared import Prepared
from connectors.kafka.topics import RETRAINING
from connectors.queue_codec import decode_item, encode_item
from connectors.queue_items import check_crop
from records import CodecError
from records.retraining import MOST_CROP_BYTES

if TYPE_CHECKING:
    from connectors.kafka.headers import Header
    from connectors.kafka.messages import Message
    from connectors.queue_items import Entry
    from records import RetrainingItem

KIND = "retraining"
"""The kind of event."""

MOST_MESSAGE_BYTES = MOST_CROP_BYTES + 2**20
"""The largest value of a message, bytes."""

_PARTS = 2


def prepare(entry: Entry, flow: str) -> Prepared:
    """An item's message, ready to be sent; with a fault where it is too large to be read back.

    Args:
        entry: The item and the bytes of its crop.
        flow: The name of the flow that sends it.

    Raises:
        RecordError: the bytes are not those that the item's crop tells of.
    """
    item = entry[0]
    try:
        key, value, headers = to_message(entry, flow)
    except CodecError as error:
        headers = item_headers(item, flow)
        return Prepared(RETRAINING, item.id, item.stream.encode(), tuple(headers), b"", str(error))
    return Prepared(RETRAINING, item.id, key, tuple(headers), value)


def to_message(entry: Entry, flow: str) -> tuple[bytes, bytes, list[Header]]:
    """The key, the value and the headers of an item's message.

    Args:
        entry: The item and the bytes of its crop.
        flow: The name of the flow that sends it.

    Raises:
        RecordError: the bytes are not those that the item's crop tells of, or too many.
    """
    item, data = entry
    check_crop(item, data)
    value: bytes = msgpack.packb((encode_item(item), data))
    if len(value) > MOST_MESSAGE_BYTES:
        raise CodecError(f"a message must be at most {MOST_MESSAGE_BYTES} bytes, got {len(value)}")
    return item.stream.encode(), value, item_headers(item, flow)


def item_headers(item: RetrainingItem, flow: str) -> list[Header]:
    """The headers of an item's message."""
    headers = {
        "ce_specversion": SPECIFICATION,
        "ce_id": item.id,
        "ce_source": event_source(flow, KIND),
        "ce_type": TYPE_PREFIX + KIND,
        "ce_time": iso_time(item.time_ns),
        CONTENT_TYPE: MSGPACK,
    }
    return [(name, text.encode()) for name, text in headers.items()]


def from_message(message: Message) -> Entry:
    """The item and the bytes of its crop, from what `to_message` made.

    Raises:
        RecordError: the message holds anything else.
    """
    headers = read_headers(message.headers)
    kind = headers.get("ce_type", TYPE_PREFIX + KIND)
    if kind != TYPE_PREFIX + KIND or headers.get(CONTENT_TYPE, MSGPACK) != MSGPACK:
        raise CodecError(
            f"a message must be of type {TYPE_PREFIX}{KIND} in {MSGPACK}, got {kind!r}"
        )
    value = message.value or b""
    if len(value) > MOST_MESSAGE_BYTES:
        raise CodecError(f"a message must be at most {MOST_MESSAGE_BYTES} bytes, got {len(value)}")
    try:
        parts: Any = msgpack.unpackb(value, max_array_len=_PARTS, max_map_len=0, max_ext_len=0)
    except (ValueError, msgpack.UnpackException) as error:
        reason = str(error) or type(error).__name__
        raise CodecError(f"a message must be whole msgpack: {reason}") from error
    if not isinstance(parts, list) or len(parts) != _PARTS:
        raise CodecError("a message must be an array of item and crop")
    item, data = decode_item(parts[0]), parts[1]
    if data is not None and not isinstance(data, bytes):
        raise CodecError(f"a crop must be bytes, got {type(data).__name__}")
    if message.key is not None and message.key != item.stream.encode():
        raise CodecError(f"the key must be the stream {item.stream!r}, got {message.key!r}")
    check_crop(item, data)
    return item, data
