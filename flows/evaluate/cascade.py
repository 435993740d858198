"""`sightflow evaluate cascade`: a cascade is found on one half of a video and judged on the other.

On the first half the reference detector labels every frame, the small models are fitted and
cross-fitted, costs are measured in place, and the optimiser picks a plan. On the second half, which
none of this has seen, the plan runs from file to verdicts; so does the reference detector on every
frame, and the trivial plan "every k-th frame, and hold", in the same run.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from flows.evaluate.driving import BATCH_FRAMES, Driven, Stretch, drive, state_at
from flows.evaluate.fitting import FitSettings, Fitted, fit
from flows.evaluate.measuring import measure_costs
from flows.evaluate.optimise import Candidate, Quality, Targets, optimise, outcome_of
from flows.evaluate.recording import Recording, record
from flows.evaluate.windows import window_accuracies
from models.certification import accuracy_bounds, event_blocks
from operators.cascade import Models
from operators.plan import Plan
from records import RecordError, Stage

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from connectors.video import VideoSettings
    from models.optimiser import Costs
    from operators.predicate import Predicate
    from records import Detector

FEWEST_FRAMES = 8 * BATCH_FRAMES
"""A video needs this many frames to be cut into halves that say anything."""

HOLD_STRIDES = (2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 25, 30, 40, 50, 60, 80, 100)
"""Strides of the trivial baseline, frames."""


@dataclass(frozen=True, slots=True)
class CascadeStudy:
    """What is evaluated.

    Attributes:
        video: The video.
        frames: How many frames it holds.
        predicate: The question.
        targets: What the plan must reach.
        confidence: Of the certified bounds, 0..1.
        fit: How the small models are fitted.
        batch: The most frames in one call of the reference detector.
        block_seconds: The shortest block of time that certification counts as one, seconds.
    """

    video: VideoSettings
    frames: int
    predicate: Predicate
    targets: Targets
    confidence: float = 0.95
    fit: FitSettings = field(default_factory=FitSettings)
    batch: int = 8
    block_seconds: float = 60.0

    def __post_init__(self) -> None:
        if self.frames < FEWEST_FRAMES:
            raise RecordError(
                f"the video must hold at least {FEWEST_FRAMES} frames, got {self.frames}"
            )

    @property
    def size(self) -> int:
        """The side of the specialised model's images, pixels; 0 without one."""
        training = self.fit.specialised
        return 0 if training is None else training.architecture.size

    @property
    def first(self) -> Stretch:
        """The half that tuning sees."""
        return Stretch(self.video, 0, self._middle, None)

    @property
    def second(self) -> Stretch:
        """The half that it does not see; finding its start reads the packets before it."""
        state = state_at(self.video, self._middle)
        return Stretch(self.video, self._middle, self.frames, state)

    @property
    def _middle(self) -> int:
        return self.frames // 2 // BATCH_FRAMES * BATCH_FRAMES


@dataclass(frozen=True, slots=True)
class Tuned:
    """What the first half gave.

    Attributes:
        candidates: The plans that reach the tightened targets there, fastest first.
        fitted: The small models.
        costs: What each thing costs.
        models: The models that run.
        seconds: How long labelling, fitting, measuring and choosing took.
    """

    candidates: list[Candidate]
    fitted: Fitted
    costs: Costs
    models: Models
    seconds: float

    @property
    def plan(self) -> Plan:
        """The plan that is predicted to be the fastest."""
        return self.candidates[0].plan


def tune(study: CascadeStudy, detector: Detector, tell: Callable[[str], None]) -> Tuned:
    """Label, fit, measure and choose on the first half.

    Args:
        study: What is evaluated.
        detector: The reference detector.
        tell: Called with each step's name.
    """
    begun = time.perf_counter()
    first = study.first
    tell("labelling the first half")
    recorded = record(first, detector, study.predicate, study.size, study.batch)
    tell("fitting the small models")
    fitted = fit(recorded.table, study.fit, study.predicate.at_least, str(study.predicate))
    models = Models(detector, fitted.specialised, fitted.packets)
    tell("measuring costs")
    costs = measure_costs(first, study.predicate, models, study.batch, score_batch=64)
    tell("choosing a plan")
    candidates = optimise(fitted.table, costs, study.targets)
    return Tuned(candidates, fitted, costs, models, time.perf_counter() - begun)


def evaluate_cascade(
    study: CascadeStudy, detector: Detector, tell: Callable[[str], None]
) -> dict[str, Any]:
    """Find a cascade on the first half of a video, and judge it on the second.

    Args:
        study: What is evaluated.
        detector: The reference detector.
        tell: Called with each step's name.

    Returns:
        Plain JSON values; the fields are those of design section 8.
    """
    tuned = tune(study, detector, tell)
    second = study.second
    tell("running the plan on the second half")
    driven = drive(second, tuned.plan, study.predicate, tuned.models, study.batch)
    tell("running the detector on every frame of the second half")
    reference = record(second, detector, study.predicate, 0, study.batch)
    truth = reference.table.truth
    quality = Quality.of(driven.positive, truth)
    reference_fps = len(truth) / reference.seconds
    tell("running the trivial baseline")
    hold = _hold(study, second, tuned.models, reference, quality)
    return {
        **quality.to_json(),
        **_report(study, tuned, driven, reference),
        "reference_fps": round(reference_fps, 2),
        "speedup": round(driven.fps / reference_fps, 2),
        "hold_baseline": {**hold, "speedup": round(hold["fps"] / reference_fps, 2)},
    }


def _report(
    study: CascadeStudy,
    tuned: Tuned,
    driven: Driven,
    reference: Recording,
) -> dict[str, Any]:
    positive, truth = driven.positive, reference.table.truth
    paper, plain = window_accuracies(positive, truth)
    stages = [verdict.stage for verdict in driven.verdicts]
    best = tuned.candidates[0]
    plan = tuned.plan.to_json()
    return {
        "predicate": str(study.predicate),
        "plan": plan,
        "thresholds": {name: plan[name] for name in ("packets", "difference", "specialised")},
        "frames": len(truth),
        "stages": {str(stage): stages.count(stage) for stage in Stage},
        "reference_calls": stages.count(Stage.REFERENCE),
        "window_accuracy": round(paper, 5),
        "window_accuracy_plain": round(plain, 5),
        "fps": round(driven.fps, 1),
        "predicted_fps": round(len(tuned.fitted.table) / best.seconds, 1),
        "certified": _certified(study, reference, positive),
        "targets": {"recall": study.targets.recall, "precision": study.targets.precision},
        "tuned": {**best.quality.to_json(), "plans": len(tuned.candidates)},
        "costs_microseconds": tuned.costs.to_json(),
        "optimiser_seconds": round(tuned.seconds, 2),
    }


def _certified(
    study: CascadeStudy, reference: Recording, positive: NDArray[np.bool_]
) -> dict[str, Any]:
    truth = reference.table.truth
    blocks = event_blocks(truth, reference.table.time_ns, study.block_seconds)
    recall_low, precision_low = accuracy_bounds(positive, truth, blocks, study.confidence)
    return {
        "recall_low": round(recall_low, 5),
        "precision_low": round(precision_low, 5),
        "confidence": study.confidence,
        "blocks": len(blocks.starts),
        "block_seconds": study.block_seconds,
        "met": recall_low >= study.targets.recall and precision_low >= study.targets.precision,
    }


def _hold(
    study: CascadeStudy,
    second: Stretch,
    models: Models,
    reference: Recording,
    quality: Quality,
) -> dict[str, Any]:
    """The trivial baseline at equal accuracy: the largest stride that is as right as the plan."""
    best = Plan()
    for stride in HOLD_STRIDES:
        _, held = outcome_of(Plan(stride=stride), reference.table)
        if held.accuracy >= quality.accuracy:
            best = Plan(stride=stride)
    driven = drive(second, best, study.predicate, models, study.batch)
    accuracy = Quality.of(driven.positive, reference.table.truth).accuracy
    return {
        "stride": best.stride,
        "frame_accuracy": round(accuracy, 5),
        "fps": round(driven.fps, 2),
    }
