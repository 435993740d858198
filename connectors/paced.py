"""A source that replays: streams in event-time order, at the pace of event time or as it comes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition

from connectors.event_order import EventOrder, GroupSettings

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Sequence

    from connectors.event_order import Batches
    from connectors.lanes import Lane, Timed
    from connectors.pace import Pacer

NAP_SECONDS = 0.05
"""The longest sleep, seconds: an interrupt is heeded so soon."""


class PacedPartition(StatefulSourcePartition[tuple[str, Any], None]):
    """The one part of a replay; made by PacedSource.

    Args:
        order: The streams in event-time order.
        batches: Makes batches from a group.
        pacer: The pace.
        stop: Ends the replay when set.
        sleep: Waits so many seconds.
    """

    def __init__(
        self,
        order: EventOrder,
        batches: Batches,
        pacer: Pacer,
        stop: threading.Event,
        sleep: Callable[[float], object],
    ) -> None:
        self._order = order
        self._batches = batches
        self._pacer = pacer
        self._stop = stop
        self._sleep = sleep
        self._group: Sequence[tuple[str, Timed]] = ()

    def next_batch(self) -> Sequence[tuple[str, Any]]:
        """The batches of the next group when its time has come; sleeps a little when not.

        Raises:
            StopIteration: the recording has ended, or the replay was stopped.
        """
        if self._stop.is_set():
            raise StopIteration
        if not self._group:
            self._group = self._order.next_group()
        if not self._group:
            return ()
        self._pacer.begin(self._group[0][1].time_ns)
        # A group is there when its last item is; until then nothing else is to be done either.
        wait = self._pacer.wait(self._group[-1][1].time_ns)
        if wait > 0:
            self._sleep(min(wait, NAP_SECONDS))
            return ()
        group, self._group = self._group, ()
        return self._batches(group)

    def snapshot(self) -> None:
        """Nothing: a replay begins at its beginning."""

    def close(self) -> None:
        """Let go of what the streams hold open."""
        self._order.close()


class PacedSource(FixedPartitionedSource[tuple[str, Any], None]):
    """Replays streams; one part, so that their order is the same in every replay.

    Emits ``(stream, batch)``. Run it with epochs of no length: then each group goes through the
    whole dataflow before the next one comes, so that sinks see the same order at every speed.

    Args:
        lanes: Opens the streams.
        batches: Makes batches from a group: `frame_batches` or `verdict_batches`.
        pacer: The pace.
        stop: Ends the replay when set; what was emitted is still decided.
        sleep: Waits so many seconds.
        settings: How the streams are cut into groups.
    """

    def __init__(
        self,
        lanes: Callable[[], Sequence[Lane]],
        batches: Batches,
        pacer: Pacer,
        *,
        stop: threading.Event,
        sleep: Callable[[float], object] = time.sleep,
        settings: GroupSettings | None = None,
    ) -> None:
        self._lanes = lanes
        self._batches = batches
        self._pacer = pacer
        self._stop = stop
        self._sleep = sleep
        self._settings = settings

    def list_parts(self) -> list[str]:
        """The one part."""
        return ["replay"]

    def build_part(self, step_id: str, for_part: str, resume_state: None) -> PacedPartition:
        """Open the streams."""
        del step_id, for_part, resume_state
        order = EventOrder(self._lanes(), self._settings)
        return PacedPartition(order, self._batches, self._pacer, self._stop, self._sleep)
