"""Detections in JSON, as another program would send them, and what came of them."""

from __future__ import annotations

import threading
import time
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

from kafka import KafkaProducer

from benchmarks.chaos.bars import ChaosError
from connectors.kafka.cluster import Cluster
from connectors.kafka.headers import CONTENT_TYPE, JSON
from tests.support.kafka_broker import Broker, read

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from connectors.kafka import KafkaSettings

STREAMS = tuple(f"camera {number}" for number in range(8))
"""The cameras whose detections these are."""

HEADERS = [(CONTENT_TYPE, JSON.encode())]
"""The headers of a detection."""

KINDS = ("detections", "estimates", "alerts", "readings", "deadletters")
"""The topics that a run needs."""

FRAME_NS = 100_000_000
"""The time between two frames of a camera, nanoseconds."""

Sent = tuple[str, bytes]
"""A message: its key and its value."""

_VALUE = (
    '{"stream":"%s","sequence":%d,"time_ns":%d,"answer":{"boxes":[[10.5,20,50,90.25],'
    '[%d,40,180,95],[300,60,340,140]],"scores":[0.91,0.72,0.55],'
    '"classes":["person","car","person"]}}'
)
_FLUSH_SECONDS = 60.0
_SIDE = 100


def detection(number: int) -> Sent:
    """Message `number` of all cameras: each has its turn."""
    sequence, place = divmod(number, len(STREAMS))
    stream = STREAMS[place]
    time_ns = sequence * FRAME_NS
    return stream, (_VALUE % (stream, sequence, time_ns, number % _SIDE)).encode()


def detection_id(number: int) -> str:
    """The ``ce_id`` under which Sightflow writes it."""
    sequence, place = divmod(number, len(STREAMS))
    return f"{STREAMS[place]}:{sequence}"


@contextmanager
def running_broker(folder: Path) -> Iterator[Broker]:
    """A broker with a data directory of its own."""
    broker = Broker(folder / "broker")
    broker.start()
    try:
        yield broker
    finally:
        broker.kill()


def fill(settings: KafkaSettings, topic: str, messages: Iterable[Sent]) -> int:
    """Send messages, all of them confirmed; how many there were.

    Raises:
        ChaosError: one was not.
    """
    failed: list[Any] = []
    count = 0
    with closing(KafkaProducer(**settings.producer_options())) as producer:
        for key, value in messages:
            future = producer.send(topic, value, key.encode(), HEADERS)
            future.add_errback(failed.append)
            count += 1
        producer.flush(_FLUSH_SECONDS)
    if failed:
        raise ChaosError(f"{len(failed)} messages could not be sent, first {failed[0]!r}")
    return count


def written(settings: KafkaSettings, topic: str) -> list[str]:
    """The ``ce_id`` of every committed message of a topic."""
    return [dict(message.headers)["ce_id"].decode() for message in read(settings, topic)]


def ends(settings: KafkaSettings, topic: str) -> int:
    """How many offsets a topic has, in all partitions."""
    with Cluster(settings) as cluster:
        spans = cluster.topics([topic], committed=False)[topic].spans
    return sum(end for _, end in spans.values())


class Feeder:
    """Sends detections at a steady rate, from a thread, and notes which were acknowledged.

    Messages that meet a dead broker are sent again, without changing their order.

    Args:
        settings: How the broker is reached.
        topic: Where they go.
        rate_hz: How many a second.

    Attributes:
        acknowledged: The numbers that the broker acknowledged.
        failed: How many it did not, in the end.
    """

    def __init__(self, settings: KafkaSettings, topic: str, rate_hz: float) -> None:
        options = settings.producer_options() | {
            # The tests' broker forgets which producers there were: it would refuse what goes on.
            "enable_idempotence": False,
            "max_in_flight_requests_per_connection": 1,
        }
        self._producer = KafkaProducer(**options)
        self._topic, self._rate_hz = topic, rate_hz
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="feeder", daemon=True)
        self.acknowledged: list[int] = []
        self.failed = 0
        self._thread.start()

    def end(self) -> None:
        """Stop, and wait for what is under way."""
        self._stop.set()
        self._thread.join()
        self._producer.flush(_FLUSH_SECONDS)
        self._producer.close()

    def _run(self) -> None:
        begun, number = time.monotonic(), 0
        while not self._stop.wait(max(begun + number / self._rate_hz - time.monotonic(), 0)):
            key, value = detection(number)
            future = self._producer.send(self._topic, value, key.encode(), HEADERS)
            future.add_callback(self._took, number)
            future.add_errback(self._lost)
            number += 1

    def _took(self, number: int, _: object) -> None:
        self.acknowledged.append(number)

    def _lost(self, _: object) -> None:
        self.failed += 1
