"""Observe: turns frames into observations, and lets the reference see only those that are drawn.

The frames of all streams of a shard share the reference's batches, and may share a budget of calls.
Where a specialised model counts cheaply, its number on every k-th frame is the proxy, held between.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import bytewax.operators as op
import numpy as np
from bytewax.dataflow import operator
from bytewax.operators import KeyedStream
from typing_extensions import override

from operators.budget import Budget, BudgetSettings, BudgetState
from operators.cells import CellPlan
from operators.counting import proxy_counts, reference_counts
from operators.draws import Draws, DrawState
from operators.keyed import KeyedLogic
from operators.observations import Group, Observations, held
from operators.pixels import LARGEST_BATCH
from operators.variates.cells import SHARED_CELLS
from records import Detector, EventKind, FrameBatch, RecordError, Scorer
from records.checks import check_count
from records.units import NANOSECONDS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from records import Frame

LARGEST_STRIDE = 10_000
"""The largest number of frames from one that is scored to the next."""


@dataclass(frozen=True, slots=True)
class ObserveSettings:
    """What is counted, and which frames are drawn.

    Attributes:
        groups: The groups, in the order of the observations' columns.
        pane_seconds: Length of a pane, seconds of event time; windows are made of whole panes.
        calls_per_pane: Reference calls of each stream in a pane; with a budget, of none.
        budget: Calls that the streams share, instead; None for none.
        stream_groups: Groups of streams that have their own, such as zones, with the same names.
        seed: Of the draws.
        batch: The most frames in one call of the reference, each at full size.
        proxy_stride: Of the frames, every so many-th is scored by the proxies.
        proxy_batch: The most frames in one call of a proxy.

    Raises:
        RecordError: a setting is out of its range.
    """

    groups: tuple[Group, ...]
    pane_seconds: float
    calls_per_pane: int = 0
    budget: BudgetSettings | None = None
    stream_groups: Mapping[str, tuple[Group, ...]] = field(default_factory=dict)
    seed: int = 0
    batch: int = 8
    proxy_stride: int = 1
    proxy_batch: int = 64

    def __post_init__(self) -> None:
        names = [group.name for group in self.groups]
        if not names or len(set(names)) < len(names):
            raise RecordError(f"groups must have distinct names, and be one at least, got {names}")
        for stream, groups in self.stream_groups.items():
            if [group.name for group in groups] != names:
                raise RecordError(f"the groups of {stream} must have the names {names}")
        check_count("seed", self.seed)
        for name, most in (
            ("batch", LARGEST_BATCH),
            ("proxy_batch", LARGEST_BATCH),
            ("proxy_stride", LARGEST_STRIDE),
        ):
            if not 1 <= getattr(self, name) <= most:
                raise RecordError(f"{name} must be in 1..{most}, got {getattr(self, name)}")
        if (self.calls_per_pane > 0) == (self.budget is not None):
            raise RecordError("either calls_per_pane or budget must be given")
        if self.budget is not None and self.budget.pane_seconds != self.pane_seconds:
            raise RecordError(
                f"the budget must have the same pane_seconds, {self.pane_seconds}, "
                f"got {self.budget.pane_seconds}"
            )
        if not 0 < self.pane_seconds < math.inf:
            raise RecordError(f"pane_seconds must be above 0 and finite, got {self.pane_seconds}")
        _ = self.cells  # raises where there are more cells than nanoseconds

    @property
    def cells(self) -> CellPlan:
        """How event time is cut, before a budget says otherwise."""
        pane_ns = round(self.pane_seconds * NANOSECONDS)
        return CellPlan(pane_ns, self.calls_per_pane, shared=SHARED_CELLS)


@dataclass(frozen=True, slots=True)
class ObserverState:
    """All that survives a restart.

    Attributes:
        draws: The draws of each stream.
        proxies: The last proxy of each stream, one number for each group.
        budget: What the budget has learned; None without one.
    """

    draws: dict[str, DrawState] = field(default_factory=dict)
    proxies: dict[str, tuple[float, ...]] = field(default_factory=dict)
    budget: BudgetState | None = None


class Observer(KeyedLogic[FrameBatch, Observations, ObserverState]):
    """Observes a shard of streams.

    Args:
        settings: What is counted, and which frames are drawn.
        reference: The reference detector.
        proxies: The specialised models that count, by group; groups without have no proxy.
        resume: The state to go on from; None at a new start.

    Raises:
        RecordError: a proxy belongs to no group.
    """

    def __init__(
        self,
        settings: ObserveSettings,
        reference: Detector,
        proxies: Mapping[str, Scorer] | None = None,
        resume: ObserverState | None = None,
    ) -> None:
        state = resume or ObserverState()
        names = [group.name for group in settings.groups]
        unknown = sorted(set(proxies or {}) - set(names))
        if unknown:
            raise RecordError(f"proxies must belong to groups {names}, got {unknown}")
        self._settings = settings
        self._reference = reference
        self._proxies = {names.index(name): model for name, model in (proxies or {}).items()}
        self._budget = Budget(settings.budget, state.budget) if settings.budget else None
        self._draws = {stream: self._new_draws(stream, one) for stream, one in state.draws.items()}
        self._held = dict(state.proxies)

    @override
    def on_item(self, item: FrameBatch) -> Observations | None:
        """Observe the frames of one batch."""
        outs = self.on_items([item])
        return outs[0] if outs else None

    @override
    def on_items(self, items: list[FrameBatch]) -> list[Observations]:
        """Observe the frames of several batches, of any streams, with as few calls as possible."""
        return [out for run in self._runs(items) for out in self._observe(run)]

    @override
    def snapshot(self) -> ObserverState:
        """The state to go on from; never changed afterwards."""
        return ObserverState(
            {stream: draws.snapshot() for stream, draws in self._draws.items()},
            dict(self._held),
            self._budget.snapshot() if self._budget else None,
        )

    def _new_draws(self, stream: str, resume: DrawState | None) -> Draws:
        return Draws(self._settings.seed, stream, self._settings.cells, resume)

    def _groups(self, stream: str) -> tuple[Group, ...]:
        return self._settings.stream_groups.get(stream, self._settings.groups)

    def _runs(self, items: Sequence[FrameBatch]) -> Iterator[list[FrameBatch]]:
        """Cut the batches where the budget must first learn from those before.

        So an allocation does not depend on how many batches happen to be there at once.
        """
        run: list[FrameBatch] = []
        reached = {stream: self._pane(draws.last_ns) for stream, draws in self._draws.items()}
        for item in items:
            pane = self._pane(item.frames[-1].time_ns if item.frames else None)
            if self._budget is not None and run and pane > reached.get(item.stream, -1):
                yield run
                run = []
            reached[item.stream] = max(pane, reached.get(item.stream, -1))
            run.append(item)
        yield run

    def _pane(self, time_ns: int | None) -> int:
        return -1 if time_ns is None else time_ns // self._settings.cells.pane_ns

    def _observe(self, items: Sequence[FrameBatch]) -> Iterator[Observations]:
        """Observe batches that were all cut into cells before."""
        settings = self._settings
        times = [
            np.array([frame.time_ns for frame in item.frames], dtype=np.int64) for item in items
        ]
        weights = [self._draw(item.stream, time) for item, time in zip(items, times, strict=True)]
        frames = [frame for item in items for frame in item.frames]
        ends = np.cumsum([len(item.frames) for item in items])[:-1]
        drawn = np.flatnonzero(np.concatenate([*weights, []]))
        values = np.full((len(frames), len(settings.groups)), np.nan)
        if len(drawn):
            values[drawn] = reference_counts(
                [frames[place] for place in drawn], self._reference, self._groups, settings.batch
            )
        proxies = self._score(frames)
        for item, time, weight, value, proxy in zip(
            items, times, weights, np.split(values, ends), np.split(proxies, ends), strict=True
        ):
            if self._budget is not None and item.frames:
                pane = self._pane(int(time[-1]))
                self._budget.learn(item.stream, pane, value[weight > 0], len(time))
            ended = any(event.kind is EventKind.ENDED for event in item.events)
            if item.frames or ended:
                sequence = np.array([frame.sequence for frame in item.frames], dtype=np.int64)
                filled = self._hold(item.stream, proxy)
                yield Observations(
                    item.stream,
                    sequence,
                    time,
                    filled,
                    weight,
                    value,
                    ended=ended,
                    shared=settings.cells.shared,
                )

    def _draw(self, stream: str, time_ns: NDArray[np.int64]) -> NDArray[np.float64]:
        """The weights of a batch's frames; 0 for those that are not drawn."""
        if stream not in self._draws:
            self._draws[stream] = self._new_draws(stream, None)
        draws = self._draws[stream]
        if self._budget is not None:
            last = self._pane(draws.last_ns)
            for pane in np.unique(time_ns // self._settings.cells.pane_ns).tolist():
                if pane > last:
                    draws.replan(pane, self._budget.cells(stream, pane))
        return draws.draw(time_ns)

    def _score(self, frames: Sequence[Frame]) -> NDArray[np.float64]:
        """The proxies' numbers for every k-th frame; NaN for all others."""
        settings = self._settings
        numbers = np.full((len(frames), len(settings.groups)), np.nan)
        if self._proxies:
            stride = settings.proxy_stride
            chosen = [k for k, frame in enumerate(frames) if frame.sequence % stride == 0]
            numbers[chosen] = proxy_counts(
                [frames[k] for k in chosen], self._proxies, numbers.shape[1], settings.proxy_batch
            )
        return numbers

    def _hold(self, stream: str, proxy: NDArray[np.float64]) -> NDArray[np.float64]:
        """Hold the last number where a frame was not scored."""
        last = self._held.get(stream, (np.nan,) * proxy.shape[1])
        filled, latest = held(proxy, np.array(last))
        self._held[stream] = tuple(latest.tolist())
        return filled


@operator
def observe(
    step_id: str,
    up: KeyedStream[FrameBatch],
    settings: ObserveSettings,
    reference: Detector,
    proxies: Mapping[str, Scorer],
    shard_of: Callable[[str], str],
) -> KeyedStream[Observations]:
    """Observe every stream.

    Args:
        step_id: The step's name.
        up: Batches of frames, keyed by stream.
        settings: What is counted, and which frames are drawn.
        reference: The reference detector.
        proxies: The specialised models that count, by group; may be empty.
        shard_of: The shard of a stream; the streams of a shard share batches and the budget.
    """
    batches = op.map("batches", up, lambda item: (shard_of(item[0]), item[1]))
    observed = op.stateful_batch(
        "observe",
        batches,
        lambda resume: Observer(settings, reference, proxies, resume).as_bytewax(),
    )
    return op.map("streams", observed, lambda item: (item[1].stream, item[1]))
