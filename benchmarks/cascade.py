"""Accuracy against speed-up: cascades on recordings, beside "every k-th frame and hold".

For each video a detector labels the first half, the small models are fitted and costs measured;
then each pair of targets picks a plan, which runs over the second half from file to verdicts. The
detector on every frame of that half runs in the same process, before and after the plans, and so do
the trivial plans. Decoding is in every figure.

Run: ``python -m benchmarks.cascade FOLDER`` with a folder that holds the clips
``video/one-by-one-person-detection.mp4`` and ``video/vtest.avi``. Writes benchmarks/results/
cascade.json and cascade.png.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl

from benchmarks.hardware import hardware
from connectors.video import VideoSettings
from flows.evaluate.driving import Stretch, drive
from flows.evaluate.optimise import Quality, Targets, optimise
from flows.evaluate.recording import record
from flows.evaluate.tuning import CascadeStudy, tune
from flows.probe import count_frames
from models.detectors import DetectorSettings, load_detector
from operators.plan import Plan
from operators.predicate import Predicate

mpl.use("agg")
from matplotlib import pyplot as plt

if TYPE_CHECKING:
    import numpy as np

    from operators.cascade import Models

TARGETS = (0.8, 0.9, 0.95, 0.97, 0.98, 0.99, 0.995)
"""Targets of recall and precision alike."""

STRIDES = (2, 3, 5, 10, 20, 30)
"""Of the trivial plan "every k-th frame, and hold"."""

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Case:
    """One video and one question."""

    name: str
    video: str
    predicate: Predicate
    score_at_least: float


CASES = (
    Case("a person in view", "one-by-one-person-detection.mp4", Predicate("person"), 0.3),
    Case("at least 6 persons", "vtest.avi", Predicate("person", at_least=6), 0.4),
)


def judged(
    stretch: Stretch, plan: Plan, case: Case, models: Models, truth: np.ndarray[Any, Any]
) -> dict[str, Any]:
    """Run a plan and say how right and how fast it was."""
    driven = drive(stretch, plan, case.predicate, models, 8)
    calls = sum(verdict.stage == "reference" for verdict in driven.verdicts)
    quality = Quality.of(driven.positive, truth).to_json()
    return {**quality, "fps": round(driven.fps, 1), "reference_calls": calls}


def measure(case: Case, folder: Path) -> dict[str, Any]:
    """Every figure of one case."""
    video = folder / "video" / case.video
    detector = load_detector(
        DetectorSettings(
            "yolox_nano", score_at_least=case.score_at_least, classes=(case.predicate.class_name,)
        )
    )
    study = CascadeStudy(
        VideoSettings(uri=str(video)), count_frames(video), case.predicate, Targets(0.95, 0.95)
    )
    tuned = tune(study, detector, partial(print, case.name, file=sys.stderr))
    second = study.second
    before = record(second, detector, case.predicate, 0, 8)
    truth = before.table.truth
    plans = []
    for target in TARGETS:
        best = optimise(tuned.fitted.table, tuned.costs, Targets(target, target))[0]
        row = judged(second, best.plan, case, tuned.models, truth)
        predicted = len(tuned.fitted.table) / best.seconds
        plans.append(
            {"target": target, "stages": best.plan.stages, "predicted_fps": round(predicted, 1)}
            | row
        )
    holds = [
        {"stride": stride, **judged(second, Plan(stride=stride), case, tuned.models, truth)}
        for stride in STRIDES
    ]
    after = record(second, detector, case.predicate, 0, 8)
    reference_fps = 2 * len(truth) / (before.seconds + after.seconds)
    for row in [*plans, *holds]:
        row["speedup"] = round(row["fps"] / reference_fps, 2)
    return {
        "case": case.name,
        "video": case.video,
        "frames": len(truth),
        "positive_share": round(float(truth.mean()), 4),
        "reference": detector.name,
        "reference_fps": round(reference_fps, 2),
        "reference_fps_runs": [round(len(truth) / run.seconds, 2) for run in (before, after)],
        "costs_microseconds": tuned.costs.to_json(),
        "optimiser_seconds": round(tuned.seconds, 1),
        "plans": plans,
        "every_kth_and_hold": holds,
    }


def draw(results: list[dict[str, Any]], path: Path) -> None:
    """Draw accuracy against speed-up, one panel a case."""
    figure, axes = plt.subplots(1, len(results), figsize=(11, 4.6), squeeze=False)
    for axis, result in zip(axes[0], results, strict=True):
        for key, label, marker in (
            ("plans", "cascade", "o"),
            ("every_kth_and_hold", "every k-th frame, and hold", "s"),
        ):
            rows = sorted(result[key], key=lambda row: row["speedup"])
            axis.plot(
                [row["speedup"] for row in rows],
                [100 * row["frame_accuracy"] for row in rows],
                marker=marker,
                label=label,
            )
        axis.set_xscale("log")
        axis.set_xlabel(f"speed-up over {result['reference']} on every frame")
        axis.set_ylabel("frames with the same answer, %")
        axis.set_title(f"{result['case']} ({result['video']})", fontsize=10)
        axis.grid(visible=True, which="both", alpha=0.25)
        axis.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def main() -> None:
    """Measure, print, write and draw."""
    results = [measure(case, Path(sys.argv[1])) for case in CASES]
    value = {
        "date": datetime.now(UTC).date().isoformat(),
        "hardware": hardware(),
        "left_out": "GPU; several streams at once; heavier reference detectors",
        "results": results,
    }
    (RESULTS / "cascade.json").write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
    draw(results, RESULTS / "cascade.png")
    for result in results:
        sys.stdout.write(f"{result['case']}: reference {result['reference_fps']} frames/s\n")
        for row in [*result["plans"], *result["every_kth_and_hold"]]:
            name = row.get("target") or f"k={row['stride']}"
            sys.stdout.write(
                f"  {name!s:>6} {row['frame_accuracy']:.4f} {row['speedup']:>7.1f}x "
                f"{row['fps']:>8.1f} frames/s {row['reference_calls']:>4} calls\n"
            )


if __name__ == "__main__":
    main()
