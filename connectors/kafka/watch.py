"""Watches the topics that a reader reads, on a thread: the consumer itself tells too little.

kafka-python's consumer is silent about a broker that does not answer, about partitions that are
added, and about a topic that is deleted and created again. It would wait, or read on, forever.
"""

from __future__ import annotations

import time
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING, NamedTuple

import structlog

from records import SourceError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from connectors.kafka.cluster import Cluster, Place, TopicState

_CLOSE_SECONDS = 10.0
"""How long closing waits for a question that is still open."""

_log = structlog.get_logger()


class Sight(NamedTuple):
    """What was seen of the topics.

    Attributes:
        began: When the look began, seconds of the monotonic clock.
        topics: The topics that exist, by name.
    """

    began: float
    topics: dict[str, TopicState]


class TopicWatch:
    """Looks at topics again and again, and commits offsets for tools to see.

    Args:
        cluster: Is asked; this thread's alone from now on.
        topics: The topics' names.
        group: The group that offsets are committed for; None for none.
        watch_seconds: How often to look.
        unreachable_seconds: How long the cluster may be silent.
    """

    def __init__(
        self,
        cluster: Cluster,
        topics: Sequence[str],
        group: str | None,
        watch_seconds: float,
        unreachable_seconds: float,
    ) -> None:
        self._cluster = cluster
        self._topics = tuple(topics)
        self._group = group
        self._watch_seconds = watch_seconds
        self._unreachable_seconds = unreachable_seconds
        self._lock = Lock()
        self._woken, self._stopped = Event(), Event()
        self._seen: Sight | None = None
        self._offsets: Mapping[Place, int] = {}
        self._answered = time.monotonic()
        self._silence: SourceError | None = None
        self._thread = Thread(target=self._run, name="kafka-watch", daemon=True)
        self._thread.start()

    def take(self) -> Sight | None:
        """What was seen since the last call; None when there is nothing new.

        Raises:
            SourceError: the cluster has been silent for too long.
        """
        with self._lock:
            seen, self._seen = self._seen, None
            silence, answered = self._silence, self._answered
        if time.monotonic() - answered > self._watch_seconds + self._unreachable_seconds:
            raise SourceError(
                f"Kafka must answer within {self._unreachable_seconds} s: "
                f"{silence or 'a question is still open'}. Reading stops; started again it goes "
                "on where the last epoch ended"
            ) from silence
        return seen

    def commit(self, offsets: Mapping[Place, int]) -> None:
        """Have offsets committed soon; only the latest count. Does not wait."""
        if self._group is not None and offsets:
            with self._lock:
                self._offsets = dict(offsets)
            self._woken.set()

    def stop(self) -> None:
        """Have the thread end after a last commit; does not wait."""
        self._stopped.set()
        self._woken.set()

    def close(self) -> None:
        """End the thread after a last commit."""
        self.stop()
        self._thread.join(_CLOSE_SECONDS)

    def _run(self) -> None:
        looked = time.monotonic()
        while not self._stopped.is_set():
            self._woken.wait(max(looked + self._watch_seconds - time.monotonic(), 0.0))
            self._woken.clear()
            self._commit()
            if not self._stopped.is_set() and time.monotonic() - looked >= self._watch_seconds:
                self._look()
                looked = time.monotonic()
        self._commit()
        self._cluster.close()

    def _look(self) -> None:
        began = time.monotonic()
        try:
            seen = Sight(began, self._cluster.topics(self._topics))
        except SourceError as error:
            _log.warning("Kafka does not answer", error=str(error))
            with self._lock:
                self._silence = error
            return
        with self._lock:
            self._seen, self._silence, self._answered = seen, None, time.monotonic()

    def _commit(self) -> None:
        with self._lock:
            offsets, self._offsets = self._offsets, {}
        if self._group is None or not offsets:
            return
        try:
            self._cluster.commit(self._group, offsets)
        except SourceError as error:
            # Nothing resumes from these offsets, so reading goes on.
            _log.warning("offsets not committed", group=self._group, error=str(error))
