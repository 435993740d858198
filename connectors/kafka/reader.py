"""One part of a Kafka source: reads its share of the partitions."""

from __future__ import annotations

import time
import weakref
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from bytewax.inputs import StatefulSourcePartition
from kafka import KafkaConsumer, TopicPartition
from kafka.errors import OffsetOutOfRangeError

from connectors.kafka.batching import Batches, Item
from connectors.kafka.cluster import Cluster, Place, kafka_errors
from connectors.kafka.messages import DeadLetter, Message
from connectors.kafka.order import StreamOrder
from connectors.kafka.positions import Positions, ReaderState
from connectors.kafka.ranges import ANEW
from connectors.kafka.reading import read_message
from connectors.kafka.topics import TopicKind
from connectors.kafka.watch import TopicWatch
from records import Frame, SourceError

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from connectors.kafka.settings import KafkaSettings
    from connectors.kafka.source_settings import KafkaSourceSettings

_POLL = timedelta(milliseconds=5)
"""How long the flow leaves a reader alone that had nothing ready."""

_BYTES_A_PIXEL = 3
"""How much a decoded pixel takes at most, bytes."""

_USUAL_FRAME_BYTES = 1920 * 1080 * _BYTES_A_PIXEL
"""What a decoded frame is thought to take before one is seen, and at least, bytes."""

_FETCH_WAIT_MS = 500
"""How long a broker may hold an answer back until there is a message, milliseconds."""


class KafkaReader(StatefulSourcePartition[Item, ReaderState]):
    """Reads the partitions that `reader_of` gives it; made by KafkaSource.

    Args:
        settings: How the cluster is reached.
        wanted: What is read.
        index: Which reader this is.
        stop: Ends reading when set.
        progress: Told the next offset and the end of each partition now and then.
        resume: The snapshot to go on from; None begins where the settings say.

    Raises:
        SourceError: the cluster does not answer, a topic is missing, or reading cannot begin where
            it should without losing messages.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        wanted: KafkaSourceSettings,
        index: int,
        stop: threading.Event,
        progress: Callable[[Place, int, int], None],
        resume: ReaderState | None,
    ) -> None:
        self._settings, self._wanted = settings, wanted
        self._stop, self._progress = stop, progress
        self._positions = Positions(wanted, index, resume)
        self._order = StreamOrder(wanted.late_seconds, wanted.most_streams)
        self._batches = Batches(wanted.batch_frames)
        self._committable: dict[Place, int] = {}
        self._frame_bytes = _USUAL_FRAME_BYTES
        self._idle = self._over = False
        self._quiet_since: float | None = None
        self._complete = resume is not None and resume["finished"]
        if resume is not None:
            self._order.restore(resume["streams"])
        cluster = Cluster(settings)
        try:
            self._positions.begin(cluster, settings.servers)
            self._consumer = self._connect()
        except SourceError:
            cluster.close()
            raise
        self._watch = TopicWatch(
            cluster,
            list(wanted.kinds),
            wanted.group,
            wanted.watch_seconds,
            wanted.unreachable_seconds,
        )
        # bytewax does not close the partitions of a flow that is aborted.
        weakref.finalize(self, _close, self._watch, self._consumer)
        self._seek()

    def next_batch(self) -> list[Item]:
        """What is ready, without waiting.

        Raises:
            StopIteration: the end is reached.
            SourceError: the cluster is silent for too long, or messages were lost.
        """
        if self._over or self._complete:
            raise StopIteration
        if self._stop.is_set():
            self._over = True
            self._end("stopped")
            return self._batches.take()
        self._look()
        self._idle = not self._poll()
        self._check_stall()
        if self._positions.ends is not None:
            if self._idle:
                self._advance()
            if not self._positions.unfinished():
                self._complete = True
                self._end()
        return self._batches.take()

    def next_awake(self) -> datetime | None:
        """When to ask again: at once, or a little later when nothing was ready."""
        return datetime.now(UTC) + _POLL if self._idle else None

    def snapshot(self) -> ReaderState:
        """Where to go on; what the snapshot before said is committed for tools to see."""
        self._advance()
        self._watch.commit(self._committable)
        self._committable = dict(self._positions.offsets)
        return self._positions.snapshot(self._order.snapshot(), finished=self._complete)

    def close(self) -> None:
        """Commit what the last snapshot said, and close the connections."""
        self._watch.commit(self._committable)
        self._watch.close()
        self._consumer.close(autocommit=False)

    def _connect(self) -> Any:  # noqa: ANN401 - kafka-python has no types
        with kafka_errors(self._settings, "connect to Kafka"):
            return KafkaConsumer(
                **self._settings.client_options(),
                group_id=None,
                enable_auto_commit=False,
                auto_offset_reset="none",
                isolation_level="read_committed",
                allow_auto_create_topics=False,
                fetch_max_bytes=self._wanted.fetch_bytes,
                max_partition_fetch_bytes=self._wanted.fetch_bytes,
                fetch_max_wait_ms=_FETCH_WAIT_MS,
            )

    def _seek(self) -> None:
        """Read the partitions that are not at their end from where they stand."""
        places = self._positions.unfinished()
        self._consumer.assign([TopicPartition(*place) for place in places])
        for place in places:
            self._consumer.seek(TopicPartition(*place), self._positions.from_where(place))

    def _look(self) -> None:
        """Take in what the watch saw."""
        sight = self._watch.take()
        if sight is None:
            return
        for place, offset, end in self._positions.check(sight):
            self._progress(place, offset, end)
        self._advance()
        if self._positions.add_new(sight):
            self._seek()

    def _poll(self) -> int:
        """Take in the messages that are ready; how many there were."""
        try:
            with kafka_errors(self._settings, "read"):
                found = self._consumer.poll(0, max_records=self._room())
        except SourceError as error:
            if not isinstance(error.__cause__, OffsetOutOfRangeError):
                raise
            gone = ", ".join(
                f"topic {at.topic}, partition {at.partition}, offset {offset}"
                for at, offset in error.__cause__.args[0].items()
            )
            raise SourceError(
                f"messages that were to be read next are gone: {gone}. Retention removed them or "
                f"the topic was created again. {ANEW}"
            ) from error
        for at, records in found.items():
            for record in records:
                self._receive((at.topic, at.partition), Message.of(record))
        return sum(len(records) for records in found.values())

    def _room(self) -> int:
        """How many messages may be taken at once: pictures grow when they are decoded."""
        wanted = self._wanted
        if TopicKind.FRAMES not in wanted.kinds.values():
            return wanted.batch_messages
        return max(1, min(wanted.batch_messages, wanted.decoded_bytes // self._frame_bytes))

    def _check_stall(self) -> None:
        """Fail when messages are there but do not come: the consumer itself tries forever."""
        if not self._idle:
            self._quiet_since = None
            return
        now = time.monotonic()
        if self._quiet_since is None:
            self._quiet_since = now
        if now - self._quiet_since <= self._wanted.unreachable_seconds:
            return
        self._advance()
        self._quiet_since = now
        for (topic, partition), (offset, end) in self._positions.waiting().items():
            raise SourceError(
                f"topic {topic}, partition {partition}, has messages {offset} to {end - 1}, but "
                f"none came within {self._wanted.unreachable_seconds} s. The log of kafka-python "
                "tells why; perhaps the broker sends more at once than fetch_bytes allows"
            )

    def _receive(self, place: Place, message: Message) -> None:
        if not self._positions.take(place, message):
            return
        kind = self._wanted.kinds[place[0]]
        item = read_message(message, kind, self._settings.max_message_bytes)
        if isinstance(item, DeadLetter):
            self._batches.add_dead(item)
            return
        if isinstance(item, Frame):
            pixels = item.pixels.width * item.pixels.height
            self._frame_bytes = max(self._frame_bytes, pixels * _BYTES_A_PIXEL)
        events, admitted = self._order.admit(item, message)
        if isinstance(admitted, DeadLetter):
            self._batches.add_dead(admitted)
            admitted = None
        if isinstance(item, Frame) and admitted is None:
            self._batches.add_frame_events(item.stream, events)
        else:
            self._batches.add(item.stream, events, admitted)

    def _advance(self) -> None:
        """Count what transactions wrote besides messages, so that ends can be reached."""
        for at in self._consumer.assignment():
            position = self._consumer.position(at)
            if position is not None:
                self._positions.advance((at.topic, at.partition), position)

    def _end(self, reason: str = "") -> None:
        """Report what is left to be reported of each stream."""
        for is_frames, event in self._order.end(reason):
            if is_frames:
                self._batches.add_frame_events(event.stream, [event])
            else:
                self._batches.add(event.stream, [event], None)


def _close(watch: TopicWatch, consumer: Any) -> None:  # noqa: ANN401 - kafka-python's
    watch.stop()
    consumer.close(autocommit=False)
