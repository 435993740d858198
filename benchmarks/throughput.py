"""The Kafka source and sink against a bare loop over kafka-python that does the same work.

Both copy detections in JSON from one topic to another as msgpack: each message is read, understood
and checked, written again with its CloudEvents headers, and confirmed by the broker. They take
turns in one process, each time into topics of its own; the median of the ratios counts. *Copy* is a
loop that moves the bytes and understands nothing: what kafka-python itself can do.

Run: ``python -m benchmarks.throughput [--quick]``; `benchmarks.chaos` runs it, too. Writes
benchmarks/results/throughput.json.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import bytewax.operators as op
from bytewax.dataflow import Dataflow
from bytewax.run import cli_main
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from benchmarks.chaos.bars import ChaosError, Row, Trial
from benchmarks.chaos.messages import KINDS, detection, fill, running_broker, written
from benchmarks.hardware import hardware
from connectors.codec import encode
from connectors.kafka import (
    DeadLetter,
    KafkaSink,
    KafkaSinkSettings,
    KafkaSource,
    KafkaSourceSettings,
    Message,
    TopicKind,
    kafka_input,
)
from connectors.kafka.headers import MSGPACK, record_headers
from connectors.kafka.reading import read_message
from records import Frame
from tests.support.kafka_broker import Broker, create

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from connectors.kafka import KafkaSettings

MESSAGES, QUICK_MESSAGES = 50_000, 15_000
"""How many are copied each time."""

REPEATS, QUICK_REPEATS = 5, 3
"""How often each copies; they take turns."""

LEAST_RATIO = 0.7
"""The least share of the bare loop's speed that the source and the sink must reach."""

EPOCH = timedelta(seconds=1)
"""How often an epoch ends, as in ``sightflow run``."""

POLLED = 500
"""How many messages are taken at once, by all."""

FETCHED_BYTES = KafkaSourceSettings({"detections": TopicKind.DETECTIONS}).fetch_bytes
"""How much is fetched at once, by all."""

RESULTS = Path(__file__).parent / "results"

FLOW = "throughput"


def through_bytewax(
    source: KafkaSettings, topic: str, target: KafkaSettings, *, transactions: bool = False
) -> float:
    """Copy a topic with the source and the sink; how long it took, seconds."""
    wanted = KafkaSourceSettings(
        {topic: TopicKind.DETECTIONS}, end="latest", readers=1, batch_messages=POLLED
    )
    flow = Dataflow(FLOW)
    received = kafka_input("kafka", flow, KafkaSource(source, wanted))
    letters = op.map_value("letters", received.dead_letters, lambda letter: [letter])
    sink = KafkaSink(target, KafkaSinkSettings(FLOW, transactions=transactions))
    op.output("sink", op.merge("all", received.records, letters), sink)
    begun = time.perf_counter()
    cli_main(flow, epoch_interval=EPOCH)
    return time.perf_counter() - begun


def through_loop(
    source: KafkaSettings, topic: str, target: KafkaSettings, *, understand: bool = True
) -> float:
    """Copy a topic with a bare loop; how long it took, seconds."""
    begun = time.perf_counter()
    consumer = KafkaConsumer(
        **source.client_options(), group_id=None, enable_auto_commit=False,
        isolation_level="read_committed", fetch_max_bytes=FETCHED_BYTES,
        max_partition_fetch_bytes=FETCHED_BYTES,
    )  # fmt: skip
    futures: list[Any] = []
    confirmed = begun
    with closing(consumer), closing(KafkaProducer(**target.producer_options())) as producer:
        places = [TopicPartition(topic, each) for each in consumer.partitions_for_topic(topic)]
        consumer.assign(places)
        consumer.seek_to_beginning(*places)
        ends = consumer.end_offsets(places)
        while any(consumer.position(place) < end for place, end in ends.items()):
            for found in consumer.poll(100, max_records=POLLED).values():
                for message in found:
                    headers, value = _written(message) if understand else ([], message.value)
                    sent = producer.send(target.topic("detections"), value, message.key, headers)
                    futures.append(sent)
            if time.perf_counter() - confirmed > EPOCH.total_seconds():
                _confirm(producer, futures)
                confirmed = time.perf_counter()
        _confirm(producer, futures)
    return time.perf_counter() - begun


def _confirm(producer: Any, futures: list[Any]) -> None:  # noqa: ANN401 - kafka-python's
    """Wait until all is delivered, as the sink does when an epoch ends."""
    producer.flush()
    if not all(future.succeeded() for future in futures):
        raise ChaosError("the bare loop lost messages")
    futures.clear()


def _written(message: Any) -> tuple[list[tuple[str, bytes]], bytes]:  # noqa: ANN401 - kafka-python's
    """What the sink would send: the headers and the value."""
    record = read_message(Message.of(message), TopicKind.DETECTIONS, 1_000_000)
    if isinstance(record, DeadLetter | Frame):
        raise ChaosError(f"the message must be a detection, got {record}")
    return record_headers(record, FLOW, MSGPACK), encode(record)


WAYS: dict[str, Callable[[KafkaSettings, str, KafkaSettings], float]] = {
    "loop": through_loop,
    "sightflow": through_bytewax,
    "transactions": lambda source, topic, target: through_bytewax(
        source, topic, target, transactions=True
    ),
    "copy": lambda source, topic, target: through_loop(source, topic, target, understand=False),
}
"""What is compared."""


def measure(broker: Broker, messages: int, repeats: int) -> dict[str, Any]:
    """Let all ways take turns.

    Returns:
        For each way messages a second, the median and the range; and the ratios to the loop.
    """
    source = broker.settings()
    (topic,) = create(source, "detections")
    fill(source, topic, map(detection, range(messages)))
    rates: dict[str, list[float]] = {name: [] for name in WAYS}
    for _ in range(repeats):
        for name, way in WAYS.items():
            target = broker.settings()
            create(target, *KINDS)
            rates[name].append(messages / way(source, topic, target))
            if name != "copy" and len(set(written(target, target.topic("detections")))) != messages:
                raise ChaosError(f"{name} lost messages")
    found: dict[str, Any] = {name: _spread(each) for name, each in rates.items()}
    found["ratios"] = {
        name: round(statistics.median(_ratios(each, rates["loop"])), 3)
        for name, each in rates.items()
    }
    return {"messages": messages, "repeats": repeats, **found}


def _ratios(ones: Iterable[float], others: Iterable[float]) -> list[float]:
    return [one / other for one, other in zip(ones, others, strict=True)]


def _spread(rates: list[float]) -> dict[str, Any]:
    return {
        "messages_a_second": round(statistics.median(rates)),
        "range": [round(min(rates)), round(max(rates))],
    }


def bars(trial: Trial) -> list[Row]:
    """The bar of the fault suite."""
    with running_broker(trial.folder) as broker:
        found = measure(
            broker,
            trial.size(MESSAGES, QUICK_MESSAGES),
            trial.size(REPEATS, QUICK_REPEATS),
        )
    ratio = found["ratios"]["sightflow"]
    rates = {name: found[name]["messages_a_second"] for name in WAYS}
    return [
        Row(
            "Kafka source and sink against a bare kafka-python loop",
            f"{ratio:.0%} ({rates['sightflow']} of {rates['loop']} messages/s; with transactions "
            f"{rates['transactions']}, bytes alone {rates['copy']})",
            f">= {LEAST_RATIO:.0%}",
            ratio >= LEAST_RATIO,
            found,
        )
    ]


def main() -> None:
    """Measure, print and write."""
    quick = "--quick" in sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        (row,) = bars(Trial(Path(folder), quick=quick))
    sys.stdout.write(f"{row.bar}: {row.measured}; wanted {row.wanted}: {row.verdict}\n")
    if not quick:
        value = {
            "date": datetime.now(UTC).date().isoformat(),
            "hardware": hardware(),
            **row.figures,
        }
        text = json.dumps(value, indent=2) + "\n"
        (RESULTS / "throughput.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
