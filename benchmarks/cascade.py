"""Accuracy against speed-up: cascades on recordings, beside "every k-th frame and hold".

For each video a detector labels the first half, the small models are fitted and costs measured;
then each pair of targets picks a plan, which runs over the second half from file to verdicts. The
detector on every frame of that half runs in the same process, before and after the plans, and so
do the trivial plans. Decoding is in every figure but ``speedup_without_decoding``, which takes out
what decoding costs by the measured cost model. ``speedup_heavy`` says what the same plans would
gain over a heavier reference detector: torchvision's Faster R-CNN (ResNet-50), whose time is
measured here, with random weights, so that its answers are taken to be yolox_nano's.

Run: ``python -m benchmarks.cascade FOLDER`` with a folder that holds the clips
``video/one-by-one-person-detection.mp4`` and ``video/vtest.avi``. Writes benchmarks/results/
cascade.json and cascade.png.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import torch
import torchvision

from benchmarks.hardware import hardware
from connectors.video import VideoSettings
from flows.evaluate.driving import timed
from flows.evaluate.hold import undominated
from flows.evaluate.optimise import Quality, Targets, optimise
from flows.evaluate.recording import record
from flows.evaluate.simulate import simulate
from flows.evaluate.tuning import CascadeStudy, tune
from flows.probe import count_frames
from models.detectors import DetectorSettings, load_detector
from operators.plan import Plan
from operators.predicate import Predicate

mpl.use("agg")
from matplotlib import pyplot as plt
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

if TYPE_CHECKING:
    from flows.evaluate.driving import Stretch
    from flows.evaluate.table import Table
    from flows.evaluate.tuning import Tuned

TARGETS = (0.8, 0.9, 0.95, 0.97, 0.98, 0.99, 0.995)
"""Targets of recall and precision alike."""

MOST_DECODING = 0.95
"""The most of a run that may be taken for decoding: the cost model is not exact."""

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


PATH_ZONE = ((500.0, 100.0), (768.0, 100.0), (768.0, 300.0), (500.0, 300.0))
"""Where the path leaves the picture of vtest.avi, pixels."""

CASES = (
    Case("a person in view", "one-by-one-person-detection.mp4", Predicate("person"), 0.3),
    Case("a person on the path", "vtest.avi", Predicate("person", zone=PATH_ZONE), 0.4),
    Case("at least 6 persons", "vtest.avi", Predicate("person", at_least=6), 0.4),
)

HEAVY = "torchvision:fasterrcnn_resnet50_fpn"
"""The heavier reference detector."""

HEAVY_FRAMES = 6
"""Frames on which its time is measured."""


def judged(stretch: Stretch, plan: Plan, case: Case, tuned: Tuned, unseen: Table) -> dict[str, Any]:
    """Run a plan and say how right and how fast it was, and what decoding cost."""
    driven = timed(stretch, plan, case.predicate, tuned.models, 8)
    calls = sum(verdict.stage == "reference" for verdict in driven.verdicts)
    quality = Quality.of(driven.positive, unseen.truth).to_json()
    counts = simulate(plan, unseen).counts
    decoding = counts.keyframes * tuned.costs.keyframe + counts.others * tuned.costs.other
    return {
        **quality,
        "fps": round(driven.fps, 1),
        "reference_calls": calls,
        "seconds": driven.seconds,
        "decoding_seconds": min(decoding, driven.seconds * MOST_DECODING),
    }


def heavy_seconds(stretch: Stretch) -> float:
    """What the heavier detector takes for a frame, seconds."""
    weights = torchvision.models.detection.fasterrcnn_resnet50_fpn(
        weights=None, weights_backbone=None
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "random.pth"
        torch.save(weights.state_dict(), path)
        heavy = load_detector(DetectorSettings(HEAVY, weights=str(path)))
    images = [frame.pixels.rgb() for frame in islice(stretch.frames(), HEAVY_FRAMES)]
    heavy.detect(images[:1])
    begun = time.perf_counter()
    for image in images:
        heavy.detect([image])
    return (time.perf_counter() - begun) / len(images)


def compare(
    rows: list[dict[str, Any]], frames: int, reference: float, tuned: Tuned, heavy: float
) -> None:
    """Add the speed-ups: over the reference, without decoding, and over a heavier reference."""
    costs = tuned.costs
    for row in rows:
        seconds, decoding = row.pop("seconds"), row.pop("decoding_seconds")
        calls = row["reference_calls"]
        alone = reference - frames * costs.other
        slower = heavy - costs.reference
        row["speedup"] = round(reference / seconds, 2)
        row["speedup_without_decoding"] = round(alone / (seconds - decoding), 2)
        row["speedup_heavy"] = round((reference + frames * slower) / (seconds + calls * slower), 2)


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
    before = record(second, detector, case.predicate, study.size, 8)
    unseen = tuned.scored(before.table)
    truth = unseen.truth
    plans = []
    for target in TARGETS:
        found = optimise(tuned.fitted.table, tuned.costs, Targets(target, target))
        for table in (tuned.fitted.table, tuned.fitted.forward):
            found = undominated(found, table, tuned.costs)
        best = found[0]
        row = judged(second, best.plan, case, tuned, unseen)
        predicted = len(tuned.fitted.table) / best.seconds
        plans.append(
            {"target": target, "stages": best.plan.stages, "predicted_fps": round(predicted, 1)}
            | row
        )
    holds = [
        {"stride": stride, **judged(second, Plan(stride=stride), case, tuned, unseen)}
        for stride in STRIDES
    ]
    after = record(second, detector, case.predicate, 0, 8)
    reference_seconds = (before.seconds + after.seconds) / 2
    reference_fps = len(truth) / reference_seconds
    heavy = heavy_seconds(second)
    compare([*plans, *holds], len(truth), reference_seconds, tuned, heavy)
    return {
        "case": case.name,
        "video": case.video,
        "frames": len(truth),
        "positive_share": round(float(truth.mean()), 4),
        "reference": detector.name,
        "reference_fps": round(reference_fps, 2),
        "reference_fps_runs": [round(len(truth) / run.seconds, 2) for run in (before, after)],
        "heavy_reference": {"model": HEAVY, "milliseconds": round(1000 * heavy, 1)},
        "costs_microseconds": tuned.costs.to_json(),
        "optimiser_seconds": round(tuned.seconds, 1),
        "plans": plans,
        "every_kth_and_hold": holds,
    }


def draw(results: list[dict[str, Any]], path: Path) -> None:
    """Draw accuracy against speed-up, one panel a case."""
    figure, axes = plt.subplots(1, len(results), figsize=(5.6 * len(results), 4.6), squeeze=False)
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
        axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}x"))
        axis.xaxis.set_minor_formatter(NullFormatter())
        axis.set_xlabel(f"speed-up over {result['reference']} on every frame")
        axis.set_ylabel("frames with the same answer, %")
        axis.set_title(f"{result['case']} ({result['video']})", fontsize=10)
        axis.grid(visible=True, which="both", alpha=0.25)
        axis.legend(loc="lower left")
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def main() -> None:
    """Measure, print, write and draw."""
    results = [measure(case, Path(sys.argv[1])) for case in CASES]
    value = {
        "date": datetime.now(UTC).date().isoformat(),
        "hardware": hardware(),
        "left_out": "GPU; several streams at once: see streams.json",
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
