"""What is put into the retraining queue and what is not, counted for metrics and the summary."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from connectors.metrics import Metrics
    from connectors.queue_items import Entry, QueueAdded
    from flows.counts import RunCounts
    from operators.retraining_settings import Candidates
    from records import RetrainingItem

KNOWN = "known"
"""Why an item was not added: a run that goes on, or one over the same data, brought it again."""

EVICTED = "evicted_"
"""What the reason begins with why an item left the queue again."""

_log = structlog.get_logger()


class RetrainingTally:
    """Counts for one run. Workers call it from their threads.

    Args:
        counts: The run's counts.
        metrics: The run's metrics.
        queue: The name of the queue's file.
    """

    def __init__(self, counts: RunCounts, metrics: Metrics, queue: str = "") -> None:
        self._counts, self._metrics, self._queue = counts, metrics, queue

    def dropped(self, admitted: Candidates) -> None:
        """Count what was found and led to no item, or to one without a picture."""
        lost = {str(reason): count for reason, count in admitted.dropped.items()}
        self._count(admitted.stream, (), lost)

    def sent(self, admitted: Candidates) -> None:
        """Count items that are written to Kafka and to no queue."""
        self._count(admitted.stream, [one.item for one in admitted.candidates], {})

    def added(self, entries: Sequence[Entry], done: QueueAdded, waiting: int) -> None:
        """Count what became of items at the queue, and how many wait there now."""
        reasons = dict(done.refused) | dict.fromkeys(done.known, KNOWN)
        lost: defaultdict[str, Counter[str]] = defaultdict(Counter)
        new: defaultdict[str, list[RetrainingItem]] = defaultdict(list)
        for item, _ in entries:
            # What is refused for its crop may have an id that is added as well.
            reason = reasons.pop(item.id, None)
            if reason is None:
                new[item.stream].append(item)
            else:
                lost[item.stream][reason] += 1
        for (reason, stream), count in done.evicted.items():
            lost[stream][EVICTED + reason] += count
        if done.refused:
            _log.warning("items refused by the retraining queue", reasons=Counter(
                reason for _, reason in done.refused
            ))  # fmt: skip
        for stream in new.keys() | lost.keys():
            self._count(stream, new[stream], lost[stream])
        self._metrics.observe_queue(self._queue, waiting)

    def _count(self, stream: str, items: Iterable[RetrainingItem], lost: Mapping[str, int]) -> None:
        origins = Counter(str(origin) for item in items for origin in item.origins)
        if origins or lost:
            self._counts.put_aside(stream, origins, lost)
            self._metrics.observe_retraining(stream, origins, lost)
