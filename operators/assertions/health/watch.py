"""Watch the input of a shard of streams: frames pass, and take with them what is found of them.

Frames stay in their process, so their health is checked where they are. What is found travels with
the batch through the cascade, so that the assertions on its verdicts hear of a fault of the input
at the very frame, however the work is spread.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import bytewax.operators as op
from bytewax.dataflow import operator
from bytewax.operators import KeyedStream
from typing_extensions import override

from operators.assertions.api import FRAME, Assertion, Moment, MomentBatch
from operators.assertions.health.clock_skew import ARRIVAL
from operators.assertions.monitor import Monitor, MonitorState
from operators.keyed import KeyedLogic
from records import FrameBatch

if TYPE_CHECKING:
    from collections.abc import Iterable

    from operators.assertions.api import Check
    from records import Finding, Frame

HEALTH = "health"
"""The name of a moment's input that holds what was found of its frame, a tuple of Finding."""


class InputWatch(KeyedLogic[FrameBatch, FrameBatch, dict[str, MonitorState]]):
    """The checks of the input of a shard of streams.

    Args:
        assertions: The checks.
        resume: The state of each stream to go on from; None at a new start.

    Raises:
        RecordError: two checks have the same name.
    """

    def __init__(
        self, assertions: Sequence[Assertion], resume: dict[str, MonitorState] | None = None
    ) -> None:
        self._assertions = tuple(assertions)
        self._streams = {
            stream: Monitor(self._assertions, resume=state)
            for stream, state in (resume or {}).items()
        }

    @override
    def on_item(self, item: FrameBatch) -> FrameBatch:
        """Check the frames of a batch; the same batch with what was found."""
        if item.stream not in self._streams:
            self._streams[item.stream] = Monitor(self._assertions)
        moments = tuple(moment_of_frame(frame) for frame in item.frames)
        found = self._streams[item.stream].on_item(MomentBatch(item.stream, moments))
        if found is None:
            return item
        return replace(
            item, events=(*found.reports, *item.events), findings=(*item.findings, *found.findings)
        )

    @override
    def snapshot(self) -> dict[str, MonitorState]:
        """The state of each stream."""
        return {stream: monitor.snapshot() for stream, monitor in self._streams.items()}


def moment_of_frame(frame: Frame) -> Moment:
    """The moment of a frame that no model has seen yet."""
    inputs: dict[str, object] = {FRAME: frame}
    if frame.arrival_ns is not None:
        inputs[ARRIVAL] = frame.arrival_ns
    return Moment(frame.stream, frame.sequence, frame.time_ns, inputs)


def health_of(moment: Moment, findings: Iterable[Finding]) -> Moment:
    """The moment of a verdict, with what was found of its frame among its inputs."""
    own = tuple(one for one in findings if one.sequence == moment.sequence)
    return replace(moment, inputs={**moment.inputs, HEALTH: own}) if own else moment


@dataclass(frozen=True, slots=True)
class Relayed:
    """Tells again, beside the assertions on outputs, what was found of the input before.

    Attributes:
        name: The name of the check of the input.
    """

    name: str

    @property
    def window_seconds(self) -> float:
        """It looks at one moment alone."""
        return 0.0

    def start(self, state: object = None) -> Check:
        """Begin on a stream; there is nothing to remember."""
        del state
        return _RelayedCheck(self.name)


class _RelayedCheck:
    def __init__(self, name: str) -> None:
        self._name = name

    def observe(self, moment: Moment) -> list[Finding]:
        found = moment.inputs.get(HEALTH, ())
        assert isinstance(found, tuple), "flows put a tuple there"
        return [finding for finding in found if finding.assertion == self._name]

    def snapshot(self) -> None:
        return None


@operator
def watch_input(
    step_id: str,
    up: KeyedStream[FrameBatch],
    assertions: Sequence[Assertion],
    shard_of: Callable[[str], str],
) -> KeyedStream[FrameBatch]:
    """Check the input of every stream; the same batches, with what was found.

    Args:
        step_id: The step's name.
        up: Batches of frames, keyed by stream.
        assertions: The checks.
        shard_of: The shard of a stream, as for the cascade.
    """
    batches = op.map("batches", up, lambda item: (shard_of(item[0]), item[1]))
    watched = op.stateful_batch(
        "watch", batches, lambda resume: InputWatch(assertions, resume).as_bytewax()
    )
    return op.map("streams", watched, lambda item: (item[1].stream, item[1]))
