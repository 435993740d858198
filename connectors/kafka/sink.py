"""The bytewax sink that writes records and dead letters to Kafka topics."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict
from zlib import crc32

import structlog
from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition

from connectors.kafka.cluster import Cluster, Place
from connectors.kafka.dead_letters import to_message
from connectors.kafka.headers import Header, event_source
from connectors.kafka.messages import DeadLetter, Message, Reason
from connectors.kafka.prepared import Prepared, prepare
from connectors.kafka.producer import ConfirmedProducer, MessageTooLargeError
from connectors.kafka.topics import DEAD_LETTERS, RETRAINING, TopicKind
from connectors.kafka.written import SENDER, Identity, identity, written_since
from records import Record, RecordError, SightflowError
from records.checks import check_name

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from connectors.kafka.settings import KafkaSettings

Outgoing = Record | Prepared | DeadLetter
"""What a sink writes."""

MOST_WRITERS = 1024
"""The most writers that one sink may have."""

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class KafkaSinkSettings:
    """How records are written.

    Attributes:
        flow: The name of the flow; part of ``ce_source`` and of the names of its transactions, so
            no two flows may have the same at once.
        content: msgpack or json.
        transactions: Whether each epoch is one transaction: its records are seen all at once,
            when it ends, by consumers that read committed messages only.
        transaction_seconds: How long a transaction may stay open; more than an epoch takes.
        writers: How many parts share the streams; each has a producer of its own. A run must be
            resumed with as many. With transactions 1, since an open transaction of one would hide
            from another what it wrote itself.

    Raises:
        RecordError: a value is out of range.
    """

    flow: str
    content: str = "msgpack"
    transactions: bool = True
    transaction_seconds: float = 60.0
    writers: int = 1

    def __post_init__(self) -> None:
        check_name("flow", self.flow)
        if self.content not in ("msgpack", "json"):
            raise RecordError(f"content must be msgpack or json, got {self.content!r}")
        if not 0 < self.transaction_seconds < math.inf:
            raise RecordError(
                f"transaction_seconds must be above 0, got {self.transaction_seconds}"
            )
        if not 0 < self.writers <= MOST_WRITERS:
            raise RecordError(f"writers must be 1 to {MOST_WRITERS}, got {self.writers}")
        if self.transactions and self.writers > 1:
            raise RecordError(f"writers must be 1 with transactions, got {self.writers}")


class WriterState(TypedDict):
    """A snapshot of a writer, of plain values only.

    Attributes:
        writers: How many writers there are.
        offsets: From where on a writer that resumes looks for what was written.
        written: What was found so already, and was not to be written again yet.
    """

    writers: int
    offsets: dict[Place, int]
    written: list[Identity]


class KafkaWriter(StatefulSinkPartition["Sequence[Outgoing]", WriterState]):
    """Writes the records of some of the streams; made by KafkaSink.

    Args:
        settings: How the cluster is reached.
        wanted: How records are written.
        name: Names its transactions; unique in the cluster.
        on_dead_letter: Told of every record that cannot be written.
        resume: The snapshot to go on from.

    Raises:
        SightflowError: the cluster does not answer, or what was written before cannot be found.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        wanted: KafkaSinkSettings,
        name: str,
        on_dead_letter: Callable[[DeadLetter], None],
        resume: WriterState | None,
    ) -> None:
        self._settings, self._wanted, self._on_dead_letter = settings, wanted, on_dead_letter
        if resume is not None and resume["writers"] != wanted.writers:
            raise SightflowError(
                f"writers must be {resume['writers']} as when the run began, got "
                f"{wanted.writers}; set it back, or remove the flow's recovery folder"
            )
        # First, since this ends what is left of the transaction of the writer before this one,
        # which would hide what comes behind it.
        self._producer = ConfirmedProducer(
            settings, name if wanted.transactions else None, wanted.transaction_seconds
        )
        self._offsets: dict[Place, int] = {}
        self._topics: set[str] = set()
        self._written: set[Identity] = set()
        try:
            self._begin(resume)
        except SightflowError:
            self._producer.close()
            raise

    def write_batch(self, values: list[Sequence[Outgoing]]) -> None:
        """Send records; those that were written before the run was stopped are not sent again.

        Raises:
            SightflowError: one cannot be delivered.
        """
        for items in values:
            for item in items:
                if isinstance(item, DeadLetter):
                    self._bury(item)
                elif isinstance(item, Prepared):
                    self._write(item)
                else:
                    self._write(prepare(item, self._wanted.flow, self._wanted.content))

    def snapshot(self) -> WriterState:
        """Wait until all is delivered, and make it visible: so an epoch ends.

        Raises:
            SightflowError: a record was not delivered.
        """
        self._offsets |= self._producer.confirm()
        self._producer.commit()
        return WriterState(
            writers=self._wanted.writers,
            offsets=dict(self._offsets),
            written=sorted(self._written),
        )

    def close(self) -> None:
        """End; what no snapshot has made visible is aborted."""
        self._producer.close()

    def _begin(self, resume: WriterState | None) -> None:
        """Note where each partition ends; when resuming, find what was written since."""
        kinds = [*TopicKind, RETRAINING, DEAD_LETTERS]
        with Cluster(self._settings) as cluster:
            topics = cluster.topics(map(self._settings.topic, kinds), committed=False)
        self._topics = set(topics)
        spans = {
            (name, partition): span
            for name, topic in topics.items()
            for partition, span in topic.spans.items()
        }
        self._offsets = {place: end for place, (_, end) in spans.items()}
        if resume is None:
            return
        for place, offset in resume["offsets"].items():
            if place in spans and offset > spans[place][1]:
                raise SightflowError(
                    f"topic {place[0]}, partition {place[1]}, went back: it ends at offset "
                    f"{spans[place][1]}, but was written to {offset}. The broker lost messages, "
                    "or the topic was created again; remove the flow's recovery folder to go on"
                )
        since = {
            place: (max(resume["offsets"].get(place, first), first), end)
            for place, (first, end) in spans.items()
        }
        patience = self._settings.delivery_timeout_seconds + self._wanted.transaction_seconds
        found = written_since(self._settings, self._wanted.flow, since, patience)
        self._written = found.union(resume["written"])
        _log.info("looked for what was written before", records=len(found))

    def _find(self, topic: str) -> None:
        """Look again for a topic that did not exist when the writer began."""
        with Cluster(self._settings) as cluster:
            self._topics |= cluster.topics([topic]).keys()
        if topic not in self._topics:
            raise SightflowError(
                f"topic {topic} must exist at {self._settings.servers}; create it first"
            )

    def _write(self, item: Prepared) -> None:
        topic, fault = self._settings.topic(item.kind), item.fault
        if not fault:
            try:
                self._send(topic, item.key, list(item.headers), item.value)
            except MessageTooLargeError as error:
                fault = str(error)
        if fault:
            original = Message(topic, -1, -1, -1, item.key, item.headers, item.value)
            letter = DeadLetter(original, Reason.OVERSIZED, fault)
            _log.error("record not written", topic=topic, record=item.id, reason=fault)
            self._on_dead_letter(letter)
            self._bury(letter)

    def _bury(self, letter: DeadLetter) -> None:
        sender = event_source(self._wanted.flow, "deadletter").encode()
        most = self._settings.max_message_bytes - len(SENDER) - len(sender)
        key, headers, value = to_message(letter, most)
        topic = self._settings.topic(DEAD_LETTERS)
        self._send(topic, key, [*headers, (SENDER, sender)], value)

    def _send(self, topic: str, key: bytes | None, headers: list[Header], value: bytes) -> None:
        if self._written:
            named = identity(topic, headers, self._wanted.flow)
            if named in self._written:
                self._written.discard(named)
                return
        if topic not in self._topics:
            self._find(topic)
        self._producer.send(topic, key, headers, value)
        if self._producer.is_full:
            self._offsets |= self._producer.confirm()


class KafkaSink(FixedPartitionedSink["Sequence[Outgoing]", WriterState]):
    """Writes ``(key, records, prepared messages or dead letters)`` to the topics of their kinds.

    Every message is confirmed by all replicas in sync before the epoch that it belongs to ends; if
    one is not, the run fails and, resumed, sends it again. docs/kafka.md tells what is guaranteed.

    Args:
        settings: How the cluster is reached.
        wanted: How records are written.
        on_dead_letter: Told of every record that cannot be written because it is too large; it is
            in the topic of dead letters by then.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        wanted: KafkaSinkSettings,
        *,
        on_dead_letter: Callable[[DeadLetter], None] | None = None,
    ) -> None:
        self._settings, self._wanted = settings, wanted
        self._on_dead_letter = _unheard if on_dead_letter is None else on_dead_letter

    def list_parts(self) -> list[str]:
        """The writers, by number."""
        return [f"{index:04d}" for index in range(self._wanted.writers)]

    def part_fn(self, item_key: str) -> int:
        """The writer of a stream, the same in every run."""
        return crc32(item_key.encode())

    def build_part(
        self, step_id: str, for_part: str, resume_state: WriterState | None
    ) -> KafkaWriter:
        """Start one writer.

        Raises:
            SightflowError: the cluster does not answer.
        """
        name = f"{self._settings.topic_prefix}-{self._wanted.flow}-{step_id}-{for_part}"
        return KafkaWriter(self._settings, self._wanted, name, self._on_dead_letter, resume_state)


def _unheard(letter: DeadLetter) -> None:
    del letter
