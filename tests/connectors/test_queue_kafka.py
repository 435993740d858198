from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.kafka import KafkaSink, KafkaSinkSettings
from connectors.kafka.messages import Message
from connectors.queue import RetrainingQueue
from connectors.queue_codec import encode_item
from connectors.queue_kafka import from_message, prepare, to_message
from records import CodecError, RecordError
from tests.support.dataflows import run_into
from tests.support.kafka_broker import create, headers_of, read
from tests.support.queues import item, items, pictured, signalled
from tests.support.records import repeatable

if TYPE_CHECKING:
    from connectors.queue_items import Entry
    from records import RetrainingItem
    from tests.support.kafka_broker import Broker


def message(entry: Entry, **changes: Any) -> Message:
    key, value, headers = to_message(entry, "flow")
    made = Message("sightflow.retraining", 0, 0, 0, key, tuple(headers), value)
    return replace(made, **changes)


def test_items_go_through_a_topic_into_a_queue_with_the_same_contract() -> None:
    entries = [pictured(0), signalled(1), (item(2), None)]
    with RetrainingQueue() as queue:
        for entry in [*entries, entries[0]]:
            queue.add([from_message(message(entry))], 0)
        assert [one.item for one in queue.items()] == [one for one, _ in entries]
        assert [queue.crop(one.id) for one, _ in entries] == [data for _, data in entries]


def test_the_headers_are_those_of_every_record() -> None:
    one = pictured(3)
    key, _, headers = to_message(one, "shop north")
    assert key == b"gate"
    assert dict(headers) == {
        "ce_specversion": b"1.0",
        "ce_id": one[0].id.encode(),
        "ce_source": b"/sightflow/shop%20north/retraining",
        "ce_type": b"io.sightflow.retraining",
        "ce_time": b"2023-11-14T22:13:20.300000000Z",
        "content-type": b"application/msgpack",
    }


@repeatable
@given(items())
def test_any_item_without_a_crop_round_trips(one: RetrainingItem) -> None:
    bare = replace(one, crop=None)
    assert from_message(message((bare, None))) == (bare, None)


@repeatable
@given(st.binary(max_size=200), st.integers(0, 3000))
def test_bytes_of_unknown_origin_are_items_or_refused(noise: bytes, place: int) -> None:
    good = message(pictured())
    assert good.value is not None
    place = min(place, len(good.value))
    for value in (noise, good.value[:place] + noise, good.value[:place]):
        try:
            from_message(replace(good, value=value))
        except RecordError as error:
            assert str(error)


ITEM = item()


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"value": None}, "a message must be whole msgpack: Unpack failed: incomplete input"),
        ({"value": msgpack.packb([1])}, "a message must be an array of item and crop"),
        (
            {"value": msgpack.packb([encode_item(ITEM), "x"])},
            "a crop must be bytes, got str",
        ),
        (
            {"value": msgpack.packb([encode_item(ITEM), b"x"])},
            f"{ITEM.id}: a crop must come with its bytes, and bytes with a crop",
        ),
        ({"value": bytes(10 * 2**20)}, "a message must be at most 9437184 bytes, got 10485760"),
        ({"key": b"roof"}, "the key must be the stream 'gate', got b'roof'"),
        (
            {"headers": (("ce_type", b"io.sightflow.alert"),)},
            "a message must be of type io.sightflow.retraining in application/msgpack, got "
            "'io.sightflow.alert'",
        ),
    ],
)
def test_what_is_refused(change: dict[str, Any], text: str) -> None:
    with pytest.raises(RecordError) as caught:
        from_message(message((ITEM, None), **change))
    assert str(caught.value) == text


def test_a_crop_that_is_not_the_items_is_not_sent() -> None:
    one, _ = pictured(0)
    with pytest.raises(RecordError) as caught:
        to_message((one, pictured(1)[1]), "flow")
    assert str(caught.value) == (
        f"{one.id}: the bytes must be those that the crop's SHA-256 tells of"
    )
    with pytest.raises(CodecError) as caught:
        to_message((one, bytes(9 * 2**20)), "flow")
    assert str(caught.value) == f"{one.id}: a crop must be at most 8388608 bytes"


def test_prepared_items_are_sent_as_records_are(broker: Broker) -> None:
    settings = broker.settings()
    create(settings, "retraining", "deadletters")
    entries = [pictured(0), signalled(1), (item(2), None)]
    sink = KafkaSink(settings, KafkaSinkSettings("flow"))
    items = [(one.stream, [prepare((one, data), "flow")]) for one, data in entries]
    run_into(sink, items)
    found = read(settings, settings.topic("retraining"))
    assert [from_message(Message.of(one)) for one in found] == entries
    assert read(settings, settings.topic("deadletters")) == []


def test_a_run_that_goes_on_sends_no_item_twice(broker: Broker) -> None:
    settings = broker.settings()
    create(settings, "retraining")
    sink = KafkaSink(settings, KafkaSinkSettings("flow"))
    first = sink.build_part("sink", "0000", None)
    before = first.snapshot()
    first.write_batch([[prepare(pictured(0), "flow")]])
    first.snapshot()
    first.close()
    again = sink.build_part("sink", "0000", before)
    again.write_batch([[prepare(pictured(k), "flow")] for k in range(2)])
    again.snapshot()
    again.close()
    found = [from_message(Message.of(one)) for one in read(settings, settings.topic("retraining"))]
    assert [one.sequence for one, _ in found] == [0, 1]


def test_an_item_that_is_too_large_becomes_a_dead_letter(broker: Broker) -> None:
    settings = broker.settings(max_message_bytes=2000)
    create(settings, "retraining", "deadletters")
    large = prepare((pictured(1)[0], bytes(9 * 2**20)), "flow")
    assert large.fault == f"{large.id}: a crop must be at most 8388608 bytes"
    run_into(
        KafkaSink(settings, KafkaSinkSettings("flow")),
        [("gate", [prepare(pictured(0), "flow")]), ("gate", [large])],
    )
    assert read(settings, settings.topic("retraining")) == []
    letters = [headers_of(one) for one in read(settings, settings.topic("deadletters"))]
    assert [one["sightflow.error.id"] for one in letters] == [
        f"{settings.topic('retraining')}:{item(k).id}" for k in range(2)
    ]
    assert {one["sightflow.error.class"] for one in letters} == {"oversized"}
