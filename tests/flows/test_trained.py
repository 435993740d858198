"""Trained cascades: saved, read, and run with their contract."""

from __future__ import annotations

import json
import math
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from connectors.replay import EventLog
from connectors.video import VideoSettings
from flows import config
from flows.evaluate.driving import Stretch
from flows.evaluate.recording import record
from flows.run import RunRequest, run
from flows.trained import Certified, TrainedCascade, load_trained, save_trained
from models.certification import Contract
from models.detectors import DetectorSettings, load_detector
from models.packet_training import PacketSettings, train_packets
from models.training import TrainSettings, train_specialised
from operators.difference import DifferenceSettings
from operators.plan import Band, Plan
from operators.predicate import Predicate
from records import ConfigurationError, DetectorError, EventKind, Stage, StreamEvent, Verdict
from tests.support.cameras import Camera
from tests.support.scenes import SCENE, write_street

if TYPE_CHECKING:
    from pathlib import Path

    from flows.counts import RunCounts
    from flows.summary import RunSummary
    from tests.support.scenes import Street

PERSON = Predicate("person", at_least=4)
CONTRACT = Contract(0.8, 0.8, 0.9)
PACKETS = Plan(packets=Band(0.3, 0.7), specialised=Band(0.3, 0.7))
PIXELS = Plan(
    difference=DifferenceSettings(threshold=40.0, hold_seconds=math.inf), specialised=Band(0.2, 0.8)
)
WRONG = Plan(specialised=Band(1.0, 1.0))
"""Says no to everything."""

CONFIGURATION = """\
version: 1
name: street
streams:
  gate: {{uri: scene.mp4, masks: [[[0, 0], [0.2, 0], [0, 0.2]]]}}
detector: {{model: silhouette, weights: empty.png, score_at_least: 0.2}}
cascade: {{trained: {trained}{contract}}}
track: null
sinks: {{console: null}}
"""


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Street:
    return write_street(tmp_path_factory.mktemp("trained"))


@pytest.fixture(scope="module")
def trained(street: Street) -> TrainedCascade:
    weights = str(street.folder / "empty.png")
    detector = load_detector(
        DetectorSettings(model="silhouette", weights=weights, score_at_least=0.2)
    )
    video = VideoSettings(uri=str(street.folder / "scene.mp4"))
    settings = TrainSettings(epochs=3, seconds=5)
    size = settings.architecture.size
    stretch = Stretch(video, 0, SCENE.frames, None)
    table = record(stretch, detector, PERSON, size, 8).table
    packets = (table.coded_bytes, table.keyframe, table.reordered, table.truth)
    return TrainedCascade(
        reference=detector.name,
        predicate=PERSON,
        plans=(PACKETS, PIXELS),
        contract=CONTRACT,
        certified=Certified(1, 0.81, 0.82, 40),
        specialised=train_specialised(
            table.images, table.counts, replace(settings, at_least=4, most_counted=4)
        ),
        packets=train_packets(*packets, PacketSettings(seconds=2, steps=40)),
    )


def run_street(street: Street, trained: TrainedCascade, name: str, contract: str) -> RunSummary:
    save_trained(street.folder / name, trained)
    text = CONFIGURATION.format(trained=name, contract=contract)
    file = street.folder / f"{name}.yaml"
    file.write_text(text, encoding="utf-8")
    configuration, text = config.load(file, {})
    return run(RunRequest(configuration, text, street.folder, street.folder / f"{name}-run"))


def records_of(summary: RunSummary) -> tuple[list[Verdict], list[StreamEvent]]:
    assert summary.run_dir is not None
    log = EventLog.open(summary.run_dir)
    records = list(log.records())
    contract = [
        record
        for record in records
        if isinstance(record, StreamEvent) and record.kind is EventKind.CONTRACT
    ]
    return [record for record in records if isinstance(record, Verdict)], contract


def test_what_is_saved_is_read(trained: TrainedCascade, tmp_path: Path) -> None:
    save_trained(tmp_path / "new" / "gate", trained)
    got = load_trained(tmp_path / "new" / "gate")
    assert replace(got, specialised=None, packets=None) == replace(
        trained, specialised=None, packets=None
    )
    assert got.specialised is not None
    assert trained.specialised is not None
    assert got.specialised.what == trained.specialised.what
    assert got.packets is not None


def test_damaged_files_are_told(trained: TrainedCascade, tmp_path: Path) -> None:
    save_trained(tmp_path, trained)
    path = tmp_path / "cascade.json"
    good = json.loads(path.read_text(encoding="utf-8"))
    for key, value in (
        ("plans", []), ("plans", [{}]), ("predicate", {"class_name": ""}), ("contract", {}),
        ("certified", {**good["certified"], "place": 7}), ("certified", None), ("reference", None),
    ):  # fmt: skip
        changed = {**good, key: value}
        if value is None:
            del changed[key]
        path.write_text(json.dumps(changed), encoding="utf-8")
        with pytest.raises(DetectorError, match="is no trained cascade: .*Train it again with"):
            load_trained(tmp_path)
    path.write_text("{", encoding="utf-8")
    with pytest.raises(DetectorError, match="is no JSON"):
        load_trained(tmp_path)
    path.write_text(json.dumps(good), encoding="utf-8")
    (tmp_path / "packets.safetensors").unlink()
    with pytest.raises(DetectorError, match=r"packets\.safetensors"):
        load_trained(tmp_path)


def test_a_trained_cascade_runs_without_a_contract(street: Street, trained: TrainedCascade) -> None:
    summary = run_street(street, trained, "plain", "")
    verdicts, contract = records_of(summary)
    assert [verdict.sequence for verdict in verdicts] == list(range(SCENE.frames))
    stages = {verdict.stage for verdict in verdicts}
    assert Stage.PACKETS in stages
    assert stages <= {Stage.PACKETS, Stage.SPECIALISED, Stage.REFERENCE}
    assert not any(verdict.audited for verdict in verdicts)
    assert contract == []
    assert summary.streams["gate"].passed["packets"] < 1


def test_the_certified_plan_is_the_one_that_the_contract_begins_with(
    street: Street, trained: TrainedCascade
) -> None:
    contract = ", contract: {recall: 0.8, precision: 0.8, confidence: 0.9, audit_seconds: 1}"
    summary = run_street(street, trained, "certified", contract)
    verdicts, changes = records_of(summary)
    stages = {verdict.stage for verdict in verdicts}
    assert Stage.PACKETS not in stages
    assert Stage.DIFFERENCE in stages
    assert 8 <= sum(verdict.audited for verdict in verdicts) <= 12
    counts = summary.streams["gate"]
    assert counts.audited == sum(verdict.audited for verdict in verdicts)
    assert set(counts.audit) == {"audit recall", "audit precision"}
    assert changes == []
    # A plan that was certified for less than is promised does not count.
    more = contract.replace("recall: 0.8", "recall: 0.95")
    verdicts, _ = records_of(run_street(street, trained, "more", more))
    assert {verdict.stage for verdict in verdicts} == {Stage.REFERENCE}


def test_a_broken_contract_falls_back_and_says_so(street: Street, trained: TrainedCascade) -> None:
    contract = (
        ", contract: {recall: 0.9, precision: 0.9, audit_seconds: 0.3, start: tuned, "
        "trial_seconds: 2, block_seconds: 0.5}"
    )
    wrong = replace(trained, plans=(WRONG,), certified=Certified(None, 0.0, 0.0, 0))
    summary = run_street(street, wrong, "wrong", contract)
    verdicts, changes = records_of(summary)
    assert changes[0].reason == "recall_broken"
    assert changes[0].detail.endswith("from specialised > reference to reference")
    assert {change.reason for change in changes[1:]} <= {"not_certified"}
    after = {v.stage for v in verdicts if v.time_ns >= changes[0].time_ns}
    assert after == {Stage.REFERENCE}
    assert summary.streams["gate"].contract == changes


def test_another_detector_is_refused(street: Street, trained: TrainedCascade) -> None:
    with pytest.raises(ConfigurationError, match="trained on the answers of yolox_nano, not of"):
        run_street(street, replace(trained, reference="yolox_nano"), "other", "")


def test_packets_decide_a_live_camera_its_reach_later(
    street: Street, trained: TrainedCascade
) -> None:
    assert trained.packets is not None
    wanted = 3 * trained.packets.reach
    save_trained(street.folder / "live", trained)
    with Camera("http", rate_hz=100) as camera:
        text = CONFIGURATION.format(trained="live", contract="").replace("scene.mp4", camera.url)
        configuration = config.parse(text, "live.yaml", street.folder, {})
        stop = threading.Event()

        def watch(counts: RunCounts) -> None:
            if sum(counts.streams["gate"].decided.values()) >= wanted:
                stop.set()

        request = RunRequest(configuration, text, street.folder, street.folder / "live-run",
                             watch=watch)  # fmt: skip
        summary = run(request, stop)
    verdicts, _ = records_of(summary)
    counts = summary.streams["gate"]
    # Every frame that entered is decided, those too that still waited for packets at the end.
    assert len(verdicts) == counts.entered
    assert sum(counts.decided.values()) == counts.entered
    assert counts.decided[Stage.PACKETS] > 0
    assert sorted(v.sequence for v in verdicts) == [v.sequence for v in verdicts]
