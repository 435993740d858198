"""The cascade of one stream: its plan, the audit of its contract, and the plan after an alarm.

A plan changes only between two cells of the audit, so that what is decided does not depend on how
the frames were batched. At an alarm the stream falls back to the next safer plan, at last to the
reference detector alone; then trials certify a plan anew. Another version of the whole cascade
takes the place of this one in the same way. Every change begins a new *epoch*, with estimates and
evidence of its own.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from operators.audit import Audit, Side
from operators.cascade_state import CascadeState, Routed, swapped_state
from operators.cascade_version import kept_router
from operators.live_version import LiveVersion, VersionState
from operators.routing import StreamRouter, StreamState
from operators.trial import Trial
from records import Estimate, EventKind, FrameBatch, StreamEvent, VerdictBatch
from records.units import NANOSECONDS

if TYPE_CHECKING:
    from operators.cascade_settings import CascadeSettings, Models
    from operators.cascade_version import CascadeVersion
    from operators.plan import Plan
    from operators.route import Route
    from operators.trial import TrialState
    from records import Verdict

__all__ = ["AUDIT_NAMES", "CascadeState", "Routed", "StreamCascade"]

AUDIT_NAMES = {Side.RECALL: "audit recall", Side.PRECISION: "audit precision"}
"""The names of the audit's estimates."""


class StreamCascade:
    """The cascade of one stream; `Cascade` runs the models.

    Args:
        stream: The stream's name.
        version: The version that is to decide.
        resume: The state to go on from; None at a new start. That of another version is left
            behind, as in a swap.
    """

    def __init__(self, stream: str, version: CascadeVersion, resume: CascadeState | None) -> None:
        self._stream = stream
        self._reports: list[Estimate | StreamEvent] = []
        if resume is None:
            named = VersionState(version.name)
            resume = CascadeState(StreamState(), place=version.settings.begin, version=named)
        if resume.version.name != version.name:
            resume = swapped_state(stream, resume, version)
        self._begin(version, resume)

    def _begin(self, version: CascadeVersion, state: CascadeState) -> None:
        """Decide by a version from here on, from its state."""
        self._version = LiveVersion(self._stream, version, state.version)
        self._place, self._cell = state.place, state.cell
        self._epoch_ns, self._epoch_frames = state.epoch_ns, state.epoch_frames
        self._router = StreamRouter(self._stream, self._plan, self.models.packets, state.router)
        audit = self.settings.audit
        self._audit = Audit(audit, self._stream, state.audit) if audit else None
        self._trial = None if state.trial is None else self._new_trial(0, state.trial)

    @property
    def settings(self) -> CascadeSettings:
        """What the cascade asks, and how."""
        return self._version.current.settings

    @property
    def models(self) -> Models:
        """Its models."""
        return self._version.current.models

    @property
    def _plan(self) -> Plan:
        return self.settings.plans[self._place]

    @property
    def _last_place(self) -> int:
        return len(self.settings.plans) - 1

    @property
    def _tries(self) -> bool:
        """Whether plans are to be certified now: the reference detector decides alone."""
        at_last = self._place == self._last_place > 0
        return at_last and self.settings.trial is not None

    def snapshot(self) -> CascadeState:
        """The state to go on from; never changed afterwards."""
        return CascadeState(
            router=self._router.snapshot(),
            audit=self._audit.snapshot() if self._audit else None,
            place=self._place,
            cell=self._cell,
            epoch_ns=self._epoch_ns,
            epoch_frames=self._epoch_frames,
            trial=self._trial.snapshot() if self._trial else None,
            version=self._version.snapshot(),
        )

    def offer(self, version: CascadeVersion) -> None:
        """Say which version is to decide from where a plan may change next.

        Raises:
            RecordError: its audit is another one.
        """
        self._version.offer(version)

    def pieces(self, batch: FrameBatch) -> list[FrameBatch]:
        """Cut a batch where a plan may change; its events go with the last piece."""
        if self._audit is None or not batch.frames:
            return [batch]
        groups = [
            tuple(frames) for _, frames in groupby(batch.frames, lambda f: self._cell_of(f.time_ns))
        ]
        return [
            FrameBatch(batch.stream, frames, batch.events if frames is groups[-1] else ())
            for frames in groups
        ]

    def _cell_of(self, time_ns: int) -> int:
        assert self.settings.audit is not None
        return time_ns // self.settings.audit.cell_ns

    def begins_cell(self, batch: FrameBatch) -> bool:
        """Whether a piece begins a new cell, so that all before it must be decided first."""
        if self._audit is None or not batch.frames:
            return False
        return self._cell_of(batch.frames[0].time_ns) != self._cell

    def route(self, batch: FrameBatch) -> Routed:
        """Route a piece: the frames that are decided, and the same for the trial and the shadow."""
        if batch.frames:
            self._turn(batch.frames[0].time_ns)
        own = self._router.route(batch)
        shadow = self._version.shadow
        if self._audit is not None and (shadow is not None or not self._plan.is_reference):
            for route in own:
                route.drawn = self._audit.wants(route.frame.time_ns, route.frame.sequence)
                route.audited = route.drawn and not self._plan.is_reference
        tried = self._trial.route(batch) if self._trial else []
        beside = [] if shadow is None else shadow.route(batch)
        to_score = [(self.models.specialised, [*own, *tried])]
        if shadow is not None:
            to_score.append((shadow.candidate.models.specialised, beside))
        asked = [(model, routes) for model, routes in to_score if model is not None]
        return Routed(own, asked, shadow, beside)

    def decide(self, routes: list[Route]) -> VerdictBatch:
        """Turn routes, all closed, into verdicts, and learn from those that were audited."""
        verdicts = tuple(self._router.decide(routes, self.settings.predicate))
        if self._trial is not None:
            found = {r.frame.sequence: r.found for r in routes if r.found is not None}
            self._trial.learn([verdict.sequence for verdict in verdicts], found)
        if self._version.shadow is not None:
            self._version.shadow.learn(routes, verdicts)
        if self._audit is not None:
            for verdict in verdicts:
                self._observe(verdict, self._audit)
        reports, self._reports = tuple(self._reports), []
        return VerdictBatch(self._stream, verdicts, reports)

    def forget(self) -> None:
        """Keep only what later frames may copy; all routed frames must be decided."""
        self._router.forget()

    def _observe(self, verdict: Verdict, audit: Audit) -> None:
        if self._epoch_ns is None:
            self._epoch_ns = verdict.time_ns
        self._epoch_frames += 1
        if not verdict.audited:
            return
        audit.observe(
            decided=bool(verdict.unaudited),
            truth=bool(verdict.positive),
            time_ns=verdict.time_ns,
        )
        self._reports += [self._estimate(side, audit, verdict.time_ns) for side in Side]

    def _estimate(self, side: Side, audit: Audit, time_ns: int) -> Estimate:
        share = audit.share(side)
        assert self._epoch_ns is not None
        assert self.settings.audit is not None
        return Estimate(
            stream=self._stream,
            name=AUDIT_NAMES[side],
            start_ns=min(self._epoch_ns, time_ns),
            end_ns=time_ns + 1,
            value=share.value,
            low=share.low,
            high=share.high,
            confidence=self.settings.audit.confidence,
            reference_calls=share.seen,
            frames=self._epoch_frames,
            revision=audit.observed,
        )

    def _turn(self, time_ns: int) -> None:
        """Change the plan or the version, if one may change here and there is a reason."""
        if self._audit is not None:
            cell = self._cell_of(time_ns)
            if cell == self._cell:
                return
            self._cell = cell
        wanted = self._version.wanted
        if wanted.name != self._version.current.name:
            self._begin(wanted, swapped_state(self._stream, self.snapshot(), wanted))
        self._reports += self._version.told_swap(time_ns)
        if self._audit is None:
            return
        worse = self._version.told_worse(self._audit, time_ns)
        self._reports += worse
        self._change_plan(self._audit, time_ns)
        if not worse:  # two events of a kind at one time would have one id
            targets = self.settings.audit if self._plan.is_reference else None
            told = self._version.told_candidate(self._router.snapshot(), time_ns, targets)
            self._reports += told

    def _change_plan(self, audit: Audit, time_ns: int) -> None:
        if audit.broken is not None:
            self._fall_back(audit, audit.broken, time_ns)
        elif self._trial is not None and self.settings.trial is not None:
            waited = time_ns - self._trial.begun_ns
            if waited >= self.settings.trial.seconds * NANOSECONDS:
                self._judge(self._trial, time_ns)
        elif self._tries:
            self._trial = self._new_trial(time_ns)

    def _fall_back(self, audit: Audit, side: Side, time_ns: int) -> None:
        share, before = audit.share(side), self._plan
        self._change(self._place + 1, time_ns)
        detail = (
            f"{side} is in {share.low:.3f}..{share.high:.3f} over {share.seen} audited frames; "
            f"from {_named(before)} to {_named(self._plan)}"
        )
        self._report(time_ns, f"{side}_broken", detail)

    def _judge(self, trial: Trial, time_ns: int) -> None:
        assert self.models.certifier is not None
        chosen = trial.judge(self.models.certifier)
        if chosen is None:
            self._report(time_ns, "not_certified", "no plan; the reference detector goes on alone")
            self._trial = self._new_trial(time_ns)
            return
        self._change(chosen, time_ns)
        self._report(time_ns, "certified", _named(self._plan))

    def _change(self, place: int, time_ns: int) -> None:
        """Begin a new epoch with another plan. Frames that wait for packets go on in it."""
        assert self._audit is not None
        old, epoch = self._router.snapshot(), self._audit.snapshot().epoch
        self._place, self._epoch_ns, self._epoch_frames = place, time_ns, 0
        kept = kept_router(old, self._plan)
        self._router = StreamRouter(self._stream, self._plan, self.models.packets, kept)
        self._audit.reset(epoch + 1)
        if self._version.shadow is not None:
            self._version.shadow.restart(time_ns)
        self._trial = self._new_trial(time_ns) if self._tries else None

    def _new_trial(self, begun_ns: int, resume: TrialState | None = None) -> Trial:
        plans = self.settings.plans[: self._last_place]
        assert self.settings.predicate is not None
        return Trial(self._stream, plans, self.models, self.settings.predicate, begun_ns, resume)

    def _report(self, time_ns: int, reason: str, detail: str) -> None:
        self._reports.append(
            StreamEvent(self._stream, time_ns, EventKind.CONTRACT, reason=reason, detail=detail)
        )


def _named(plan: Plan) -> str:
    return " > ".join(plan.stages)
