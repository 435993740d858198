"""A range of a Kafka topic, read once into a temporary file, so that it can be replayed.

Messages of a partition come in the order of their offsets, not of event time, and a broker may
delete them at any time. So the range is fetched first and replayed from the file, by stream.
"""

from __future__ import annotations

import math
import tempfile
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import msgpack

from connectors.kafka.cluster import Cluster
from connectors.kafka.messages import DeadLetter, Message
from connectors.kafka.order import StreamOrder
from connectors.kafka.ranges import End, Start, check_end, check_start, end_offsets, start_offsets
from connectors.kafka.reading import read_message
from connectors.kafka.scan import scan
from connectors.kafka.topics import TopicKind, kind_of_topic
from records import Frame, RecordError, SourceError, StreamEvent, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from connectors.kafka.cluster import Place
    from connectors.kafka.settings import KafkaSettings

REPLAYED = (TopicKind.FRAMES, TopicKind.DETECTIONS)
"""The kinds of topic that can be replayed."""


@dataclass(frozen=True, slots=True)
class TopicRange:
    """What is fetched.

    Attributes:
        topic: The topic.
        kind: What it holds, frames or detections; None for what its name ends in.
        start: Where each partition begins: earliest, a time or offsets.
        end: Where it ends: latest, a time or offsets.
        late_seconds: How far a record's event time may lie behind the latest of its stream.
        most_streams: The most streams.
        most_bytes: The most disk that the temporary file may take, bytes.
        patience_seconds: How long to wait for the next messages, seconds.

    Raises:
        RecordError: the topic holds nothing that can be replayed, or a value is out of range.
    """

    topic: str
    kind: TopicKind | None = None
    start: Start = "earliest"
    end: End = "latest"
    late_seconds: float = math.inf
    most_streams: int = 10_000
    most_bytes: int = 16 * 2**30
    patience_seconds: float = 60.0

    def __post_init__(self) -> None:
        if self.holds not in REPLAYED:
            raise RecordError(
                f"topic {self.topic} must hold {' or '.join(REPLAYED)} to be replayed, "
                f"got {self.holds or 'an unknown kind'}; say which with holds=…"
            )
        check_start(self.start, None)
        check_end(self.end)
        for name in ("most_streams", "most_bytes", "patience_seconds"):
            if not getattr(self, name) > 0:
                raise RecordError(f"{name} must be above 0, got {getattr(self, name)}")

    @property
    def holds(self) -> TopicKind | None:
        """What the topic holds."""
        return self.kind or kind_of_topic(self.topic)


class _Kept(NamedTuple):
    """Where a message is in the file."""

    offset: int
    size: int


class RecordedTopic:
    """The range, fetched when this is made.

    Args:
        settings: How the cluster is reached.
        wanted: What is fetched.

    Attributes:
        dead_letters: Messages that were not understood, by reason.
        stages: The verdicts among the messages, by the stage that decided.

    Raises:
        SourceError: the cluster does not answer, or the range is not there, empty or too large.
    """

    def __init__(self, settings: KafkaSettings, wanted: TopicRange) -> None:
        assert wanted.holds is not None, "settings checked it"
        self._wanted = wanted
        self._kind = wanted.holds
        self._most_message = settings.max_message_bytes
        self._streams: dict[str, list[StreamEvent | _Kept]] = {}
        self._size = 0
        self.dead_letters: Counter[str] = Counter()
        self.stages: Counter[str] = Counter()
        spans = _spans(settings, wanted)
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `close`
        order = StreamOrder(wanted.late_seconds, wanted.most_streams)
        try:
            for message in scan(settings, spans, wanted.patience_seconds):
                self._keep(message, order)
        except SourceError:
            self.close()
            raise
        for _, event in order.end():
            self._streams[event.stream].append(event)

    @property
    def streams(self) -> tuple[str, ...]:
        """The streams' names, in order."""
        return tuple(sorted(self._streams))

    def items(self, stream: str) -> Iterator[Frame | Verdict | StreamEvent]:
        """The frames or verdicts of a stream, and what befell it, in order."""
        for kept in self._streams[stream]:
            if isinstance(kept, StreamEvent):
                yield kept
                continue
            self._file.seek(kept.offset)
            item = read_message(
                _unpacked(self._file.read(kept.size)), self._kind, self._most_message
            )
            assert isinstance(item, Frame | Verdict | StreamEvent), "it was read before"
            yield item

    def close(self) -> None:
        """Remove the file."""
        self._file.close()

    def _keep(self, message: Message, order: StreamOrder) -> None:
        item = read_message(message, self._kind, self._most_message)
        if isinstance(item, DeadLetter):
            self.dead_letters[str(item.reason)] += 1
            return
        events, admitted = order.admit(item, message)
        if events or not isinstance(admitted, DeadLetter | None):
            self._streams.setdefault(item.stream, []).extend(events)
        if isinstance(admitted, DeadLetter):
            self.dead_letters[str(admitted.reason)] += 1
        elif admitted is not None:
            data: bytes = _packed(message)
            self._streams[item.stream].append(_Kept(self._size, len(data)))
            self._write(data)
            if isinstance(admitted, Verdict):
                self.stages[str(admitted.stage)] += 1

    def _write(self, data: bytes) -> None:
        if self._size + len(data) > self._wanted.most_bytes:
            raise SourceError(
                f"the range of topic {self._wanted.topic} must be at most "
                f"{self._wanted.most_bytes} bytes, it is larger; replay a shorter one"
            )
        try:
            self._file.write(data)
        except OSError as error:
            raise SourceError(
                f"the range of topic {self._wanted.topic} cannot be kept: {error.strerror}; "
                "replay a shorter one, or set TMPDIR to a larger disk"
            ) from error
        self._size += len(data)


def _spans(settings: KafkaSettings, wanted: TopicRange) -> Mapping[Place, tuple[int, int]]:
    """The offsets of the range in each partition."""
    with Cluster(settings) as cluster:
        state = cluster.topics([wanted.topic]).get(wanted.topic)
        if state is None:
            raise SourceError(f"there is no topic {wanted.topic} at {settings.servers}")
        kept = {(wanted.topic, part): span for part, span in state.spans.items()}
        starts = start_offsets(cluster, wanted.start, None, kept)
        ends = end_offsets(cluster, wanted.end, kept)
    for (topic, partition), (first, _) in kept.items():
        if starts[topic, partition] < first:
            raise SourceError(
                f"topic {topic}, partition {partition}, begins at offset {first}, got "
                f"{starts[topic, partition]}; what was before is deleted, begin later"
            )
    if not any(starts[place] < ends[place] for place in kept):
        raise SourceError(
            f"the range of topic {wanted.topic} holds no message; name another from and to"
        )
    return {place: (starts[place], ends[place]) for place in kept}


def _packed(message: Message) -> bytes:
    place = message.topic, message.partition, message.offset, message.time_ms
    data: bytes = msgpack.packb((*place, message.key, message.headers, message.value))
    return data


def _unpacked(data: bytes) -> Message:
    topic, partition, offset, time_ms, key, headers, value = msgpack.unpackb(data, use_list=False)
    return Message(topic, partition, offset, time_ms, key, headers, value)
