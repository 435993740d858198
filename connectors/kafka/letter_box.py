"""Lists dead letters, and sends them again to where they were meant to go."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from connectors.kafka.cluster import Cluster
from connectors.kafka.dead_letters import ERROR_PREFIX, StoredLetter, from_message
from connectors.kafka.messages import REPLAYS, Reason
from connectors.kafka.producer import ConfirmedProducer, MessageTooLargeError
from connectors.kafka.scan import scan
from connectors.kafka.topics import DEAD_LETTERS
from records import RecordError, SourceError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from connectors.kafka.settings import KafkaSettings

_NANOSECONDS_A_MILLISECOND = 1_000_000


@dataclass(frozen=True, slots=True)
class LetterFilter:
    """Which dead letters are meant; a field that is None lets all pass.

    Attributes:
        reason: Why they are dead.
        topic: Where the original was.
        from_ns: The earliest time of the original, nanoseconds since 1970 UTC, included.
        to_ns: The latest, excluded.
        most: How many at most, the oldest first.
    """

    reason: Reason | None = None
    topic: str | None = None
    from_ns: int | None = None
    to_ns: int | None = None
    most: int | None = None

    def __post_init__(self) -> None:
        if self.reason is not None and not isinstance(self.reason, Reason):
            raise RecordError(f"reason must be one of {', '.join(Reason)}, got {self.reason!r}")
        if self.most is not None and self.most < 1:
            raise RecordError(f"most must be at least 1, got {self.most}")

    def passes(self, stored: StoredLetter) -> bool:
        """Whether a dead letter is meant, but for how many."""
        message = stored.letter.message
        time_ns = message.time_ms * _NANOSECONDS_A_MILLISECOND
        return (
            self.reason in (None, stored.letter.reason)
            and self.topic in (None, message.topic)
            and (self.from_ns is None or time_ns >= self.from_ns)
            and (self.to_ns is None or time_ns < self.to_ns)
        )


@dataclass(frozen=True, slots=True)
class ReplayReport:
    """What became of dead letters that were to be sent again.

    Attributes:
        replayed: How many were sent, by topic.
        skipped: How many were not, by why: ``truncated`` is only a part of the original,
            ``never_sent`` was too large to be sent in the first place, ``oversized`` is now.
    """

    replayed: Mapping[str, int]
    skipped: Mapping[str, int]


class LetterBox:
    """The topic of dead letters, for people to look into.

    Args:
        settings: How the cluster is reached.
    """

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._unreadable: list[str] = []

    @property
    def unreadable(self) -> tuple[str, ...]:
        """Why messages of the topic are no dead letters, one line each; grows while reading."""
        return tuple(self._unreadable)

    def letters(self, wanted: LetterFilter | None = None) -> Iterator[StoredLetter]:
        """The dead letters that are there now; each partition in order.

        Raises:
            SourceError: the cluster does not answer, or has no topic of dead letters.
        """
        wanted = wanted or LetterFilter()
        name = self._settings.topic(DEAD_LETTERS)
        with Cluster(self._settings) as cluster:
            topic = cluster.topics([name]).get(name)
        if topic is None:
            raise SourceError(f"topic {name} must exist at {self._settings.servers}")
        spans = {(name, partition): span for partition, span in topic.spans.items()}
        left = wanted.most
        for message in scan(self._settings, spans, self._settings.delivery_timeout_seconds):
            try:
                stored = from_message(message)
            except RecordError as error:
                self._unreadable.append(str(error))
                continue
            if wanted.passes(stored):
                yield stored
                left = None if left is None else left - 1
                if left == 0:
                    return

    def replay(self, letters: Iterable[StoredLetter]) -> ReplayReport:
        """Send dead letters to their original topics again, as they were.

        The header ``sightflow.replays`` counts how often that was done. They stay in the topic of
        dead letters.

        Raises:
            SightflowError: one cannot be delivered.
        """
        replayed: Counter[str] = Counter()
        skipped: Counter[str] = Counter()
        producer = ConfirmedProducer(self._settings, None, 0.0)
        try:
            for stored in letters:
                why = _not_replayable(stored) or _send(producer, stored)
                if why:
                    skipped[why] += 1
                else:
                    replayed[stored.letter.message.topic] += 1
                if producer.is_full:
                    producer.confirm()
            producer.confirm()
        finally:
            producer.close()
        return ReplayReport(dict(replayed), dict(skipped))


def _not_replayable(stored: StoredLetter) -> str:
    if stored.truncated:
        return "truncated"
    return "never_sent" if stored.letter.message.offset < 0 else ""


def _send(producer: ConfirmedProducer, stored: StoredLetter) -> str:
    message = stored.letter.message
    headers = [
        (name, value or b"")
        for name, value in message.headers
        if name != REPLAYS and not name.startswith(ERROR_PREFIX)
    ]
    headers.append((REPLAYS, str(message.replays + 1).encode()))
    try:
        producer.send(message.topic, message.key, headers, message.value or b"")
    except MessageTooLargeError:
        return "oversized"
    return ""
