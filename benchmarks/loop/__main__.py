"""The whole loop, unattended: drift, alarm, queue, training, shadow, swap, contract restored.

Run: ``python -m benchmarks.loop [asset] [street] [--quick]``. Two processes of Sightflow work side
by side, as at a user's: ``sightflow run``, with an empty registry, and ``sightflow train``. Nobody
touches them. Night falls on the stream, the camera is nudged (`benchmarks.loop.drift`). Afterwards
every answer is compared with that of the reference detector on the same frame. Writes
benchmarks/results/loop.json, and a picture for each stream beside it.

* ``asset``: one-by-one-person-detection.mp4 again and again, yolox_nano as reference. The clip
  repeats, so a model trained on one round of it has seen much the same in the next: what the night
  changes is the drift, not who walks by.
* ``street``: a drawn street that never repeats, yolox_nano as reference, too.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.hardware import hardware
from benchmarks.loop.drift import Drift, repeated, street, write_drifting
from benchmarks.loop.judge import Course, course, reference_answers
from benchmarks.loop.picture import Mark, draw
from benchmarks.loop.throughput import throughput
from connectors.scene import SceneSettings
from flows import config
from flows.build import detector_settings
from models.detectors import load_detector
from models.registry import ChangeKind, Registry
from operators.predicate import Predicate
from records.units import NANOSECONDS

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks" / "results"

RATE_HZ = 10
"""Frames a second of the streams."""

CLIP_FRAMES = 1394
"""Frames of the asset."""

WINDOW_SECONDS = 30.0
"""The stretches that the picture tells of."""

REFERENCE = "{model: yolox_nano, classes: [person], threads: 1}"
"""The section of the reference detector."""

CONFIGURATION = """\
version: 1
name: loop
streams:
  gate: {{uri: drifting.mp4, start: 2026-05-01T18:00:00Z, speed: {speed}, batch_frames: 8}}
detector: {detector}
track: null
cascade:
  predicate: {{class: person, at_least: 1}}
  trained: registry:gate
  contract:
    recall: {target}
    precision: {target}
    audit_seconds: 1
    start: tuned
    trial_seconds: null
models:
  directory: registry
  poll_seconds: 0.5
  shadow: {{least_audited: 40, most_seconds: 240}}
  probation_seconds: 600
retraining:
  queue: queue.sqlite3
  random_seconds: 4
  reference_seconds: 0.5
  hold_seconds: 0
  near_bits: -1
  crop_side_at_most: 320
training:
  model: gate
  kind: cascade
  queue_items: 160
  items: 400
  on_alarm: true
  block_seconds: 3
  seconds: 120
sinks: {{console: null, event_log: {{directory: runs}}}}
"""


@dataclass(frozen=True, slots=True)
class Case:
    """A stream that drifts, and what is asked of it.

    Attributes:
        seconds: How long it is.
        drift: How it drifts.
        detector: The section of the reference detector.
        threshold: Of the difference detector.
        target: Recall and precision of the contract.
        write: Writes the stream into a folder.
        what: In words.
    """

    seconds: float
    drift: Drift
    detector: str
    threshold: float
    target: float
    write: Callable[[Path, Drift], int]
    what: str


def asset(*, quick: bool) -> Case:
    """The clip, again and again."""
    loops = 4 if quick else 11
    drift = Drift(night_seconds=1.6 * 139.4 if quick else 4 * 139.4)
    if not quick:
        drift = replace(drift, nudge_seconds=drift.night_seconds + 10)
    clip = Path(os.environ["SIGHTFLOW_ASSETS"]) / "video" / "one-by-one-person-detection.mp4"

    def write(folder: Path, drift: Drift) -> int:
        return write_drifting(folder / "drifting.mp4", repeated(clip, loops), RATE_HZ, drift)

    return Case(
        loops * CLIP_FRAMES / RATE_HZ, drift,
        REFERENCE, 5.0, 0.9, write,
        "one-by-one-person-detection.mp4, repeated",
    )  # fmt: skip


def drawn(*, quick: bool) -> Case:
    """A drawn street."""
    scene = SceneSettings(
        width=640, height=360, seconds=480 if quick else 1500, objects_per_minute=7, noise=1.0,
        seed=11,
    )  # fmt: skip
    drift = Drift(night_seconds=180 if quick else 540, noise=3.0)

    def write(folder: Path, drift: Drift) -> int:
        return write_drifting(folder / "drifting.mp4", street(scene), RATE_HZ, drift)

    return Case(
        scene.seconds,
        drift,
        "{model: yolox_nano, classes: [person], threads: 1}",
        12.0,
        0.9,
        write,
        "a drawn street",
    )


CASES = {"asset": asset, "street": drawn}
"""The streams, by name."""


@dataclass(frozen=True, slots=True)
class Ran:
    """What a run left behind.

    Attributes:
        run_dir: The folder of the run.
        began_ns: When the flow had begun to decide, nanoseconds since 1970 UTC.
        wall_seconds: From the start of both processes to the end of the flow.
        rounds: What the trainer said of its rounds.
    """

    run_dir: Path
    began_ns: int
    wall_seconds: float
    rounds: list[dict[str, Any]]


def run_loop(folder: Path, case: Case, speed: float) -> Ran:
    """Run the flow and the trainer beside it until the stream ends."""
    configuration = folder / "loop.yaml"
    configuration.write_text(
        CONFIGURATION.format(speed=speed, detector=case.detector, target=case.target),
        encoding="utf-8",
    )
    command = [sys.executable, "-m", "flows.cli"]
    begun = time.perf_counter()
    with (folder / "train.log").open("wb") as told, (folder / "run.log").open("wb") as log:
        trainer = subprocess.Popen(  # noqa: S603 - this project's own command
            [*command, "train", str(configuration), "--json"],
            cwd=ROOT, stdout=subprocess.PIPE, stderr=told,
        )  # fmt: skip
        try:
            subprocess.run(  # noqa: S603 - this project's own command
                [*command, "run", str(configuration), "--json"],
                cwd=ROOT, stdout=log, stderr=log, check=True,
            )  # fmt: skip
            seconds = time.perf_counter() - begun
            trainer.send_signal(signal.SIGINT)
            said, _ = trainer.communicate(timeout=120)
        finally:
            trainer.kill()
    (run_dir,) = (folder / "runs").iterdir()
    began_ns = time.time_ns() - round(case.seconds / speed * NANOSECONDS)
    return Ran(run_dir, began_ns, seconds, json.loads(said)["rounds"])


def marks_of(case: Case, ran: Ran, found: Course, registry: Registry, speed: float) -> list[Mark]:
    """What happened, on the scale of event time."""
    marks = [Mark(case.drift.night_seconds, "drift", "night falls")]
    if case.drift.nudge_seconds < case.seconds:
        marks.append(Mark(case.drift.nudge_seconds, "drift", "camera nudged"))
    for seconds, reason, detail in found.events:
        if reason.endswith("_broken"):
            marks.append(Mark(seconds, "alarm", reason.replace("_", " ")))
        elif reason.startswith("shadow_"):
            marks.append(Mark(seconds, "shadow", reason.removeprefix("shadow_")))
        elif reason == "swapped":
            marks.append(Mark(seconds, "swap", detail.replace("gate", "").replace("@", "")))
    for change in registry.history("gate"):
        if change.what is ChangeKind.ADDED:
            seconds = (change.time_ns - ran.began_ns) / NANOSECONDS * speed
            marks.append(Mark(max(seconds, 0.0), "trained", f"version {change.number}"))
    return marks


def figures_of(case: Case, found: Course, ran: Ran) -> dict[str, Any]:
    """The figures of a run: before the drift, from it to the last swap, and after."""
    swaps = [seconds for seconds, reason, _ in found.events if reason == "swapped"]
    night = case.drift.night_seconds
    day_begins = next((one for one in swaps if one < night), 0.0)
    night_begins = max((one for one in swaps if one > night), default=float("nan"))
    stretches = (
        {
            "before": found.between(day_begins, night),
            "drifting": found.between(night, night_begins),
            "after": found.between(night_begins, case.seconds),
        }
        if night_begins == night_begins
        else {"before": found.between(day_begins, night)}
    )
    return {
        "what": case.what,
        "seconds_of_event_time": case.seconds,
        "wall_seconds": round(ran.wall_seconds, 1),
        "frames": len(found.truth),
        "swaps": [round(one, 1) for one in swaps],
        "events": [[round(at, 1), reason, detail] for at, reason, detail in found.events],
        "stretches": {
            name: {key: round(value, 4) for key, value in one.items()}
            for name, one in stretches.items()
        },
        "rounds": ran.rounds,
    }


def try_case(name: str, *, quick: bool, speed: float, keep: Path | None) -> dict[str, Any]:
    """Run one case and judge it."""
    case = CASES[name](quick=quick)
    with tempfile.TemporaryDirectory(prefix="loop-") as temporary:
        folder = Path(temporary) if keep is None else keep / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        frames = case.write(folder, case.drift)
        sys.stderr.write(f"{name}: {frames} frames written\n")
        ran = run_loop(folder, case, speed)
        sys.stderr.write(f"{name}: ran for {ran.wall_seconds:.0f} s; judging\n")
        configuration, _ = config.load(folder / "loop.yaml")
        detector = load_detector(detector_settings(configuration, folder))
        _, truth = reference_answers(folder / "drifting.mp4", detector, Predicate("person", 1))
        found = course(ran.run_dir, "gate", truth)
        registry = Registry(folder / "registry", time.time_ns)
        title = f"{case.what}: night falls; nobody does anything"
        picture = RESULTS / f"loop-{name}{'-quick' if quick else ''}.png"
        draw(picture, found, marks_of(case, ran, found, registry, speed), WINDOW_SECONDS, title)
        figures = figures_of(case, found, ran)
        if not quick:
            figures["throughput"] = throughput(folder, "loop.yaml", case.detector)
    return figures


def main() -> None:
    """Try the cases that are named."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.loop")
    parser.add_argument("cases", nargs="*", default=list(CASES), help="asset, street")
    parser.add_argument("--quick", action="store_true", help="shorter streams")
    parser.add_argument("--speed", type=float, default=3.0, help="event seconds a second")
    parser.add_argument("--keep", type=Path, help="keep all files in this folder")
    given = parser.parse_args()
    path = RESULTS / "loop.json"
    result = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"cases": {}}
    for name in given.cases:
        figures = try_case(name, quick=given.quick, speed=given.speed, keep=given.keep)
        print(json.dumps(figures, indent=2))
        result["cases"][name] = {
            "date": datetime.now(UTC).date().isoformat(), "quick": given.quick, **figures
        }  # fmt: skip
    result["hardware"] = hardware()
    if not given.quick:
        path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
