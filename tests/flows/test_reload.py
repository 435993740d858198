from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from connectors.log_manifest import read_manifest
from flows import config
from flows.reload import Difference, ReloadSettings, check_change, difference
from records import ConfigurationError, SightflowError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from flows.config import Configuration
    from tests.support.scenes import Street

LIVENESS_SECONDS = 60.0
CAMERA = "  cam: {uri: 'rtsp://camera.example/main'}\n"
RESTART = "cannot change while the run goes on. Stop the run, and begin another with this file."
NEW_NAME = (
    "cannot change while the run goes on. Give the new stream a name of its own, or put the "
    "value back."
)


def changed(street: Street, *swaps: tuple[str, str]) -> Configuration:
    text = street.configuration.read_text(encoding="utf-8")
    for old, new in swaps:
        assert old in text
        text = text.replace(old, new)
    return config.parse(text, "street.yaml", street.folder)


def faults(before: Configuration, now: Configuration, path: Path) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        check_change(before, now, path)
    return [str(fault).partition(": ")[2] for fault in caught.value.faults]


def test_what_differs_is_named(scene: Street) -> None:
    before = changed(scene)
    now = changed(scene, ("  gate:", "  till:"), ("at_least: 2", "at_least: 3"))
    assert difference(before, now) == Difference(("till",), ("gate",), ("streams", "alerts"))
    assert difference(now, now) == Difference((), (), ())


def test_streams_rules_and_thresholds_may_change(scene: Street) -> None:
    before = changed(scene, ("detector:", f"{CAMERA}detector:"))
    now = changed(
        scene,
        ("detector:", f"{CAMERA.replace('main', 'second')}  till: {{uri: scene.mp4}}\ndetector:"),
        ("at_least: 2", "at_least: 3"),
        ("threshold: 100.0", "threshold: 50.0"),
    )
    check_change(before, now, scene.configuration)


def test_every_change_that_needs_another_run_is_told(scene: Street) -> None:
    before = changed(scene, ("detector:", f"{CAMERA}detector:"))
    now = changed(
        scene,
        ("name: street", "name: road"),
        ("{uri: scene.mp4}", "{uri: scene.mp4, start: 2026-05-01T08:00:00Z}"),
        ("detector:", f"{CAMERA.replace('}', ', live: true}')}detector:"),
        ("sinks:\n", "metrics: {port: 0}\nsinks:\n  json_lines: [{path: out.jsonl}]\n"),
    )
    assert faults(before, now, scene.configuration) == [
        f"name: {RESTART}",
        f"sinks: {RESTART}",
        f"metrics: {RESTART}",
        f"streams.cam.live: {NEW_NAME}",
        f"streams.gate.start: {NEW_NAME}",
    ]


def test_streams_stay_where_there_are_several_shards(scene: Street) -> None:
    before = changed(scene, ("name: street", "name: street\nshards: 2"))
    now = changed(
        scene, ("name: street", "name: street\nshards: 2"), ("detector:", f"{CAMERA}detector:")
    )
    assert faults(before, now, scene.configuration) == [
        "streams: cannot change while the run goes on where there are several shards. Stop the "
        "run, and begin another with this file."
    ]


def test_settings_are_checked(tmp_path: Path) -> None:
    with pytest.raises(SightflowError, match=r"^poll_seconds must be above 0, got 0$"):
        ReloadSettings(tmp_path, poll_seconds=0)


def test_watching_is_for_one_process(scene: Street) -> None:
    words = ["run", str(scene.configuration), "--watch", "--processes", "2"]
    done = subprocess.run(
        [sys.executable, "-m", "flows.cli", *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "--watch is for a run in one process" in done.stderr


def test_a_hangup_takes_the_file_up(street: Street) -> None:
    slow = ("{uri: scene.mp4}", "{uri: scene.mp4, speed: 0.2, batch_frames: 1}")
    text = street.configuration.read_text(encoding="utf-8").replace(*slow)
    more = "  event_log: {directory: runs}\n"
    street.configuration.write_text(text + more, encoding="utf-8")
    run_dir = street.folder / "run"
    words = [str(street.configuration), "--run-dir", str(run_dir), "--json"]
    words += ["--recover", str(street.folder / "recovery")]
    with subprocess.Popen(
        [sys.executable, "-m", "flows.cli", "run", *words],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    ) as process:  # fmt: skip
        try:
            wait_until(lambda: any(run_dir.glob("log/*/*.seg")), process)
            changed_text = (text + more).replace("at_least: 2", "at_least: 3")
            street.configuration.write_text(changed_text, encoding="utf-8")
            os.kill(process.pid, signal.SIGHUP)
            wait_until(lambda: bool(read_manifest(run_dir).changes), process)
            os.kill(process.pid, signal.SIGINT)
            out, _ = process.communicate(timeout=LIVENESS_SECONDS)
        finally:
            process.kill()
    assert json.loads(out)["stopped"] is True
    assert [one.configuration for one in read_manifest(run_dir).changes] == [changed_text]


def wait_until(true: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + LIVENESS_SECONDS
    while not true():
        assert process.poll() is None, "the run has ended"
        assert time.monotonic() < deadline, "it does not come about"
        time.sleep(0.02)
