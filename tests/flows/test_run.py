from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import numpy as np
import pytest

from connectors.receiver import WebhookReceiver
from connectors.replay import EventLog
from connectors.webhook_settings import new_secret
from flows import config
from flows.run import RunRequest, run
from records import (
    Alert,
    Detections,
    Estimate,
    EventKind,
    LogError,
    SightflowError,
    SourceError,
    Stage,
    StreamEvent,
    Verdict,
)
from tests.support.scenes import SCENE, Street, write_configuration

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from flows.summary import RunSummary

FRAMES = SCENE.frames


def run_street(street: Street, environment: dict[str, str] | None = None) -> RunSummary:
    configuration, text = config.load(street.configuration, environment)
    return run(RunRequest(configuration, text, street.folder, street.folder / "run"))


def verdicts_of(run_dir: Path) -> list[Verdict]:
    log = EventLog.open(run_dir)
    records = [record for record in log.records() if isinstance(record, Verdict)]
    assert log.faults == ()
    return records


def test_every_frame_is_decided_logged_and_counted(street: Street) -> None:
    summary = run_street(street)
    counts = summary.streams["gate"]
    assert (summary.frames, summary.stopped, summary.good) == (FRAMES, False, True)
    assert sum(counts.decided.values()) == FRAMES
    assert counts.decided[Stage.REFERENCE] == summary.detector_frames
    assert 0 < summary.detector_frames < FRAMES
    assert (counts.dropped, counts.corrupt, counts.missing) == ({}, {}, 0)
    verdicts = verdicts_of(street.folder / "run")
    assert [verdict.sequence for verdict in verdicts] == list(range(FRAMES))
    assert [verdict.time_ns for verdict in verdicts] == [k * 10**8 for k in range(FRAMES)]
    answers = {verdict.sequence: verdict.answer for verdict in verdicts}
    for verdict in verdicts:
        assert (verdict.copied_from is None) == (verdict.stage is Stage.REFERENCE)
        if verdict.copied_from is not None:
            assert verdict.answer == answers[verdict.copied_from]


def test_windows_are_estimated_beside_the_cascade(street: Street) -> None:
    more = """\
windows:
  - {name: people, classes: [person, car], aggregates: [average, presence], size_seconds: 4,
     calls_per_hour: 18000}
"""
    summary = run_street(write_configuration(street, more=more))
    assert summary.frames == FRAMES
    log = EventLog.open(street.folder / "run")
    estimates = [record for record in log.records() if isinstance(record, Estimate)]
    names = {one.name for one in estimates}
    assert names == {
        f"people/{aggregate}/{name}"
        for aggregate in ("average", "presence")
        for name in ("person", "car")
    }
    average = [one for one in estimates if one.name == "people/average/person"]
    assert [one.start_ns for one in average] == [0, 4 * 10**9, 8 * 10**9]
    for one in average:
        frames = street.truth[one.start_ns // 10**8 : one.end_ns // 10**8]
        truth = np.mean([answer.count("person") for answer in frames])
        assert one.frames == 40
        assert 12 <= one.reference_calls <= 22
        assert abs(one.value - truth) < 1
        assert one.low <= one.value <= one.high


def test_the_answers_are_near_the_truth(street: Street) -> None:
    run_street(write_configuration(street, threshold=0.0))
    verdicts = verdicts_of(street.folder / "run")
    near = [
        abs(len(verdict.answer) - len(truth)) <= 1
        for verdict, truth in zip(verdicts, street.truth, strict=True)
    ]
    assert sum(near) / len(near) > 0.8
    assert max(verdict.answer.tracks.max(initial=-1) for verdict in verdicts) >= 2


def test_a_run_is_the_same_twice(street: Street, tmp_path: Path) -> None:
    configuration, text = config.load(street.configuration)
    logs = []
    for name in ("one", "two"):
        run(RunRequest(configuration, text, street.folder, tmp_path / name))
        segments = sorted((tmp_path / name / "log").rglob("*.seg"))
        logs.append(b"".join(path.read_bytes() for path in segments))
    assert logs[0] == logs[1]
    assert len(logs[0]) > 1000


def test_alerts_reach_a_webhook_signed_and_are_in_the_log(street: Street) -> None:
    secret = new_secret()
    more = (
        '  webhooks: [{url: "${URL}", secrets: ["${SECRET}"], allow_private: true}]\n'
        "  json_lines: [{path: out.jsonl, kinds: [alert]}]"
    )
    write_configuration(street, at_least=1, more=more)
    with WebhookReceiver(secret) as receiver:
        summary = run_street(street, {"URL": receiver.url, "SECRET": secret})
        received = receiver.received
    log = EventLog.open(street.folder / "run")
    alerts = [record for record in log.records() if isinstance(record, Alert)]
    assert len(alerts) > 1
    assert (summary.delivered, summary.undelivered) == (len(alerts), {})
    assert [message["data"]["id"] for message in received] == [alert.id for alert in alerts]
    lines = (street.folder / "out.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["id"] for line in lines] == [alert.id for alert in alerts]
    assert alerts[0].configuration == log.manifest.configuration_sha256
    assert alerts[0].model == "silhouette"
    assert secret not in (street.folder / "run" / "manifest.json").read_text(encoding="utf-8")


def test_an_alert_that_cannot_be_delivered_is_told(street: Street) -> None:
    secret = new_secret()
    more = (
        '  webhooks: [{url: "http://127.0.0.1:9/x", secrets: ["${SECRET}"], attempts: 1, '
        "allow_private: true}]"
    )
    write_configuration(street, at_least=1, more=more)
    summary = run_street(street, {"SECRET": secret})
    assert summary.delivered == 0
    assert set(summary.undelivered) == {"unreachable"}
    assert not summary.good


def test_stopping_ends_the_run_as_if_its_input_had_ended(street: Street) -> None:
    stop = threading.Event()
    configuration, text = config.load(street.configuration)
    request = RunRequest(
        configuration, text, street.folder, street.folder / "run", watch=lambda _: stop.set()
    )
    summary = run(request, stop)
    assert summary.stopped
    assert 0 < summary.frames < FRAMES
    assert sum(summary.decided.values()) == summary.frames
    log = EventLog.open(street.folder / "run")
    events = [record for record in log.records() if isinstance(record, StreamEvent)]
    assert [event.kind for event in events] == [EventKind.OPENED, EventKind.ENDED]
    assert (events[-1].reason, events[-1].count) == ("stopped", summary.frames)
    assert len(verdicts_of(street.folder / "run")) == summary.frames


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_a_process_cleanly_with_the_log_intact(
    street: Street, number: signal.Signals
) -> None:
    # A folder of many copies, so that the run lasts until it is interrupted.
    many = street.folder / "many"
    many.mkdir()
    for k in range(400):
        os.link(street.folder / "scene.mp4", many / f"{k}.mp4")
    text = street.configuration.read_text(encoding="utf-8").replace("scene.mp4", "many")
    street.configuration.write_text(text, encoding="utf-8")
    run_dir = street.folder / "run"
    words = ("run", street.configuration, "--json", "--run-dir", run_dir)
    process = subprocess.Popen(
        [sys.executable, "-m", "flows.cli", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while not any(run_dir.rglob("*.seg")) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(number)
    out, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    summary = json.loads(out)
    assert summary["stopped"] is True
    assert sum(summary["decided"].values()) == summary["frames"]
    assert [verdict.sequence for verdict in verdicts_of(run_dir)] == list(range(summary["frames"]))
    assert "Traceback" not in errors


def run_with(street: Street, data: bytes, name: str) -> RunSummary:
    (street.folder / "scene.mp4").write_bytes(data)
    configuration, text = config.load(street.configuration)
    return run(RunRequest(configuration, text, street.folder, street.folder / name))


def test_broken_videos_end_with_counts_and_a_clear_line(street: Street) -> None:
    whole = (street.folder / "scene.mp4").read_bytes()
    nothing = run_with(street, b"", "nothing")
    assert (nothing.frames, nothing.unreadable, nothing.good) == (0, ["gate"], False)
    assert "scene.mp4" in nothing.streams["gate"].last
    flipped = bytearray(whole)
    for at in range(len(whole) // 4, len(whole) * 3 // 4, 997):
        flipped[at] ^= 0x55
    summary = run_with(street, bytes(flipped), "flipped")
    assert 0 < summary.frames <= FRAMES
    assert sum(summary.decided.values()) == summary.frames


def test_one_unreadable_stream_leaves_the_others_unharmed(street: Street) -> None:
    (street.folder / "broken.mp4").write_bytes(b"no video")
    text = street.configuration.read_text(encoding="utf-8")
    text = text.replace("streams:\n", "streams:\n  till: {uri: broken.mp4}\n")
    street.configuration.write_text(text, encoding="utf-8")
    summary = run_street(street)
    assert summary.unreadable == ["till"]
    assert summary.streams["gate"].entered == FRAMES


class Failing:
    """A detector whose device is gone."""

    name = "failing"
    class_names = ("person",)

    def detect(self, images: Sequence[NDArray[np.uint8]]) -> list[Detections]:
        raise SourceError(f"the device is gone, with {len(images)} images")


def test_a_failing_part_is_told_by_its_own_error(street: Street) -> None:
    configuration, text = config.load(street.configuration)
    request = RunRequest(configuration, text, street.folder, street.folder / "run", Failing())
    with pytest.raises(SightflowError, match="^the device is gone, with 8 images$"):
        run(request)


def test_a_run_folder_that_is_a_file_is_told(street: Street) -> None:
    (street.folder / "blocked").write_text("a file, no folder")
    configuration, text = config.load(street.configuration)
    with pytest.raises(LogError, match="blocked"):
        run(RunRequest(configuration, text, street.folder, street.folder / "blocked"))
