"""The optimiser: of all plans, the one that is predicted to be the fastest and still right enough.

NoScope (Kang et al., VLDB 2017), section 6. Plans are enumerated over the stages, the stride and
the share of the allowed errors that each scoring stage may use up; their thresholds come from one
sorted sweep each; their answers and counts are simulated; their time is predicted from costs that
were measured in place.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from flows.evaluate.simulate import Outcome, simulate
from models.optimiser import Costs, predicted_seconds
from models.thresholds import ThresholdSweep
from operators.difference import DifferenceSettings
from operators.plan import REFERENCE, Band, Plan
from records import RecordError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from flows.evaluate.table import Table

STRIDES = (1, 2, 3, 4, 5, 7, 10, 15, 20, 30)
"""The strides that are tried, frames."""

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
"""The shares of the allowed errors that a scoring stage may use up."""

QUIET_QUANTILES = (0.3, 0.6, 0.85)
"""Difference thresholds that are tried, as quantiles of the change from frame to frame."""

PHASES = 4
"""The beginnings at which a stride must reach the targets."""


@dataclass(frozen=True, slots=True)
class Targets:
    """What a plan must reach, against the reference detector's answers.

    Attributes:
        recall: Least share of the positive frames that must be reported, 0..1.
        precision: Least share of the reported frames that must be positive, 0..1.
        accuracy: Least share of all frames that must be right, 0..1; 0 asks for none.
        margin: The share of the allowed errors that a plan may use up on the data it is tuned on,
            0..1. What is left is for the difference between those data and later ones.

    Raises:
        RecordError: a field is out of its range.
    """

    recall: float
    precision: float
    accuracy: float = 0.0
    margin: float = 0.5

    def __post_init__(self) -> None:
        for name in ("recall", "precision", "accuracy", "margin"):
            if not 0 <= getattr(self, name) <= 1:
                raise RecordError(f"{name} must be in 0..1, got {getattr(self, name)}")

    def tightened(self, share: float) -> Targets:
        """The targets when only this share of the allowed errors may be used up.

        >>> Targets(recall=0.9, precision=0.8).tightened(0.5).precision
        0.9
        """

        def tight(target: float) -> float:
            return 1 - (1 - target) * share

        accuracy = tight(self.accuracy) if self.accuracy else 0.0
        return Targets(tight(self.recall), tight(self.precision), accuracy, self.margin)


@dataclass(frozen=True, slots=True)
class Quality:
    """How answers compare with the truth.

    Attributes:
        recall: True positives among positives; 1 when there are none.
        precision: True positives among reported; 1 when nothing is reported.
        accuracy: Right answers among all; 1 when there are no frames.
    """

    recall: float
    precision: float
    accuracy: float

    @classmethod
    def of(cls, positive: NDArray[np.bool_], truth: NDArray[np.bool_]) -> Quality:
        """Compare answers with the truth, both bool (n,)."""
        hits = int(np.count_nonzero(positive & truth))
        positives, reported = int(truth.sum()), int(positive.sum())
        right = int(np.count_nonzero(positive == truth))
        return cls(
            hits / positives if positives else 1.0,
            hits / reported if reported else 1.0,
            right / len(truth) if len(truth) else 1.0,
        )

    def to_json(self) -> dict[str, float]:
        """The shares as plain JSON values."""
        return {
            "recall": round(self.recall, 5),
            "precision": round(self.precision, 5),
            "frame_accuracy": round(self.accuracy, 5),
        }

    def meets(self, targets: Targets) -> bool:
        """Whether every target is reached."""
        return (
            self.recall >= targets.recall
            and self.precision >= targets.precision
            and self.accuracy >= targets.accuracy
        )


@dataclass(frozen=True, slots=True)
class Candidate:
    """A plan that reaches the targets on the data it was tuned on.

    Attributes:
        plan: The plan.
        seconds: Its predicted time on those data, seconds.
        quality: Its quality on those data.
    """

    plan: Plan
    seconds: float
    quality: Quality


def optimise(table: Table, costs: Costs, targets: Targets) -> list[Candidate]:
    """Find the plans that reach the targets, the fastest first.

    The last is never slower than the reference detector alone, which is always among them.

    Args:
        table: The data to tune on, with the scores of models that were not trained on them.
        costs: What each thing costs.
        targets: What must be reached; tightened here by their margin.
    """
    tight = targets.tightened(targets.margin)
    best: dict[object, Candidate] = {}
    for plan in dict.fromkeys(plans(table, targets)):
        outcome, quality = outcome_of(plan, table)
        if not quality.meets(tight) or not all(one.meets(tight) for one in _shifted(plan, table)):
            continue
        seconds = predicted_seconds(costs, outcome.counts)
        candidate = Candidate(plan, seconds, quality)
        # A stage that changes nothing is left out, whatever little it costs.
        same = outcome.positive.tobytes(), replace(outcome.counts, lumas=0)
        if same not in best or _order(candidate) < _order(best[same]):
            best[same] = candidate
    found = sorted(best.values(), key=lambda one: one.seconds)
    alone = next(place for place, one in enumerate(found) if one.plan == REFERENCE)
    return found[: alone + 1]


def _order(candidate: Candidate) -> tuple[int, float]:
    """Among plans that do the same: the fewest stages, then the fastest."""
    return len(candidate.plan.stages), candidate.seconds


def _shifted(plan: Plan, table: Table) -> Iterator[Quality]:
    """The quality when a stride begins at other frames: which ones it looks at is luck."""
    for phase in range(1, PHASES) if plan.stride > 1 else ():
        later = table.part(plan.stride * phase // PHASES, len(table))
        yield outcome_of(plan, later)[1]


def plans(table: Table, targets: Targets) -> Iterator[Plan]:
    """Every plan that is tried on a table."""
    differences = [None, *_differences(table)]
    packets = _bands(table.packet_scores, table.truth, targets)
    for band, stride, difference in product(packets, STRIDES, differences):
        before = Plan(packets=band, stride=stride, difference=difference)
        yield before
        if not len(table.specialised_scores):
            continue
        left = np.ones(len(table), dtype=np.bool_) if band is None else _left(band, table)
        for specialised in _bands(table.specialised_scores[left], table.truth[left], targets):
            if specialised is not None:
                yield Plan(band, stride, difference, specialised)
    yield REFERENCE


def _left(band: Band, table: Table) -> NDArray[np.bool_]:
    return (table.packet_scores >= band.low) & (table.packet_scores <= band.high)


def _bands(
    scores: NDArray[np.float32], truth: NDArray[np.bool_], targets: Targets
) -> list[Band | None]:
    """No band, and the best band for each share of the allowed errors."""
    bands: list[Band | None] = [None]
    if not len(scores):
        return bands
    sweep = ThresholdSweep(scores, truth)
    for share in SHARES:
        tight = targets.tightened(share * targets.margin)
        found = [sweep.for_recall_precision(tight.recall, tight.precision)]
        if targets.accuracy:
            found.append(sweep.for_accuracy(tight.accuracy))
        bands += [Band(one.low, one.high) for one in found if one.referred < 1]
    return list(dict.fromkeys(bands))


def _differences(table: Table) -> list[DifferenceSettings]:
    if len(table.lumas) < 2:
        return []
    lumas = table.lumas.astype(np.float32)
    change = ((lumas[1:] - lumas[:-1]) ** 2).mean(axis=(1, 2))
    height, width = table.lumas.shape[1:]
    thresholds = np.unique(np.quantile(change, QUIET_QUANTILES).round(3))
    return [DifferenceSettings(float(t), width, height) for t in thresholds]


def outcome_of(plan: Plan, table: Table) -> tuple[Outcome, Quality]:
    """What a plan gives on a table, and how good that is."""
    outcome = simulate(plan, table)
    return outcome, Quality.of(outcome.positive, table.truth)
