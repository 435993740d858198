"""What a cascade is made of: its plans, its question, its contract, and its models."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from operators.pixels import LARGEST_BATCH
from operators.plan import REFERENCE
from records import RecordError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from operators.audit import AuditSettings
    from operators.plan import Plan
    from operators.predicate import Predicate
    from records import Detector, PacketScorer, Scorer

LONGEST_TRIAL = 7 * 24 * 3600.0
"""The longest trial, seconds: what it gathers is held in memory, a few bytes a frame."""


@dataclass(frozen=True, slots=True)
class TrialSettings:
    """How plans are certified anew after a fall-back to the reference detector alone.

    Attributes:
        seconds: How long a trial gathers answers, seconds of event time. When it certifies no
            plan, the next trial begins.

    Raises:
        RecordError: a setting is out of its range.
    """

    seconds: float = 3600.0

    def __post_init__(self) -> None:
        if not 0 < self.seconds <= LONGEST_TRIAL:
            raise RecordError(
                f"seconds must be above 0 and at most {LONGEST_TRIAL:.0f}, got {self.seconds}"
            )


@dataclass(frozen=True, slots=True)
class ShadowSettings:
    """How a candidate is judged beside the version that decides; see `operators.shadow`.

    Attributes:
        least_audited: The fewest audited frames that a judgement rests on.
        most_seconds: A candidate that is not proven good by then has failed, seconds of event
            time.
        confidence: Of each bound that a judgement rests on, 0..1 exclusive.
        worse_by: How much less often than the incumbent the candidate may be right, as a share
            of the frames that count.

    Raises:
        RecordError: a setting is out of its range.
    """

    least_audited: int = 100
    most_seconds: float = 7 * 24 * 3600.0
    confidence: float = 0.95
    worse_by: float = 0.02

    def __post_init__(self) -> None:
        if self.least_audited < 1:
            raise RecordError(f"least_audited must be at least 1 frame, got {self.least_audited}")
        if not 0 < self.most_seconds < math.inf:
            raise RecordError(f"most_seconds must be above 0 and finite, got {self.most_seconds}")
        for name in ("confidence", "worse_by"):
            if not 0 < getattr(self, name) < 1:
                raise RecordError(f"{name} must be between 0 and 1, got {getattr(self, name)}")


@dataclass(frozen=True, slots=True)
class CascadeSettings:
    """What a cascade asks, and how.

    Attributes:
        plan: Its stages.
        predicate: The question of the stages that say yes or no; None where no stage does.
        batch: The most frames in one call of the reference detector, each at full size.
        score_batch: The most frames in one call of the specialised model, each at its size.
        safer: The plans to fall back to, one after the other, when the audit finds the contract
            broken; after the last comes the reference detector alone.
        audit: How the contract is watched; None for no contract.
        trial: How plans are certified anew once the reference detector decides alone; None never.
        begin: The place in `plans` of the plan to begin with.
        shadow: How candidates are judged beside it, which needs an audit; None never.
        probation_seconds: For so long after it took another's place it is watched whether the
            audit worsens, seconds of event time.

    Raises:
        RecordError: a setting is out of its range, or a scoring stage has no predicate.
    """

    plan: Plan
    predicate: Predicate | None = None
    batch: int = 8
    score_batch: int = 64
    safer: tuple[Plan, ...] = ()
    audit: AuditSettings | None = None
    trial: TrialSettings | None = None
    begin: int = 0
    shadow: ShadowSettings | None = None
    probation_seconds: float = 0.0

    def __post_init__(self) -> None:
        for field in ("batch", "score_batch"):
            if not 1 <= getattr(self, field) <= LARGEST_BATCH:
                raise RecordError(
                    f"{field} must be in 1..{LARGEST_BATCH} frames, got {getattr(self, field)}"
                )
        scoring = any(plan.packets or plan.specialised for plan in self.plans)
        if self.predicate is None and scoring:
            raise RecordError("predicate must be given for a plan with a scoring stage")
        if self.predicate is None and self.audit is not None:
            raise RecordError("predicate must be given for an audit")
        if not 0 <= self.begin < len(self.plans):
            raise RecordError(f"begin must be in 0..{len(self.plans) - 1}, got {self.begin}")
        if self.audit is None and (self.safer or self.trial):
            raise RecordError("audit must be given for plans to fall back to and for trials")
        if self.audit is None and self.shadow:
            raise RecordError("audit must be given for candidates to be judged")
        if not 0 <= self.probation_seconds < math.inf:
            raise RecordError(
                f"probation_seconds must be at least 0 and finite, got {self.probation_seconds}"
            )

    @property
    def plans(self) -> tuple[Plan, ...]:
        """The plans from the cheapest to the reference detector alone."""
        given = (self.plan, *self.safer)
        return given if given[-1] == REFERENCE else (*given, REFERENCE)


class Certifier(Protocol):
    """Says which plan the contract may rest on."""

    def __call__(
        self,
        answers: Sequence[NDArray[np.bool_]],
        truth: NDArray[np.bool_],
        times_ns: NDArray[np.int64],
    ) -> int | None:
        """The place of the cheapest plan that is proven good; None when none is.

        Args:
            answers: bool (n,) for each plan, cheapest first: what it would have said.
            truth: bool (n,), what the reference detector said.
            times_ns: int64 (n,), event times, nanoseconds.
        """


@dataclass(frozen=True, slots=True)
class Models:
    """The models of a cascade, shared by its streams.

    Attributes:
        reference: The reference detector.
        specialised: The specialised model; None for plans without.
        packets: The packet model; None for plans without.
        certifier: Judges trials; None for cascades without.
    """

    reference: Detector
    specialised: Scorer | None = None
    packets: PacketScorer | None = None
    certifier: Certifier | None = None

    def check(self, settings: CascadeSettings) -> None:
        """Check that every stage of every plan has its model.

        Raises:
            RecordError: one has not.
        """
        for stage in ("packets", "specialised"):
            wanted = any(getattr(plan, stage) is not None for plan in settings.plans)
            if wanted and getattr(self, stage) is None:
                raise RecordError(f"the plan has the stage {stage}, but its model is missing")
        if settings.trial is not None and self.certifier is None:
            raise RecordError("the cascade has trials, but their certifier is missing")
