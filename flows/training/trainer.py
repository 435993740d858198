"""The trainer: it waits for a reason, runs a round, and waits again, until it is told to end."""

from __future__ import annotations

import contextlib
import fcntl
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from flows.training.alarms import AlarmWatch
from flows.training.examples import Examples
from flows.training.pressure import Pressure
from flows.training.process import (
    Session,
    TrainingStoppedError,
    energy_meter,
    lower_priority,
)
from flows.training.rounds import KINDS, Round
from flows.training.state import RoundState, StateFile, Step, Trigger
from flows.training.triggers import QueueWatch, due, watch
from records import SightflowError

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator
    from typing import IO

    from flows.training.rounds import Tell
    from flows.training.settings import TrainingJob

POLL_SECONDS = 2.0
"""The time between two looks for a reason, seconds."""

LOCK = "lock"
"""The file in the trainer's folder that the one trainer at work holds."""

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class TrainRequest:
    """How long a trainer works.

    Attributes:
        once: One round, whatever the reasons; an unfinished one is that round.
        until_ns: No round begins after this, nanoseconds since 1970 UTC; None for no end.
    """

    once: bool = False
    until_ns: int | None = None


def train(
    job: TrainingJob, request: TrainRequest, stop: threading.Event, tell: Tell
) -> list[RoundState]:
    """Run rounds until the trainer is stopped.

    Args:
        job: What is trained.
        request: For how long.
        stop: Set it to end at the next checkpoint.
        tell: Called with the state of the round, what it does, and the share of that, 0..1.

    Returns:
        The rounds; the last is unfinished where it was stopped on the way.

    Raises:
        SightflowError: another trainer is at work on this model, or something cannot be read or
            written.
    """
    with _alone(job), Examples(job.place) as examples:
        for refused in lower_priority(job.section):
            _log.warning("priority", reason=refused)
        return _Trainer(job, examples, stop, tell).run(request)


class _Trainer:
    """A trainer that holds its lock."""

    def __init__(
        self, job: TrainingJob, examples: Examples, stop: threading.Event, tell: Tell
    ) -> None:
        self._job, self._examples, self._stop, self._tell = job, examples, stop, tell
        self._file = StateFile(job.place)
        self._queue = QueueWatch(job, KINDS[job.section.kind], examples)
        self._alarms = _alarm_watch(job)
        self._meter = energy_meter(job.section)
        self._pressure = Pressure(job.directory)

    def run(self, request: TrainRequest) -> list[RoundState]:
        rounds: list[RoundState] = []
        last = self._file.read()
        try:
            if last is not None and last.step is not Step.DONE:
                last = self._round(last)
                rounds.append(last)
            while not self._ended(request, rounds):
                trigger, alarms = self._reason(request, last)
                if trigger is not None:
                    last = self._round(self._new(last, trigger, alarms))
                    rounds.append(last)
                elif not request.once:
                    self._stop.wait(POLL_SECONDS)
        except TrainingStoppedError:
            unfinished = self._file.read()
            assert unfinished is not None, "the round was written when it began"
            rounds.append(unfinished)
        return rounds

    def _ended(self, request: TrainRequest, rounds: list[RoundState]) -> bool:
        if request.once and rounds:
            return True
        late = request.until_ns is not None and self._job.clock() >= request.until_ns
        return late or self._stop.is_set()

    def _reason(self, request: TrainRequest, last: RoundState | None) -> tuple[Trigger | None, str]:
        if request.once:
            return Trigger.ASKED, self._mark()
        seen = watch(self._job, self._queue, self._mark, last)
        return due(self._job.section, last, seen), seen.alarms

    def _mark(self) -> str:
        return "" if self._alarms is None else self._alarms.mark()

    def _new(self, last: RoundState | None, trigger: Trigger, alarms: str) -> RoundState:
        number = 1 if last is None else last.number + 1
        since = {} if last is None else dict(last.since)
        if self._alarms is not None:
            self._alarms.mark()
            since |= self._alarms.last_ns
        state = RoundState(number, trigger, self._job.clock(), alarms=alarms, since=since)
        self._file.write(state)
        return state

    def _round(self, state: RoundState) -> RoundState:
        busy = (lambda: self._pressure.busy) if self._job.section.pause_at_busy else lambda: False
        session = Session(self._job.section, self._meter, busy, self._stop, state.spending)
        done = Round(self._job, self._file, self._examples, session, self._tell).run(state)
        _log.info("round", number=done.number, version=done.version, reason=done.reason)
        return done


def _alarm_watch(job: TrainingJob) -> AlarmWatch | None:
    """What tells of the flow's alarms; None where it keeps no event log."""
    section = job.configuration.sinks.event_log
    if section is None:
        return None
    return AlarmWatch(job.folder / section.directory, job.configuration.name)


@contextlib.contextmanager
def _alone(job: TrainingJob) -> Iterator[None]:
    """Hold the trainer's lock; the system lets it go when the process ends, however it ends."""
    with _opened(job) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise SightflowError(
                f"another trainer is at work on {job.name} in {job.directory}; "
                "end it, or train another model"
            ) from error
        yield


def _opened(job: TrainingJob) -> IO[str]:
    try:
        job.place.mkdir(parents=True, exist_ok=True)
        return (job.place / LOCK).open("a")
    except OSError as error:
        raise SightflowError(
            f"{job.place} cannot be used: {error.strerror}; check the permissions there"
        ) from error
