"""100,000 records with 1 % poison: each is a dead letter, and the flow is hardly slower.

The same number of messages is copied from topic to topic (`benchmarks.throughput`), without and
with poison, in turns. Every poisoned message must be among the dead letters with its bytes, every
other one must be written once.
"""

from __future__ import annotations

import random
import statistics
from collections import Counter
from typing import TYPE_CHECKING, Any

from benchmarks.chaos.bars import Row, Trial
from benchmarks.chaos.messages import (
    KINDS,
    STREAMS,
    Sent,
    detection,
    detection_id,
    fill,
    running_broker,
    written,
)
from benchmarks.throughput import through_bytewax
from tests.support.kafka_broker import create, headers_of, read

if TYPE_CHECKING:
    from collections.abc import Iterator

    from connectors.kafka import KafkaSettings
    from tests.support.kafka_broker import Broker

MESSAGES, QUICK_MESSAGES = 100_000, 5_000
"""How many messages, poison among them."""

REPEATS, QUICK_REPEATS = 3, 2
"""How often each topic is copied; they take turns."""

POISON_SHARE = 0.01
"""The share of the messages that nobody can understand."""

MOST_SLOWDOWN = 0.1
"""By how much poison may slow the flow down."""


def bars(trial: Trial) -> list[Row]:
    """One row."""
    messages = trial.size(MESSAGES, QUICK_MESSAGES)
    chance = random.Random(trial.seed)  # noqa: S311 - where the poison is
    places = set(chance.sample(range(messages), round(POISON_SHARE * messages)))
    with running_broker(trial.folder) as broker:
        clean, poisoned = broker.settings(), broker.settings()
        for settings, chosen in ((clean, set[int]()), (poisoned, places)):
            (topic,) = create(settings, "detections")
            fill(settings, topic, _mixed(messages, chosen))
        seconds: dict[str, list[float]] = {"clean": [], "poisoned": []}
        faults = 0
        for _ in range(trial.size(REPEATS, QUICK_REPEATS)):
            seconds["clean"].append(_copied(broker, clean)[1])
            target, taken = _copied(broker, poisoned)
            seconds["poisoned"].append(taken)
            faults += _faults(target, messages, places)
    ratios = [b / a for a, b in zip(seconds["clean"], seconds["poisoned"], strict=True)]
    slower = statistics.median(ratios) - 1
    figures: dict[str, Any] = {
        "messages": messages, "poison": len(places), "faults": faults,
        "seconds": {name: [round(one, 3) for one in each] for name, each in seconds.items()},
        "slower": round(slower, 4),
    }  # fmt: skip
    return [
        Row(
            f"{messages} messages with {POISON_SHARE:.0%} poison",
            f"{faults} of {len(places)} letters or records wrong or missing, {slower:+.1%} time",
            f"every one a dead letter, < {MOST_SLOWDOWN:.0%} slower",
            faults == 0 and slower < MOST_SLOWDOWN,
            figures,
        )
    ]


def _mixed(messages: int, places: set[int]) -> Iterator[Sent]:
    """Messages; poison stands between the detections, whose numbers have no gap."""
    following = 0
    for place in range(messages):
        if place in places:
            yield _poison(place)
        else:
            yield detection(following)
            following += 1


def _poison(place: int) -> Sent:
    """Something that cannot be understood, each time in another way and with other bytes."""
    stream, value = detection(place)
    kinds: tuple[Sent, ...] = (
        (stream, b"\x00\xff" + value),
        (stream, value[: len(value) // 2]),
        (stream, b"[%d]" % place),
        (stream, value.replace(b'"scores"', b'"points"')),
        (stream, value.replace(b"0.91", b"1e400")),
        (stream, value.replace(b"[10.5,20,50,90.25]", b"[50,20,10.5,90.25]")),
        (f"no {STREAMS[0]}", value),
        ("a:b", value),
    )
    return kinds[place % len(kinds)]


def _copied(broker: Broker, source: KafkaSettings) -> tuple[KafkaSettings, float]:
    target = broker.settings()
    create(target, *KINDS)
    return target, through_bytewax(source, source.topic("detections"), target)


def _faults(target: KafkaSettings, messages: int, places: set[int]) -> int:
    """How many letters or records are missing, there twice, or not what they should be."""
    letters = Counter(
        (message.key.decode(), message.value)
        for message in read(target, target.topic("deadletters"))
        if headers_of(message)["sightflow.error.class"]
    )
    found = Counter(written(target, target.topic("detections")))
    wanted = Counter(map(_poison, places))
    records = Counter(map(detection_id, range(messages - len(places))))
    parts = (wanted - letters, letters - wanted, records - found, found - records)
    return sum(part.total() for part in parts)
