"""Versions of a cascade: one takes another's place while a flow runs, and a third is tried beside.

A version changes where a plan may change: between two cells of the audit, or, without an audit,
between two batches. It begins a new epoch. Frames that wait for packets go on in it, and the last
answer stays, so that no frame is lost or decided twice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from operators.audit import Audit, AuditState, Side
from operators.routing import StreamState
from records import RecordError

if TYPE_CHECKING:
    from operators.audit import AuditSettings
    from operators.cascade_settings import CascadeSettings, Models
    from operators.plan import Plan
    from records import StreamEvent


class ModelReason(StrEnum):
    """The reasons of events of the kind MODEL; `versions_told` reads which versions they mean.

    SWAPPED: another version decides from here on. SHADOW_PASSED, SHADOW_FAILED: the candidate is,
    or is not, as good as it must be. WORSENED: the audit is worse than before the swap.
    """

    SWAPPED = "swapped"
    SHADOW_PASSED = "shadow_passed"
    SHADOW_FAILED = "shadow_failed"
    WORSENED = "worsened"


@dataclass(frozen=True, slots=True)
class CascadeVersion:
    """A cascade that may take the place of another.

    Attributes:
        settings: What it asks, and how. All versions of a stream have one question and one audit.
        models: Its models; the reference detector is always the shard's.
        name: Its name, one word, ``gate@4``; empty for a cascade that has no versions.
        shadow: The candidate that is tried beside it; None for none.

    Raises:
        RecordError: a stage's model is missing, or the name is none.
    """

    settings: CascadeSettings
    models: Models
    name: str = ""
    shadow: CascadeVersion | None = None

    def __post_init__(self) -> None:
        self.models.check(self.settings)
        if self.name.split() != ([self.name] if self.name else []):
            raise RecordError(f"a version's name must be one word, got {self.name!r}")
        if self.shadow is None:
            return
        if (self.shadow.settings.audit, self.shadow.settings.predicate) != (
            self.settings.audit,
            self.settings.predicate,
        ):
            raise RecordError(
                f"{self.shadow.name} must have the question and the audit of {self.name}"
            )

    @property
    def tried_place(self) -> int:
        """The place of the plan that is tried in the shadow: that it begins with.

        Where that is the reference detector alone, since no plan is certified, the cheapest.
        """
        begin = self.settings.begin
        return 0 if self.settings.plans[begin].is_reference else begin

    @property
    def tried_plan(self) -> Plan:
        """The plan that is tried in the shadow."""
        return self.settings.plans[self.tried_place]


Versions = Callable[[str], CascadeVersion | None]
"""Gives the version that a stream should have now, by its name; None for one without versions."""


@dataclass(frozen=True, slots=True)
class Probation:
    """How the audit stood when a version took another's place.

    Attributes:
        before: The name of the other.
        recall_low: The lower bound of its recall, 0..1; 0 when nothing is known.
        precision_low: The lower bound of its precision.
        since_ns: Event time of the swap, nanoseconds; None before the first frame after it.
    """

    before: str
    recall_low: float = 0.0
    precision_low: float = 0.0
    since_ns: int | None = None

    def worsened(self, audit: Audit) -> str:
        """What is worse than before the swap, for people; empty when nothing surely is.

        The bounds hold at every moment at once, so that they may be compared again and again.
        """
        if audit.broken is not None:
            share = audit.share(audit.broken)
            return f"{audit.broken} is in {share.low:.3f}..{share.high:.3f}, the contract is broken"
        for side, low in ((Side.RECALL, self.recall_low), (Side.PRECISION, self.precision_low)):
            share = audit.share(side)
            if share.high < low:
                return (
                    f"{side} is in {share.low:.3f}..{share.high:.3f} over {share.seen} audited "
                    f"frames, and was above {low:.3f}"
                )
        return ""


def probation(before: str, audit: AuditSettings | None, state: AuditState | None,
              stream: str) -> Probation:  # fmt: skip
    """How the audit stands as a version leaves."""
    if audit is None or state is None:
        return Probation(before)
    audited = Audit(audit, stream, state)
    return Probation(before, audited.share(Side.RECALL).low, audited.share(Side.PRECISION).low)


def kept_router(state: StreamState, plan: Plan) -> StreamState:
    """What of the stages' state goes on in another plan."""
    kept = StreamState(waiting=state.waiting, last=state.last)
    return kept if plan.packets is None else replace(kept, before=state.before)


def kept_audit(state: AuditState) -> AuditState:
    """What of the audit's state goes on in a new epoch."""
    return AuditState(state.epoch + 1, state.last_ns, state.last_sequence, state.out_of_order)


def versions_told(event: StreamEvent) -> tuple[str, str]:
    """The version that an event of the kind MODEL is about, and the one before or beside it.

    Each is empty where the event, say of another program, names none.

    >>> from records import EventKind, StreamEvent
    >>> versions_told(StreamEvent("gate", 0, EventKind.MODEL, 0, "swapped", "gate@3 to gate@4"))
    ('gate@4', 'gate@3')
    """
    first, _, third = [*event.detail.replace(":", " ").split(), "", "", ""][:3]
    return (third, first) if event.reason == ModelReason.SWAPPED else (first, third)
