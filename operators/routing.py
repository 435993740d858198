"""Routing: which stage decides each frame of one stream, and what a verdict copies."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from operators.difference import DifferenceDetector, DifferenceState
from operators.route import Route, top_score
from records import Detections, EventKind, Frame, FrameBatch, SourceError, Stage, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from operators.plan import Plan
    from operators.predicate import Predicate
    from records import PacketScorer

NOTHING = Detections.empty()
"""The answer of a stage that says yes or no without finding boxes."""


@dataclass(frozen=True, slots=True)
class Decided:
    """What a verdict said, for the frames that copy it.

    Attributes:
        sequence: The frame that was answered first.
        positive: Whether the predicate holds.
        answer: What is in the frame.
    """

    sequence: int
    positive: bool | None
    answer: Detections


@dataclass(frozen=True, slots=True)
class StreamState:
    """What of a stream survives a restart.

    Attributes:
        difference: The difference detector's state; None without one.
        waiting: Frames whose packets' future is not known yet.
        before: The packets before those: rows of bytes, keyframe, reordered.
        undecided: Frames that the packet model left, for the stride.
        last: What the last verdict said; None before the first.
        remembered: What the verdicts said that the difference detector may point at.
    """

    difference: DifferenceState | None = None
    waiting: tuple[Frame, ...] = ()
    before: tuple[tuple[int, bool, bool], ...] = ()
    undecided: int = 0
    last: Decided | None = None
    remembered: dict[int, Decided] = field(default_factory=dict)


class StreamRouter:
    """Routes the frames of one stream, and turns what the stages said into verdicts.

    Args:
        stream: The stream's name.
        plan: The cascade's plan.
        packets: The packet model; None for plans without.
        resume: The state to go on from; None at a new start.
    """

    def __init__(
        self,
        stream: str,
        plan: Plan,
        packets: PacketScorer | None,
        resume: StreamState | None = None,
    ) -> None:
        state = resume or StreamState()
        self._stream = stream
        self._plan = plan
        self._packets = packets if plan.packets else None
        self._difference = (
            DifferenceDetector(plan.difference, state.difference) if plan.difference else None
        )
        self._waiting = state.waiting
        self._before = state.before
        self._undecided = state.undecided
        self._last = state.last
        self._remembered = dict(state.remembered)

    def snapshot(self) -> StreamState:
        """The state to go on from; never changed afterwards."""
        return StreamState(
            difference=None if self._difference is None else self._difference.snapshot(),
            waiting=self._waiting,
            before=self._before,
            undecided=self._undecided,
            last=self._last,
            remembered=dict(self._remembered),
        )

    def route(self, batch: FrameBatch) -> list[Route]:
        """Route the frames that are ready, in order; open ones need a model that sees pixels."""
        if self._packets is None:
            # Frames may still wait from a plan before this one that looked at packets.
            routes = [Route(frame) for frame in (*self._waiting, *batch.frames)]
            self._waiting = ()
        else:
            ended = any(event.kind is EventKind.ENDED for event in batch.events)
            routes = self._score_packets(batch.frames, self._packets, ended=ended)
        for route in routes:
            if not route.open:
                continue
            looked_at = self._undecided % self._plan.stride == 0
            self._undecided += 1
            route.band = self._plan.specialised
            if not looked_at:
                route.hold()
            elif self._difference is not None:
                self._screen(route, self._difference)
        return routes

    def _screen(self, route: Route, difference: DifferenceDetector) -> None:
        try:
            screened = difference.screen(route.frame)
        except SourceError:
            route.hold()
            return
        route.screened = screened
        if not screened.fired:
            route.close(Stage.DIFFERENCE, screened.score)

    def _score_packets(
        self, frames: Sequence[Frame], model: PacketScorer, *, ended: bool
    ) -> list[Route]:
        band, before = self._plan.packets, self._before
        assert band is not None
        waiting = (*self._waiting, *frames)
        ready = len(waiting) if ended else max(len(waiting) - model.reach, 0)
        packets = [(frame.coded_bytes, frame.keyframe, frame.reordered) for frame in waiting]
        self._waiting = waiting[ready:]
        self._before = (*before, *packets[:ready])[-model.reach :] if model.reach else ()
        if not ready:
            return []
        scores = _packet_scores(model, [*before, *packets])[len(before) :]
        routes = []
        for frame, score in zip(waiting[:ready], scores[:ready].tolist(), strict=True):
            positive = band.decide(score)
            route = Route(frame)
            if positive is not None:
                route.close(Stage.PACKETS, score, positive)
            routes.append(route)
        return routes

    def decide(self, routes: Sequence[Route], predicate: Predicate | None) -> Iterator[Verdict]:
        """Turn the routes, all closed, into verdicts, in order.

        What later frames copy is what the stages said, also where the audit asked the reference
        detector as well: else the audit would better the cascade that it measures.
        """
        for route in routes:
            said, copied = self._said(route, predicate)
            yield self._verdict(route, said, predicate, copied=copied)
            self._remember(route, said)

    def _verdict(
        self, route: Route, said: Decided, predicate: Predicate | None, *, copied: bool
    ) -> Verdict:
        assert route.stage is not None
        frame, stage, score = route.frame, route.stage, route.score
        answer, positive = said.answer, said.positive
        if route.checked is not None and predicate is not None:
            stage, score, copied = Stage.REFERENCE, top_score(route.checked), False
            answer, positive = route.checked, predicate.holds(route.checked)
        return Verdict(
            stream=self._stream,
            sequence=frame.sequence,
            time_ns=frame.time_ns,
            stage=stage,
            score=score,
            answer=answer,
            copied_from=said.sequence if copied else None,
            positive=positive,
            audited=route.audited,
            unaudited=said.positive if route.audited else None,
        )

    def _said(self, route: Route, predicate: Predicate | None) -> tuple[Decided, bool]:
        """What is said of a frame, and whether that is copied from an earlier one."""
        sequence, screened, last = route.frame.sequence, route.screened, self._last
        if route.found is not None:
            positive = None if predicate is None else predicate.holds(route.found)
            return Decided(sequence, positive, route.found), False
        if route.stage is Stage.DIFFERENCE and screened is not None:
            if screened.copy_of is not None:
                return self._remembered[screened.copy_of], True
            return Decided(sequence, None if predicate is None else False, NOTHING), False
        if route.stage is Stage.SKIP and last is not None:
            return last, True
        return Decided(sequence, route.positive, NOTHING), False

    def _remember(self, route: Route, said: Decided) -> None:
        self._last = said
        if self._difference is None or route.screened is None:
            return
        if route.found is not None and said.positive is False:
            self._difference.learn_empty(route.frame)
        self._remembered[route.frame.sequence] = said

    def forget(self) -> None:
        """Keep only what frames that are yet to be routed may copy; all routed must be decided."""
        if self._difference is None:
            return
        pointed_at = {one.sequence for one in self._difference.snapshot().references}
        self._remembered = {k: v for k, v in self._remembered.items() if k in pointed_at}


def _packet_scores(
    model: PacketScorer, packets: list[tuple[int, bool, bool]]
) -> NDArray[np.float32]:
    coded_bytes, keyframe, reordered = zip(*packets, strict=True)
    return model.score(
        np.array(coded_bytes, dtype=np.int64),
        np.array(keyframe, dtype=np.bool_),
        np.array(reordered, dtype=np.bool_),
    )
