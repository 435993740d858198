"""What of a stream's cascade survives a restart, and a swap; and a piece on its way through it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from operators.cascade_version import kept_audit, kept_router, probation
from operators.live_version import VersionState

if TYPE_CHECKING:
    from operators.audit import AuditState
    from operators.cascade_version import CascadeVersion
    from operators.route import Route
    from operators.routing import StreamState
    from operators.shadow import Shadow
    from operators.trial import TrialState
    from records import Scorer


@dataclass(frozen=True, slots=True)
class CascadeState:
    """What of a stream survives a restart.

    Attributes:
        router: The state of the stages.
        audit: The state of the audit; None without one.
        place: The place of the present plan among the settings' plans.
        cell: The audit's cell of the last frame; None before the first.
        epoch_ns: Event time at which the epoch began, nanoseconds; None before the first frame.
        epoch_frames: Frames decided in it.
        trial: The state of the trial that runs; None when none does.
        version: The state of what decides, and of the candidate beside it.
    """

    router: StreamState
    audit: AuditState | None = None
    place: int = 0
    cell: int | None = None
    epoch_ns: int | None = None
    epoch_frames: int = 0
    trial: TrialState | None = None
    version: VersionState = field(default_factory=VersionState)


@dataclass(frozen=True, slots=True)
class Routed:
    """A piece on its way through the models.

    Attributes:
        own: The routes that become verdicts.
        to_score: Routes to be scored, with the model that scores them.
        shadow: The candidate that runs beside; None where none does.
        beside: Its routes.
    """

    own: list[Route]
    to_score: list[tuple[Scorer, list[Route]]]
    shadow: Shadow | None
    beside: list[Route]

    def to_detect(self) -> list[Route]:
        """The routes that the reference detector may be asked for, now that all are scored."""
        if self.shadow is None:
            return self.own
        return [*self.own, *self.shadow.asks(self.own, self.beside)]


def swapped_state(stream: str, state: CascadeState, version: CascadeVersion) -> CascadeState:
    """The state with which a version goes on where another left off.

    A plan that the version has proven in the shadow is the one it begins with.
    """
    settings, before = version.settings, state.version
    shadow, place = before.shadow, settings.begin
    if shadow is not None and shadow.candidate == version.name and shadow.passed:
        place = version.tried_place
    watched = probation(before.name, settings.audit, state.audit, stream)
    return CascadeState(
        router=kept_router(state.router, settings.plans[place]),
        audit=None if state.audit is None else kept_audit(state.audit),
        place=place,
        cell=state.cell,
        version=VersionState(before.name, watched),
    )
