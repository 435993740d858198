from __future__ import annotations

import json
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from bytewax.testing import TestingSource

from connectors.codec import decode, encode, to_json
from connectors.kafka import (
    DeadLetter,
    KafkaSettings,
    KafkaSink,
    KafkaSinkSettings,
    Message,
    Reason,
)
from connectors.kafka.dead_letters import from_message
from connectors.kafka.headers import record_headers
from records import Reading, RecordError, SightflowError
from tests.support.dataflows import run_into
from tests.support.kafka_broker import create, headers_of, read
from tests.support.records import START_NS, alert, estimate, event, reading, verdict

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.kafka_broker import Broker

ALL = ("readings", "detections", "estimates", "alerts", "deadletters")


def ids(settings: KafkaSettings, kind: str = "detections", *, committed: bool = True) -> list[str]:
    found = read(settings, settings.topic(kind), committed=committed)
    return [headers_of(message)["ce_id"] for message in found]


def writer(settings: KafkaSettings, state: Any = None, **how: Any) -> Any:
    """One writer, driven by hand."""
    heard = how.pop("on_dead_letter", None)
    sink = KafkaSink(settings, KafkaSinkSettings("shop", **how), on_dead_letter=heard)
    return sink.build_part("shop.kafka", "0000", state)


@pytest.mark.parametrize("content", ["msgpack", "json"])
@pytest.mark.parametrize("transactions", [True, False])
def test_every_kind_is_written(broker: Broker, content: str, *, transactions: bool) -> None:
    settings = broker.settings()
    create(settings, *ALL)
    records: dict[str, list[Any]] = {
        "readings": [reading()],
        "detections": [event(), verdict(sequence=1), verdict(sequence=2)],
        "estimates": [estimate()],
        "alerts": [alert()],
    }
    items = [(each[0].stream, each) for each in records.values()]
    wanted = KafkaSinkSettings("shop", content, transactions=transactions)
    run_into(KafkaSink(settings, wanted), items)
    for kind, expected in records.items():
        found = read(settings, settings.topic(kind))
        assert [message.key for message in found] == [each.stream.encode() for each in expected]
        assert [message.headers for message in found] == [
            record_headers(each, "shop", f"application/{content}") for each in expected
        ]
        if content == "msgpack":
            assert [decode(message.value) for message in found] == expected
        else:
            assert [json.loads(message.value) for message in found] == [
                json.loads(json.dumps(to_json(each))) for each in expected
            ]
    assert read(settings, settings.topic("deadletters")) == []


def test_streams_keep_their_order_over_writers_and_partitions(broker: Broker) -> None:
    settings = broker.settings()
    create(settings, "detections", partitions=3)
    streams = [f"camera {i}" for i in range(7)]
    items = [(stream, [verdict(stream, i)]) for i in range(20) for stream in streams]
    run_into(
        KafkaSink(settings, KafkaSinkSettings("shop", transactions=False, writers=3)),
        items,
        workers=2,
    )
    found = read(settings, settings.topic("detections"))
    for stream in streams:
        own = [message for message in found if message.key == stream.encode()]
        assert [headers_of(message)["ce_id"] for message in own] == [
            f"{stream}:{i}" for i in range(20)
        ]
        assert len({message.partition for message in own}) == 1


def test_an_epoch_is_seen_when_it_ends(broker: Broker) -> None:
    settings = broker.settings()
    create(settings, *ALL)
    one = writer(settings)
    one.write_batch([[verdict(sequence=0)], [verdict(sequence=1), alert()]])
    assert ids(settings) == []
    one.snapshot()
    assert (ids(settings), ids(settings, "alerts")) == (
        ["gate:0", "gate:1"],
        ["gate:crowd:0:opened:0"],
    )
    one.write_batch([[verdict(sequence=2)]])
    one.close()
    assert ids(settings) == ["gate:0", "gate:1"]


def test_without_transactions_records_are_seen_at_once(broker: Broker) -> None:
    settings = broker.settings()
    create(settings, *ALL)
    one = writer(settings, transactions=False)
    one.write_batch([[verdict(sequence=0)]])
    one.close()
    assert ids(settings) == ["gate:0"]


@pytest.mark.parametrize("transactions", [True, False])
def test_what_was_written_is_not_written_again(broker: Broker, *, transactions: bool) -> None:
    settings = broker.settings()
    create(settings, *ALL, partitions=2)
    letter = DeadLetter(
        Message("t", 1, 7, 0, b"gate", (("ce_id", b"x"),), b"junk"), Reason.UNDECODABLE, "why"
    )
    first = writer(settings, transactions=transactions)
    first.write_batch([[verdict(sequence=0)]])
    state = first.snapshot()
    # This epoch is committed, but its snapshot is lost with the process.
    first.write_batch([[verdict(sequence=1), alert(), letter]])
    first.snapshot()
    first.close()
    # Another flow writes records of the same ids meanwhile.
    other = KafkaSink(settings, KafkaSinkSettings("other")).build_part("other.kafka", "0000", None)
    other.write_batch([[verdict(sequence=2)]])
    other.snapshot()
    other.close()

    second = writer(settings, state, transactions=transactions)
    second.write_batch([[verdict(sequence=1), alert(), letter]])
    second.write_batch([[verdict(sequence=2)]])
    state = second.snapshot()
    second.close()
    sources = [
        (headers_of(message)["ce_source"], headers_of(message)["ce_id"])
        for message in read(settings, settings.topic("detections"))
    ]
    assert sources == [
        ("/sightflow/shop/verdict", "gate:0"),
        ("/sightflow/shop/verdict", "gate:1"),
        ("/sightflow/other/verdict", "gate:2"),
        ("/sightflow/shop/verdict", "gate:2"),
    ]
    assert ids(settings, "alerts") == ["gate:crowd:0:opened:0"]
    assert len(read(settings, settings.topic("deadletters"))) == 1
    # Nothing is left to be found, so the same record may come again in earnest.
    third = writer(settings, state, transactions=transactions)
    third.write_batch([[verdict(sequence=2)]])
    third.snapshot()
    third.close()
    assert len(ids(settings)) == 5


def test_what_was_found_is_kept_until_it_comes_again(broker: Broker) -> None:
    settings = broker.settings()
    create(settings, *ALL)
    one = writer(settings)
    states = []
    for i in range(3):
        one.write_batch([[verdict(sequence=i)]])
        states.append(one.snapshot())
    one.close()
    state = states[0]  # the snapshots of the last two epochs are lost
    # Epoch by epoch, each time with another process.
    for i in (1, 2, 3):
        one = writer(settings, state)
        one.write_batch([[verdict(sequence=i)]])
        state = one.snapshot()
        assert state["written"] == [(settings.topic("detections"), "gate:2")][: i == 1]
        one.close()
    assert ids(settings) == ["gate:0", "gate:1", "gate:2", "gate:3"]


def test_open_transactions_of_other_flows_are_waited_for(broker: Broker) -> None:
    settings = broker.settings()
    create(settings, *ALL)
    other = KafkaSink(settings, KafkaSinkSettings("other")).build_part("other.kafka", "0000", None)
    one = writer(settings)
    state = one.snapshot()
    # The other flow is in a transaction, behind which this one commits, and dies.
    other.write_batch([[verdict("other", 0)]])
    other._producer.confirm()
    one.write_batch([[verdict(sequence=0)]])
    one.snapshot()
    one.close()
    ends = threading.Timer(0.5, other.snapshot)
    ends.start()
    again = writer(settings, state)
    ends.join()
    again.write_batch([[verdict(sequence=0), verdict(sequence=1)]])
    again.snapshot()
    again.close()
    other.close()
    assert ids(settings) == ["other:0", "gate:0", "gate:1"]


def test_an_aborted_flow_goes_on(broker: Broker, tmp_path: Path) -> None:
    settings = broker.settings()
    create(settings, "detections")
    items: list[Any] = [("gate", [verdict(sequence=i)]) for i in range(6)]
    items.insert(3, TestingSource.ABORT())
    sink = KafkaSink(settings, KafkaSinkSettings("shop"))
    run_into(sink, items, recovery=tmp_path / "recovery")
    assert ids(settings) == ["gate:0", "gate:1", "gate:2"]
    run_into(sink, items, recovery=tmp_path / "recovery")
    assert ids(settings) == [f"gate:{i}" for i in range(6)]


def test_records_that_are_too_large_are_dead_letters(broker: Broker) -> None:
    settings = broker.settings(max_message_bytes=20_000)
    create(settings, *ALL)
    samples = np.arange(10_000, dtype=np.float32).reshape(-1, 1)
    large = Reading("pump", 3, START_NS, 100.0, samples, ("a",), ("V",))
    heard: list[DeadLetter] = []
    one = writer(settings, on_dead_letter=heard.append)
    one.write_batch([[reading("pump"), large]])
    one.snapshot()
    one.close()
    assert ids(settings, "readings") == ["pump:0"]
    (found,) = read(settings, settings.topic("deadletters"))
    stored = from_message(Message.of(found))
    value = encode(large)
    detail = f"a message must be at most 20000 bytes with its headers, got a value of {len(value)}"
    headers = record_headers(large, "shop", "application/msgpack")
    original = Message(settings.topic("readings"), -1, -1, -1, b"pump", tuple(headers), value)
    assert heard == [DeadLetter(original, Reason.OVERSIZED, detail)]
    kept = stored.letter.message.value
    assert kept is not None
    assert stored.letter == replace(heard[0], message=replace(original, value=kept))
    assert value.startswith(kept)
    assert len(kept) > 15_000
    assert stored.truncated
    assert headers_of(found)["sightflow.error.source"] == "/sightflow/shop/deadletter"
    assert headers_of(found)["sightflow.error.size"] == str(len(value))


def test_records_that_cannot_be_encoded_are_dead_letters(broker: Broker) -> None:
    settings = broker.settings()
    create(settings, *ALL)
    one = writer(settings)
    one.write_batch([[replace(alert(), message="x" * 70_000), verdict()]])
    one.snapshot()
    one.close()
    assert (ids(settings), ids(settings, "alerts")) == (["gate:0"], [])
    (found,) = read(settings, settings.topic("deadletters"))
    assert headers_of(found)["sightflow.error.reason"] == (
        "alert.message must be at most 65536 bytes of text, got 70000"
    )


def test_topics_that_are_missing(broker: Broker) -> None:
    settings = broker.settings()
    one = writer(settings)
    with pytest.raises(SightflowError) as error:
        one.write_batch([[verdict()]])
    assert str(error.value) == (
        f"topic {settings.topic('detections')} must exist at {settings.servers}; create it first"
    )
    # A topic that is created meanwhile is found.
    create(settings, "detections")
    one.write_batch([[verdict()]])
    one.snapshot()
    one.close()
    assert ids(settings) == ["gate:0"]


def test_another_number_of_writers(broker: Broker) -> None:
    settings = broker.settings()
    state = {"writers": 2, "offsets": {}, "written": []}
    with pytest.raises(SightflowError) as error:
        writer(settings, state)
    assert str(error.value) == (
        "writers must be 2 as when the run began, got 1; set it back, or remove the flow's "
        "recovery folder"
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"flow": "a:b"}, "flow must be 1 to 200 printable characters without ':', got 'a:b'"),
        ({"content": "xml"}, "content must be msgpack or json, got 'xml'"),
        ({"transaction_seconds": 0}, "transaction_seconds must be above 0, got 0"),
        ({"writers": 0}, "writers must be 1 to 1024, got 0"),
        ({"writers": 2}, "writers must be 1 with transactions, got 2"),
    ],
)
def test_settings_that_are_wrong(change: dict[str, Any], message: str) -> None:
    with pytest.raises(RecordError) as error:
        KafkaSinkSettings(**{"flow": "shop"} | change)
    assert str(error.value) == message
