"""What is read from Kafka, and within which bounds."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from connectors.kafka.ranges import End, Start, check_end, check_start
from connectors.kafka.topics import TopicKind, kind_of_topic
from records import RecordError

if TYPE_CHECKING:
    from collections.abc import Mapping

MOST_READERS = 1024
"""The most readers that one source may have."""


@dataclass(frozen=True, slots=True)
class KafkaSourceSettings:
    """What a Kafka source reads.

    Attributes:
        topics: What each topic holds, by its name. None stands for what its name ends in, as
            Sightflow's own topics do: ``sightflow.frames``.
        start: Where a partition begins that has no state to resume from: earliest, latest,
            committed (by `group`), a time or offsets. Partitions that appear later begin at their
            first message.
        end: Where reading ends: latest (the end when reading begins), a time or offsets; None for
            never.
        group: The consumer group under which offsets are committed, for tools to see; None commits
            none. They are never what a run resumes from.
        readers: How many parts share the partitions. At most so many workers read. A run must be
            resumed with as many.
        batch_frames: The most frames of one batch.
        batch_messages: The most messages that one reader takes at once.
        fetch_bytes: How much one reader fetches at once, bytes as they are sent, that is
            compressed; a single larger batch is still fetched, since there is no other way past.
        decoded_bytes: About how much one reader's frames take that are decoded at once, bytes; one
            frame is always decoded.
        late_seconds: How far a record's event time may lie behind the latest of its stream.
        most_streams: The most streams of one reader.
        watch_seconds: How often topics are looked at for new partitions and lost messages.
        unreachable_seconds: How long the cluster may stay silent before reading fails.

    Raises:
        RecordError: a value is out of range.
    """

    topics: Mapping[str, TopicKind | None]
    start: Start = "earliest"
    end: End | None = None
    group: str | None = None
    readers: int = 4
    batch_frames: int = 32
    batch_messages: int = 500
    fetch_bytes: int = 16 * 2**20
    decoded_bytes: int = 128 * 2**20
    late_seconds: float = math.inf
    most_streams: int = 10_000
    watch_seconds: float = 10.0
    unreachable_seconds: float = 60.0
    kinds: Mapping[str, TopicKind] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.topics:
            raise RecordError("topics must name at least one topic")
        kinds = {name: kind or kind_of_topic(name) for name, kind in self.topics.items()}
        for name, kind in kinds.items():
            if kind not in tuple(TopicKind):
                raise RecordError(
                    f"topic {name} must be told what it holds, {', '.join(TopicKind)}, got {kind}"
                )
        object.__setattr__(self, "kinds", kinds)
        check_start(self.start, self.group)
        check_end(self.end)
        for name in (
            "batch_frames",
            "batch_messages",
            "fetch_bytes",
            "decoded_bytes",
            "most_streams",
        ):
            if getattr(self, name) < 1:
                raise RecordError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not 0 < self.readers <= MOST_READERS:
            raise RecordError(f"readers must be 1 to {MOST_READERS}, got {self.readers}")
        if not self.late_seconds >= 0:
            raise RecordError(f"late_seconds must be at least 0, got {self.late_seconds}")
        for name in ("watch_seconds", "unreachable_seconds"):
            if not 0 < getattr(self, name) < math.inf:
                raise RecordError(f"{name} must be above 0, got {getattr(self, name)}")
