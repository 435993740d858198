"""The cascade of one stream: its plan, the audit of its contract, and the plan after an alarm.

A plan changes only between two cells of the audit, so that what is decided does not depend on how
the frames were batched. At an alarm the stream falls back to the next safer plan, at last to the
reference detector alone; then trials certify a plan anew. Every change begins a new *epoch*, with
estimates and evidence of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING

from operators.audit import Audit, AuditState, Side
from operators.routing import StreamRouter, StreamState
from operators.trial import Trial, TrialState
from records import Estimate, EventKind, FrameBatch, StreamEvent, VerdictBatch
from records.units import NANOSECONDS

if TYPE_CHECKING:
    from operators.cascade_settings import CascadeSettings, Models
    from operators.plan import Plan
    from operators.route import Route
    from records import Verdict

AUDIT_NAMES = {Side.RECALL: "audit recall", Side.PRECISION: "audit precision"}
"""The names of the audit's estimates."""


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
    """

    router: StreamState
    audit: AuditState | None = None
    place: int = 0
    cell: int | None = None
    epoch_ns: int | None = None
    epoch_frames: int = 0
    trial: TrialState | None = None


class StreamCascade:
    """The cascade of one stream; `Cascade` runs the models.

    Args:
        stream: The stream's name.
        settings: What the cascade asks, and how.
        models: Its models.
        resume: The state to go on from; None at a new start.

    Raises:
        RecordError: the plan has a stage whose model is missing.
    """

    def __init__(
        self, stream: str, settings: CascadeSettings, models: Models, resume: CascadeState | None
    ) -> None:
        models.check(settings)
        self._stream = stream
        self.settings = settings
        self.models = models
        state = resume or CascadeState(StreamState(), place=settings.begin)
        self._place, self._cell = state.place, state.cell
        self._epoch_ns, self._epoch_frames = state.epoch_ns, state.epoch_frames
        self._router = StreamRouter(stream, self._plan, models.packets, state.router)
        self._audit = Audit(settings.audit, stream, state.audit) if settings.audit else None
        self._trial = None if state.trial is None else self._new_trial(0, state.trial)
        self._reports: list[Estimate | StreamEvent] = []

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
        )

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

    def route(self, batch: FrameBatch) -> tuple[list[Route], list[Route]]:
        """Route a piece: the frames that the cascade decides, and the same for its trial."""
        if self._audit is not None and batch.frames:
            self._turn(batch.frames[0].time_ns)
        routes = self._router.route(batch)
        if self._audit is not None and not self._plan.is_reference:
            for route in routes:
                frame = route.frame
                route.audited = self._audit.wants(frame.time_ns, frame.sequence)
        return routes, self._trial.route(batch) if self._trial else []

    def decide(self, routes: list[Route]) -> VerdictBatch:
        """Turn routes, all closed, into verdicts, and learn from those that were audited."""
        verdicts = tuple(self._router.decide(routes, self.settings.predicate))
        if self._trial is not None:
            found = {r.frame.sequence: r.found for r in routes if r.found is not None}
            self._trial.learn([verdict.sequence for verdict in verdicts], found)
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
        """Change the plan, if a new cell begins and there is a reason."""
        cell = self._cell_of(time_ns)
        if cell == self._cell:
            return
        self._cell = cell
        assert self._audit is not None
        if self._audit.broken is not None:
            self._fall_back(self._audit, self._audit.broken, time_ns)
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
        old = self._router.snapshot()
        epoch = self._audit.snapshot().epoch + 1
        self._place, self._epoch_ns, self._epoch_frames = place, time_ns, 0
        kept = StreamState(waiting=old.waiting, last=old.last)
        if self._plan.packets is not None:
            kept = replace(kept, before=old.before)
        self._router = StreamRouter(self._stream, self._plan, self.models.packets, kept)
        self._audit.reset(epoch)
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
