"""How far the partitions of one reader are read, and whether reading them can go on."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, TypedDict
from zlib import crc32

import structlog

from connectors.kafka.ranges import (
    ANEW,
    check_kept,
    check_not_back,
    check_same,
    end_offsets,
    start_offsets,
)
from records import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from connectors.kafka.cluster import Cluster, Place, TopicState
    from connectors.kafka.messages import Message
    from connectors.kafka.source_settings import KafkaSourceSettings
    from connectors.kafka.watch import Sight

_log = structlog.get_logger()


class ReaderState(TypedDict):
    """A snapshot of a reader, of plain values only."""

    readers: int
    ids: dict[str, str | None]
    offsets: dict[Place, int]
    last: dict[Place, tuple[int, int]]
    ends: dict[Place, int] | None
    streams: list[tuple[Any, ...]]
    finished: bool


def reader_of(place: Place, readers: int) -> int:
    """Which reader reads a partition; the same in every run with as many readers.

    >>> [reader_of(("sightflow.frames", partition), 3) for partition in range(4)]
    [2, 0, 1, 2]
    """
    return (crc32(place[0].encode()) + place[1]) % readers


class Positions:
    """The next offset of each partition that one reader reads.

    Args:
        wanted: What is read.
        index: Which reader it is.
        resume: The snapshot to go on from; None begins where the settings say.

    Raises:
        SourceError: the snapshot is one of a source with another number of readers.
    """

    def __init__(self, wanted: KafkaSourceSettings, index: int, resume: ReaderState | None) -> None:
        self._wanted, self._index = wanted, index
        self._anew = resume is None
        self.offsets: dict[Place, int] = {}
        self._last: dict[Place, tuple[int, int]] = {}
        self._first: dict[Place, int] = {}
        self.ends: dict[Place, int] | None = None
        self.ids: dict[str, str | None] = {}
        self._seen_ends: dict[Place, int] = {}
        if resume is not None:
            self._restore(resume)
        self._noted, self._noted_at = dict(self.offsets), time.monotonic()

    def _restore(self, state: ReaderState) -> None:
        if state["readers"] != self._wanted.readers:
            raise SourceError(
                f"readers must be {state['readers']} as when the run began, got "
                f"{self._wanted.readers}; set it back. {ANEW}"
            )
        kinds = self._wanted.kinds
        left = sorted(name for name in state["ids"] if name not in kinds)
        if left:
            _log.warning("topics are no longer read", topics=left)
        self.ids = {name: each for name, each in state["ids"].items() if name in kinds}
        self.offsets = {at: each for at, each in state["offsets"].items() if at[0] in kinds}
        self._last = {at: each for at, each in state["last"].items() if at[0] in kinds}
        if state["ends"] is not None:
            self.ends = {at: each for at, each in state["ends"].items() if at[0] in kinds}

    def begin(self, cluster: Cluster, servers: str) -> None:
        """Check that reading can go on, and find where the other partitions begin and end.

        Raises:
            SourceError: a topic is missing, or messages were lost.
        """
        topics = cluster.topics(self._wanted.kinds)
        for name in self._wanted.kinds:
            if name not in topics:
                raise SourceError(f"topic {name} must exist at {servers}; create it first")
        for place, offset in self.offsets.items():
            topic = check_same(place, self.ids.get(place[0]), topics.get(place[0]))
            check_not_back(place, offset, topic.spans[place[1]][1])
        spans = self._spans(topics)
        if self._anew:
            wanted = self._wanted
            self.offsets = start_offsets(cluster, wanted.start, wanted.group, spans)
            if wanted.end is not None:
                self.ends = end_offsets(cluster, wanted.end, spans)
        elif self.ends is None:
            self.offsets |= {at: spans[at][0] for at in spans.keys() - self.offsets.keys()}
        for place in self.unfinished():
            first, end = spans[place]
            check_not_back(place, self.offsets[place], end)
            check_kept(place, self.offsets[place], first)
            self._first[place] = first
        self.ids = {name: topic.id for name, topic in topics.items()}
        self._note()

    def unfinished(self) -> list[Place]:
        """The partitions that are not at their end, in order."""
        ends = self.ends
        return sorted(at for at, each in self.offsets.items() if ends is None or each < ends[at])

    def from_where(self, place: Place) -> int:
        """The offset to read on from: that of the last message that was read, if it is kept.

        It is compared: a topic that was created again may have grown beyond what was read of the
        one before, and not every broker tells the topics' ids.
        """
        last = self._last.get(place, (-1, 0))[0]
        return last if last >= self._first.get(place, 0) else self.offsets[place]

    def take(self, place: Place, message: Message) -> bool:
        """Note that a message was read; whether it is to be used.

        Raises:
            SourceError: another message was read at its offset before.
        """
        if message.offset >= self.offsets[place]:
            wanted = self.wants(place, message.offset)
            if wanted:
                self.advance(place, message.offset + 1)
                self._last[place] = message.offset, message.fingerprint
            return wanted
        offset, fingerprint = self._last.get(place, (-1, 0))
        if message.offset == offset and message.fingerprint != fingerprint:
            raise SourceError(
                f"topic {place[0]}, partition {place[1]}, was created again: at offset {offset} is "
                f"another message than was read there. {ANEW}"
            )
        return False

    def advance(self, place: Place, offset: int) -> None:
        """Note that everything before `offset` was read, as far as it is wanted."""
        if self.ends is not None:
            offset = min(offset, self.ends[place])
        self.offsets[place] = max(self.offsets[place], offset)

    def wants(self, place: Place, offset: int) -> bool:
        """Whether a message lies before the end."""
        return self.ends is None or offset < self.ends[place]

    def check(self, sight: Sight) -> Iterator[tuple[Place, int, int]]:
        """Check what was seen of the topics; gives the offset and the end of each partition.

        Raises:
            SourceError: a topic is gone or another one, or messages were lost.
        """
        for place, noted in self._noted.items():
            topic = check_same(place, self.ids.get(place[0]), sight.topics.get(place[0]))
            end = topic.spans[place[1]][1]
            # An offset that was reached during the look may lie behind the end that it saw.
            if self._noted_at <= sight.began:
                check_not_back(place, noted, end)
            self._seen_ends[place] = end
            yield place, self.offsets[place], end

    def waiting(self) -> dict[Place, tuple[int, int]]:
        """Partitions with messages that are to be read: the next offset, and that to stop before.

        As far as was seen: the ends are those of the last sight.
        """
        return {
            place: (self.offsets[place], end)
            for place, end in self._seen_ends.items()
            if self.offsets[place] < end and self.wants(place, self.offsets[place])
        }

    def add_new(self, sight: Sight) -> bool:
        """Add partitions that are new, from their first message on; whether there are any."""
        spans = {} if self.ends is not None else self._spans(sight.topics)
        new = {place: span[0] for place, span in spans.items() if place not in self.offsets}
        self.offsets |= new
        self._note()
        return bool(new)

    def snapshot(self, streams: list[tuple[Any, ...]], *, finished: bool) -> ReaderState:
        """The positions, with what else a reader keeps, as plain values."""
        return ReaderState(
            readers=self._wanted.readers,
            ids=dict(self.ids),
            offsets=dict(self.offsets),
            last=dict(self._last),
            ends=None if self.ends is None else dict(self.ends),
            streams=streams,
            finished=finished,
        )

    def _note(self) -> None:
        self._noted, self._noted_at = dict(self.offsets), time.monotonic()

    def _spans(self, topics: Mapping[str, TopicState]) -> dict[Place, tuple[int, int]]:
        """The first and next offset of each partition of this reader."""
        return {
            (name, partition): span
            for name, topic in topics.items()
            for partition, span in topic.spans.items()
            if reader_of((name, partition), self._wanted.readers) == self._index
        }
