"""The address of a range of a Kafka topic: ``kafka://host:port/topic?from=…&to=…``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote, urlsplit

from connectors.kafka import AtOffsets, AtTime, KafkaSettings, TopicKind
from connectors.kafka.headers import parse_time
from connectors.topic_range import REPLAYED, TopicRange
from flows.kafka import kafka_settings
from records import RecordError

if TYPE_CHECKING:
    from pathlib import Path

    from flows.config import Configuration

SCHEME = "kafka"
"""The scheme of topics' addresses."""

_NUMBER = re.compile(r"[0-9]{1,18}")
_OPTIONS = ("from", "to", "holds")


@dataclass(frozen=True, slots=True)
class TopicAddress:
    """Where a range of a topic is.

    Attributes:
        servers: ``host:port`` of one or more brokers.
        wanted: The range.
    """

    servers: tuple[str, ...]
    wanted: TopicRange


def is_topic(text: str) -> bool:
    """Whether this is meant as the address of a topic."""
    return text.startswith(f"{SCHEME}:")


def parse_topic(text: str) -> TopicAddress:
    """Read the address of a range.

    ``from`` and ``to`` are offsets, one for each partition (``0:120,1:80``) or one alone for
    partition 0, or times of RFC 3339, by Kafka's own time of the messages. Without them the range
    is all that the topic holds now. ``holds`` is frames or detections, where the topic's name does
    not end with it.

    Raises:
        RecordError: it is no such address.

    >>> found = parse_topic("kafka://a:9092,b:9092/sightflow.detections?from=5&to=9")
    >>> found.servers, found.wanted.start.offsets
    (('a:9092', 'b:9092'), {('sightflow.detections', 0): 5})
    """
    try:
        parts = urlsplit(text)
    except ValueError as error:
        raise RecordError(f"a topic's address must be a URL, got {text!r}: {error}") from error
    topic = unquote(parts.path.removeprefix("/"))
    if "@" in parts.netloc:
        raise RecordError(
            "a topic's address must hold no credentials; name them under kafka in the configuration"
        )
    if parts.scheme != SCHEME or not parts.netloc or not topic or "/" in topic:
        raise RecordError(f"a topic must be kafka://host:port/topic?from=…&to=…, got {text!r}")
    options = parse_qsl(parts.query, keep_blank_values=True)
    given = dict(options)
    unknown = sorted(set(given) - set(_OPTIONS))
    if unknown or len(given) < len(options):
        raise RecordError(
            f"a topic's address may have each of {', '.join(_OPTIONS)} once, got {parts.query!r}"
        )
    holds = given.get("holds")
    if holds is not None and holds not in REPLAYED:
        raise RecordError(f"holds must be {' or '.join(REPLAYED)}, got {holds!r}")
    wanted = TopicRange(
        topic,
        kind=None if holds is None else TopicKind(holds),
        start=_place(topic, given["from"]) if "from" in given else "earliest",
        end=_place(topic, given["to"]) if "to" in given else "latest",
    )
    return TopicAddress(tuple(parts.netloc.split(",")), wanted)


def topic_settings(
    address: TopicAddress, configuration: Configuration, folder: Path
) -> KafkaSettings:
    """How the cluster of a topic is reached: as the configuration says where it is the same one.

    Args:
        address: The topic's address.
        configuration: Its section ``kafka`` tells security and limits of its own cluster.
        folder: Where its relative paths count from.

    Raises:
        RecordError: the servers are wrong.
    """
    section = configuration.kafka
    if section is not None and set(address.servers) & set(section.servers):
        return kafka_settings(section, folder)
    return KafkaSettings(address.servers)


def _place(topic: str, text: str) -> AtOffsets | AtTime:
    """A place in each partition."""
    if "-" in text:
        # A plus in a query stands for a space; in a time it can only have been a plus.
        return AtTime(parse_time(text.replace(" ", "+")))
    pairs = [pair.rpartition(":") for pair in text.split(",")]
    if not all(
        _NUMBER.fullmatch(one) for part, _, number in pairs for one in (part or "0", number)
    ):
        raise RecordError(
            f"from and to must be offsets such as 120 or 0:120,1:80, or times such as "
            f"2026-05-01T08:00:00Z, got {text!r}"
        )
    return AtOffsets({(topic, int(part or "0")): int(number) for part, _, number in pairs})
