"""The trivial plan "every k-th frame, and hold", which no cascade may be worse than.

It needs no training, and on a calm stream it is hard to beat. A plan with models is kept only
where it is faster than the trivial plan of equal accuracy, also on later frames than those that
its models were trained on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flows.evaluate.optimise import outcome_of
from models.optimiser import predicted_seconds
from operators.plan import REFERENCE, Plan

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flows.evaluate.optimise import Candidate
    from flows.evaluate.table import Table
    from models.optimiser import Costs

HOLD_STRIDES = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 15, 20, 25, 30, 40, 50, 60, 80, 100)
"""Strides of the trivial plan, frames."""


def hold_at(accuracy: float, table: Table) -> Plan:
    """The trivial plan of the largest stride that is as right on a table.

    Args:
        accuracy: The share of frames that must be right, 0..1.
        table: The frames.
    """
    good = [
        stride
        for stride in HOLD_STRIDES
        if outcome_of(Plan(stride=stride), table)[1].accuracy >= accuracy
    ]
    return Plan(stride=max(good))


def undominated(candidates: Sequence[Candidate], forward: Table, costs: Costs) -> list[Candidate]:
    """The candidates that are not worse than the trivial plan; trivial ones always stay.

    Args:
        candidates: Plans that reach the targets, in some order, which stays.
        forward: Later frames than those that the models were trained on.
        costs: What each thing costs.
    """
    holds = {}
    for stride in HOLD_STRIDES:
        outcome, quality = outcome_of(Plan(stride=stride), forward)
        holds[stride] = quality.accuracy, predicted_seconds(costs, outcome.counts)

    def good(candidate: Candidate) -> bool:
        plan = candidate.plan
        if plan in (REFERENCE, Plan(stride=plan.stride)):
            return True
        outcome, quality = outcome_of(plan, forward)
        trivial = min(
            seconds for accuracy, seconds in holds.values() if accuracy >= quality.accuracy
        )
        return predicted_seconds(costs, outcome.counts) <= trivial

    return [candidate for candidate in candidates if good(candidate)]
