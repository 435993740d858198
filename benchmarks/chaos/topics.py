"""A topic that is removed, created again or cut: it is never silent.

Each case reads some messages, does something to the topic between two runs or under a reader, and
goes on. What is told must be an error that names the topic; a case in which reading goes on as if
nothing had happened fails the bar.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from kafka import KafkaAdminClient, TopicPartition

from benchmarks.chaos.bars import Row, Trial
from benchmarks.chaos.messages import KINDS, detection, fill, running_broker
from connectors.kafka import (
    KafkaSink,
    KafkaSinkSettings,
    KafkaSource,
    KafkaSourceSettings,
    TopicKind,
)
from connectors.kafka.json_records import decode_json
from records import SightflowError
from tests.support.kafka_broker import Broker, create

if TYPE_CHECKING:
    from collections.abc import Callable

    from connectors.kafka import KafkaSettings

READ = 800
"""Messages that are read before something happens to the topic."""

WATCH_SECONDS = 0.05
"""How often the topics are looked at."""

TOLD_WITHIN_SECONDS = 20.0
"""How long it may take until it is told, seconds."""


def _deleted(settings: KafkaSettings, topic: str) -> None:
    admin = KafkaAdminClient(**settings.client_options())
    admin.delete_topics([topic])
    admin.close()


def _created_again(messages: int) -> Callable[[KafkaSettings, str], None]:
    """Another topic of the same name, with so many other messages."""

    def change(settings: KafkaSettings, topic: str) -> None:
        _deleted(settings, topic)
        create(settings, topic.rpartition(".")[2])
        others = (detection(number) for number in range(READ, READ + messages))
        fill(settings, topic, others)

    return change


def _cut(settings: KafkaSettings, topic: str) -> None:
    """What is to be read next is removed, as retention does."""
    fill(settings, topic, (detection(number) for number in range(READ, 2 * READ)))
    admin = KafkaAdminClient(**settings.client_options())
    admin.delete_records({TopicPartition(topic, 0): READ + READ // 2})
    admin.close()


CHANGES: dict[str, Callable[[KafkaSettings, str], None]] = {
    "deleted": _deleted,
    "created again, empty": _created_again(0),
    "created again, shorter": _created_again(READ // 2),
    "created again, longer": _created_again(2 * READ),
    "cut at its beginning": _cut,
}
"""What happens to a topic."""

UNDER_A_READER = ("deleted", "created again, empty", "created again, shorter")
"""What is tried under a reader, too: the others are ordinary there, or need a topic's id."""


def bars(trial: Trial) -> list[Row]:
    """One row, with what was told in each case."""
    told: dict[str, str] = {}
    with running_broker(trial.folder) as broker:
        for name, change in CHANGES.items():
            told[f"{name}, between runs"] = _between_runs(broker, change)
        for name in UNDER_A_READER:
            told[f"{name}, under a reader"] = _under_a_reader(broker, CHANGES[name])
        told["written topic created again"] = _written(broker)
    silent = sorted(name for name, text in told.items() if not text)
    return [
        Row(
            "topics removed, created again or cut",
            f"{len(told) - len(silent)} of {len(told)} cases told"
            + (f"; silent: {', '.join(silent)}" if silent else ""),
            "never silent",
            not silent,
            {"told": told},
        )
    ]


def _between_runs(broker: Broker, change: Callable[[KafkaSettings, str], None]) -> str:
    settings, topic = _filled(broker)
    reader = _reader(settings, topic, None)
    _read(reader)
    state = reader.snapshot()
    reader.close()
    change(settings, topic)
    return _told(lambda: _reader(settings, topic, state))


def _under_a_reader(broker: Broker, change: Callable[[KafkaSettings, str], None]) -> str:
    settings, topic = _filled(broker)
    reader = _reader(settings, topic, None)
    _read(reader)
    change(settings, topic)
    return _told(lambda: reader)


def _written(broker: Broker) -> str:
    settings = broker.settings()
    create(settings, *KINDS)
    sink = KafkaSink(settings, KafkaSinkSettings("chaos"))
    writer = sink.build_part("sink", "0000", None)
    for number in range(3):
        writer.write_batch([[decode_json(detection(number)[1], "verdict")]])
    state = writer.snapshot()
    writer.close()
    _deleted(settings, settings.topic("detections"))
    create(settings, "detections")
    try:
        sink.build_part("sink", "0000", state).close()
    except SightflowError as error:
        return str(error)
    return ""


def _filled(broker: Broker) -> tuple[KafkaSettings, str]:
    settings = broker.settings()
    (topic,) = create(settings, "detections")
    fill(settings, topic, map(detection, range(READ)))
    return settings, topic


def _reader(settings: KafkaSettings, topic: str, state: Any) -> Any:  # noqa: ANN401 - a snapshot
    wanted = KafkaSourceSettings(
        {topic: TopicKind.DETECTIONS}, readers=1, watch_seconds=WATCH_SECONDS
    )
    return KafkaSource(settings, wanted).build_part("read", "0000", state)


def _read(reader: Any) -> None:  # noqa: ANN401 - as above
    found, deadline = 0, time.monotonic() + TOLD_WITHIN_SECONDS
    while found < READ:
        assert time.monotonic() < deadline, "messages that are there do not come"
        found += sum(len(records) for _, records in reader.next_batch())


def _told(begin: Callable[[], Any]) -> str:
    """The error that comes when reading goes on; empty for none."""
    reader: Any = None
    try:
        reader = begin()
        deadline = time.monotonic() + TOLD_WITHIN_SECONDS
        while time.monotonic() < deadline:
            reader.next_batch()
            time.sleep(WATCH_SECONDS / 10)
    except SightflowError as error:
        return str(error)
    finally:
        if reader is not None:
            reader.close()
    return ""
