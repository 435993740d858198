"""The same recording and configuration give the same bytes: in other processes, at any pace."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from tests.support.logs import log_bytes

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.recordings import Town


def start(town: Town, recording: Path, run_dir: Path, *more: str) -> subprocess.Popen[str]:
    words = ["replay", recording, town.folder / "town.yaml", "--run-dir", run_dir, "--json", *more]
    return subprocess.Popen(
        [sys.executable, "-m", "flows.cli", *map(str, words)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def ended(process: subprocess.Popen[str]) -> dict[str, Any]:
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    found: dict[str, Any] = json.loads(out)
    return found


def test_two_processes_at_two_speeds_give_the_same_bytes(town: Town, tmp_path: Path) -> None:
    windows = "windows: [{name: people, classes: [person], size_seconds: 2, calls_per_hour: 9000}]"
    town.write(more=windows)
    one, two = tmp_path / "one", tmp_path / "two"
    processes = [start(town, town.videos, one), start(town, town.videos, two, "--speed", "8")]
    told = [ended(process) for process in processes]
    assert told[0]["sha256"] == told[1]["sha256"]
    assert [one["speed"] for one in told] == ["max", "8"]
    assert told[0]["records"] == told[1]["records"]
    assert told[0]["records"]["estimate"] > 2
    assert log_bytes(one) == log_bytes(two)
    assert sorted(log_bytes(one)) == ["log/gate/00000000.seg", "log/till/00000000.seg"]
    lines = (one / "out.jsonl").read_bytes()
    assert lines == (two / "out.jsonl").read_bytes()
    assert lines.count(b"\n") == sum(told[0]["records"].values())
