"""A real broker process that speaks Kafka's protocol, and small clients for it."""

from __future__ import annotations

import socket
import subprocess
import time
import uuid
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from connectors.kafka.cluster import Cluster
from connectors.kafka.settings import KafkaSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

START_SECONDS = 30.0
"""How long a broker may take to answer."""

READ_SECONDS = 30.0
"""How long reading messages may take that must be there."""


class BrokerError(Exception):
    """The broker's process does not start."""


def binary() -> Path:
    """The broker's program itself: its wrapper would outlive a kill."""
    spec = find_spec("noida_db")
    if spec is None or spec.origin is None:
        raise BrokerError("noida-db is not installed")
    path = Path(spec.origin).with_name("noida-db")
    if not path.is_file():
        raise BrokerError(f"{path} is not there")
    path.chmod(0o755)
    return path


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass
class Broker:
    """One broker with a data directory of its own.

    It keeps its data when it is stopped, and loses what is recent when it is killed.
    """

    folder: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it answers."""
        command = [binary(), "start", "--only", "kafka", "--data-dir", self.folder]
        log = self.folder.with_suffix(".log")
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                [*map(str, command), "--kafka-port", str(self.port)],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            )  # fmt: skip
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                time.sleep(0.01)
            else:
                return
        self.kill()
        raise BrokerError(f"the broker did not start: {log.read_text(errors='replace')[-2000:]}")

    def stop(self) -> None:
        """Stop it in order; its data stays."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait(START_SECONDS)
            self.process = None

    def kill(self) -> None:
        """End it at once."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def settings(self, **changed: Any) -> KafkaSettings:
        """Settings with short waits and topics of their own."""
        values: dict[str, Any] = {
            "bootstrap_servers": [f"127.0.0.1:{self.port}"],
            "request_timeout_seconds": 10.0,
            "delivery_timeout_seconds": 20.0,
            "topic_prefix": f"t{uuid.uuid4().hex[:12]}",
        }
        return KafkaSettings(**values | changed)


def create(settings: KafkaSettings, *kinds: str, partitions: int = 1) -> list[str]:
    """Create topics of these kinds; their names."""
    names = [settings.topic(kind) for kind in kinds]
    with Cluster(settings) as cluster:
        cluster.create_topics(dict.fromkeys(names, partitions), replication=1)
    return names


def send(
    settings: KafkaSettings,
    topic: str,
    messages: Sequence[tuple[str | bytes | None, bytes | None, dict[str, str]]],
    *,
    partition: int | None = None,
    time_ms: int | None = None,
) -> None:
    """Send messages (key, value, headers), each confirmed."""
    producer = KafkaProducer(**settings.producer_options())
    try:
        for key, value, headers in messages:
            producer.send(
                topic,
                value,
                key.encode() if isinstance(key, str) else key,
                [(name, text.encode()) for name, text in headers.items()],
                partition,
                time_ms,
            ).get(READ_SECONDS)
    finally:
        producer.close(5)


def read(settings: KafkaSettings, topic: str, *, committed: bool = True) -> list[Any]:
    """Every message that a topic holds now, by partition and offset."""
    isolation = "read_committed" if committed else "read_uncommitted"
    consumer = KafkaConsumer(
        **settings.client_options(), group_id=None, enable_auto_commit=False,
        auto_offset_reset="none", isolation_level=isolation,
    )  # fmt: skip
    found: list[Any] = []
    try:
        places = [TopicPartition(topic, part) for part in consumer.partitions_for_topic(topic)]
        consumer.assign(places)
        for place, offset in consumer.beginning_offsets(places).items():
            consumer.seek(place, offset)
        ends = consumer.end_offsets(places)
        deadline = time.monotonic() + READ_SECONDS
        while any(consumer.position(place) < end for place, end in ends.items()):
            assert time.monotonic() < deadline, "messages that must be there did not come"
            for messages in consumer.poll(50).values():
                found += messages
    finally:
        consumer.close()
    return sorted(found, key=lambda message: (message.partition, message.offset))


def headers_of(message: Any) -> dict[str, str]:
    """The headers of a message as text."""
    return {name: value.decode() for name, value in message.headers}


def run_part(part: Any, enough: Callable[[list[Any]], bool]) -> list[Any]:
    """Ask a part of a source again and again, until it ends or what it gave is enough."""
    found: list[Any] = []
    deadline = time.monotonic() + READ_SECONDS
    while not enough(found):
        assert time.monotonic() < deadline, f"what must come did not; there is {found}"
        try:
            items = part.next_batch()
        except StopIteration:
            break
        found += items
        if not items:
            time.sleep(0.005)
    return found


def records_in(items: list[Any]) -> list[Any]:
    """The records among items of a source, in order."""
    return [record for _, item in items if isinstance(item, tuple) for record in item]
