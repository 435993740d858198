"""The plan of a round's training: how its work is parted over devices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flows.training.settings import TrainingJob

SINGLE = "single"
"""The plan that runs everything on one device."""


def plan_of(job: TrainingJob) -> dict[str, Any]:
    """The plan that was asked for and the one that runs, plain JSON values.

    Models of this size train on one device; what was asked for is kept beside that.
    """
    return {"asked": job.section.plan, "executed": SINGLE}
