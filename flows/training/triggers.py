"""When a round begins: on a schedule, on the queue's depth, or on a broken contract."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from connectors.queue import RetrainingQueue
from flows.training.selecting import new_items
from flows.training.state import Trigger
from records.units import NANOSECONDS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from flows.config.training_section import TrainingSection
    from flows.training.examples import Examples
    from flows.training.kinds import Kind
    from flows.training.settings import TrainingJob
    from flows.training.state import RoundState


RETRY_SHARE = 0.25
"""After an alarm that a round could not answer, such a share of the items of a round is enough."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a trainer looks at.

    Attributes:
        now_ns: The present time, nanoseconds since 1970 UTC.
        new_items: Items of the queue that a round could take.
        alarms: The alarms of the newest run, as `AlarmWatch.mark` tells them; empty without any.
        trying: Whether a running flow still tries the last version; another one would end that.
    """

    now_ns: int
    new_items: int
    alarms: str = ""
    trying: bool = False


def due(section: TrainingSection, last: RoundState | None, seen: Seen) -> Trigger | None:
    """Why a round is to begin now; None when none is.

    None begins without new items, nor while the last version is still tried in the shadow.

    Args:
        section: When rounds begin.
        last: The round before; None before the first.
        seen: What there is.
    """
    if seen.trying or not seen.new_items:
        return None
    if section.on_alarm and seen.alarms and _unanswered(section, last, seen):
        return Trigger.ALARM
    if section.queue_items is not None and seen.new_items >= section.queue_items:
        return Trigger.QUEUE
    if section.every_seconds is None:
        return None
    passed = last is None or seen.now_ns - last.began_ns >= section.every_seconds * NANOSECONDS
    return Trigger.SCHEDULE if passed else None


def _unanswered(section: TrainingSection, last: RoundState | None, seen: Seen) -> bool:
    """Whether an alarm asks for a round: it is new, or the last round could not answer it.

    Right after an alarm there are few examples of what has changed. So a round without a version is
    tried again when some more have come.
    """
    if last is None or seen.alarms != last.alarms:
        return True
    enough = RETRY_SHARE * (section.queue_items or section.items)
    return last.trigger is Trigger.ALARM and last.version is None and seen.new_items >= enough


class QueueWatch:
    """Counts the items of the live queue that a round could take; reads it when it has changed.

    Args:
        job: The trainer's job.
        kind: The kind of model.
        examples: The examples.
    """

    def __init__(self, job: TrainingJob, kind: Kind, examples: Examples) -> None:
        self._job, self._kind, self._examples = job, kind, examples
        self._stamp: tuple[object, ...] | None = None
        self._count = 0

    def count(self, last: RoundState | None) -> int:
        """How many there are; those that the last round tried in vain do not count.

        Raises:
            SightflowError: the queue cannot be read.
        """
        queue = self._job.queue
        number = 0 if last is None else last.number
        stamp = (number, *(_stamp(path) for path in (queue, queue.with_name(f"{queue.name}-wal"))))
        if not queue.exists():
            return 0
        if stamp != self._stamp:
            with RetrainingQueue(queue, mode="ro") as opened:
                stored = opened.items()
            tried = () if last is None else last.items
            known = self._examples.labels()
            vain = frozenset(tried) - known.keys()
            found, _ = new_items(stored, self._job.section, self._kind, known)
            self._stamp = stamp
            self._count = sum(one.item.id not in vain for one in found)
        return self._count


def _stamp(path: Path) -> tuple[int, int]:
    try:
        stat = path.stat()
    except FileNotFoundError:
        return (0, 0)
    return stat.st_mtime_ns, stat.st_size


def watch(
    job: TrainingJob, queue: QueueWatch, alarms: Callable[[], str], last: RoundState | None
) -> Seen:
    """Look at the queue, at the alarms and at the registry."""
    trying = job.registry.pointers(job.name).candidate is not None
    marked = alarms() if job.section.on_alarm else ""
    return Seen(job.clock(), queue.count(last), marked, trying)
