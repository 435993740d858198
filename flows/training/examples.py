"""Examples: labelled items that a trainer keeps for its rounds, apart from the live queue.

They lie in a retraining queue of the trainer's own, where an item with a label is never let go. So
quotas of the live queue take nothing from a round, and a round changes nothing there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from connectors.queue import RetrainingQueue
from connectors.queue_file import QueueSettings
from connectors.queue_items import ItemState
from records import SightflowError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from connectors.queue_items import Entry
    from records import Label, RetrainingItem

FILE_NAME = "examples.sqlite3"
"""The file's name in the trainer's folder."""

_UNBOUNDED = 2**62
_SETTINGS = QueueSettings(
    most_items=_UNBOUNDED, most_per_stream=_UNBOUNDED, most_bytes=_UNBOUNDED, keep_seconds=1e9
)
_LOST = frozenset({"disk_full", "disk_error", "busy"})


@dataclass(frozen=True, slots=True)
class Example:
    """One item whose label is known.

    Attributes:
        item: The item.
        label: The label that counts.
    """

    item: RetrainingItem
    label: Label


class Examples:
    """The examples of one trainer, open.

    Args:
        folder: The trainer's folder.

    Raises:
        SightflowError: they cannot be read or written; every method may raise it.
    """

    def __init__(self, folder: Path) -> None:
        self._queue = RetrainingQueue(folder / FILE_NAME, _SETTINGS)

    def all(self) -> list[Example]:
        """The examples, in order of stream and time."""
        stored = self._queue.items(ItemState.LABELLED)
        found = [Example(one.item, one.label) for one in stored if one.label is not None]
        return sorted(found, key=lambda one: (one.item.stream, one.item.time_ns, one.item.id))

    def labels(self) -> dict[str, Label]:
        """The label of each example, by its id."""
        return {one.item.id: one.label for one in self.all()}

    def crop(self, example: Example) -> bytes:
        """The picture or signal of an example.

        Raises:
            SightflowError: it is damaged.
        """
        data = self._queue.crop(example.item.id)
        if data is None:
            raise SightflowError(f"the crop of the example {example.item.id} is damaged")
        return data

    def add(self, entries: Sequence[tuple[Entry, Label]], now_ns: int) -> dict[str, str]:
        """Keep items with their labels; for one that is there already the new label counts.

        Args:
            entries: Items with the bytes of their crops, and their labels.
            now_ns: The present time of the wall clock.

        Returns:
            Why items were not kept, by id; empty when all were.

        Raises:
            SightflowError: the disk refuses.
        """
        refused = dict(self._queue.add([entry for entry, _ in entries], now_ns).refused)
        for item_id, reason in refused.items():
            if reason in _LOST:
                raise SightflowError(
                    f"the example {item_id} cannot be kept: {reason}. Free space on the disk of "
                    "the registry, or lower training.examples_at_most"
                )
        labels = {item.id: label for (item, _), label in entries if item.id not in refused}
        self._queue.label(labels, now_ns)
        return refused

    def keep_newest(self, most: int) -> int:
        """Let the oldest go, in the order in which they were added; how many went."""
        stored = self._queue.items()
        return self._queue.remove([one.item.id for one in stored[: max(len(stored) - most, 0)]])

    def close(self) -> None:
        """Close the file."""
        self._queue.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
