"""The shadow: a candidate runs beside the version that decides, on the same live frames.

The candidate's plan sees every frame. Where it would ask the reference detector and the incumbent
has not, the reference is asked for it: else what it copies later would not be what it will say. So
the shadow costs about what the candidate will. No verdict changes.

Both are compared with the reference on the frames that the audit draws, and only there: they are
the unbiased sample. Frames of which all three say no tell nothing of recall or precision, and would
let a candidate that never reports pass where reports are rare: they do not count for the
difference.

Judgement, after enough audited frames, at the beginning of a cell:

- beside an incumbent: passed when the lower bound of "candidate right less incumbent right" is
  above -worse_by, failed when the upper bound is below (`operators.shadow_statistics`);
- beside the reference detector alone, which is never wrong: passed when the lower bounds of recall
  and precision reach the contract's targets, failed when an upper bound is below one.

What is not decided in time has failed.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from operators.routing import StreamRouter, StreamState
from operators.shadow_counts import ShadowCounts
from records.units import NANOSECONDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from operators.audit import AuditSettings
    from operators.cascade_settings import ShadowSettings
    from operators.cascade_version import CascadeVersion
    from operators.route import Route
    from records import Detections, FrameBatch, Verdict

Answered = tuple[bool, bool]
"""What the incumbent said of a frame, and the truth."""


@dataclass(frozen=True, slots=True)
class ShadowState:
    """What of a shadow survives a restart.

    Attributes:
        candidate: The candidate's name.
        begun_ns: Event time of its first frame, nanoseconds.
        router: The state of its stages.
        found: What the reference found in frames that the candidate has yet to answer.
        own: For each of those what the incumbent said, and the truth; None where it was not drawn.
        answers: What the candidate said of frames that the incumbent has yet to answer.
        counts: The audited frames so far.
        passed: The judgement; None before it.
    """

    candidate: str
    begun_ns: int
    router: StreamState
    found: dict[int, Detections | None] = field(default_factory=dict)
    own: tuple[Answered | None, ...] = ()
    answers: tuple[bool, ...] = ()
    counts: ShadowCounts = field(default_factory=ShadowCounts)
    passed: bool | None = None


class Shadow:
    """The shadow of a candidate on one stream.

    Args:
        stream: The stream's name.
        candidate: The candidate.
        settings: How it is judged.
        state: The state to begin or go on from.
    """

    def __init__(
        self, stream: str, candidate: CascadeVersion, settings: ShadowSettings, state: ShadowState
    ) -> None:
        self.candidate = candidate
        self._settings = settings
        packets = candidate.models.packets
        self._router = StreamRouter(stream, candidate.tried_plan, packets, state.router)
        self._state = state
        self._found = dict(state.found)
        self._own = deque(state.own)
        self._answers = deque(state.answers)
        self._routes: deque[list[Route]] = deque()

    @property
    def passed(self) -> bool | None:
        """The judgement; None before it. The candidate does not run after it."""
        return self._state.passed

    @property
    def counts(self) -> ShadowCounts:
        """The audited frames so far."""
        return self._state.counts

    def snapshot(self) -> ShadowState:
        """The state to go on from; never changed afterwards."""
        return replace(
            self._state,
            router=self._router.snapshot(),
            found=dict(self._found),
            own=tuple(self._own),
            answers=tuple(self._answers),
        )

    def restart(self, time_ns: int) -> None:
        """Count anew: another plan of the incumbent decides from here on."""
        self._own = deque([None] * len(self._own))
        self._state = replace(self._state, counts=ShadowCounts(), begun_ns=time_ns)

    def judge(self, time_ns: int, incumbent: str, targets: AuditSettings | None) -> str:
        """Judge the candidate if it can be; what is to be told then, else nothing.

        Args:
            time_ns: Event time of the next frame, nanoseconds.
            incumbent: The name of the version that decides.
            targets: What must be reached beside the reference detector alone; None beside others.
        """
        counts, settings = self._state.counts, self._settings
        late = time_ns - self._state.begun_ns >= settings.most_seconds * NANOSECONDS
        passed = None
        if counts.frames >= settings.least_audited:
            passed = (
                counts.reaches(targets.target_recall, targets.target_precision, settings.confidence)
                if targets
                else counts.no_worse(settings.worse_by, settings.confidence)
            )
        if passed is None and not late:
            return ""
        self._state = replace(self._state, passed=bool(passed))
        told = counts.told(self.candidate.name, incumbent, settings.confidence)
        return told if passed is not None else f"{told}; not proven in time"

    def route(self, batch: FrameBatch) -> list[Route]:
        """Route frames in the candidate's plan; the open ones are still to be scored."""
        routes = self._router.route(batch)
        self._routes.append(routes)
        return routes

    def asks(self, own: Sequence[Route], routes: Sequence[Route]) -> list[Route]:
        """The open routes for which the reference must be asked, since nobody else does.

        Args:
            own: What the incumbent routes at the same time, scored.
            routes: What `route` gave, scored.
        """
        asked = {one.frame.sequence for one in own if one.open or one.audited}
        asked |= {sequence for sequence, found in self._found.items() if found is not None}
        return [one for one in routes if one.open and one.frame.sequence not in asked]

    def learn(self, own: Sequence[Route], verdicts: Sequence[Verdict]) -> None:
        """Note what the candidate says, and compare it on the frames that were drawn.

        Batches that were routed are learned from in the same order.

        Args:
            own: The incumbent's routes, all closed.
            verdicts: Its verdict of each.
        """
        for route, verdict in zip(own, verdicts, strict=True):
            self._found[route.frame.sequence] = route.truth
            said = verdict.unaudited if verdict.audited else verdict.positive
            known = route.drawn and route.truth is not None
            self._own.append((bool(said), bool(verdict.positive)) if known else None)
        routes = self._routes.popleft()
        for route in routes:
            if not route.open:
                continue
            found = self._found.get(route.frame.sequence)
            if found is None:
                route.unseen()
            else:
                route.answer(found)
        verdicts_of = self._router.decide(routes, self.candidate.settings.predicate)
        self._answers.extend(bool(verdict.positive) for verdict in verdicts_of)
        if not self._routes:
            self._router.forget()  # else a batch that waits may copy from this one
        self._compare()

    def _compare(self) -> None:
        """Count the frames that both have answered. Both answer the same frames in order."""
        counts = self._state.counts
        while self._own and self._answers:
            own, answer = self._own.popleft(), self._answers.popleft()
            if own is not None:
                incumbent, truth = own
                counts = counts.added(candidate=answer, incumbent=incumbent, truth=truth)
        self._state = replace(self._state, counts=counts)
        for sequence in list(self._found)[: len(self._found) - len(self._own)]:
            del self._found[sequence]
