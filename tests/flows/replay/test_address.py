from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from connectors.kafka import AtOffsets, AtTime, KafkaSettings, TopicKind
from connectors.topic_range import TopicRange
from flows.config import Configuration, KafkaSection
from flows.replay.address import TopicAddress, is_topic, parse_topic, topic_settings
from records import RecordError

if TYPE_CHECKING:
    from pathlib import Path


def test_what_an_address_says() -> None:
    assert is_topic("kafka://a:9092/t")
    assert not is_topic("runs/kafka")
    assert parse_topic("kafka://a:9092/plant.detections") == TopicAddress(
        ("a:9092",), TopicRange("plant.detections")
    )
    whole = "kafka://a:9092,b:9093/cam?from=0:120,1:80&to=2026-05-01T08:00:00%2B02:00&holds=frames"
    assert parse_topic(whole) == TopicAddress(
        ("a:9092", "b:9093"),
        TopicRange(
            "cam",
            TopicKind.FRAMES,
            AtOffsets({("cam", 0): 120, ("cam", 1): 80}),
            AtTime(1_777_615_200_000_000_000),
        ),
    )
    # A plus that was not written as %2B.
    assert parse_topic(whole.replace("%2B", "+")) == parse_topic(whole)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("kafka://a:9092/", "a topic must be kafka://host:port/topic?from=…&to=…, got 'kafka://a:9092/'"),
        ("kafka:a/t", "a topic must be kafka://host:port/topic?from=…&to=…, got 'kafka:a/t'"),
        (
            "kafka://me:secret@a:9092/x.frames",
            "a topic's address must hold no credentials; name them under kafka in the "
            "configuration",
        ),
        (
            "kafka://a:9092/x.frames?form=3",
            "a topic's address may have each of from, to, holds once, got 'form=3'",
        ),
        (
            "kafka://a:9092/x.frames?from=3&from=4",
            "a topic's address may have each of from, to, holds once, got 'from=3&from=4'",
        ),
        (
            "kafka://a:9092/x.frames?from=x",
            "from and to must be offsets such as 120 or 0:120,1:80, or times such as "
            "2026-05-01T08:00:00Z, got 'x'",
        ),
        (
            "kafka://a:9092/x.frames?to=2026-05-01",
            "a time must be RFC 3339 between 1970 and 2262, got '2026-05-01'",
        ),
        ("kafka://a:9092/x?holds=alerts", "holds must be frames or detections, got 'alerts'"),
        (
            "kafka://a:9092/x",
            "topic x must hold frames or detections to be replayed, got an unknown kind; say which "
            "with holds=…",
        ),
        (
            "kafka://a:9092/x.alerts",
            "topic x.alerts must hold frames or detections to be replayed, got alerts; say which "
            "with holds=…",
        ),
    ],
)  # fmt: skip
def test_addresses_that_are_none(text: str, message: str) -> None:
    with pytest.raises(RecordError) as error:
        parse_topic(text)
    assert str(error.value) == message


def test_a_cluster_that_the_configuration_knows_is_reached_as_it_says(tmp_path: Path) -> None:
    section = KafkaSection(servers=["a:9092"], request_timeout_seconds=7.0)
    known = Configuration(version=1, name="n", kafka=section)
    mine, other = (parse_topic(f"kafka://{host}:9092/x.frames") for host in "ab")
    assert topic_settings(mine, known, tmp_path).request_timeout_seconds == 7.0
    assert topic_settings(other, known, tmp_path) == KafkaSettings(("b:9092",))
