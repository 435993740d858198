"""The shape that every stateful operator shares: one logic a stream, one item in, one out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Generic, TypeVar

from bytewax.operators import StatefulBatchLogic
from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Iterable

In = TypeVar("In")
Out = TypeVar("Out")
State = TypeVar("State")


class KeyedLogic(ABC, Generic[In, Out, State]):
    """Pure logic for one stream: a state machine that knows no engine, clock or I/O.

    Tests and evaluations call `on_item` themselves; `as_bytewax` hands the same object to the
    engine.
    """

    @abstractmethod
    def on_item(self, item: In) -> Out | None:
        """Take the next item of the stream and give what follows from it; None for nothing."""

    def on_items(self, items: list[In]) -> list[Out]:
        """Take all items that are there at once; what follows from each, without the Nones."""
        outs = [self.on_item(item) for item in items]
        return [out for out in outs if out is not None]

    def flush(self) -> Out | None:
        """What follows when the input ends and nothing more will come; nothing by default."""
        return None

    @abstractmethod
    def snapshot(self) -> State:
        """A copy of all that must survive a restart."""

    def as_bytewax(self) -> StatefulBatchLogic[In, Out, State]:
        """This logic in the engine's dress."""
        return _Adapter(self)


class _Adapter(StatefulBatchLogic[In, Out, State]):
    """Feeds a KeyedLogic from bytewax; never discards it, since a stream has no last item."""

    def __init__(self, logic: KeyedLogic[In, Out, State]) -> None:
        self._logic = logic

    @override
    def on_batch(self, values: list[In]) -> tuple[Iterable[Out], bool]:
        return self._logic.on_items(values), StatefulBatchLogic.RETAIN

    @override
    def on_eof(self) -> tuple[Iterable[Out], bool]:
        last = self._logic.flush()
        return [] if last is None else [last], StatefulBatchLogic.RETAIN

    @override
    def snapshot(self) -> State:
        return self._logic.snapshot()
