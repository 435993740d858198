"""Calibration: the best few plans run in place, and their predicted times are put right.

The cost model adds what was measured stage by stage. Run together, stages share caches and cores,
and batches are smaller than where they were measured. So the fastest few candidates run over the
frames that they were tuned on, and each prediction is scaled by what that run took against what the
model says of just that run.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from flows.evaluate.driving import timed
from flows.evaluate.simulate import simulate
from models.optimiser import predicted_seconds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flows.evaluate.driving import Stretch
    from flows.evaluate.optimise import Candidate
    from flows.evaluate.table import Table
    from models.optimiser import Costs
    from operators.cascade import Models
    from operators.predicate import Predicate

TRIED = 3
"""The candidates that run."""


def calibrated(
    candidates: Sequence[Candidate],
    stretch: Stretch,
    table: Table,
    costs: Costs,
    predicate: Predicate,
    models: Models,
    batch: int,
) -> list[Candidate]:
    """The candidates with the fastest few put right and in order again.

    Args:
        candidates: Plans, fastest first.
        stretch: The frames that they were tuned on.
        table: The same frames, with the scores of the models that run.
        costs: What each thing costs.
        predicate: The question.
        models: The models that run.
        batch: The most frames in one call of the reference detector.
    """
    right = []
    for candidate in candidates[:TRIED]:
        took = timed(stretch, candidate.plan, predicate, models, batch).seconds
        said = predicted_seconds(costs, simulate(candidate.plan, table).counts)
        right.append(replace(candidate, seconds=candidate.seconds * took / said))
    right.sort(key=lambda candidate: candidate.seconds)
    return [*right, *candidates[TRIED:]]
