"""Tuning on the first half of a video: labels, small models, costs, and the choice of a plan."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from flows.evaluate.calibration import calibrated
from flows.evaluate.driving import (
    BATCH_FRAMES,
    Stretch,
    state_at,
)
from flows.evaluate.fitting import FitSettings, Fitted, fit
from flows.evaluate.hold import undominated
from flows.evaluate.measuring import measure_costs
from flows.evaluate.optimise import Candidate, Targets, optimise
from flows.evaluate.recording import record
from models.certification import Contract
from operators.cascade import Models
from records import RecordError

if TYPE_CHECKING:
    from collections.abc import Callable

    from connectors.video import VideoSettings
    from flows.evaluate.table import Table
    from models.optimiser import Costs
    from operators.plan import Plan
    from operators.predicate import Predicate
    from records import Detector

FEWEST_FRAMES = 256
"""A video needs this many frames to be cut into halves that say anything."""


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
        require_certificate: Whether the plan that runs is the one that certification accepts, at
            worst the reference detector alone, and not the fastest tuned one.

    Raises:
        RecordError: the video is too short.
    """

    video: VideoSettings
    frames: int
    predicate: Predicate
    targets: Targets
    confidence: float = 0.95
    fit: FitSettings = field(default_factory=FitSettings)
    batch: int = 8
    block_seconds: float = 60.0
    require_certificate: bool = False

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
    def contract(self) -> Contract:
        """What is to be certified."""
        return Contract(self.targets.recall, self.targets.precision, self.confidence)

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

    def scored(self, table: Table) -> Table:
        """A table with the scores of the models that run."""
        packets, specialised = self.fitted.packets, self.fitted.specialised
        return table.with_scores(
            packets.score(table.coded_bytes, table.keyframe, table.reordered) if packets else None,
            specialised.score(table.images) if specialised else None,
        )


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
    fitted = fit(
        recorded.table,
        study.fit,
        study.predicate.at_least,
        str(study.predicate),
        lambda text: tell(f"fitting the small models, {text}"),
    )
    models = Models(detector, fitted.specialised, fitted.packets)
    tell("measuring costs")
    costs = measure_costs(first, study.predicate, models, study.batch, score_batch=64)
    tell("choosing a plan")
    found = optimise(fitted.table, costs, study.targets)
    for table in (fitted.table, fitted.forward):
        found = undominated(found, table, costs)
    tuned = Tuned(found, fitted, costs, models, 0.0)
    best = calibrated(found, first, study.predicate, models, study.batch)
    return replace(tuned, candidates=best, seconds=time.perf_counter() - begun)
