"""Acceptance: which of the tuned plans the accuracy contract may rest on.

From the tuned candidates a short ladder is taken, each rung tuned to use up fewer of the allowed
errors than the one before. On the half that tuning never saw, certification goes from the safest
rung towards the cheapest and stops at the first that is not proven (`models.certification`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flows.evaluate.optimise import outcome_of
from models.certification import (
    Contract,
    accuracy_bounds,
    blocks_needed,
    certify,
    event_blocks,
)
from operators.plan import REFERENCE
from records.units import NANOSECONDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flows.evaluate.optimise import Candidate, Targets
    from flows.evaluate.table import Table
    from operators.plan import Plan

RUNGS = (1.0, 0.6, 0.3, 0.1, 0.0)
"""The share of the margin that each rung of the ladder may use up, cheapest first."""


@dataclass(frozen=True, slots=True)
class Rung:
    """A plan of the ladder, judged on unseen frames.

    Attributes:
        plan: The plan.
        recall_low: Lower bound of its recall, 0..1.
        precision_low: Lower bound of its precision, 0..1.
    """

    plan: Plan
    recall_low: float
    precision_low: float


@dataclass(frozen=True, slots=True)
class Acceptance:
    """What certification said.

    Attributes:
        ladder: The plans, cheapest first, without the reference detector alone.
        place: The place of the plan that is accepted; None for the reference detector alone.
        blocks: Blocks of time that it rests on.
        needed: Blocks that a plan without any error would need; None when no number would do.
        block_seconds: The mean length of a block, seconds.
    """

    ladder: tuple[Rung, ...]
    place: int | None
    blocks: int
    needed: int | None
    block_seconds: float

    @property
    def plan(self) -> Plan:
        """The plan that the contract may rest on."""
        return REFERENCE if self.place is None else self.ladder[self.place].plan

    def to_json(self) -> dict[str, Any]:
        """The acceptance as plain JSON values."""
        seconds = None if self.needed is None else round(self.needed * self.block_seconds, 1)
        return {
            "accepted": self.place is not None,
            "plan": self.plan.to_json(),
            "ladder": [
                {
                    "stages": rung.plan.stages,
                    "recall_low": round(rung.recall_low, 5),
                    "precision_low": round(rung.precision_low, 5),
                    "passed": self.place is not None and place >= self.place,
                }
                for place, rung in enumerate(self.ladder)
            ],
            "blocks": self.blocks,
            "blocks_needed": self.needed,
            "seconds_needed": seconds,
        }


def ladder_of(candidates: Sequence[Candidate], targets: Targets) -> tuple[Plan, ...]:
    """The rungs, cheapest first; the reference detector alone is not among them.

    Args:
        candidates: Plans that reach the tightened targets, fastest first.
        targets: The targets.
    """
    rungs = []
    for share in RUNGS:
        tight = targets.tightened(targets.margin * share)
        plan = next((one.plan for one in candidates if one.quality.meets(tight)), REFERENCE)
        rungs.append(plan)
    return tuple(plan for plan in dict.fromkeys(rungs) if plan != REFERENCE)


def accept(
    ladder: Sequence[Plan], unseen: Table, contract: Contract, block_seconds: float
) -> Acceptance:
    """Certify the rungs on frames that tuned nothing.

    Args:
        ladder: The rungs, cheapest first.
        unseen: The frames, with the scores of the models that run.
        contract: What must be proven.
        block_seconds: The shortest block, seconds.
    """
    answers = [outcome_of(plan, unseen)[0].positive for plan in ladder]
    blocks = event_blocks(unseen.truth, unseen.time_ns, block_seconds)
    certificate = certify(answers, unseen.truth, blocks, contract)
    rungs = tuple(
        Rung(plan, *accuracy_bounds(said, unseen.truth, blocks, contract.confidence))
        for plan, said in zip(ladder, answers, strict=True)
    )
    lasted = float(unseen.time_ns[-1] - unseen.time_ns[0]) / NANOSECONDS
    return Acceptance(
        ladder=rungs,
        place=certificate.chosen,
        blocks=len(blocks.starts),
        needed=blocks_needed(unseen.truth, blocks, contract),
        block_seconds=lasted / len(blocks.starts),
    )
