"""Messages as Kafka holds them, and dead letters: those that were not understood or not sent."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from zlib import crc32

COMPARED_BYTES = 1024
"""How much of a message's value tells it from another, besides its key, time and size, bytes."""

REPLAYS = "sightflow.replays"
"""The header that counts how often a dead letter was sent again."""


_MOST_DIGITS = 9


class Reason(StrEnum):
    """Why a message is a dead letter; a fixed word for headers, filters and metrics.

    KEY: the key is not the stream's name. HEADERS: a header is missing or wrong. CONTENT_TYPE: it
    is written in an unknown way. UNDECODABLE: the value is no valid record or picture. KIND: the
    record is not of a kind that the topic may hold. OVERSIZED: it is too large. SEQUENCE: its
    number went back though its time went on, or it came again by replay. LATE: its event time lies
    too far back.
    """

    KEY = "key"
    HEADERS = "headers"
    CONTENT_TYPE = "content_type"
    UNDECODABLE = "undecodable"
    KIND = "kind"
    OVERSIZED = "oversized"
    SEQUENCE = "sequence"
    LATE = "late"


@dataclass(frozen=True, slots=True)
class Message:
    """One message as Kafka holds it.

    Attributes:
        topic: Its topic.
        partition: Its partition; -1 for one that was never sent.
        offset: Its offset; -1 for one that was never sent.
        time_ms: Kafka's own time of it, milliseconds since 1970 UTC; -1 for none.
        key: Its key.
        headers: Its headers, in order.
        value: Its value; None for a deletion.
    """

    topic: str
    partition: int
    offset: int
    time_ms: int
    key: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]
    value: bytes | None

    @classmethod
    def of(cls, record: Any) -> Message:  # noqa: ANN401 - kafka-python has no types
        """Take over what a consumer of kafka-python gives."""
        return cls(
            record.topic,
            record.partition,
            record.offset,
            -1 if record.timestamp is None else record.timestamp,
            record.key,
            tuple(record.headers),
            record.value,
        )

    @property
    def id(self) -> str:
        """Its place, ``topic:partition:offset``."""
        return f"{self.topic}:{self.partition}:{self.offset}"

    @property
    def fingerprint(self) -> int:
        """A number that tells it from another message at the same offset, up to chance."""
        value = self.value or b""
        named = f"{self.time_ms} {len(value)} ".encode() + (self.key or b"")
        return crc32(value[:COMPARED_BYTES], crc32(named))

    @property
    def replays(self) -> int:
        """How often it was a dead letter and sent again."""
        found = [value or b"" for name, value in self.headers if name == REPLAYS]
        told = found[-1] if found else b""
        return int(told) if told.isdigit() and len(told) <= _MOST_DIGITS else 0


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that was not understood, or not sent, with the reason.

    Attributes:
        message: The message with its original bytes.
        reason: Why, as a fixed word.
        detail: Why, in one line for people.
    """

    message: Message
    reason: Reason
    detail: str
