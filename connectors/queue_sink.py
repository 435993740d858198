"""The bytewax sink that adds items to a retraining queue."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bytewax.outputs import DynamicSink, StatelessSinkPartition
from typing_extensions import override

from connectors.queue import RetrainingQueue

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from connectors.queue_file import QueueSettings
    from connectors.queue_items import Entry, QueueAdded
    from records import Clock

Item = tuple[str, "Sequence[Entry]"]
"""What the sink takes: a stream's name, and items of that stream."""


class QueuePartition(StatelessSinkPartition[Item]):
    """The queue as one worker writes it; made by QueueSink.

    Args:
        queue: The queue, for this worker alone.
        clock: Tells when items are added.
        told: Told what became of them.
    """

    def __init__(
        self,
        queue: RetrainingQueue,
        clock: Clock,
        told: Callable[[Sequence[Entry], QueueAdded, int], None],
    ) -> None:
        self._queue, self._clock, self._told = queue, clock, told

    @override
    def write_batch(self, items: list[Item]) -> None:
        """Add items, all of a batch together; they are safe when this returns.

        Raises:
            SightflowError: the file is damaged or cannot be written; a full disk refuses items.
        """
        entries = [entry for _, each in items for entry in each]
        done = self._queue.add(entries, self._clock())
        self._told(entries, done, self._queue.waiting())

    @override
    def close(self) -> None:
        """Close the file."""
        self._queue.close()


class QueueSink(DynamicSink[Item]):
    """Adds ``(stream, entries)`` to a queue. Every worker has the file open, one writes at a time.

    An item that comes again after a restart is known by its id.

    Args:
        path: The queue's file.
        settings: How much it keeps.
        clock: Tells when items are added.
        told: Told of entries, what became of them, and how many items then wait in the queue.
    """

    def __init__(
        self,
        path: Path,
        settings: QueueSettings,
        clock: Clock,
        told: Callable[[Sequence[Entry], QueueAdded, int], None],
    ) -> None:
        self._path, self._settings = path, settings
        self._clock, self._told = clock, told

    @override
    def build(self, step_id: str, worker_index: int, worker_count: int) -> QueuePartition:
        """Open the queue for one worker.

        Raises:
            SightflowError: it cannot be opened.
        """
        queue = RetrainingQueue(self._path, self._settings)
        return QueuePartition(queue, self._clock, self._told)
