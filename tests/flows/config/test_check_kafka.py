"""Faults of the Kafka section, all told before anything starts."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from flows import config
from flows.kafka import kafka_settings
from records import ConfigurationError

ROOT = Path(__file__).resolve().parents[3]


def faults(text: str, environment: dict[str, str] | None = None) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        config.parse(text, "a.yaml", Path("/nowhere"), environment or {})
    return [str(fault) for fault in caught.value.faults]


def test_a_flow_needs_an_input() -> None:
    assert faults("version: 1\nname: n\n") == [
        "a.yaml:1: streams: there is no input. Name a stream with its uri, a signal, or what is "
        "read under kafka.read."
    ]


def test_a_stream_of_kafka_needs_something_to_be_read() -> None:
    assert faults('version: 1\nname: n\nstreams: {gate: {uri: "kafka:"}}\n') == [
        "a.yaml:3: streams.gate.uri: needs kafka.read (got kafka:). Say there which topics are "
        "read."
    ]


def test_secrets_files_and_values_that_do_not_fit() -> None:
    text = """\
version: 1
name: n
kafka:
  servers: ["broker:9092"]
  username: me
  password: ${SECRET}
  ca_file: authority.pem
  read:
    topics: {orders: null}
  write: {transactions: true, writers: 3}
"""
    assert faults(text, {"SECRET": "hunter2"}) == [
        "a.yaml:3: kafka: has values that do not fit. The sasl_mechanism, username and password "
        "need security_protocol SASL_PLAINTEXT or SASL_SSL, got PLAINTEXT.",
        "a.yaml:5: kafka.username: must not stand in the file. Keep it in the environment "
        "and write ${NAME} here.",
        "a.yaml:7: kafka.ca_file: is no file (got 'authority.pem'). Relative paths count from "
        "/nowhere.",
        "a.yaml:8: kafka.read: has values that do not fit. The topic orders must be told what it "
        "holds, frames, readings, detections, estimates, alerts, got None.",
        "a.yaml:10: kafka.write: has values that do not fit. The writers must be 1 with "
        "transactions, got 3.",
    ]


def test_no_flow_reads_what_it_writes() -> None:
    text = """\
version: 1
name: n
kafka:
  servers: ["broker:9092"]
  read:
    topics: {sightflow.detections: null, sightflow.frames: null}
  write: {}
"""
    assert faults(text) == [
        "a.yaml:6: kafka.read.topics.sightflow.detections: is read and written by the same flow. "
        "Give what is written another topic_prefix, or take the kind out of its kinds."
    ]


def test_the_documented_section_is_a_configuration() -> None:
    text = (ROOT / "docs" / "kafka.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"^```yaml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    secrets = {"KAFKA_USER": "me", "KAFKA_PASSWORD": "hunter2"}
    configuration = config.parse(example, "a.yaml", ROOT, secrets)
    assert configuration.kafka is not None
    settings = kafka_settings(configuration.kafka, ROOT)
    assert (settings.username, settings.password) == ("me", "hunter2")
    assert "hunter2" not in repr(configuration) + repr(settings)
