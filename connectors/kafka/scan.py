"""Reads the messages between two offsets of each partition, once."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from kafka import KafkaConsumer, TopicPartition

from connectors.kafka.cluster import kafka_errors
from connectors.kafka.messages import Message
from connectors.kafka.settings import MILLISECONDS
from records import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from connectors.kafka.cluster import Place
    from connectors.kafka.settings import KafkaSettings

_POLL_SECONDS = 1.0


def scan(
    settings: KafkaSettings, spans: Mapping[Place, tuple[int, int]], patience_seconds: float
) -> Iterator[Message]:
    """Read messages; each partition in order, those of aborted transactions left out.

    Messages behind the begin of an open transaction come when it ends.

    Args:
        settings: How the cluster is reached.
        spans: For each partition the first offset to read, and the one to stop before.
        patience_seconds: How long to wait for the next messages.

    Raises:
        SourceError: the cluster does not answer, or the messages are gone.
    """
    wanted = {TopicPartition(*at): span for at, span in spans.items() if span[0] < span[1]}
    if not wanted:
        return
    with kafka_errors(settings, "read messages"):
        consumer = KafkaConsumer(
            **settings.client_options(),
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="none",
            isolation_level="read_committed",
            allow_auto_create_topics=False,
        )
        try:
            consumer.assign(list(wanted))
            for at, (first, _) in wanted.items():
                consumer.seek(at, first)
            yield from _until(consumer, wanted, settings.servers, patience_seconds)
        finally:
            consumer.close(autocommit=False)


def _until(
    consumer: Any,  # noqa: ANN401 - kafka-python has no types
    wanted: Mapping[Any, tuple[int, int]],
    servers: str,
    patience_seconds: float,
) -> Iterator[Message]:
    heard = time.monotonic()
    while any(consumer.position(at) < end for at, (_, end) in wanted.items()):
        polled = consumer.poll(int(_POLL_SECONDS * MILLISECONDS))
        for at, messages in polled.items():
            for message in messages:
                if message.offset < wanted[at][1]:
                    yield Message.of(message)
        if polled:
            heard = time.monotonic()
        elif time.monotonic() - heard > patience_seconds:
            raise SourceError(
                f"Kafka at {servers} must send messages within {patience_seconds} s, got none; "
                "perhaps a transaction is open"
            )
