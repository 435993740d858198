"""The version that decides one stream, what took its place, and the candidate beside it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from operators.cascade_version import ModelReason, Probation, kept_router
from operators.shadow import Shadow, ShadowState
from records import EventKind, RecordError, StreamEvent
from records.units import NANOSECONDS

if TYPE_CHECKING:
    from operators.audit import Audit, AuditSettings
    from operators.cascade_version import CascadeVersion
    from operators.routing import StreamState

UNNAMED = "none"
"""What events call a cascade that has no versions."""


@dataclass(frozen=True, slots=True)
class VersionState:
    """What of a stream's versions survives a restart.

    Attributes:
        name: The version that was last told to decide.
        probation: How the audit stood before that; None when it is not watched any more.
        shadow: The state of the candidate beside it; None when there is none.
    """

    name: str = ""
    probation: Probation | None = None
    shadow: ShadowState | None = None


class LiveVersion:
    """The version of one stream.

    Args:
        stream: The stream's name.
        version: The version that decides.
        state: The state to go on from.
    """

    def __init__(self, stream: str, version: CascadeVersion, state: VersionState) -> None:
        self._stream = stream
        self.current = self._wanted = version
        self._told, self._probation = state.name, state.probation
        self._shadow: Shadow | None = None
        candidate, settings = version.shadow, version.settings.shadow
        if state.shadow is None or candidate is None or settings is None:
            return
        if state.shadow.candidate == candidate.name:
            self._shadow = Shadow(stream, candidate, settings, state.shadow)

    @property
    def wanted(self) -> CascadeVersion:
        """The version that is to decide from where it may change next."""
        return self._wanted

    @property
    def shadow(self) -> Shadow | None:
        """The candidate that runs beside; None where none does."""
        running = self._shadow is not None and self._shadow.passed is None
        return self._shadow if running else None

    def offer(self, version: CascadeVersion) -> None:
        """Say which version is to decide.

        Raises:
            RecordError: its audit is another one.
        """
        if version.settings.audit != self.current.settings.audit:
            raise RecordError(f"{version.name} must have the audit of {self.current.name}")
        self._wanted = version

    def snapshot(self) -> VersionState:
        """The state to go on from; never changed afterwards."""
        shadow = None if self._shadow is None else self._shadow.snapshot()
        return VersionState(self._told, self._probation, shadow)

    def told_swap(self, time_ns: int) -> list[StreamEvent]:
        """What there is to tell of a swap, with the first frame behind it."""
        name, before = self.current.name, self._told
        if name == before:
            return []
        self._told = name
        if self._probation is not None:
            self._probation = replace(self._probation, since_ns=time_ns)
        detail = f"{before or UNNAMED} to {name or UNNAMED}"
        return [self._event(time_ns, ModelReason.SWAPPED, detail)]

    def told_worse(self, audit: Audit, time_ns: int) -> list[StreamEvent]:
        """What there is to tell, once, of an audit that is worse than before the swap."""
        watched = self._probation
        if watched is None or watched.since_ns is None:
            return []
        waited_ns = time_ns - watched.since_ns
        if waited_ns > self.current.settings.probation_seconds * NANOSECONDS:
            self._probation = None
            return []
        worse = watched.worsened(audit)
        if not worse:
            return []
        self._probation = None
        detail = f"{self.current.name} after {watched.before or UNNAMED}: {worse}"
        return [self._event(time_ns, ModelReason.WORSENED, detail)]

    def told_candidate(
        self, router: StreamState, time_ns: int, targets: AuditSettings | None
    ) -> list[StreamEvent]:
        """Begin, end or judge the shadow of the candidate; what there is to tell of it.

        Args:
            router: The state of the incumbent's stages.
            time_ns: Event time of the next frame, nanoseconds.
            targets: The contract, where the reference detector decides alone; else None.
        """
        candidate, settings = self._wanted.shadow, self.current.settings.shadow
        if candidate is None or settings is None:
            self._shadow = None
        elif self._shadow is None or self._shadow.candidate.name != candidate.name:
            state = ShadowState(candidate.name, time_ns, kept_router(router, candidate.tried_plan))
            self._shadow = Shadow(self._stream, candidate, settings, state)
        elif self._shadow.passed is None:
            told = self._shadow.judge(time_ns, self.current.name or UNNAMED, targets)
            if told:
                passed = self._shadow.passed
                reason = ModelReason.SHADOW_PASSED if passed else ModelReason.SHADOW_FAILED
                return [self._event(time_ns, reason, told)]
        return []

    def _event(self, time_ns: int, reason: ModelReason, detail: str) -> StreamEvent:
        return StreamEvent(
            self._stream, time_ns, EventKind.MODEL, reason=reason.value, detail=detail
        )
