"""Windows of signals are put aside with their samples; items go to Kafka as records do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from connectors.codec import decode
from connectors.kafka import Message
from connectors.queue_kafka import from_message
from connectors.wfdb import WfdbRecord
from flows import config
from flows.run import RunRequest, run
from records import Origin, Reading
from records.retraining import SIGNAL
from tests.support.ecg import heart, random_model, write_record
from tests.support.kafka_broker import create, read
from tests.support.put_aside import TENTH, put_aside, queued

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.kafka_broker import Broker
    from tests.support.scenes import Street

WARD = """\
version: 1
name: ward
signals:
  bed: {records: [H1.hea, H2.hea]}
classifier: {model: ecg.safetensors, new_windows: 4}
assertions: {health: {}, outputs: {class_change: {}}}
retraining: {queue: queue.sqlite3, random_seconds: 5}
sinks: {event_log: null, console: null}
"""
WINDOW = 256
"""Samples of one window of the model."""


def test_windows_of_a_signal_are_put_aside_with_their_samples(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for name, regular in (("H1", True), ("H2", False)):
        write_record(tmp_path, name, heart(30.0, regular=regular, random=random), "")
    random_model().save(tmp_path / "ecg.safetensors")
    path = tmp_path / "ward.yaml"
    path.write_text(WARD, encoding="utf-8")
    configuration, text = config.load(path)
    summary = run(RunRequest(configuration, text, tmp_path))
    found = queued(tmp_path / "queue.sqlite3")
    counts = summary.streams["bed"]
    assert sum("random" in one.origins for one in found.items) == counts.put_aside["random"] > 5
    assert "no_picture" not in counts.not_put_aside
    samples = WfdbRecord(tmp_path / "H1.hea").read(0, 9000)
    checked = 0
    for one, data in zip(found.items, found.crops, strict=True):
        assert one.crop is not None
        assert data is not None
        assert (one.crop.content_type, one.fingerprint) == (SIGNAL, None)
        assert (one.uri, one.model) == ("H1.hea, H2.hea", "ecg.safetensors")
        assert (one.label is not None) == (Origin.ASSERTION in one.origins)
        window = decode(data)
        assert isinstance(window, Reading)
        assert (window.sequence, window.time_ns) == (one.sequence, one.time_ns)
        assert window.samples.shape == (WINDOW, 1)
        start = round(one.time_ns * 300 / 1e9)
        if start + WINDOW <= len(samples):
            assert np.array_equal(window.samples, samples[start : start + WINDOW])
            checked += 1
    assert checked > 2


def test_items_go_to_kafka_in_place_of_a_queue_or_beside_it(street: Street, broker: Broker) -> None:
    settings = broker.settings()
    create(settings, "detections", "estimates", "alerts", "deadletters", "retraining")
    section = (
        f'kafka: {{servers: ["{settings.servers}"], topic_prefix: {settings.topic_prefix}, '
        "write: {kinds: [alert]}}\n"
    )
    asked = "random_seconds: 2, clear_seconds: 0.5, near_bits: -1"
    alone = put_aside(street, f"kafka: true, {asked}", more=TENTH + section)
    sent = [from_message(Message.of(one)) for one in read(settings, settings.topic("retraining"))]
    assert len(sent) > 12
    origins = [str(origin) for one, _ in sent for origin in one.origins]
    counts = alone.streams["gate"]
    assert counts.put_aside == {name: origins.count(name) for name in ("assertion", "random")}
    both = put_aside(street, f"kafka: true, queue: q.sqlite3, {asked}", more=TENTH + section)
    assert both.streams["gate"].put_aside == counts.put_aside
    found = queued(street.folder / "q.sqlite3")
    assert found.crops == [data for _, data in sent]
    assert found.sequences == [one.sequence for one, _ in sent]
    assert len(read(settings, settings.topic("retraining"))) == 2 * len(sent)
    assert read(settings, settings.topic("deadletters")) == []
