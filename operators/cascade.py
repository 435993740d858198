"""The cascade: packets, stride, difference detector, specialised model, reference detector.

NoScope (Kang et al., VLDB 2017), section 3, and a stage before it that decides without decoding.
Each stage decides what it is sure of and leaves the rest to the next; the reference detector
decides what is left. Frames that the audit has drawn always reach the reference detector.

One `Cascade` serves the streams of a shard: they share the models' batches, and each has a state of
its own. It is the same object in the dataflow, in evaluations and in tests.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import bytewax.operators as op
from bytewax.dataflow import operator
from bytewax.operators import KeyedStream
from typing_extensions import override

from operators.cascade_settings import (
    CascadeSettings,
    Certifier,
    Models,
    TrialSettings,
)
from operators.cascade_version import CascadeVersion, Versions
from operators.detect import detect
from operators.keyed import KeyedLogic
from operators.pixels import LARGEST_BATCH
from operators.score import score
from operators.stream_cascade import CascadeState, Routed, StreamCascade
from records import EventKind, FrameBatch, Scorer, VerdictBatch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from operators.route import Route

__all__ = [
    "LARGEST_BATCH",
    "Cascade",
    "CascadeSettings",
    "CascadeState",
    "CascadeVersion",
    "Certifier",
    "Models",
    "TrialSettings",
    "Versions",
    "cascade",
]

Overrides = Mapping[str, tuple[CascadeSettings, Models]]
"""Settings and models of single streams, by name; the reference detector is always the shard's."""


class Cascade(KeyedLogic[FrameBatch, VerdictBatch, dict[str, CascadeState]]):
    """The cascade of a shard of streams.

    Args:
        settings: What it asks, and how.
        models: Its models.
        resume: The state of each stream to go on from; None at a new start.
        streams: Streams with settings and models of their own.
        versions: Gives the version that a stream should have, for those that have versions; asked
            for each stream of a call of `on_items`. It must be quick.

    Raises:
        RecordError: the plan has a stage whose model is missing.
    """

    def __init__(
        self,
        settings: CascadeSettings,
        models: Models,
        resume: dict[str, CascadeState] | None = None,
        streams: Overrides | None = None,
        versions: Versions | None = None,
    ) -> None:
        self._settings = settings
        self._models = models
        self._usual = CascadeVersion(settings, models)
        self._own = {name: CascadeVersion(*own) for name, own in (streams or {}).items()}
        self._versions = versions
        self._streams: dict[str, StreamCascade] = {}
        for stream, state in (resume or {}).items():
            self._streams[stream] = self._new(stream, state)

    @override
    def on_item(self, item: FrameBatch) -> VerdictBatch | None:
        """Decide the frames of one batch, in order."""
        outs = self.on_items([item])
        return outs[0] if outs else None

    @override
    def on_items(self, items: list[FrameBatch]) -> list[VerdictBatch]:
        """Decide the frames of several batches, of any streams, with as few calls as possible."""
        decided: list[list[VerdictBatch]] = [[] for _ in items]
        for name in dict.fromkeys(item.stream for item in items):
            self._stream(name).offer(self._version(name))
        for one_round in self._rounds(items):
            self._decide(one_round, decided)
        outs = [_joined(item, parts) for item, parts in zip(items, decided, strict=True)]
        return [out for out in outs if out.verdicts or out.reports or out.findings or out.ended]

    @override
    def snapshot(self) -> dict[str, CascadeState]:
        """The state of each stream; never changed afterwards."""
        return {name: stream.snapshot() for name, stream in self._streams.items()}

    def _rounds(self, items: list[FrameBatch]) -> Iterator[list[tuple[int, FrameBatch]]]:
        """The pieces of the items, in rounds: a plan may change only between two rounds."""
        waiting = [
            (place, piece)
            for place, item in enumerate(items)
            for piece in self._stream(item.stream).pieces(item)
        ]
        while waiting:
            taken: list[tuple[int, FrameBatch]] = []
            left: list[tuple[int, FrameBatch]] = []
            closed: set[str] = set()
            begun: set[str] = set()
            for place, piece in waiting:
                stream = piece.stream
                if stream in begun and self._stream(stream).begins_cell(piece):
                    closed.add(stream)
                (left if stream in closed else taken).append((place, piece))
                begun.add(stream)
            yield taken
            waiting = left

    def _decide(
        self, pieces: list[tuple[int, FrameBatch]], decided: list[list[VerdictBatch]]
    ) -> None:
        routed: list[tuple[int, StreamCascade, Routed]] = []
        to_score: dict[int, tuple[Scorer, list[Route]]] = {}
        for place, piece in pieces:
            stream = self._stream(piece.stream)
            routes = stream.route(piece)
            routed.append((place, stream, routes))
            for model, asked in routes.to_score:
                # Streams that share a model share its batches.
                to_score.setdefault(id(model), (model, []))[1].extend(asked)
        for model, asked in to_score.values():
            score(asked, model, self._settings.score_batch)
        every = [route for _, _, routes in routed for route in routes.to_detect()]
        detect(every, self._models.reference, self._settings.batch)
        for place, stream, routes in routed:
            decided[place].append(stream.decide(routes.own))
        for _, stream, _ in routed:
            stream.forget()

    def _stream(self, name: str) -> StreamCascade:
        if name not in self._streams:
            self._streams[name] = self._new(name, None)
        return self._streams[name]

    def _new(self, stream: str, resume: CascadeState | None) -> StreamCascade:
        return StreamCascade(stream, self._version(stream), resume)

    def _version(self, stream: str) -> CascadeVersion:
        version = None if self._versions is None else self._versions(stream)
        return self._own.get(stream, self._usual) if version is None else version


def _joined(item: FrameBatch, parts: list[VerdictBatch]) -> VerdictBatch:
    """What was decided of the pieces of a batch, and what it carries besides."""
    verdicts = tuple(verdict for part in parts for verdict in part.verdicts)
    reports = tuple(report for part in parts for report in part.reports)
    ended = any(event.kind is EventKind.ENDED for event in item.events)
    return VerdictBatch(item.stream, verdicts, reports, item.findings, ended)


@operator
def cascade(
    step_id: str,
    up: KeyedStream[FrameBatch],
    settings: CascadeSettings,
    models: Models,
    shard_of: Callable[[str], str],
    streams: Overrides | None = None,
    versions: Versions | None = None,
) -> KeyedStream[VerdictBatch]:
    """Decide every frame of every stream.

    Args:
        step_id: The step's name.
        up: Batches of frames, keyed by stream.
        settings: What the cascade asks, and how.
        models: Its models.
        shard_of: The shard of a stream; the streams of a shard share a worker and its batches.
        streams: Streams with settings and models of their own.
        versions: Gives the version that a stream should have; see `Cascade`.
    """
    batches = op.map("batches", up, lambda item: (shard_of(item[0]), item[1]))
    decided = op.stateful_batch(
        "decide",
        batches,
        lambda resume: Cascade(settings, models, resume, streams, versions).as_bytewax(),
    )
    return op.map("streams", decided, lambda item: (item[1].stream, item[1]))
