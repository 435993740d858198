"""Messages that come twice, late or not at all: what is decided is right, and all is told."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from connectors.replay import EventLog
from flows import config
from flows.picture import write_picture
from flows.run import RunRequest, run
from records import Alert, EventKind, StreamEvent, Verdict
from tests.support.kafka_broker import create, headers_of, read, send

if TYPE_CHECKING:
    from pathlib import Path

    from connectors.kafka import KafkaSettings
    from flows.summary import RunSummary
    from records import Record
    from tests.support.kafka_broker import Broker

CONFIGURATION = """\
version: 1
name: yard
kafka:
  servers: ["{servers}"]
  topic_prefix: {prefix}
  read: {{topics: {{{prefix}.detections: null}}, end: latest, late_seconds: 1}}
detector: {{model: silhouette, weights: empty.png}}
track: null
alerts:
  - {{name: people, class: person, at_least: 2, clear_seconds: 0}}
sinks: {{console: null}}
"""
PEOPLE = {4: 2, 5: 2, 6: 3}
"""How many people are in some frames; one is in the others."""


def message(number: int, time_ns: int | None = None) -> tuple[str, bytes, dict[str, str]]:
    count = PEOPLE.get(number, 1)
    answer = {
        "boxes": [[10 * k, 20, 10 * k + 8, 60] for k in range(count)],
        "scores": [0.5] * count,
        "classes": ["person"] * count,
    }
    value = {
        "stream": "gate",
        "sequence": number,
        "time_ns": number * 10**8 if time_ns is None else time_ns,
        "answer": answer,
    }
    return "gate", json.dumps(value).encode(), {"content-type": "application/json"}


def run_on(
    broker: Broker, folder: Path, messages: list[tuple[str, bytes, dict[str, str]]]
) -> tuple[list[Record], RunSummary, KafkaSettings]:
    settings = broker.settings()
    create(settings, "detections", "deadletters")
    send(settings, settings.topic("detections"), messages)
    folder.mkdir()
    write_picture(folder / "empty.png", np.zeros((64, 64, 3), np.uint8))
    path = folder / "yard.yaml"
    text = CONFIGURATION.format(servers=settings.servers, prefix=settings.topic_prefix)
    path.write_text(text, encoding="utf-8")
    configuration, text = config.load(path)
    summary = run(RunRequest(configuration, text, folder, folder / "run"))
    return list(EventLog.open(folder / "run").records()), summary, settings


def decisions(records: list[Record]) -> list[Any]:
    """Verdicts and alerts; alerts without the configuration, which names the topics."""
    return [
        one if isinstance(one, Verdict) else (one.id, one.value, one.peak, one.count)
        for one in records
        if isinstance(one, Verdict | Alert)
    ]


def events(records: list[Record]) -> list[tuple[str, int, str, str]]:
    return [
        (str(one.kind), one.count, one.reason, one.detail)
        for one in records
        if isinstance(one, StreamEvent)
    ]


def letters(settings: KafkaSettings) -> list[tuple[str, str]]:
    found = [headers_of(one) for one in read(settings, settings.topic("deadletters"))]
    return [(one["sightflow.error.class"], one["sightflow.error.reason"]) for one in found]


def test_duplicates_change_nothing(broker: Broker, tmp_path: Path) -> None:
    plain, _, _ = run_on(broker, tmp_path / "plain", [message(k) for k in range(10)])
    twice = [message(k) for k in (0, 1, 1, 2, 3, 4, 2, 3, 4, 5, 6, 6, 6, 7, 8, 9)]
    found, summary, settings = run_on(broker, tmp_path / "twice", twice)
    assert decisions(found) == decisions(plain)
    told = [one for one in events(found) if one[0] == EventKind.DROPPED]
    assert told == [
        ("dropped", 1, "duplicate", ""),
        ("dropped", 3, "duplicate", ""),
        ("dropped", 2, "duplicate", ""),
    ]
    assert (summary.frames, summary.dead_letters, letters(settings)) == (10, {}, [])


def test_what_comes_out_of_order_is_told_and_kept(broker: Broker, tmp_path: Path) -> None:
    order = [0, 1, 2, 4, 3, 5, 6, 9]
    found, summary, settings = run_on(broker, tmp_path / "mixed", [message(k) for k in order])
    verdicts = [one.sequence for one in found if isinstance(one, Verdict)]
    assert verdicts == [0, 1, 2, 4, 5, 6, 9]
    assert events(found) == [
        ("dropped", 1, "missing", "3 to 3 did not come"),
        ("dropped", 2, "missing", "7 to 8 did not come"),
    ]
    assert letters(settings) == [("sequence", "number 3 must come before 4, it came after it")]
    assert summary.dead_letters == {"sequence": 1}
    # The episode opens, rises and closes as it would without the frames that are missing.
    alerts = [(str(one.state), one.sequence) for one in found if isinstance(one, Alert)]
    assert alerts == [("opened", 4), ("closed", 9)]


@pytest.mark.parametrize("jump_ns", [10**12, -(10**12)])
def test_a_producer_whose_clock_jumps(broker: Broker, tmp_path: Path, jump_ns: int) -> None:
    begin = 2 * 10**12
    times = [begin + number * 10**8 + (jump_ns if number == 3 else 0) for number in range(6)]
    messages = [message(number, time_ns) for number, time_ns in enumerate(times)]
    found, summary, settings = run_on(broker, tmp_path / "jump", messages)
    verdicts = [one.sequence for one in found if isinstance(one, Verdict)]
    if jump_ns > 0:
        # What comes after the one from the future lies too far behind it.
        assert (verdicts, summary.dead_letters) == ([0, 1, 2, 3], {"late": 2})
    else:
        assert (verdicts, summary.dead_letters) == ([0, 1, 2, 4, 5], {"late": 1})
    assert {reason for reason, _ in letters(settings)} == {"late"}
