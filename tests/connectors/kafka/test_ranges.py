from __future__ import annotations

from typing import Any

import pytest

from connectors.kafka import AtOffsets, AtTime, KafkaSourceSettings, TopicKind, TopicState
from connectors.kafka.ranges import ANEW, check_kept, check_not_back, check_same
from records import RecordError, SourceError

PLACE = ("sightflow.frames", 2)
TOPIC = TopicState("sightflow.frames", "id-1", {2: (5, 9)})


def test_a_topic_that_is_still_the_same() -> None:
    assert check_same(PLACE, "id-1", TOPIC) is TOPIC
    # Brokers that tell no identity cannot say more than that the topic is there.
    assert check_same(PLACE, None, TOPIC) is TOPIC
    nameless = TopicState("sightflow.frames", None, {2: (5, 9)})
    assert check_same(PLACE, "id-1", nameless) is nameless
    check_not_back(PLACE, 9, 9)
    check_kept(PLACE, 5, 5)


@pytest.mark.parametrize("topic", [None, TopicState("sightflow.frames", "id-1", {0: (5, 9)})])
def test_a_topic_that_is_gone(topic: TopicState | None) -> None:
    with pytest.raises(SourceError) as error:
        check_same(PLACE, "id-1", topic)
    assert str(error.value) == (f"topic sightflow.frames, partition 2, no longer exists. {ANEW}")


def test_a_topic_that_was_created_again() -> None:
    with pytest.raises(SourceError) as error:
        check_same(PLACE, "id-0", TOPIC)
    assert str(error.value) == (
        "topic sightflow.frames was deleted and created again: its id was id-0, now it is id-1, "
        f"so its offsets name other messages. {ANEW}"
    )


def test_messages_that_were_lost() -> None:
    with pytest.raises(SourceError) as error:
        check_not_back(PLACE, 10, 9)
    assert str(error.value) == (
        "topic sightflow.frames, partition 2, went back: it ends at offset 9, but was read to 10. "
        f"The broker lost messages, or the topic was created again. {ANEW}"
    )
    with pytest.raises(SourceError) as error:
        check_kept(PLACE, 3, 5)
    assert str(error.value) == (
        "topic sightflow.frames, partition 2, lost messages 3 to 4 before they were read: "
        "retention removed them, it begins at 5 now. Raise retention.ms or retention.bytes. "
        f"{ANEW}"
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"topics": {}}, "topics must name at least one topic"),
        (
            {"topics": {"orders": None}},
            "topic orders must be told what it holds, frames, readings, detections, estimates, "
            "alerts, got None",
        ),
        (
            {"start": "newest"},
            "start must be one of earliest, latest, committed, a time or offsets",
        ),
        ({"start": "committed"}, "start committed needs a group"),
        ({"end": "earliest"}, "end must be latest, a time, offsets or none"),
        ({"batch_frames": 0}, "batch_frames must be at least 1, got 0"),
        ({"readers": 0}, "readers must be 1 to 1024, got 0"),
        ({"late_seconds": -1}, "late_seconds must be at least 0, got -1"),
        ({"watch_seconds": 0}, "watch_seconds must be above 0, got 0"),
    ],
)
def test_settings_that_are_wrong(change: dict[str, Any], message: str) -> None:
    with pytest.raises(RecordError) as error:
        KafkaSourceSettings(**{"topics": {"sightflow.frames": None}} | change)
    assert str(error.value) == message


def test_what_topics_hold() -> None:
    settings = KafkaSourceSettings({"sightflow.alerts": None, "plant": TopicKind.READINGS})
    assert settings.kinds == {"sightflow.alerts": TopicKind.ALERTS, "plant": TopicKind.READINGS}


def test_places_that_are_none() -> None:
    with pytest.raises(RecordError, match="^time_ns must be nanoseconds since 1970 UTC"):
        AtTime(-1)
    with pytest.raises(RecordError) as error:
        AtOffsets({("t", 0): -1})
    assert str(error.value) == (
        "offset of t, partition 0 must be a whole number of at least 0, got -1"
    )
