"""How dead letters are kept in their topic: the original bytes, and headers that tell why.

The headers ``sightflow.error.*`` follow those of the original: ``class`` is a fixed word,
``reason`` a line for people; ``topic``, ``partition``, ``offset`` and ``time`` name the original;
``id`` identifies it. A message that is too large to be kept whole is cut: then ``truncated``
says so, and ``size`` and ``sha256`` are those of the original value.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from connectors.codec import iso_time
from connectors.kafka.headers import parse_time
from connectors.kafka.messages import DeadLetter, Message, Reason
from records import RecordError

if TYPE_CHECKING:
    from connectors.kafka.headers import Header

ERROR_PREFIX = "sightflow.error."
"""What the headers begin with that tell why a message is a dead letter."""

OVERHEAD_BYTES = 2048
"""How much of a message is left to what Kafka itself writes, bytes."""

MOST_REASON_BYTES = 2048
"""How much of a reason is kept, bytes of UTF-8."""

_NANOSECONDS_A_MILLISECOND = 1_000_000
_NEVER_SENT = -1


@dataclass(frozen=True, slots=True)
class StoredLetter:
    """A dead letter as its topic holds it.

    Attributes:
        letter: The dead letter, with the original message.
        partition: Its partition in the topic of dead letters.
        offset: Its offset there.
        truncated: Whether it is only a part of the original.
    """

    letter: DeadLetter
    partition: int
    offset: int
    truncated: bool

    @property
    def id(self) -> str:
        """Its place in the topic of dead letters, ``partition:offset``."""
        return f"{self.partition}:{self.offset}"


def letter_id(letter: DeadLetter) -> str:
    """What identifies a dead letter: where the original is, or which event was not sent."""
    message = letter.message
    if message.offset != _NEVER_SENT:
        return message.id
    named = [value or b"" for name, value in message.headers if name == "ce_id"]
    return f"{message.topic}:{named[-1].decode() if named else ''}"


def to_message(letter: DeadLetter, most_bytes: int) -> tuple[bytes | None, list[Header], bytes]:
    """The key, headers and value of the message that keeps a dead letter.

    Args:
        letter: The dead letter.
        most_bytes: The largest message, bytes; what is larger is cut.
    """
    message = letter.message
    value = message.value or b""
    errors = _error_headers(letter)
    if message.value is None:
        errors.append((f"{ERROR_PREFIX}deletion", b"true"))
    kept = [(name, each or b"") for name, each in message.headers]
    key = message.key
    room = most_bytes - OVERHEAD_BYTES - _size(errors)
    if len(key or b"") + _size(kept) > room // 2:
        key, kept = None, []
    room -= len(key or b"") + _size(kept)
    if len(value) > room or len(kept) != len(message.headers):
        errors += [
            (f"{ERROR_PREFIX}truncated", b"true"),
            (f"{ERROR_PREFIX}size", str(len(value)).encode()),
            (f"{ERROR_PREFIX}sha256", hashlib.sha256(value).hexdigest().encode()),
        ]
    return key, [*kept, *errors], value[: max(room, 0)]


def from_message(message: Message) -> StoredLetter:
    """Read what `to_message` wrote.

    Raises:
        RecordError: the message is no dead letter.
    """
    errors = {
        name.removeprefix(ERROR_PREFIX): (value or b"").decode(errors="replace")
        for name, value in message.headers
        if name.startswith(ERROR_PREFIX)
    }
    try:
        original = Message(
            topic=errors["topic"],
            partition=int(errors.get("partition", _NEVER_SENT)),
            offset=int(errors.get("offset", _NEVER_SENT)),
            time_ms=_time_ms(errors.get("time")),
            key=message.key,
            headers=tuple(each for each in message.headers if not each[0].startswith(ERROR_PREFIX)),
            value=None if errors.get("deletion") == "true" else message.value,
        )
        letter = DeadLetter(original, Reason(errors["class"]), errors["reason"])
    except (KeyError, ValueError) as error:
        raise RecordError(
            f"message {message.id} must have the headers {ERROR_PREFIX}* of a dead letter: {error}"
        ) from error
    truncated = errors.get("truncated") == "true"
    return StoredLetter(letter, message.partition, message.offset, truncated)


def _error_headers(letter: DeadLetter) -> list[Header]:
    message = letter.message
    values = {
        "class": str(letter.reason),
        "reason": letter.detail,
        "id": letter_id(letter),
        "topic": message.topic,
    }
    if message.offset != _NEVER_SENT:
        values |= {"partition": str(message.partition), "offset": str(message.offset)}
    if message.time_ms >= 0:
        values["time"] = iso_time(message.time_ms * _NANOSECONDS_A_MILLISECOND)
    return [
        (ERROR_PREFIX + name, text.encode(errors="backslashreplace")[:MOST_REASON_BYTES])
        for name, text in values.items()
    ]


def _size(headers: list[Header]) -> int:
    return sum(len(name.encode()) + len(value) for name, value in headers)


def _time_ms(text: str | None) -> int:
    return -1 if text is None else parse_time(text) // _NANOSECONDS_A_MILLISECOND
