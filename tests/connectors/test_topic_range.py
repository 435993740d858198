from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgpack
import pytest

from connectors.codec import encode
from connectors.kafka import AtOffsets, AtTime, KafkaSettings, TopicKind
from connectors.topic_range import RecordedTopic, TopicRange
from records import (
    Detections,
    EventKind,
    Frame,
    RecordError,
    SourceError,
    Stage,
    StreamEvent,
    Verdict,
)
from tests.support.kafka_broker import Broker, BrokerError, create, send

if TYPE_CHECKING:
    from collections.abc import Iterator

NONE = Detections.empty()


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    broker = Broker(tmp_path_factory.mktemp("broker") / "data")
    try:
        broker.start()
    except BrokerError as error:
        pytest.skip(f"needs a Kafka broker: {error}")
    yield broker
    broker.kill()


def verdict(stream: str, sequence: int) -> Verdict:
    return Verdict(stream, sequence, sequence * 10**9, Stage.REFERENCE, 0.0, NONE)


def sent(settings: KafkaSettings, topic: str, records: list[Any], partition: int = 0) -> None:
    messages: list[Any] = [
        (one.stream, encode(one), {"ce_type": "io.sightflow.verdict"})
        if isinstance(one, Verdict)
        else (one.stream, encode(one), {"ce_type": "io.sightflow.event"})
        for one in records
    ]
    send(settings, topic, messages, partition=partition)


def test_a_range_of_two_partitions_by_stream(broker: Broker) -> None:
    settings = broker.settings()
    (topic,) = create(settings, "detections", partitions=2)
    gate = [verdict("gate", k) for k in range(6)]
    till = [verdict("till", k) for k in range(4)]
    lost = StreamEvent("till", 10**9, EventKind.LOST)
    sent(settings, topic, gate)
    sent(settings, topic, [*till[:2], lost, *till[2:]], partition=1)
    everything = RecordedTopic(settings, TopicRange(topic))
    assert everything.streams == ("gate", "till")
    assert list(everything.items("gate")) == gate
    assert list(everything.items("till")) == [*till[:2], lost, *till[2:]]
    # Each reading begins at its beginning, and several may go on at once.
    both = zip(everything.items("gate"), everything.items("till"), strict=False)
    assert list(both) == list(zip(gate, [*till[:2], lost, *till[2:]], strict=False))
    assert everything.stages == {"reference": 10}
    everything.close()
    start = AtOffsets({(topic, 0): 2, (topic, 1): 1})
    part = RecordedTopic(settings, TopicRange(topic, start=start, end=AtOffsets(
        {(topic, 0): 4, (topic, 1): 1})))  # fmt: skip
    assert (part.streams, list(part.items("gate"))) == (("gate",), gate[2:4])
    part.close()


def test_a_range_of_time_by_kafkas_own_time(broker: Broker) -> None:
    settings = broker.settings()
    (topic,) = create(settings, "detections")
    records = [verdict("gate", k) for k in range(5)]
    for one in records:
        message = ("gate", encode(one), {"ce_type": "io.sightflow.verdict"})
        send(settings, topic, [message], time_ms=1_700_000_000_000 + 1000 * one.sequence)
    begin = 1_700_000_000 * 10**9
    found = RecordedTopic(
        settings, TopicRange(topic, start=AtTime(begin + 10**9), end=AtTime(begin + 3 * 10**9))
    )
    assert list(found.items("gate")) == records[1:3]
    found.close()


def test_frames_and_what_is_not_understood(broker: Broker) -> None:
    settings = broker.settings()
    (topic,) = create(settings, "frames")
    raw = {"width": 2, "height": 1, "format": "rgb24"}
    messages: list[Any] = [
        (
            "gate",
            msgpack.packb(raw | {"pixels": bytes([k] * 6)}),
            {"ce_sequence": str(k), "ce_time": f"2026-05-01T08:00:0{k}Z"},
        )
        for k in (0, 1, 3)
    ]
    messages += [("gate", b"nonsense", {"ce_sequence": "4"}), (None, b"", {}), messages[1]]
    send(settings, topic, messages)
    found = RecordedTopic(settings, TopicRange(topic))
    items = list(found.items("gate"))
    frames = [item for item in items if isinstance(item, Frame)]
    assert [frame.sequence for frame in frames] == [0, 1, 3]
    assert [int(frame.pixels.rgb()[0, 0, 0]) for frame in frames] == [0, 1, 3]
    events = [(one.kind, one.count, one.reason) for one in items if isinstance(one, StreamEvent)]
    assert events == [
        (EventKind.OPENED, 0, ""),
        (EventKind.DROPPED, 1, "missing"),
        (EventKind.DROPPED, 1, "duplicate"),
        (EventKind.ENDED, 3, ""),
    ]
    assert found.dead_letters == {"undecodable": 1, "key": 1}
    found.close()


def test_json_of_other_programs(broker: Broker) -> None:
    settings = broker.settings()
    (topic,) = create(settings, "other")
    answer = {"boxes": [[1, 2, 3, 4]], "scores": [0.5], "classes": ["cat"]}
    value = json.dumps({"stream": "gate", "sequence": 0, "time_ns": 5, "answer": answer}).encode()
    send(settings, topic, [("gate", value, {"content-type": "application/json"})])
    found = RecordedTopic(settings, TopicRange(topic, TopicKind.DETECTIONS))
    (item,) = found.items("gate")
    assert isinstance(item, Verdict)
    assert item.answer == Detections.of([[1, 2, 3, 4]], [0.5], ["cat"])
    found.close()


def test_ranges_that_cannot_be_had(broker: Broker) -> None:
    settings = broker.settings()
    (topic,) = create(settings, "detections")

    def told(wanted: TopicRange) -> str:
        with pytest.raises(SourceError) as error:
            RecordedTopic(settings, wanted)
        return str(error.value)

    empty = f"the range of topic {topic} holds no message; name another from and to"
    assert told(TopicRange(topic)) == empty
    sent(settings, topic, [verdict("gate", k) for k in range(3)])
    assert (
        told(TopicRange(topic, start=AtOffsets({(topic, 0): 2}), end=AtOffsets({(topic, 0): 1})))
        == empty
    )
    assert told(TopicRange("gone.frames")) == f"there is no topic gone.frames at {settings.servers}"
    assert told(TopicRange(topic, end=AtOffsets({(topic, 0): 9}))) == (
        f"topic {topic}, partition 0, ends at offset 3, before the end 9"
    )
    assert told(TopicRange(topic, start=AtOffsets({("x", 0): 1}))) == (
        f"start must have an offset for topic {topic}, partition 0"
    )
    assert told(TopicRange(topic, most_bytes=300)) == (
        f"the range of topic {topic} must be at most 300 bytes, it is larger; replay a shorter one"
    )


def test_settings_that_are_wrong() -> None:
    with pytest.raises(RecordError) as error:
        TopicRange("a.frames", most_bytes=0)
    assert str(error.value) == "most_bytes must be above 0, got 0"
    with pytest.raises(RecordError, match="^end must be latest, a time, offsets or none$"):
        TopicRange("a.frames", end="earliest")  # type: ignore[arg-type]  # on purpose
