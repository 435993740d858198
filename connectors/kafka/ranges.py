"""Where reading begins and ends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from records import RecordError, SourceError
from records.checks import check_count, check_time

if TYPE_CHECKING:
    from collections.abc import Mapping

    from connectors.kafka.cluster import Cluster, Place, TopicState

ANEW = (
    "To start anew, remove the flow's recovery folder or name another topic; what was read so far "
    "stays in the sinks"
)
"""What remains to be done when reading cannot go on."""


@dataclass(frozen=True, slots=True)
class AtTime:
    """At the first message that is not older, by Kafka's own time of the messages.

    Attributes:
        time_ns: Nanoseconds since 1970 UTC; Kafka's times are whole milliseconds.
    """

    time_ns: int

    def __post_init__(self) -> None:
        check_time("time_ns", self.time_ns)


@dataclass(frozen=True, slots=True)
class AtOffsets:
    """At these offsets.

    Attributes:
        offsets: The offset for every partition that is read, by topic and partition.
    """

    offsets: Mapping[tuple[str, int], int]

    def __post_init__(self) -> None:
        for (topic, partition), offset in self.offsets.items():
            check_count(f"offset of {topic}, partition {partition}", offset)


Start: TypeAlias = Literal["earliest", "latest", "committed"] | AtTime | AtOffsets
"""Where a partition begins without a state to resume from: at its first message, behind its last,
where its group committed, or at a time or offset."""

End: TypeAlias = Literal["latest"] | AtTime | AtOffsets
"""Where a partition ends: behind what is its last message when reading begins, or before the
message at a time or offset. Reading without an end is live."""


def check_start(start: Start, group: str | None) -> None:
    """Raise RecordError unless `start` is a start."""
    words = ("earliest", "latest", "committed")
    if not isinstance(start, AtTime | AtOffsets) and start not in words:
        raise RecordError(f"start must be one of {', '.join(words)}, a time or offsets")
    if start == "committed" and group is None:
        raise RecordError("start committed needs a group")


def check_end(end: End | None) -> None:
    """Raise RecordError unless `end` is an end."""
    if not isinstance(end, AtTime | AtOffsets) and end not in ("latest", None):
        raise RecordError("end must be latest, a time, offsets or none")


def start_offsets(
    cluster: Cluster, start: Start, group: str | None, spans: Mapping[Place, tuple[int, int]]
) -> dict[Place, int]:
    """The offset at which each partition begins.

    Args:
        cluster: Is asked about times and the group.
        start: Where to begin.
        group: The group, for what it committed.
        spans: The first and the next offset of each partition.

    Raises:
        SourceError: there is no offset for a partition.
    """
    if start == "earliest":
        return {place: first for place, (first, _) in spans.items()}
    if start == "latest":
        return {place: end for place, (_, end) in spans.items()}
    if isinstance(start, AtTime):
        return _at_time(cluster, start, spans)
    if isinstance(start, AtOffsets):
        return _at_offsets("start", start.offsets, spans)
    assert group is not None, "settings checked it"
    committed = cluster.committed(group)
    missing = sorted(spans.keys() - committed.keys())
    if missing:
        raise SourceError(
            f"group {group} has committed no offset for {_shown(missing[0])}; "
            "start at earliest or latest"
        )
    return {place: committed[place] for place in spans}


def end_offsets(
    cluster: Cluster, end: End, spans: Mapping[Place, tuple[int, int]]
) -> dict[Place, int]:
    """The offset before which each partition ends; see `start_offsets`."""
    if isinstance(end, AtTime):
        return _at_time(cluster, end, spans)
    if isinstance(end, AtOffsets):
        wanted = _at_offsets("end", end.offsets, spans)
        for place, (_, last) in spans.items():
            if wanted[place] > last:
                raise SourceError(
                    f"{_shown(place)}, ends at offset {last}, before the end {wanted[place]}"
                )
        return wanted
    return {place: last for place, (_, last) in spans.items()}


def check_kept(place: Place, offset: int, first: int) -> None:
    """Raise SourceError when messages from `offset` on are gone, since it begins at `first`."""
    if offset < first:
        raise SourceError(
            f"{_shown(place)}, lost messages {offset} to {first - 1} before they were read: "
            f"retention removed them, it begins at {first} now. Raise retention.ms or "
            f"retention.bytes. {ANEW}"
        )


def check_not_back(place: Place, offset: int, end: int) -> None:
    """Raise SourceError when a partition that was read to `offset` ends before it."""
    if offset > end:
        raise SourceError(
            f"{_shown(place)}, went back: it ends at offset {end}, but was read to {offset}. "
            f"The broker lost messages, or the topic was created again. {ANEW}"
        )


def check_same(place: Place, known_id: str | None, topic: TopicState | None) -> TopicState:
    """The topic of `place`, when it is there and the one that was read.

    Args:
        place: A topic and partition that is being read.
        known_id: The topic's identity when reading it began; None for unknown.
        topic: The topic now; None when it does not exist.

    Raises:
        SourceError: the topic or the partition is gone, or it is another topic.
    """
    if topic is None or place[1] not in topic.spans:
        raise SourceError(f"{_shown(place)}, no longer exists. {ANEW}")
    if known_id is not None and topic.id is not None and topic.id != known_id:
        raise SourceError(
            f"topic {place[0]} was deleted and created again: its id was {known_id}, now it is "
            f"{topic.id}, so its offsets name other messages. {ANEW}"
        )
    return topic


def _at_time(
    cluster: Cluster, at: AtTime, spans: Mapping[Place, tuple[int, int]]
) -> dict[Place, int]:
    found = cluster.offsets_at(spans, at.time_ns)
    return {
        place: last if (offset := found[place]) is None else offset
        for place, (_, last) in spans.items()
    }


def _at_offsets(
    name: str, offsets: Mapping[Place, int], spans: Mapping[Place, tuple[int, int]]
) -> dict[Place, int]:
    missing = sorted(spans.keys() - offsets.keys())
    if missing:
        raise SourceError(f"{name} must have an offset for {_shown(missing[0])}")
    return {place: offsets[place] for place in spans}


def _shown(place: Place) -> str:
    return f"topic {place[0]}, partition {place[1]}"
