"""Trials: what cheaper plans would say, while the reference detector decides alone.

After the audit has found the contract broken, no plan is trusted until it is certified anew. The
plans run beside the reference detector on the same frames; where one would ask the reference
detector, it takes the answer that is there already. What they would have said is gathered for a
span of event time, and then judged against the truth on data that tuned nothing.
"""

from __future__ import annotations

from array import array
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from operators.routing import StreamRouter, StreamState

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from operators.cascade_settings import Certifier, Models
    from operators.plan import Plan
    from operators.predicate import Predicate
    from operators.route import Route
    from records import Detections, FrameBatch

UNKNOWN = 2
"""The truth of a frame that could not be decoded; it is left out of the judgement."""


@dataclass(frozen=True, slots=True)
class TrialState:
    """What of a trial survives a restart.

    Attributes:
        begun_ns: Event time of its first frame, nanoseconds.
        routers: The state of each plan.
        found: What the reference detector found in frames that some plan has yet to answer.
        times_ns: int64, event times of the frames seen, nanoseconds, as bytes.
        truth: One byte a frame: 0, 1 or UNKNOWN.
        answers: For each plan one byte for each frame that it has answered.
    """

    begun_ns: int
    routers: tuple[StreamState, ...]
    found: dict[int, Detections | None]
    times_ns: bytes
    truth: bytes
    answers: tuple[bytes, ...]


class Trial:
    """The trial of some plans on one stream.

    Args:
        stream: The stream's name.
        plans: The plans, cheapest first.
        models: The models of the cascade.
        predicate: The question.
        begun_ns: Event time of the first frame, nanoseconds.
        resume: The state to go on from; None at a new start.
    """

    def __init__(
        self,
        stream: str,
        plans: Sequence[Plan],
        models: Models,
        predicate: Predicate,
        begun_ns: int,
        resume: TrialState | None = None,
    ) -> None:
        states = resume.routers if resume else (None,) * len(plans)
        self._routers = [
            StreamRouter(stream, plan, models.packets, state)
            for plan, state in zip(plans, states, strict=True)
        ]
        self._predicate = predicate
        self.begun_ns = resume.begun_ns if resume else begun_ns
        self._found = dict(resume.found) if resume else {}
        self._times_ns = array("q", resume.times_ns if resume else b"")
        self._truth = bytearray(resume.truth if resume else b"")
        self._answers = [bytearray(one) for one in resume.answers] if resume else [
            bytearray() for _ in plans
        ]  # fmt: skip
        self._routes: deque[list[list[Route]]] = deque()

    def snapshot(self) -> TrialState:
        """The state to go on from; never changed afterwards."""
        return TrialState(
            begun_ns=self.begun_ns,
            routers=tuple(router.snapshot() for router in self._routers),
            found=dict(self._found),
            times_ns=self._times_ns.tobytes(),
            truth=bytes(self._truth),
            answers=tuple(bytes(one) for one in self._answers),
        )

    def route(self, batch: FrameBatch) -> list[Route]:
        """Route frames in every plan; the open ones are still to be scored."""
        for frame in batch.frames:
            self._times_ns.append(frame.time_ns)
        routed = [router.route(batch) for router in self._routers]
        self._routes.append(routed)
        return [route for routes in routed for route in routes]

    def learn(self, sequences: Sequence[int], found: Mapping[int, Detections]) -> None:
        """Take what the reference detector found, and note what each plan would have said.

        Batches that were routed are learned from in the same order.

        Args:
            sequences: The frames that were decided, in order.
            found: What was found in each; those missing could not be decoded.
        """
        for sequence in sequences:
            one = found.get(sequence)
            self._found[sequence] = one
            self._truth.append(UNKNOWN if one is None else self._predicate.holds(one))
        routed = self._routes.popleft()
        for router, routes, answers in zip(self._routers, routed, self._answers, strict=True):
            for route in routes:
                self._settle(route)
            verdicts = router.decide(routes, self._predicate)
            answers.extend(bool(verdict.positive) for verdict in verdicts)
            if not self._routes:
                router.forget()  # else a batch that waits may copy from this one
        answered = min(len(answers) for answers in self._answers)
        waiting = len(self._truth) - answered
        for sequence in list(self._found)[: len(self._found) - waiting]:
            del self._found[sequence]

    def _settle(self, route: Route) -> None:
        if route.open:
            found = self._found[route.frame.sequence]
            if found is None:
                route.unseen()
            else:
                route.answer(found)

    def judge(self, certifier: Certifier) -> int | None:
        """The place of the plan that is certified; None when none is."""
        answered = min(len(answers) for answers in self._answers)
        truth = np.frombuffer(bytes(self._truth[:answered]), np.uint8)
        known = truth != UNKNOWN
        times_ns = np.array(self._times_ns[:answered], np.int64)
        answers = [np.frombuffer(bytes(one[:answered]), np.bool_)[known] for one in self._answers]
        return certifier(answers, truth[known].astype(np.bool_), times_ns[known])
