"""A topic that is created again is told of, also when it has grown beyond what was read."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from kafka import KafkaAdminClient, TopicPartition

from connectors.codec import encode
from connectors.kafka import KafkaSource, KafkaSourceSettings
from connectors.kafka.ranges import ANEW
from records import SourceError
from tests.support.kafka_broker import create, records_in, run_part, send
from tests.support.records import reading

if TYPE_CHECKING:
    from connectors.kafka import KafkaSettings
    from tests.support.kafka_broker import Broker


def fill(settings: KafkaSettings, topic: str, numbers: range) -> None:
    readings = [replace(reading("pump"), sequence=number) for number in numbers]
    send(settings, topic, [("pump", encode(one), {}) for one in readings])


def part(settings: KafkaSettings, topic: str, state: Any = None) -> Any:
    wanted = KafkaSourceSettings({topic: None}, readers=1)
    return KafkaSource(settings, wanted).build_part("read", "0000", state)


def read_to(settings: KafkaSettings, topic: str, count: int, state: Any = None) -> tuple[Any, Any]:
    """What a reader reads until it has `count` records, and its snapshot."""
    one = part(settings, topic, state)
    found = run_part(one, lambda items: len(records_in(items)) >= count)
    state = one.snapshot()
    one.close()
    return [each.sequence for each in records_in(found)], state


def administer(settings: KafkaSettings, topic: str, *, remove_before: int | None = None) -> None:
    """Delete a topic, or its first messages."""
    admin = KafkaAdminClient(**settings.client_options())
    if remove_before is None:
        admin.delete_topics([topic])
    else:
        admin.delete_records({TopicPartition(topic, 0): remove_before})
    admin.close()


def test_a_topic_that_was_created_again_and_is_longer(broker: Broker) -> None:
    settings = broker.settings()
    (topic,) = create(settings, "readings")
    fill(settings, topic, range(8))
    _, state = read_to(settings, topic, 8)
    administer(settings, topic)
    create(settings, "readings")
    fill(settings, topic, range(100, 120))
    one = part(settings, topic, state)
    with pytest.raises(SourceError) as error:
        run_part(one, lambda _: False)
    assert str(error.value) == (
        f"topic {topic}, partition 0, was created again: at offset 7 is another message than was "
        f"read there. {ANEW}"
    )
    one.close()


def test_the_last_message_is_compared_and_not_used_again(broker: Broker) -> None:
    settings = broker.settings()
    (topic,) = create(settings, "readings")
    fill(settings, topic, range(4))
    assert read_to(settings, topic, 4)[0] == [0, 1, 2, 3]
    _, state = read_to(settings, topic, 4)
    fill(settings, topic, range(4, 6))
    found, state = read_to(settings, topic, 2, state)
    assert found == [4, 5]
    # Where retention has removed it, there is nothing to compare.
    fill(settings, topic, range(6, 8))
    administer(settings, topic, remove_before=6)
    assert read_to(settings, topic, 2, state)[0] == [6, 7]
