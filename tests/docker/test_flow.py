"""The flow of the containers runs as it is, against a real broker, and answers its probes."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

from flows import config
from flows.build import detector_settings
from flows.cluster import free_ports
from flows.run import RunRequest, run
from models.detectors import load_detector
from records import Verdict
from tests.flows.test_kafka import ALL_KINDS, frames, records_of
from tests.support.deployed import DOCKER, ENVIRONMENT
from tests.support.kafka_broker import create, send
from tests.support.scenes import SCENE

if TYPE_CHECKING:
    import pytest

    from flows.counts import RunCounts
    from records import Detector
    from tests.support.kafka_broker import Broker
    from tests.support.scenes import Street


def probe(word: str, port: int) -> tuple[int, str]:
    """What the probe of the image says: its exit code and its words."""
    done = subprocess.run(
        [sys.executable, DOCKER / "probe.py", word],
        capture_output=True, text=True, check=False,
        env={**os.environ, "SIGHTFLOW_METRICS_PORT": str(port), "SIGHTFLOW_PROCESS": "0"},
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def silhouette(street: Street) -> Detector:
    configuration, _ = config.load(street.configuration)
    return load_detector(detector_settings(configuration, street.folder))


def test_frames_become_verdicts_and_the_probes_say_so(
    street: Street, own_broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = replace(own_broker.settings(), topic_prefix="sightflow")
    create(settings, *ALL_KINDS, "retraining")
    send(settings, settings.topic("frames"), frames())
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("SIGHTFLOW_KAFKA", settings.bootstrap_servers[0])
    monkeypatch.setenv("SIGHTFLOW_STATE", str(street.folder / "state"))
    flow, text = config.load(DOCKER / "flow.yaml")
    assert flow.metrics is not None
    assert flow.ui is not None
    port, page = free_ports(2)
    changes = {"metrics": flow.metrics.model_copy(update={"port": port}),
               "ui": flow.ui.model_copy(update={"port": page})}  # fmt: skip
    stop = threading.Event()
    said: list[tuple[int, str]] = []

    def watch(counts: RunCounts) -> None:
        if sum(counts.streams["gate"].decided.values()) == SCENE.frames and not said:
            said.extend(probe(word, port) for word in ("healthz", "readyz"))
            stop.set()

    request = RunRequest(
        flow.model_copy(update=changes), text, DOCKER, street.folder / "run",
        detector=silhouette(street), watch=watch,
    )  # fmt: skip
    summary = run(request, stop)
    assert said == [(0, "ok\n"), (0, "ok\n")]
    assert (summary.frames, summary.stopped) == (SCENE.frames, True)
    verdicts = [one for one in records_of(settings, "detections") if isinstance(one, Verdict)]
    assert [one.sequence for one in verdicts] == list(range(SCENE.frames))


def test_a_probe_says_what_is_wrong() -> None:
    (port,) = free_ports(1)
    code, told = probe("healthz", port)
    assert (code, told.partition(": ")[0]) == (1, f"nothing answers on 127.0.0.1:{port}")
    assert probe("metrics", port) == (2, "usage: sightflow-probe healthz|readyz\n")
