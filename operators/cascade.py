"""The cascade: packets, stride, difference detector, specialised model, reference detector.

NoScope (Kang et al., VLDB 2017), section 3, and a stage before it that decides without decoding.
Each stage decides what it is sure of and leaves the rest to the next; the reference detector
decides what is left. Frames that the audit has drawn always reach the reference detector.

One `Cascade` serves the streams of a shard: they share the models' batches, and each has a state of
its own. It is the same object in the dataflow, in evaluations and in tests.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import bytewax.operators as op
from bytewax.dataflow import operator
from bytewax.operators import KeyedStream
from typing_extensions import override

from operators.detect import detect
from operators.keyed import KeyedLogic
from operators.routing import StreamRouter, StreamState
from operators.score import score
from records import (
    Detector,
    FrameBatch,
    PacketScorer,
    RecordError,
    Scorer,
    VerdictBatch,
)

if TYPE_CHECKING:
    from operators.plan import Plan
    from operators.predicate import Predicate

LARGEST_BATCH = 256
"""The most frames in one call of a model."""


@dataclass(frozen=True, slots=True)
class CascadeSettings:
    """What a cascade asks, and how.

    Attributes:
        plan: Its stages.
        predicate: The question of the stages that say yes or no; None where no stage does.
        batch: The most frames in one call of the reference detector, each at full size.
        score_batch: The most frames in one call of the specialised model, each at its size.

    Raises:
        RecordError: a setting is out of its range, or a scoring stage has no predicate.
    """

    plan: Plan
    predicate: Predicate | None = None
    batch: int = 8
    score_batch: int = 64

    def __post_init__(self) -> None:
        for field in ("batch", "score_batch"):
            if not 1 <= getattr(self, field) <= LARGEST_BATCH:
                raise RecordError(
                    f"{field} must be in 1..{LARGEST_BATCH} frames, got {getattr(self, field)}"
                )
        if self.predicate is None and (self.plan.packets or self.plan.specialised):
            raise RecordError("predicate must be given for a plan with a scoring stage")


@dataclass(frozen=True, slots=True)
class Models:
    """The models of a cascade, shared by its streams.

    Attributes:
        reference: The reference detector.
        specialised: The specialised model; None for plans without.
        packets: The packet model; None for plans without.
    """

    reference: Detector
    specialised: Scorer | None = None
    packets: PacketScorer | None = None


class Cascade(KeyedLogic[FrameBatch, VerdictBatch, dict[str, StreamState]]):
    """The cascade of a shard of streams.

    Args:
        settings: What it asks, and how.
        models: Its models.
        resume: The state of each stream to go on from; None at a new start.

    Raises:
        RecordError: the plan has a stage whose model is missing.
    """

    def __init__(
        self,
        settings: CascadeSettings,
        models: Models,
        resume: dict[str, StreamState] | None = None,
    ) -> None:
        for stage in ("packets", "specialised"):
            if getattr(settings.plan, stage) is not None and getattr(models, stage) is None:
                raise RecordError(f"the plan has the stage {stage}, but its model is missing")
        self._settings = settings
        self._models = models
        self._routers = {
            stream: StreamRouter(stream, settings.plan, models.packets, state)
            for stream, state in (resume or {}).items()
        }

    @override
    def on_item(self, item: FrameBatch) -> VerdictBatch | None:
        """Decide the frames of one batch, in order."""
        outs = self.on_items([item])
        return outs[0] if outs else None

    @override
    def on_items(self, items: list[FrameBatch]) -> list[VerdictBatch]:
        """Decide the frames of several batches, of any streams, with as few calls as possible."""
        routed = [(batch.stream, self._router(batch.stream).route(batch)) for batch in items]
        every = [route for _, routes in routed for route in routes]
        settings, models = self._settings, self._models
        if models.specialised is not None and settings.plan.specialised is not None:
            score(every, models.specialised, settings.plan.specialised, settings.score_batch)
        detect(every, models.reference, settings.batch)
        decided = [
            VerdictBatch(stream, tuple(self._routers[stream].decide(routes, settings.predicate)))
            for stream, routes in routed
        ]
        for stream in {stream for stream, _ in routed}:
            self._routers[stream].forget()
        return [batch for batch in decided if batch.verdicts]

    @override
    def snapshot(self) -> dict[str, StreamState]:
        """The state of each stream; never changed afterwards."""
        return {stream: router.snapshot() for stream, router in self._routers.items()}

    def _router(self, stream: str) -> StreamRouter:
        if stream not in self._routers:
            plan, packets = self._settings.plan, self._models.packets
            self._routers[stream] = StreamRouter(stream, plan, packets)
        return self._routers[stream]


@operator
def cascade(
    step_id: str,
    up: KeyedStream[FrameBatch],
    settings: CascadeSettings,
    models: Models,
    shard_of: Callable[[str], str],
) -> KeyedStream[VerdictBatch]:
    """Decide every frame of every stream.

    Args:
        step_id: The step's name.
        up: Batches of frames, keyed by stream.
        settings: What the cascade asks, and how.
        models: Its models.
        shard_of: The shard of a stream; the streams of a shard share a worker and its batches.
    """
    batches = op.map("batches", up, lambda item: (shard_of(item[0]), item[1]))
    decided = op.stateful_batch(
        "decide", batches, lambda resume: Cascade(settings, models, resume).as_bytewax()
    )
    return op.map("streams", decided, lambda item: (item[1].stream, item[1]))
