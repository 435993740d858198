"""Calibration: the best few plans run in place, and their predicted times are put right.

The cost model adds what was measured stage by stage, with the pass rates of cross-fitted models,
which saw fewer frames than the models that run and are unsure more often: it says too long a time.
Run over the frames that they were trained on, the models that run are surer than they will be: that
takes too short a time, but has in it what stages cost each other. The truth lies between, and its
prediction is the geometric mean. Whether plans are right is judged by cross-fitted scores alone.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from flows.evaluate.driving import timed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flows.evaluate.driving import Stretch
    from flows.evaluate.optimise import Candidate
    from operators.cascade import Models
    from operators.predicate import Predicate

TRIED = 3
"""The candidates that run."""


def calibrated(
    candidates: Sequence[Candidate],
    stretch: Stretch,
    predicate: Predicate,
    models: Models,
    batch: int,
) -> list[Candidate]:
    """The candidates, the fastest few with their times put right and in order again.

    Args:
        candidates: Plans, fastest first.
        stretch: The frames that they were tuned on.
        predicate: The question.
        models: The models that run.
        batch: The most frames in one call of the reference detector.
    """

    def run(candidate: Candidate) -> float:
        return timed(stretch, candidate.plan, predicate, models, batch).seconds

    tried = [replace(one, seconds=math.sqrt(one.seconds * run(one))) for one in candidates[:TRIED]]
    tried.sort(key=lambda candidate: candidate.seconds)
    return [*tried, *candidates[TRIED:]]
