"""Dataflows that can be suspended: they end in order, and another goes on where they stood.

A suspended dataflow ends as if its input had ended, so every state is stored, but its streams are
not told to have ended and its operators keep what they hold. A state is stored with the signature
of the settings that it belongs to; a dataflow with other settings takes up what still fits.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from bytewax.operators import StatefulBatchLogic
from typing_extensions import override

from connectors.video import VideoSource
from connectors.video.source import VideoPartition
from flows.reload_states import fitting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from bytewax.dataflow import Dataflow

    from connectors.video.pool import VideoPool

POLL = timedelta(milliseconds=20)
"""How often a source that waits is asked whether the dataflow is to be suspended."""


@dataclass(frozen=True, slots=True)
class Signed:
    """A state, as it is stored.

    Attributes:
        signature: The settings that it belongs to.
        state: The state.
    """

    signature: str
    state: Any


class Suspension:
    """Whether one dataflow is to be suspended, and what follows it.

    Attributes:
        reached: Event time of the last frame of each suspended stream, nanoseconds.
    """

    def __init__(self) -> None:
        self.reached: dict[str, int] = {}
        self._asked = threading.Event()
        self._removed: frozenset[str] = frozenset()
        self._next: Mapping[str, str] = {}

    def ask(self, removed: frozenset[str], following: Mapping[str, str]) -> None:
        """Suspend the dataflow.

        Args:
            removed: The streams that the next one does not have; they end.
            following: The signature of each stateful step of the next one.
        """
        self._removed, self._next = removed, following
        self._asked.set()

    @property
    def asked(self) -> bool:
        """Whether the dataflow is to be suspended."""
        return self._asked.is_set()

    def removes(self, stream: str) -> bool:
        """Whether a stream is taken out."""
        return self.asked and stream in self._removed

    def keeps(self, step: str, signature: str) -> bool:
        """Whether what a step holds goes on in the next dataflow."""
        return self.asked and self._next.get(step) == signature


class _Partition(StatefulSourcePartition[Any, Any]):
    """One part of a source that can be suspended."""

    def __init__(
        self,
        name: str,
        inner: StatefulSourcePartition[Any, Any],
        suspension: Suspension,
        keep: Callable[[VideoPartition], None],
    ) -> None:
        self._name, self._inner = name, inner
        self._suspension, self._keep = suspension, keep
        self._due = inner.next_awake()
        self._removed = self._ended = False

    @override
    def next_batch(self) -> Iterable[Any]:
        inner, suspension = self._inner, self._suspension
        if suspension.asked:
            if isinstance(inner, VideoPartition):
                if suspension.removes(self._name) and not self._removed:
                    self._removed = True
                    return inner.remove()
                suspension.reached[self._name] = inner.snapshot()["last_ns"] or 0
            raise StopIteration
        if self._due is not None and datetime.now(UTC) < self._due:
            return []
        try:
            batch = inner.next_batch()
        except StopIteration:
            self._ended = True
            raise
        self._due = inner.next_awake()
        return batch

    @override
    def next_awake(self) -> datetime | None:
        return None if self._due is None else min(self._due, datetime.now(UTC) + POLL)

    @override
    def snapshot(self) -> Any:
        return self._inner.snapshot()

    @override
    def close(self) -> None:
        inner, goes_on = self._inner, self._suspension.asked and not self._removed
        if isinstance(inner, VideoPartition) and goes_on and not self._ended:
            self._keep(inner)
        else:
            inner.close()


class _Gone(StatefulSourcePartition[Any, Any]):
    """A part that was taken out: nothing comes, and where it stood is kept."""

    def __init__(self, state: object) -> None:
        self._state = state

    @override
    def next_batch(self) -> Iterable[Any]:
        raise StopIteration

    @override
    def snapshot(self) -> object:
        return self._state


class _Source(FixedPartitionedSource[Any, Any]):
    """A source that can be suspended.

    The engine fails on stored parts that a source does not list, so those that are gone are listed.
    """

    def __init__(
        self,
        inner: FixedPartitionedSource[Any, Any],
        suspension: Suspension,
        pool: VideoPool,
        stored: Iterable[str],
    ) -> None:
        self._inner, self._suspension, self._pool = inner, suspension, pool
        self._parts = inner.list_parts()
        self._gone = frozenset(stored) - frozenset(self._parts)

    @override
    def list_parts(self) -> list[str]:
        return [*self._parts, *sorted(self._gone)]

    @override
    def build_part(
        self, step_id: str, for_part: str, resume_state: Any
    ) -> StatefulSourcePartition[Any, Any]:
        if for_part in self._gone:
            return _Gone(resume_state)
        part: StatefulSourcePartition[Any, Any] | None = None
        keep: Callable[[VideoPartition], None] = VideoPartition.close
        if isinstance(self._inner, VideoSource):
            settings = self._inner.settings(for_part)
            part = self._pool.take(for_part, settings)
            keep = partial(self._pool.keep, for_part, settings)
        if part is None:
            part = self._inner.build_part(step_id, for_part, resume_state)
        return _Partition(for_part, part, self._suspension, keep)


class _Logic(StatefulBatchLogic[Any, Any, Any]):
    """The logic of a step that can be suspended: it is then not flushed, but goes on."""

    def __init__(
        self,
        inner: StatefulBatchLogic[Any, Any, Any],
        step: str,
        signature: str,
        suspension: Suspension,
    ) -> None:
        self._inner, self._step = inner, step
        self._signature, self._suspension = signature, suspension

    @override
    def on_batch(self, values: list[Any]) -> tuple[Iterable[Any], bool]:
        return self._inner.on_batch(values)

    @override
    def on_notify(self) -> tuple[Iterable[Any], bool]:
        return self._inner.on_notify()

    @override
    def on_eof(self) -> tuple[Iterable[Any], bool]:
        if self._suspension.keeps(self._step, self._signature):
            return [], StatefulBatchLogic.RETAIN
        return self._inner.on_eof()

    @override
    def notify_at(self) -> datetime | None:
        return self._inner.notify_at()

    @override
    def snapshot(self) -> Signed:
        return Signed(self._signature, self._inner.snapshot())


def steps_of(steps: list[Any]) -> Iterator[tuple[list[Any], int]]:
    """Each of some steps and of those inside them, as its place in the list that holds it."""
    for place, step in enumerate(steps):
        yield steps, place
        yield from steps_of(step.substeps)


def names_of(flow: Dataflow) -> list[str]:
    """The identity of each step of a dataflow."""
    return [holder[place].step_id for holder, place in steps_of(flow.substeps)]


def stateful_signatures(flow: Dataflow, signature_of: Callable[[str], str]) -> dict[str, str]:
    """The signature of each step of a dataflow that has states of operators."""
    steps = [holder[place] for holder, place in steps_of(flow.substeps)]
    return {one.step_id: signature_of(one.step_id) for one in steps if hasattr(one, "builder")}


def make_suspendable(
    flow: Dataflow,
    signatures: Mapping[str, str],
    suspension: Suspension,
    pool: VideoPool,
    stored: Callable[[str], Iterable[str]],
) -> None:
    """Make a dataflow one that can be suspended, and that takes up what one before it stored.

    Args:
        flow: The dataflow.
        signatures: The signature of each of its stateful steps.
        suspension: Says when.
        pool: Keeps its videos open meanwhile.
        stored: The parts of a source that there are states of.
    """
    for holder, place in list(steps_of(flow.substeps)):
        step = holder[place]
        if step.step_id in signatures:
            built = _builder(step.builder, step.step_id, signatures[step.step_id], suspension)
            holder[place] = replace(step, builder=built)
        elif isinstance(getattr(step, "source", None), FixedPartitionedSource):
            # Other sources say themselves what is wrong when a part of theirs is gone.
            known = stored(step.step_id) if isinstance(step.source, VideoSource) else ()
            source = _Source(step.source, suspension, pool, known)
            holder[place] = replace(step, source=source)


def _builder(
    build: Callable[[Any], StatefulBatchLogic[Any, Any, Any]],
    step: str,
    signature: str,
    suspension: Suspension,
) -> Callable[[Any], StatefulBatchLogic[Any, Any, Any]]:
    def built(resume: Any) -> StatefulBatchLogic[Any, Any, Any]:  # noqa: ANN401 - any step's state
        state = resume
        if isinstance(resume, Signed):
            state = fitting(step, resume.signature, signature, resume.state)
        return _Logic(build(state), step, signature, suspension)

    return built
