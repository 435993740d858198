"""The topics, and which kinds of record each one holds."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from connectors.codec import kind_of

if TYPE_CHECKING:
    from records import Record


class TopicKind(StrEnum):
    """What a topic holds.

    Verdicts and classifications are ``detections``, and so is what befell a stream; findings are
    ``alerts``.
    """

    FRAMES = "frames"
    READINGS = "readings"
    DETECTIONS = "detections"
    ESTIMATES = "estimates"
    ALERTS = "alerts"


DEAD_LETTERS = "deadletters"
"""The last part of the name of the topic for messages that could not be understood or sent."""

RETRAINING = "retraining"
"""The last part of the name of the topic for the retraining queue."""

HOLDS: dict[TopicKind, tuple[str, ...]] = {
    TopicKind.FRAMES: ("frame",),
    TopicKind.READINGS: ("reading",),
    TopicKind.DETECTIONS: ("verdict", "event", "classification"),
    TopicKind.ESTIMATES: ("estimate",),
    TopicKind.ALERTS: ("alert", "finding"),
}
"""The kinds of record that each topic may hold; the first is meant where none is named."""

_TOPICS = {held: kind for kind, names in HOLDS.items() for held in names}


def topic_kind(record: Record) -> TopicKind:
    """The kind of the topic that a record belongs into.

    >>> from records import EventKind, StreamEvent
    >>> str(topic_kind(StreamEvent("gate", 0, EventKind.LOST)))
    'detections'
    """
    return _TOPICS[kind_of(record)]


def kind_of_topic(name: str) -> TopicKind | None:
    """The kind that a topic's name ends in, as Sightflow's topics do; None for others.

    >>> str(kind_of_topic("sightflow.readings")), kind_of_topic("orders")
    ('readings', None)
    """
    suffix = name.rpartition(".")[2]
    return TopicKind(suffix) if suffix in tuple(TopicKind) else None
