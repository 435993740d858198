"""`sightflow evaluate cascade`: a cascade is found on one half of a video and judged on the other.

On the first half the reference detector labels every frame, the small models are fitted and
cross-fitted, costs are measured in place, and the optimiser picks a plan. On the second half, which
none of this has seen, a ladder of plans is certified, and the plan runs from file to verdicts; so
do the reference detector on every frame and the trivial plan "every k-th frame, and hold", in the
same run.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flows.evaluate.acceptance import Acceptance, accept, ladder_of
from flows.evaluate.driving import (
    Driven,
    Stretch,
    opening_seconds,
    timed,
)
from flows.evaluate.hold import hold_at
from flows.evaluate.optimise import Quality
from flows.evaluate.recording import Recording, record
from flows.evaluate.simulate import simulate
from flows.evaluate.tuning import CascadeStudy, Tuned, tune
from flows.evaluate.windows import window_accuracies
from flows.trained import Certified, TrainedCascade
from models.certification import accuracy_bounds, event_blocks
from models.optimiser import predicted_seconds
from records import Stage

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from operators.cascade import Models
    from operators.plan import Plan
    from records import Detector


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What was found and what it is worth.

    Attributes:
        tuned: What the first half gave.
        acceptance: What certification on the second half said.
        report: Plain JSON values; the fields are those of design section 8.
    """

    tuned: Tuned
    acceptance: Acceptance
    report: dict[str, Any]


def evaluate_cascade(
    study: CascadeStudy, detector: Detector, tell: Callable[[str], None]
) -> Evaluation:
    """Find a cascade on the first half of a video, and judge it on the second.

    Args:
        study: What is evaluated.
        detector: The reference detector.
        tell: Called with each step's name.
    """
    tuned = tune(study, detector, tell)
    second = study.second
    tell("running the detector on every frame of the second half")
    reference = record(second, detector, study.predicate, study.size, study.batch)
    tell("certifying")
    ladder = ladder_of(tuned.candidates, study.targets)
    unseen = tuned.scored(reference.table)
    acceptance = accept(ladder, unseen, study.contract, study.block_seconds)
    plan = acceptance.plan if study.require_certificate else tuned.plan
    tell("running the plan on the second half")
    driven = timed(second, plan, study.predicate, tuned.models, study.batch)
    tell("running the trivial baseline")
    quality = Quality.of(driven.positive, reference.table.truth)
    hold = _hold(study, second, tuned.models, reference, quality)
    reference_fps = len(driven.verdicts) / reference.seconds
    report = {
        **quality.to_json(),
        **_report(study, tuned, plan, driven, reference),
        "predicted_fps": round(_predicted_fps(study, tuned, plan), 1),
        "predicted_fps_given_counts": round(
            len(unseen) / predicted_seconds(tuned.costs, simulate(plan, unseen).counts), 1
        ),
        "contract": acceptance.to_json(),
        "reference_fps": round(reference_fps, 2),
        "speedup": round(driven.fps / reference_fps, 2),
        "hold_baseline": {**hold, "speedup": round(hold["fps"] / reference_fps, 2)},
    }
    return Evaluation(tuned, acceptance, report)


def trained_cascade(study: CascadeStudy, found: Evaluation, reference: str) -> TrainedCascade:
    """What was found, to be saved and run.

    Args:
        study: What was evaluated.
        found: What was found.
        reference: The name of the reference detector.
    """
    acceptance, fitted = found.acceptance, found.tuned.fitted
    plans = tuple(rung.plan for rung in acceptance.ladder) or (found.tuned.plan,)
    best = acceptance.ladder[acceptance.place or 0] if acceptance.ladder else None
    return TrainedCascade(
        reference=reference,
        predicate=study.predicate,
        plans=plans,
        contract=study.contract,
        certified=Certified(
            acceptance.place,
            best.recall_low if best else 0.0,
            best.precision_low if best else 0.0,
            acceptance.blocks,
        ),
        specialised=fitted.specialised,
        packets=fitted.packets,
    )


def _predicted_fps(study: CascadeStudy, tuned: Tuned, plan: Plan) -> float:
    """What the first half says of the second: its rates, and the way to where it begins."""
    first, second = study.first, study.second
    candidate = next(one for one in tuned.candidates if one.plan == plan)
    frames = second.stop - second.start
    opening = max(opening_seconds(second) - opening_seconds(first), 0.0)
    return frames / (candidate.seconds * frames / len(tuned.fitted.table) + opening)


def _report(
    study: CascadeStudy, tuned: Tuned, plan: Plan, driven: Driven, reference: Recording
) -> dict[str, Any]:
    positive, truth = driven.positive, reference.table.truth
    paper, plain = window_accuracies(positive, truth)
    stages = [verdict.stage for verdict in driven.verdicts]
    shown = plan.to_json()
    best = tuned.candidates[0]
    return {
        "predicate": str(study.predicate),
        "plan": shown,
        "thresholds": {name: shown[name] for name in ("packets", "difference", "specialised")},
        "frames": len(truth),
        "stages": {str(stage): stages.count(stage) for stage in Stage},
        "reference_calls": stages.count(Stage.REFERENCE),
        "window_accuracy": round(paper, 5),
        "window_accuracy_plain": round(plain, 5),
        "fps": round(driven.fps, 1),
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
    best = hold_at(quality.accuracy, reference.table)
    driven = timed(second, best, study.predicate, models, study.batch)
    accuracy = Quality.of(driven.positive, reference.table.truth).accuracy
    return {
        "stride": best.stride,
        "frame_accuracy": round(accuracy, 5),
        "fps": round(driven.fps, 2),
    }
