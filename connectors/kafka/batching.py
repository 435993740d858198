"""Gathers what messages held into the items of the dataflow."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from connectors.kafka.messages import DeadLetter
from records import Frame, FrameBatch, Record, StreamEvent

if TYPE_CHECKING:
    from collections.abc import Sequence

Records: TypeAlias = tuple[Record, ...]
"""Records of one stream, in order."""

Received: TypeAlias = FrameBatch | Records | DeadLetter
"""What a source emits behind the key: frames, records, or a message that was not understood."""

Item: TypeAlias = tuple[str, Received]
"""An item: the stream's name, or for a dead letter ``topic:partition``; and what was received."""


@dataclass(slots=True)
class _Frames:
    frames: list[Frame] = field(default_factory=list)
    events: list[StreamEvent] = field(default_factory=list)


class Batches:
    """Gathers frames and records by stream; each stream keeps its order.

    Args:
        batch_frames: The most frames of one batch.
    """

    def __init__(self, batch_frames: int) -> None:
        self._batch_frames = batch_frames
        self._frames: dict[str, _Frames] = {}
        self._records: dict[str, list[Record]] = {}
        self._items: list[Item] = []

    def add(self, stream: str, events: Sequence[StreamEvent], item: Frame | Record | None) -> None:
        """Add what befell a stream of records, and a record; or the same of frames."""
        if not isinstance(item, Frame):
            new = [*events] if item is None else [*events, item]
            if new:
                self._records.setdefault(stream, []).extend(new)
            return
        pending = self._frames.setdefault(stream, _Frames())
        if len(pending.frames) >= self._batch_frames:
            self._finish(stream, pending)
            pending = self._frames[stream] = _Frames()
        pending.frames.append(item)
        pending.events.extend(events)

    def add_frame_events(self, stream: str, events: Sequence[StreamEvent]) -> None:
        """Add what befell a stream of frames without a frame."""
        if events:
            self._frames.setdefault(stream, _Frames()).events.extend(events)

    def add_dead(self, letter: DeadLetter) -> None:
        """Add a dead letter."""
        message = letter.message
        self._items.append((f"{message.topic}:{message.partition}", letter))

    def take(self) -> list[Item]:
        """Everything that was added since the last call."""
        for stream, pending in self._frames.items():
            self._finish(stream, pending)
        for stream, records in self._records.items():
            self._items.append((stream, tuple(records)))
        items = self._items
        self._frames, self._records, self._items = {}, {}, []
        return items

    def _finish(self, stream: str, pending: _Frames) -> None:
        batch = FrameBatch(stream, tuple(pending.frames), tuple(pending.events))
        self._items.append((stream, batch))
