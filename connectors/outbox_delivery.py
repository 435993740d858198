"""What an outbox holds: messages, and their deliveries to endpoints."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

GONE = "gone"
"""Why a delivery is disabled: the endpoint answered 410, it wants nothing more."""

QUEUE_FULL = "queue_full"
"""Why a delivery failed: as many as may were waiting already."""

TOO_LARGE = "too_large"
"""Why a message was not taken: its body is larger than `MOST_BODY_BYTES`."""

MOST_BODY_BYTES = 2**20
"""The largest body of a message, bytes."""


class DeliveryState(StrEnum):
    """Where a delivery stands: one message on its way to one endpoint."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"
    DISABLED = "disabled"


class Message(NamedTuple):
    """What is sent.

    Attributes:
        id: The alert's identity.
        time_ns: Its event time, nanoseconds since 1970 UTC. A live stream counts its frames anew in
            each run, so two alerts may share an id; their times differ.
        episode: The identity of the alert's episode.
        body: What is posted.
    """

    id: str
    time_ns: int
    episode: str
    body: bytes


class Delivery(NamedTuple):
    """A delivery that is pending.

    Attributes:
        message: The message's number in the outbox.
        id: The alert's identity.
        body: What is posted.
        attempts: How often it was tried.
        due_ns: When it may be tried next, nanoseconds since 1970 UTC of the wall clock.
    """

    message: int
    id: str
    body: bytes
    attempts: int
    due_ns: int


@dataclass(frozen=True, slots=True)
class Added:
    """What became of messages given to `Outbox.add`.

    Attributes:
        queued: How many wait now.
        known: How many were there already, whatever became of them.
        refused: The ids of the others, and why.
    """

    queued: int
    known: int
    refused: tuple[tuple[str, str], ...]
