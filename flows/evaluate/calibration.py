"""Calibration: the best few plans run in place, and their predicted times become measured ones.

The cost model adds what was measured stage by stage, with the pass rates of cross-fitted models.
Run together, stages share caches and cores, and batches are smaller than where they were measured;
and the models that run, trained on all frames, are surer than those that were cross-fitted. So the
fastest few candidates run over the frames that they were tuned on: what that takes is predicted.
Whether they are right is still judged by cross-fitted scores alone.
"""

from __future__ import annotations

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
    """The candidates, the fastest few with measured times and in the order of these.

    Args:
        candidates: Plans, fastest first.
        stretch: The frames that they were tuned on.
        predicate: The question.
        models: The models that run.
        batch: The most frames in one call of the reference detector.
    """
    tried = [
        replace(one, seconds=timed(stretch, one.plan, predicate, models, batch).seconds)
        for one in candidates[:TRIED]
    ]
    tried.sort(key=lambda candidate: candidate.seconds)
    return [*tried, *candidates[TRIED:]]
