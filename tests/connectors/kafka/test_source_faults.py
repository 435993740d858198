from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from kafka import KafkaAdminClient, TopicPartition

from connectors.codec import encode
from connectors.kafka import (
    AtOffsets,
    Cluster,
    KafkaSettings,
    KafkaSource,
    KafkaSourceSettings,
)
from connectors.kafka.ranges import ANEW
from records import SourceError
from tests.support.kafka_broker import create, records_in, run_part, send
from tests.support.records import reading

if TYPE_CHECKING:
    from tests.support.kafka_broker import Broker


def fill(settings: KafkaSettings, name: str, count: int) -> None:
    records = [replace(reading("pump"), sequence=i) for i in range(count)]
    send(settings, name, [("pump", encode(record), {}) for record in records])


def part(settings: KafkaSettings, name: str, state: Any = None, **how: Any) -> Any:
    wanted = KafkaSourceSettings({name: None}, **{"readers": 1, "watch_seconds": 0.05} | how)
    return KafkaSource(settings, wanted).build_part("read", "0000", state)


def read_some(settings: KafkaSettings, name: str, count: int, **how: Any) -> Any:
    """The snapshot of a reader that read `count` messages."""
    one = part(settings, name, batch_messages=1, **how)
    run_part(one, lambda items: len(records_in(items)) == count)
    state = one.snapshot()
    one.close()
    return state


def delete(settings: KafkaSettings, name: str) -> None:
    admin = KafkaAdminClient(**settings.client_options())
    admin.delete_topics([name])
    admin.close()


def remove_before(settings: KafkaSettings, name: str, offset: int) -> None:
    """Remove messages as retention does."""
    admin = KafkaAdminClient(**settings.client_options())
    admin.delete_records({TopicPartition(name, 0): offset})
    admin.close()


def test_a_topic_that_is_missing(broker: Broker) -> None:
    settings = broker.settings()
    with pytest.raises(SourceError) as error:
        part(settings, "sightflow.never.readings")
    assert str(error.value) == (
        f"topic sightflow.never.readings must exist at {settings.servers}; create it first"
    )


def test_a_broker_that_is_missing() -> None:
    settings = KafkaSettings(["127.0.0.1:1"], request_timeout_seconds=0.2)
    with pytest.raises(SourceError) as error:
        part(settings, "sightflow.readings")
    assert str(error.value) == (
        "cannot connect to Kafka at 127.0.0.1:1: "
        "KafkaTimeoutError: Unable to bootstrap from ['127.0.0.1:1']"
    )


def test_offsets_that_cannot_be(broker: Broker) -> None:
    settings = broker.settings()
    (name,) = create(settings, "readings")
    fill(settings, name, 3)
    with pytest.raises(SourceError) as error:
        part(settings, name, start=AtOffsets({("other", 0): 1}))
    assert str(error.value) == f"start must have an offset for topic {name}, partition 0"
    with pytest.raises(SourceError) as error:
        part(settings, name, end=AtOffsets({(name, 0): 4}))
    assert str(error.value) == (f"topic {name}, partition 0, ends at offset 3, before the end 4")
    with pytest.raises(SourceError) as error:
        part(settings, name, start="committed", group="nobody")
    assert str(error.value) == (
        f"group nobody has committed no offset for topic {name}, partition 0; "
        "start at earliest or latest"
    )


def test_another_number_of_readers(broker: Broker) -> None:
    settings = broker.settings()
    (name,) = create(settings, "readings")
    fill(settings, name, 2)
    state = read_some(settings, name, 2)
    with pytest.raises(SourceError) as error:
        part(settings, name, state, readers=2)
    assert str(error.value) == (
        f"readers must be 1 as when the run began, got 2; set it back. {ANEW}"
    )


def test_messages_that_retention_removed_before_they_were_read(broker: Broker) -> None:
    settings = broker.settings()
    (name,) = create(settings, "readings")
    fill(settings, name, 8)
    state = read_some(settings, name, 2)
    remove_before(settings, name, 5)
    with pytest.raises(SourceError) as error:
        part(settings, name, state)
    assert str(error.value) == (
        f"topic {name}, partition 0, lost messages 2 to 4 before they were read: retention "
        "removed them, it begins at 5 now. Raise retention.ms or retention.bytes. " + ANEW
    )
    # What was read already may go.
    assert part(settings, name, state | {"offsets": {(name, 0): 5}}).snapshot()["offsets"] == {
        (name, 0): 5
    }


def test_a_topic_that_was_created_again_between_runs(broker: Broker) -> None:
    settings = broker.settings()
    (name,) = create(settings, "readings")
    fill(settings, name, 8)
    state = read_some(settings, name, 8)
    delete(settings, name)
    with pytest.raises(SourceError) as error:
        part(settings, name, state)
    assert str(error.value) == (f"topic {name} must exist at {settings.servers}; create it first")
    create(settings, "readings")
    fill(settings, name, 3)
    with pytest.raises(SourceError) as error:
        part(settings, name, state)
    assert str(error.value) == (
        f"topic {name}, partition 0, went back: it ends at offset 3, but was read to 8. "
        f"The broker lost messages, or the topic was created again. {ANEW}"
    )


def test_a_topic_that_is_created_again_under_a_reader(broker: Broker) -> None:
    settings = broker.settings()
    (name,) = create(settings, "readings")
    fill(settings, name, 8)
    one = part(settings, name)
    run_part(one, lambda items: len(records_in(items)) == 8)
    delete(settings, name)
    create(settings, "readings")
    fill(settings, name, 1)
    with pytest.raises(SourceError) as error:
        run_part(one, lambda _: False)
    one.close()
    # The watch or the consumer finds it, whichever asks first.
    assert str(error.value) in {
        f"topic {name}, partition 0, no longer exists. {ANEW}",
        f"topic {name}, partition 0, went back: it ends at offset 0, but was read to 8. "
        f"The broker lost messages, or the topic was created again. {ANEW}",
        f"topic {name}, partition 0, went back: it ends at offset 1, but was read to 8. "
        f"The broker lost messages, or the topic was created again. {ANEW}",
        f"messages that were to be read next are gone: topic {name}, partition 0, offset 8. "
        f"Retention removed them or the topic was created again. {ANEW}",
    }


def test_a_broker_that_falls_silent(own_broker: Broker) -> None:
    settings = own_broker.settings(request_timeout_seconds=1.0)
    (name,) = create(settings, "readings")
    fill(settings, name, 2)
    one = part(settings, name, unreachable_seconds=0.5)
    run_part(one, lambda items: len(records_in(items)) == 2)
    own_broker.stop()
    with pytest.raises(SourceError) as error:
        run_part(one, lambda _: False)
    assert str(error.value).startswith(
        f"Kafka must answer within 0.5 s: cannot describe topics at {settings.servers}: "
    )
    assert str(error.value).endswith(
        ". Reading stops; started again it goes on where the last epoch ended"
    )
    one.close()


def test_messages_that_do_not_come(broker: Broker) -> None:
    settings = broker.settings()
    (name,) = create(settings, "readings")
    fill(settings, name, 3)
    one = part(settings, name, unreachable_seconds=0.3, batch_messages=1)
    run_part(one, lambda items: len(records_in(items)) == 1)
    # Some brokers send more than a client takes; then it asks again, forever.
    one._consumer.pause(*one._consumer.assignment())
    with pytest.raises(SourceError) as error:
        run_part(one, lambda _: False)
    assert str(error.value) == (
        f"topic {name}, partition 0, has messages 1 to 2, but none came within 0.3 s. The log of "
        "kafka-python tells why; perhaps the broker sends more at once than fetch_bytes allows"
    )
    one.close()


def test_silence_is_no_fault_when_everything_was_read(broker: Broker) -> None:
    settings = broker.settings()
    (name,) = create(settings, "readings")
    fill(settings, name, 3)
    one = part(settings, name, unreachable_seconds=1.0)
    found = run_part(one, lambda items: len(records_in(items)) == 3)
    deadline = time.monotonic() + 2.5
    found += run_part(one, lambda _: time.monotonic() > deadline)
    assert len(records_in(found)) == 3
    one.close()


def test_a_broker_that_is_away_for_a_moment(own_broker: Broker) -> None:
    settings = own_broker.settings()
    (name,) = create(settings, "readings")
    fill(settings, name, 2)
    one = part(settings, name)
    found = run_part(one, lambda items: len(records_in(items)) == 2)
    own_broker.stop()
    assert one.next_batch() == []
    own_broker.start()
    more = [replace(reading("pump"), sequence=i) for i in (2, 3)]
    send(settings, name, [("pump", encode(record), {}) for record in more])
    found += run_part(one, lambda items: len(records_in(items)) == 2)
    assert [record.sequence for record in records_in(found)] == [0, 1, 2, 3]
    one.close()


def test_a_cluster_that_does_not_take_offsets(own_broker: Broker) -> None:
    settings = own_broker.settings(request_timeout_seconds=1.0)
    create(settings, "readings")
    with Cluster(settings) as cluster:
        own_broker.stop()
        with pytest.raises(SourceError, match=r"^cannot commit the offsets of group g at 127"):
            cluster.commit("g", {("t", 0): 1})
