"""Streams in event-time order: one merged sequence, cut into groups that depend on event time only.

Each stream is a lane that keeps its own order. The lane whose next item is the oldest goes first;
ties go by the stream's name. The merged sequence is cut where the stream changes, where event time
enters another cell, where a stream has enough items, and before a stream's end. So neither
how many items a reader happened to have at once, nor how quickly they came, changes the groups.
"""

from __future__ import annotations

import heapq
from collections import Counter
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, TypeAlias

from records import (
    Estimate,
    EventKind,
    Frame,
    FrameBatch,
    RecordError,
    StreamEvent,
    Verdict,
    VerdictBatch,
)
from records.units import NANOSECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from connectors.lanes import Item, Lane, Timed


@dataclass(frozen=True, slots=True)
class GroupSettings:
    """How the merged sequence is cut.

    Attributes:
        cell_seconds: Length of a cell of event time, seconds. At a speed of 1 results come up to
            so much later than a camera would give them.
        items_at_most: The most items of one stream in a group, so that memory is bounded.
        mixed: Whether a group may hold several streams. Then models get larger batches, but sinks
            see the streams of a group one after the other.

    Raises:
        RecordError: a setting is out of its range.
    """

    cell_seconds: float = 0.5
    items_at_most: int = 16
    mixed: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.cell_seconds * NANOSECONDS < 2**63:
            raise RecordError(f"cell_seconds must be above 0, got {self.cell_seconds}")
        if self.items_at_most < 1:
            raise RecordError(f"items_at_most must be at least 1, got {self.items_at_most}")


class EventOrder:
    """Merges lanes into groups of items in event-time order.

    Args:
        lanes: The lanes, one a stream.
        settings: How the sequence is cut.
    """

    def __init__(self, lanes: Sequence[Lane], settings: GroupSettings | None = None) -> None:
        settings = settings or GroupSettings()
        self.lanes = sorted(lanes, key=lambda lane: lane.stream)
        self._cell_ns = max(round(settings.cell_seconds * NANOSECONDS), 1)
        self._most = settings.items_at_most
        self._mixed = settings.mixed
        self._unknown = set(range(len(self.lanes)))
        self._heap: list[tuple[int, int]] = []
        self._group: list[tuple[str, Timed]] = []
        self._counts: Counter[int] = Counter()

    def next_group(self) -> list[tuple[str, Timed]]:
        """The next group: streams and items in event-time order; empty when it is not there yet.

        Raises:
            StopIteration: there are no more.
        """
        while self._look():
            if not self._heap:
                if not self._group:
                    raise StopIteration
                return self._finish()
            time_ns, place = self._heap[0]
            if self._group and self._is_cut(time_ns, place):
                return self._finish()
            heapq.heappop(self._heap)
            self._group.append((self.lanes[place].stream, self.lanes[place].take()))
            self._counts[place] += 1
            self._unknown.add(place)
        return []

    def close(self) -> None:
        """Let go of what the lanes hold open."""
        for lane in self.lanes:
            lane.close()

    def _look(self) -> bool:
        """Whether every lane's next item is known."""
        for place in sorted(self._unknown):
            lane = self.lanes[place]
            if not lane.known():
                return False
            self._unknown.discard(place)
            head = lane.peek()
            if head is not None:
                heapq.heappush(self._heap, (head.time_ns, place))
        return True

    def _is_cut(self, time_ns: int, place: int) -> bool:
        head = self.lanes[place].peek()
        item = None if head is None else head.item
        ends = isinstance(item, StreamEvent) and item.kind is EventKind.ENDED
        stream, first = self._group[0]
        other = not self._mixed and stream != self.lanes[place].stream
        later = first.time_ns // self._cell_ns != time_ns // self._cell_ns
        return ends or other or later or self._counts[place] == self._most

    def _finish(self) -> list[tuple[str, Timed]]:
        group, self._group = self._group, []
        self._counts.clear()
        # One batch a stream: alternating ones would be no better ordered behind keyed steps.
        return sorted(group, key=lambda pair: pair[0]) if self._mixed else group


def frame_batches(group: Sequence[tuple[str, Timed]]) -> list[tuple[str, FrameBatch]]:
    """A group as batches of frames and events, keyed by stream, in the same order."""
    batches = []
    for stream, items in _runs(group):
        frames = tuple(item for item in items if isinstance(item, Frame))
        events = tuple(item for item in items if isinstance(item, StreamEvent))
        batches.append((stream, FrameBatch(stream, frames, events)))
    return batches


def verdict_batches(group: Sequence[tuple[str, Timed]]) -> list[tuple[str, VerdictBatch]]:
    """A group as batches of verdicts and reports, keyed by stream, in the same order."""
    batches = []
    for stream, items in _runs(group):
        verdicts: list[Verdict] = []
        reports: list[Estimate | StreamEvent] = []
        for item in items:
            if isinstance(item, Verdict) and reports:
                # A batch tells its reports last: what comes behind them is another batch.
                batches.append((stream, VerdictBatch(stream, tuple(verdicts), tuple(reports))))
                verdicts, reports = [], []
            if isinstance(item, Verdict):
                verdicts.append(item)
            elif isinstance(item, Estimate | StreamEvent):
                reports.append(item)
        batches.append((stream, VerdictBatch(stream, tuple(verdicts), tuple(reports))))
    return batches


Batches: TypeAlias = (
    "Callable[[Sequence[tuple[str, Timed]]], Sequence[tuple[str, FrameBatch | VerdictBatch]]]"
)
"""Makes the items of a dataflow from a group."""


def _runs(group: Sequence[tuple[str, Timed]]) -> Iterator[tuple[str, list[Item]]]:
    """Runs of items of one stream."""
    for stream, run in groupby(group, key=lambda pair: pair[0]):
        yield stream, [timed.item for _, timed in run]
