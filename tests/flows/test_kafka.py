"""A flow between Kafka topics: frames and detections in, verdicts and alerts out, dead letters."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import cv2
import pytest

from connectors.codec import decode
from connectors.replay import EventLog
from connectors.scene import render
from flows import config
from flows.inputs import video_settings
from flows.run import RunRequest, run
from records import Alert, Reading, Verdict
from tests.flows.test_cli import call
from tests.support.kafka_broker import create, headers_of, read, send
from tests.support.scenes import SCENE

if TYPE_CHECKING:
    from pathlib import Path

    from connectors.kafka import KafkaSettings
    from flows.summary import RunSummary
    from tests.support.kafka_broker import Broker
    from tests.support.scenes import Street

CONFIGURATION = """\
version: 1
name: street
streams:
  gate: {{uri: "kafka:"}}
kafka:
  servers: ["127.0.0.1:{port}"]
  topic_prefix: {prefix}
  read: {{topics: {{{prefix}.{kind}: null}}, end: latest, readers: 2}}
{write}
detector: {{model: silhouette, weights: empty.png, classes: [person]}}
alerts:
  - {{name: people, class: person, at_least: 2, clear_seconds: 0.5}}
sinks: {{console: null}}
"""
ALL_KINDS = ("frames", "readings", "detections", "estimates", "alerts", "deadletters")


def write_configuration(
    street: Street, settings: KafkaSettings, kind: str, write: str = "  write: {}"
) -> Path:
    port = settings.bootstrap_servers[0].rpartition(":")[2]
    text = CONFIGURATION.format(port=port, prefix=settings.topic_prefix, kind=kind, write=write)
    street.configuration.write_text(text, encoding="utf-8")
    return street.configuration


def run_street(street: Street) -> RunSummary:
    configuration, text = config.load(street.configuration)
    return run(RunRequest(configuration, text, street.folder, street.folder / "run"))


def frames() -> list[tuple[str, bytes, dict[str, str]]]:
    messages = []
    for sequence, (image, _) in enumerate(render(SCENE)):
        jpeg = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 98])[1].tobytes()
        seconds = f"{sequence / 10:06.3f}"
        headers = {
            "content-type": "image/jpeg",
            "ce_sequence": str(sequence),
            "ce_time": f"2026-05-01T08:00:{seconds}Z",
        }
        messages.append(("gate", jpeg, headers))
    return messages


def records_of(settings: KafkaSettings, kind: str) -> list[Any]:
    return [decode(message.value) for message in read(settings, settings.topic(kind))]


def test_frames_come_from_a_topic_and_verdicts_go_to_another(
    street: Street, broker: Broker
) -> None:
    settings = broker.settings()
    create(settings, *ALL_KINDS)
    sent = frames()
    poison = ("gate", b"no picture", {"content-type": "image/jpeg", "ce_sequence": "7"})
    send(settings, settings.topic("frames"), [*sent[:60], poison, *sent[60:]])
    path = write_configuration(street, settings, "frames")
    summary = run_street(street)
    counts = summary.streams["gate"]
    assert (summary.frames, sum(counts.decided.values())) == (SCENE.frames, SCENE.frames)
    assert summary.dead_letters == {"undecodable": 1}
    written = records_of(settings, "detections")
    verdicts = [record for record in written if isinstance(record, Verdict)]
    assert [verdict.sequence for verdict in verdicts] == list(range(SCENE.frames))
    logged = list(EventLog.open(street.folder / "run").records())
    assert [record for record in logged if isinstance(record, Verdict)] == verdicts
    alerts = records_of(settings, "alerts")
    assert [record for record in logged if isinstance(record, Alert)] == alerts
    assert alerts
    (letter,) = read(settings, settings.topic("deadletters"))
    assert letter.value == b"no picture"
    assert headers_of(letter)["sightflow.error.class"] == "undecodable"
    assert call("validate", path) == 0


def test_dead_letters_are_listed_and_sent_again(
    street: Street, broker: Broker, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = broker.settings()
    create(settings, *ALL_KINDS)
    poison = ("gate", b"no picture", {"content-type": "image/jpeg", "ce_sequence": "0"})
    send(settings, settings.topic("frames"), [poison, *frames()[:3]])
    path = write_configuration(street, settings, "frames", "")
    assert run_street(street).dead_letters == {"undecodable": 1}
    capsys.readouterr()
    assert call("deadletters", "list", path, "--json") == 0
    (letter,) = json.loads(capsys.readouterr().out)["letters"]
    expected = {
        "id": "0:0",
        "reason": "undecodable",
        "topic": settings.topic("frames"),
        "partition": 0,
        "offset": 0,
        "key": "gate",
        "value": "bm8gcGljdHVyZQ==",
        "truncated": False,
        "replays": 0,
    }
    assert letter | expected == letter
    assert "JPEG" in letter["detail"]
    assert call("deadletters", "list", path, "--reason", "late", "--json") == 0
    assert json.loads(capsys.readouterr().out)["letters"] == []
    assert call("deadletters", "replay", path, "--json") == 0
    assert json.loads(capsys.readouterr().out) == {
        "ok": True,
        "replayed": {settings.topic("frames"): 1},
        "skipped": {},
        "unreadable": [],
    }
    again = read(settings, settings.topic("frames"))[-1]
    assert (again.value, headers_of(again)["sightflow.replays"]) == (b"no picture", "1")
    assert call("deadletters", "list", path, "--since", "yesterday") == 2


def test_detections_of_other_programs_raise_alerts(street: Street, broker: Broker) -> None:
    settings = broker.settings()
    create(settings, *ALL_KINDS)
    other = broker.settings()
    create(other, *ALL_KINDS)
    messages = []
    for sequence in range(30):
        people = [[10, 20, 50, 90], [60, 20, 90, 90]][: 2 if sequence >= 10 else 1]
        answer = {
            "boxes": people,
            "scores": [0.9] * len(people),
            "classes": ["person"] * len(people),
        }
        value = {
            "stream": "yard",
            "sequence": sequence,
            "time_ns": sequence * 10**8,
            "answer": answer,
        }
        headers = {"content-type": "application/json", "ce_type": "io.sightflow.verdict"}
        messages.append(("yard", json.dumps(value | {"answer": answer}).encode(), headers))
    send(other, other.topic("detections"), messages)
    text = write_configuration(street, settings, "detections").read_text(encoding="utf-8")
    text = text.replace(f"{settings.topic_prefix}.detections", other.topic("detections"))
    street.configuration.write_text(text, encoding="utf-8")
    summary = run_street(street)
    assert summary.streams["yard"].entered == 30
    assert summary.streams["yard"].alerts == {"opened": 1}
    (alert,) = records_of(settings, "alerts")
    assert (alert.stream, alert.rule, alert.sequence) == ("yard", "people", 10)
    verdicts = [one for one in records_of(settings, "detections") if isinstance(one, Verdict)]
    assert [one.sequence for one in verdicts] == list(range(30))
    assert verdicts[-1].answer.tracks.tolist() == [1, 2]


def test_readings_pass_to_the_sinks(street: Street, broker: Broker) -> None:
    settings = broker.settings()
    create(settings, *ALL_KINDS)
    reading = {
        "stream": "pump", "sequence": 0, "time_ns": 10**9, "rate_hz": 100.0,
        "samples": [[0.5, 21.0], [None, 21.5]], "channels": ["vibration", "temperature"],
        "units": ["mm/s", "°C"],
    }  # fmt: skip
    json_type = {"content-type": "application/json"}
    send(settings, settings.topic("readings"), [("pump", json.dumps(reading).encode(), json_type)])
    write_configuration(street, settings, "readings", "")
    assert run_street(street).dead_letters == {}
    (found,) = [one for one in EventLog.open(street.folder / "run").records("pump")
                if isinstance(one, Reading)]  # fmt: skip
    assert (found.id, found.channels) == ("pump:0", ("vibration", "temperature"))


def test_streams_of_kafka_are_no_videos(street: Street, broker: Broker) -> None:
    write_configuration(street, broker.settings(), "frames")
    configuration, _ = config.load(street.configuration)
    assert video_settings(configuration.streams, street.folder) == {}


def test_a_question_is_asked_of_a_range_of_a_topic(
    broker: Broker, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = broker.settings()
    create(settings, "detections")
    messages = []
    for sequence in range(20):
        n = 2 if sequence >= 10 else 1
        answer = {"boxes": [[0, 0, 9, 9]] * n, "scores": [0.9] * n, "classes": ["person"] * n}
        value = {"stream": "yard", "sequence": sequence, "time_ns": sequence * 10**8}
        headers = {"content-type": "application/json", "ce_type": "io.sightflow.verdict"}
        messages.append(("yard", json.dumps(value | {"answer": answer}).encode(), headers))
    send(settings, settings.topic("detections"), messages)
    question = "SELECT FCOUNT(*) FROM yard WHERE class='person'"
    address = f"kafka://{settings.servers}/{settings.topic('detections')}"
    assert call("query", question, "--source", f"yard={address}?from=0:5", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["rows"][0]["value"] == pytest.approx(25 / 15)
    other = question.replace("yard", "gate")
    assert call("query", other, "--source", f"gate={address}") == 2
    assert f"{settings.topic('detections')} holds no stream gate; it holds yard" in (
        capsys.readouterr().err
    )
