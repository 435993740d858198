"""What a cluster says of its topics: partitions, the offsets they begin and end at, and groups."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kafka import KafkaAdminClient, TopicPartition
from kafka.admin import NewTopic, OffsetSpec
from kafka.errors import KafkaError, NoError, TopicAlreadyExistsError, for_code
from kafka.protocol.consumer import IsolationLevel
from kafka.structs import OffsetAndMetadata

from records import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from connectors.kafka.settings import KafkaSettings

Place = tuple[str, int]
"""A topic and the number of one of its partitions."""

_UNKNOWN_TOPIC = 3
"""The error code of Kafka for a topic that does not exist."""


@dataclass(frozen=True, slots=True)
class TopicState:
    """A topic at one moment.

    Attributes:
        name: Its name.
        id: Its identity, which changes when it is deleted and created again; None from brokers
            that tell none (before Kafka 2.8).
        spans: For each partition the offset of its first message, and that of the next one that
            comes; as asked for, messages behind the begin of an open transaction do not count.
    """

    name: str
    id: str | None
    spans: Mapping[int, tuple[int, int]]


@contextmanager
def kafka_errors(settings: KafkaSettings, doing: str) -> Iterator[None]:
    """Turn errors of kafka-python into a SourceError that tells what was being done, and where."""
    try:
        yield
    except KafkaError as error:
        raise SourceError(f"cannot {doing} at {settings.servers}: {told(error)}") from error


def told(error: BaseException) -> str:
    """An error in one line; kafka-python leaves some without a message.

    >>> told(NoError()), told(KafkaError("no broker"))
    ('NoError', 'KafkaError: no broker')
    """
    name, text = type(error).__name__, ", ".join(str(arg) for arg in error.args if arg)
    return f"{name}: {text}" if text else name


class Cluster:
    """A connection to ask a cluster about its topics; may be used by one thread at a time.

    Args:
        settings: How the cluster is reached.

    Raises:
        SourceError: no broker answers.
    """

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        with kafka_errors(settings, "connect to Kafka"):
            self._client: Any = KafkaAdminClient(**settings.client_options())

    def topics(self, names: Iterable[str], *, committed: bool = True) -> dict[str, TopicState]:
        """Describe topics; those that do not exist are left out.

        Args:
            names: The topics' names.
            committed: Whether a partition ends where the first transaction begins that is still
                open, as it does for consumers that read committed messages.

        Raises:
            SourceError: the cluster does not answer, or not with what was asked for.
        """
        with kafka_errors(self._settings, "describe topics"):
            described = self._client.describe_topics(list(names))
            known = [topic for topic in described if topic["error_code"] != _UNKNOWN_TOPIC]
            places = []
            for topic in known:
                if topic["error_code"]:
                    raise for_code(topic["error_code"])(f"topic {topic['name']}")
                places += [(topic["name"], each["partition_index"]) for each in topic["partitions"]]
            level = IsolationLevel.READ_COMMITTED if committed else IsolationLevel.READ_UNCOMMITTED
            first = self._offsets(dict.fromkeys(places, OffsetSpec.EARLIEST), level)
            end = self._offsets(dict.fromkeys(places, OffsetSpec.LATEST), level)
        return {
            topic["name"]: TopicState(
                topic["name"],
                None if topic["topic_id"] is None else str(topic["topic_id"]),
                {at[1]: (first[at], end[at]) for at in places if at[0] == topic["name"]},
            )
            for topic in known
        }

    def offsets_at(self, places: Iterable[Place], time_ns: int) -> dict[Place, int | None]:
        """The offset of the first message that is not older than `time_ns` by Kafka's own time.

        None for a partition that has no such message.

        Raises:
            SourceError: the cluster does not answer.
        """
        milliseconds = -(-time_ns // 1_000_000)
        with kafka_errors(self._settings, "look up offsets by time"):
            found = self._offsets(
                dict.fromkeys(places, milliseconds), IsolationLevel.READ_COMMITTED
            )
        return {place: offset if offset >= 0 else None for place, offset in found.items()}

    def committed(self, group: str) -> dict[Place, int]:
        """The offsets that a group has committed.

        Raises:
            SourceError: the cluster does not answer.
        """
        with kafka_errors(self._settings, f"read the offsets of group {group}"):
            found = self._client.list_group_offsets(group)[group]
        return {(at.topic, at.partition): each.offset for at, each in found.items()}

    def commit(self, group: str, offsets: Mapping[Place, int]) -> None:
        """Commit offsets for a group, so that tools show how far it is.

        Raises:
            SourceError: the cluster does not take them.
        """
        with kafka_errors(self._settings, f"commit the offsets of group {group}"):
            wanted = {
                TopicPartition(*at): OffsetAndMetadata(offset, "", -1)
                for at, offset in offsets.items()
            }
            for error in self._client.alter_group_offsets(group, wanted).values():
                if error is not NoError:
                    raise error

    def create_topics(
        self, partitions: Mapping[str, int], *, replication: int = -1
    ) -> tuple[str, ...]:
        """Create the topics that are not there yet.

        Args:
            partitions: How many partitions each topic has, by its name.
            replication: On how many brokers each is kept; -1 for the cluster's own default.

        Returns:
            The names of those that were created.

        Raises:
            SourceError: the cluster refuses.
        """
        created = []
        for name, count in partitions.items():
            with kafka_errors(self._settings, f"create topic {name}"):
                try:
                    self._client.create_topics([NewTopic(name, count, replication)])
                    created.append(name)
                except TopicAlreadyExistsError:
                    continue
        return tuple(created)

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _offsets(self, specs: Mapping[Place, Any], level: Any) -> dict[Place, int]:  # noqa: ANN401 - kafka-python's
        """Offsets by spec; empty without asking when there are no partitions."""
        if not specs:
            return {}
        wanted = {TopicPartition(*at): spec for at, spec in specs.items()}
        found = self._client.list_partition_offsets(wanted, level)
        return {(at.topic, at.partition): each.offset for at, each in found.items()}
