"""``kill -9`` at 50 random points: the run ends as if nothing had happened.

Four cameras look at a made street of 90 s; alerts and windows are on. The process is killed at
random moments: some while it starts or finds back, most after its log has begun to grow. It is
started again until it ends; if there are points left, another run begins. Then every record of the
event logs is compared with those of a run that nothing disturbed, byte for byte, and the JSON lines
as a set; but for the events that tell that a file was opened, which a run that goes on tells again.
The same with two processes that share the streams.

Each stream is a shard of its own here: the windows of streams in one shard share a budget, and
which of them is first may differ from run to run.
"""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from benchmarks.chaos.bars import ChaosError, Row, Trial, ended, printed, run_command, started
from connectors.codec import encode
from connectors.replay import EventLog
from connectors.scene import SceneSettings, render, write_scene
from flows.picture import write_picture
from records import Alert, Estimate, EventKind, StreamEvent

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from records import Record

POINTS = {1: 50, 2: 20}
"""How often the process is killed, by the number of processes that share the streams."""

QUICK_POINTS = {1: 4, 2: 2}
"""The same for a quick look."""

SCENE = SceneSettings(width=320, height=180, seconds=90, objects_per_minute=25, noise=1.0, seed=5)
"""What the cameras see."""

EARLY_SHARE = 0.2
"""The share of the points that fall into a start."""

START_SECONDS, SPREAD_SECONDS = 4.0, 0.8
"""How far a point may lie from the start, and from the moment at which the log grows, seconds."""

EPOCH_SECONDS = "0.05"
"""How often snapshots are taken, seconds."""

CONFIGURATION = """\
version: 1
name: street
streams:
  gate: {uri: scene.mp4}
  hall: {uri: scene.mp4, start: 2026-05-01T08:00:00Z}
  till: {uri: scene.mp4, start: 2026-05-01T08:00:30Z}
  yard: {uri: scene.mp4, start: 2026-05-01T09:00:00Z}
shards: 4
detector: {model: silhouette, weights: empty.png}
cascade:
  difference: {threshold: 100, hold_seconds: 2}
track: {}
alerts:
  - {name: people, class: person, at_least: 2, clear_seconds: 0.5}
windows:
  - {name: people, classes: [person], size_seconds: 4, calls_per_hour: 18000}
sinks:
  console: null
  json_lines: [{path: lines.jsonl}]
"""

_GROWTH_BYTES = 200
_POLL_SECONDS = 0.002


@dataclass(frozen=True, slots=True)
class _Street:
    """Where a run has its configuration, its log, its lines and its snapshots."""

    folder: Path

    def command(self, processes: int) -> list[str]:
        words = [
            "--run-dir", str(self.folder / "run"), "--recover", str(self.folder / "recovery"),
            "--epoch-seconds", EPOCH_SECONDS, "--processes", str(processes),
        ]  # fmt: skip
        return run_command(self.folder / "street.yaml", *words)

    def logged_bytes(self) -> int:
        """How large the event log is now."""
        sizes = []
        for path in (self.folder / "run").rglob("*.seg"):
            try:
                sizes.append(path.stat().st_size)
            except FileNotFoundError:
                continue  # it was cut between the two looks
        return sum(sizes)

    def records(self) -> Counter[bytes]:
        """Every record of the event log, encoded.

        Raises:
            ChaosError: the log is damaged.
        """
        log = EventLog.open(self.folder / "run")
        found = Counter(encode(each) for each in log.records() if not _is_opening(each))
        if log.faults:
            raise ChaosError(f"the event log is damaged: {log.faults[0]}")
        return found

    def lines(self) -> set[str]:
        """The JSON lines, each once."""
        lines = (self.folder / "lines.jsonl").read_text(encoding="utf-8").splitlines()
        return {line for line in lines if json.loads(line).get("kind") != EventKind.OPENED}


def _is_opening(record: Record) -> bool:
    return isinstance(record, StreamEvent) and record.kind is EventKind.OPENED


def bars(trial: Trial) -> list[Row]:
    """One row for each number of processes."""
    scene = trial.folder / "scene"
    scene.mkdir()
    write_scene(scene / "scene.mp4", SCENE)
    empty, _ = next(render(replace(SCENE, objects_per_minute=0, noise=0)))
    write_picture(scene / "empty.png", empty)
    points = QUICK_POINTS if trial.quick else POINTS
    plain = _street(trial.folder, "plain")
    _finish(plain, 1)
    return [_row(trial, plain, processes, count) for processes, count in points.items()]


def _row(trial: Trial, plain: _Street, processes: int, points: int) -> Row:
    """Kill until there are enough points; compare every run that ended."""
    chance = random.Random(trial.seed + processes)  # noqa: S311 - when to kill
    wanted, lines = plain.records(), plain.lines()
    kills, differing, runs = 0, [], 0
    while kills < points:
        street = _street(trial.folder, f"killed-{processes}-{runs}")
        runs += 1
        while kills < points and _killed(street, processes, chance):
            kills += 1
        _finish(street, processes)
        if street.records() != wanted or street.lines() != lines:
            differing.append(runs)
    log = EventLog.open(plain.folder / "run")
    counts = Counter(type(record) for record in log.records())
    shared = "" if processes == 1 else f", {processes} processes"
    return Row(
        f"kill -9 at {kills} random points{shared}",
        f"{len(differing)} of {runs} runs differ from the one undisturbed",
        "aggregates and alerts equal the undisturbed run's",
        not differing,
        {
            "kills": kills, "runs": runs, "differing": differing, "records": wanted.total(),
            "alerts": counts[Alert], "estimates": counts[Estimate],
        },
    )  # fmt: skip


def _street(folder: Path, name: str) -> _Street:
    street = _Street(folder / name)
    street.folder.mkdir()
    for file in ("scene.mp4", "empty.png"):
        (street.folder / file).symlink_to(folder / "scene" / file)
    (street.folder / "street.yaml").write_text(CONFIGURATION, encoding="utf-8")
    return street


def _killed(street: _Street, processes: int, chance: random.Random) -> bool:
    """Start a run and kill it at a random point; whether it had not ended before."""
    early = chance.random() < EARLY_SHARE
    after = chance.uniform(0, START_SECONDS if early else SPREAD_SECONDS)
    with started(street.command(processes), street.folder / "printed") as process:
        if not early:
            _wait_for_growth(street, process)
        deadline = time.monotonic() + after
        while process.poll() is None and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
        return process.poll() is None


def _wait_for_growth(street: _Street, process: subprocess.Popen[bytes]) -> None:
    """Wait until the log grows, or the run ends: a run that resumes cuts its log first."""
    least = street.logged_bytes()
    while process.poll() is None and street.logged_bytes() < least + _GROWTH_BYTES:
        least = min(least, street.logged_bytes())
        time.sleep(_POLL_SECONDS)


def _finish(street: _Street, processes: int) -> None:
    """Let a run go to its end."""
    log = street.folder / "printed"
    with started(street.command(processes), log) as process:
        code = ended(process, log)
    if code != 0:
        raise ChaosError(f"the run failed: {printed(log)}")
