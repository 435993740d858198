"""Signals in a running flow: WFDB records or Kafka in, classes and alerts of their changes out."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from connectors.replay import EventLog
from connectors.wfdb import WfdbRecord
from flows import config
from flows.picture import write_picture
from flows.run import RunRequest, run
from operators.ecg_stream import EcgStream, EcgStreamSettings
from records import (
    Alert,
    Classification,
    ConfigurationError,
    EventKind,
    Finding,
    Reading,
    StreamEvent,
)
from tests.support.ecg import heart, random_model, write_record
from tests.support.kafka_broker import create, send

if TYPE_CHECKING:
    from pathlib import Path

    from records import Record
    from tests.support.kafka_broker import Broker

CONFIGURATION = """\
version: 1
name: ward
signals:
  bed: {records: [H1.hea, H2.hea]}
classifier: {model: ecg.safetensors, new_windows: 4}
assertions:
  health: {}
  outputs: {class_change: {}}
sinks: {console: null}
"""


@pytest.fixture
def ward(tmp_path: Path) -> Path:
    """Two records of half a minute, and a model of random weights."""
    random = np.random.default_rng(0)
    for name, regular in (("H1", True), ("H2", False)):
        signal = heart(30.0, regular=regular, random=random)
        write_record(tmp_path, name, signal, "")
    random_model().save(tmp_path / "ecg.safetensors")
    (tmp_path / "ward.yaml").write_text(CONFIGURATION, encoding="utf-8")
    return tmp_path


def run_ward(ward: Path, stream: str = "bed") -> list[Record]:
    configuration, text = config.load(ward / "ward.yaml")
    summary = run(RunRequest(configuration, text, ward, ward / "run"))
    assert summary.detector_calls == 0
    return list(EventLog.open(ward / "run").records(stream))


def test_records_are_classified_as_the_operator_does_alone(ward: Path) -> None:
    records = run_ward(ward)
    found = [one for one in records if isinstance(one, Classification)]
    alone = EcgStream(EcgStreamSettings(new_windows=4), random_model())
    samples = WfdbRecord(ward / "H1.hea").read(0, 9000)
    first = Reading("bed", 0, 0, 300.0, samples, ("ECG",), ("mV",))
    ended = StreamEvent("bed", 30 * 10**9, EventKind.ENDED)
    want = [one for batch in alone.on_items([first, ended]) for one in batch.classifications]
    assert [one.sequence for one in found] == list(range(70))
    assert [one.label for one in found[:35]] == [one.label for one in want]
    kinds = [one.kind for one in records if isinstance(one, StreamEvent)]
    assert kinds[0] is EventKind.OPENED
    assert kinds[-1] is EventKind.ENDED
    changes = [one for one in records if isinstance(one, Finding)]
    assert bool(changes) == bool([one for one in records if isinstance(one, Alert)])


def test_readings_of_kafka_are_classified_too(ward: Path, broker: Broker) -> None:
    settings = broker.settings()
    create(settings, "readings", "deadletters")
    signal = heart(12.0, regular=True, random=np.random.default_rng(1))
    messages = []
    for number in range(12):
        block = signal[300 * number : 300 * (number + 1)]
        reading = {
            "stream": "bed", "sequence": number, "time_ns": number * 10**9, "rate_hz": 300.0,
            "samples": [[float(one)] for one in block], "channels": ["ECG"], "units": ["mV"],
        }  # fmt: skip
        messages.append(("bed", json.dumps(reading).encode(), {"content-type": "application/json"}))
    send(settings, settings.topic("readings"), messages)
    section = (
        f'kafka: {{servers: ["{settings.servers}"], topic_prefix: {settings.topic_prefix},'
        f" read: {{topics: {{{settings.topic('readings')}: null}}, end: latest}}}}\n"
    )
    text = CONFIGURATION.replace("signals:\n  bed: {records: [H1.hea, H2.hea]}\n", section)
    text += "detector: {model: silhouette, weights: empty.png}\n"
    (ward / "ward.yaml").write_text(text, encoding="utf-8")
    write_empty(ward / "empty.png")
    records = run_ward(ward)
    found = [one.sequence for one in records if isinstance(one, Classification)]
    assert found == list(range(14))
    assert len([one for one in records if isinstance(one, Reading)]) == 12


def write_empty(path: Path) -> None:
    write_picture(path, np.zeros((64, 64, 3), np.uint8))


def test_signals_without_a_classifier_pass_to_the_sinks(ward: Path) -> None:
    text = CONFIGURATION.partition("classifier")[0] + "sinks: {console: null}\n"
    (ward / "ward.yaml").write_text(text, encoding="utf-8")
    blocks = [one for one in run_ward(ward) if isinstance(one, Reading)]
    assert [one.sequence for one in blocks] == list(range(60))
    assert sum(len(one.samples) for one in blocks) == 18_000


def test_files_are_checked_before_anything_starts(ward: Path) -> None:
    text = CONFIGURATION.replace("H2.hea", "H9.hea").replace("ecg.safetensors", "H1.hea")
    (ward / "ward.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError) as caught:
        config.load(ward / "ward.yaml")
    faults = [str(fault) for fault in caught.value.faults]
    assert [fault.partition(": ")[2].partition(" (got")[0] for fault in faults] == [
        "signals.bed.records[1]: is no header of a record",
        faults[1].partition(": ")[2].partition(" (got")[0],
    ]
    assert "classifier.model: is no model: " in faults[1]
