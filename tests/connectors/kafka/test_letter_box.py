from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from kafka.errors import KafkaError

from connectors.codec import encode
from connectors.kafka import (
    Cluster,
    DeadLetter,
    KafkaSettings,
    KafkaSink,
    KafkaSinkSettings,
    KafkaSource,
    KafkaSourceSettings,
    LetterBox,
    LetterFilter,
    Message,
    Reason,
    ReplayReport,
)
from records import RecordError, SourceError
from tests.support.kafka_broker import create, headers_of, read, records_in, run_part, send
from tests.support.records import reading

if TYPE_CHECKING:
    from tests.support.kafka_broker import Broker

MILLISECONDS = 1_000_000


def letters_of(settings: KafkaSettings, name: str) -> list[tuple[str, DeadLetter]]:
    """The dead letters that reading a topic gives."""
    wanted = KafkaSourceSettings({name: None}, end="latest", readers=1)
    part = KafkaSource(settings, wanted).build_part("read", "0000", None)
    items = run_part(part, lambda _: False)
    part.close()
    return [(key, item) for key, item in items if isinstance(item, DeadLetter)]


def bury(settings: KafkaSettings, letters: list[tuple[str, DeadLetter]]) -> None:
    sink = KafkaSink(settings, KafkaSinkSettings("shop"))
    part = sink.build_part("shop.kafka", "0000", None)
    part.write_batch([[letter] for _, letter in letters])
    part.snapshot()
    part.close()


def test_letters_are_listed_and_sent_again(broker: Broker) -> None:
    settings = broker.settings()
    name, _ = create(settings, "readings", "deadletters")
    good = [replace(reading("pump"), sequence=i) for i in range(3)]
    first_ms = time.time_ns() // MILLISECONDS - 100_000
    # A program that writes keys wrongly, and another one that writes junk.
    send(settings, name, [("x:y", encode(good[0]), {"trace": "a"})], time_ms=first_ms)
    send(settings, name, [("pump", b"junk", {})], time_ms=first_ms + 1000)
    send(settings, name, [("pump", None, {})], time_ms=first_ms + 2000)
    bury(settings, letters_of(settings, name))
    box = LetterBox(settings)

    everything = list(box.letters())
    place: dict[str, Any] = {"topic": name, "partition": 0}
    assert [stored.letter.message for stored in everything] == [
        Message(**place, offset=0, time_ms=first_ms, key=b"x:y", headers=(("trace", b"a"),),
                value=encode(good[0])),
        Message(**place, offset=1, time_ms=first_ms + 1000, key=b"pump", headers=(),
                value=b"junk"),
        Message(**place, offset=2, time_ms=first_ms + 2000, key=b"pump", headers=(), value=None),
    ]  # fmt: skip
    assert [(str(each.letter.reason), each.truncated) for each in everything] == [
        ("key", False), ("undecodable", False), ("undecodable", False),
    ]  # fmt: skip

    def listed(**wanted: Any) -> list[int]:
        return [each.letter.message.offset for each in box.letters(LetterFilter(**wanted))]

    assert listed(reason=Reason.UNDECODABLE) == [1, 2]
    assert listed(reason=Reason.UNDECODABLE, most=1) == [1]
    assert listed(topic="elsewhere") == []
    second_ns = (first_ms + 1000) * MILLISECONDS
    assert (listed(from_ns=second_ns), listed(to_ns=second_ns)) == ([1, 2], [0])
    assert box.unreadable == ()

    report = box.replay(box.letters(LetterFilter(reason=Reason.KEY)))
    assert report == ReplayReport({name: 1}, {})
    again = read(settings, name)[-1]
    assert (again.key, again.value) == (b"x:y", encode(good[0]))
    assert headers_of(again) == {"trace": "a", "sightflow.replays": "1"}
    # It is still wrong, so it is a dead letter again, and counts on.
    letters = letters_of(settings, name)
    assert len(letters) == 4
    bury(settings, letters[3:])
    (stored,) = [each for each in box.letters() if each.letter.message.offset == 3]
    assert stored.letter.message.replays == 1
    assert box.replay([stored]) == ReplayReport({name: 1}, {})
    assert headers_of(read(settings, name)[-1])["sightflow.replays"] == "2"


def test_a_letter_that_is_understood_now_is_read(broker: Broker) -> None:
    small = broker.settings(max_message_bytes=3_000)
    settings = replace(small, max_message_bytes=100_000)
    name, _ = create(settings, "readings", "deadletters")
    large = replace(reading("pump"), channels=("lead " * 700,))
    send(settings, name, [("pump", encode(large), {})])
    letters = letters_of(small, name)
    assert [str(letter.reason) for _, letter in letters] == ["oversized"]
    bury(settings, letters)
    box = LetterBox(settings)
    assert box.replay(box.letters()) == ReplayReport({name: 1}, {})
    wanted = KafkaSourceSettings({name: None}, end="latest", readers=1)
    part = KafkaSource(settings, wanted).build_part("read", "0000", None)
    items = run_part(part, lambda _: False)
    part.close()
    assert records_in(items)[0] == large


def test_what_cannot_be_sent_again_is_counted(broker: Broker) -> None:
    settings = broker.settings(max_message_bytes=10_000)
    name, dead = create(settings, "readings", "deadletters")
    original = Message(name, 0, 0, 5, b"pump", (), bytes(20_000))
    never = Message(name, -1, -1, -1, b"pump", (("ce_id", b"pump:0"),), b"v")
    bury(
        settings,
        [("", DeadLetter(each, Reason.OVERSIZED, "large")) for each in (original, never)],
    )
    send(settings, dead, [("x", b"no dead letter", {})])
    box = LetterBox(settings)
    report = box.replay(box.letters())
    assert report == ReplayReport({}, {"truncated": 1, "never_sent": 1})
    # Two messages and the end of their transaction are before it.
    assert box.unreadable == (
        f"message {dead}:0:3 must have the headers sightflow.error.* of a dead letter: 'topic'",
    )
    assert read(settings, name) == []


def test_a_topic_that_is_missing(broker: Broker) -> None:
    settings = broker.settings()
    with pytest.raises(SourceError) as error:
        list(LetterBox(settings).letters())
    assert str(error.value) == (
        f"topic {settings.topic('deadletters')} must exist at {settings.servers}"
    )


def test_filters_that_are_wrong() -> None:
    odd: Any = "odd"
    with pytest.raises(RecordError) as error:
        LetterFilter(reason=odd)
    assert str(error.value) == (
        "reason must be one of key, headers, content_type, undecodable, kind, oversized, "
        "sequence, late, got 'odd'"
    )
    with pytest.raises(RecordError) as error:
        LetterFilter(most=0)
    assert str(error.value) == "most must be at least 1, got 0"


def test_topics_are_created_once(broker: Broker) -> None:
    settings = broker.settings()
    names = [settings.topic("frames"), settings.topic("alerts")]
    with Cluster(settings) as cluster:
        assert cluster.topics(names) == {}
        assert cluster.create_topics({names[0]: 3}, replication=1) == (names[0],)
        assert cluster.create_topics(dict.fromkeys(names, 2), replication=1) == (names[1],)
        found = cluster.topics(names)
        assert {name: dict(topic.spans) for name, topic in found.items()} == {
            names[0]: {0: (0, 0), 1: (0, 0), 2: (0, 0)},
            names[1]: {0: (0, 0), 1: (0, 0)},
        }
        with pytest.raises(SourceError, match=r"^cannot create topic bad name at 127") as error:
            cluster.create_topics({"bad name": 1}, replication=1)
        assert isinstance(error.value.__cause__, KafkaError)
