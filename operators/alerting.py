"""Alerts as episodes: opened once, updated while they grow, closed when they are over.

A rule counts the boxes of one class in each verdict. The episode opens when the count has been
reached for long enough, and closes when it has not been reached for long enough, all in event
time, so that a flickering detector opens one episode and not twenty.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import bytewax.operators as op
import numpy as np
from bytewax.dataflow import operator
from bytewax.operators import KeyedStream
from typing_extensions import override

from operators.keyed import KeyedLogic
from records import Alert, AlertState, RecordError, Verdict, VerdictBatch
from records.checks import check_name
from records.units import NANOSECONDS


@dataclass(frozen=True, slots=True)
class CountRule:
    """Alert when enough objects of a class are in view.

    Attributes:
        name: The rule's name.
        class_name: The class that is counted.
        at_least: The count that opens an episode.
        score_at_least: Only boxes with this score count, 0..1.
        for_seconds: The count must hold this long before the episode opens, seconds.
        clear_seconds: The count must be missed this long before it closes, seconds.
        update_seconds: A rising peak is told at most once in this time, seconds; ``inf`` never.
        streams: The streams it watches; all when empty.

    Raises:
        RecordError: a setting is out of its range.
    """

    name: str
    class_name: str
    at_least: int
    score_at_least: float = 0.0
    for_seconds: float = 0.0
    clear_seconds: float = 2.0
    update_seconds: float = 10.0
    streams: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_name("name", self.name)
        if self.at_least < 1:
            raise RecordError(f"at_least must be at least 1, got {self.at_least}")
        if not 0 <= self.score_at_least <= 1:
            raise RecordError(f"score_at_least must be in 0..1, got {self.score_at_least}")
        for field in ("for_seconds", "clear_seconds", "update_seconds"):
            if not getattr(self, field) >= 0:
                raise RecordError(f"{field} must be at least 0, got {getattr(self, field)}")


@dataclass(frozen=True, slots=True)
class AlertOrigin:
    """What stands behind every alert of a run, for "why".

    Attributes:
        model: The name of the reference detector.
        configuration: SHA-256 of the configuration, hexadecimal.
    """

    model: str = ""
    configuration: str = ""


@dataclass(frozen=True, slots=True)
class EpisodeState:
    """Where one rule stands on one stream. All times in nanoseconds since 1970 UTC.

    Attributes:
        since_ns: When the count was first reached, or first missed in an open episode; None when
            there is nothing to wait for.
        opened_ns: When the open episode opened; None when none is open.
        opened_sequence: The frame at which it opened.
        peak: The highest count of the open episode.
        told_ns: When the open episode was last told of.
        told_peak: The peak that was told.
    """

    since_ns: int | None = None
    opened_ns: int | None = None
    opened_sequence: int = 0
    peak: int = 0
    told_ns: int = 0
    told_peak: int = 0


class Episodes(KeyedLogic[VerdictBatch, tuple[Alert, ...], tuple[EpisodeState, ...]]):
    """The episodes of one stream.

    Args:
        rules: The rules to watch; a state belongs to the rule at its place.
        origin: What the alerts say of where they come from.
        resume: The states to go on from; None at a new start.

    Raises:
        RecordError: `resume` is not one state for each rule.
    """

    def __init__(
        self,
        rules: Sequence[CountRule],
        origin: AlertOrigin,
        resume: tuple[EpisodeState, ...] | None = None,
    ) -> None:
        self._rules = tuple(rules)
        self._origin = origin
        self._states = list(resume) if resume else [EpisodeState() for _ in self._rules]
        if len(self._states) != len(self._rules):
            raise RecordError(
                f"resume must hold {len(self._rules)} states, one a rule, got {len(self._states)}"
            )

    @override
    def on_item(self, item: VerdictBatch) -> tuple[Alert, ...] | None:
        """The changes of episodes in a batch, in order; None when there are none."""
        alerts = [
            alert
            for verdict in item.verdicts
            for place in range(len(self._rules))
            if (alert := self._step(place, verdict)) is not None
        ]
        return tuple(alerts) or None

    @override
    def snapshot(self) -> tuple[EpisodeState, ...]:
        """The states to go on from after a restart."""
        return tuple(self._states)

    def _step(self, place: int, verdict: Verdict) -> Alert | None:
        rule, state = self._rules[place], self._states[place]
        if rule.streams and verdict.stream not in rule.streams:
            return None
        count = _count(rule, verdict)
        move = _closed_step if state.opened_ns is None else _open_step
        state, told = move(rule, state, verdict, count)
        self._states[place] = EpisodeState() if told is AlertState.CLOSED else state
        return None if told is None else self._alert(rule, state, verdict, count, told)

    def _alert(
        self, rule: CountRule, state: EpisodeState, verdict: Verdict, count: int, told: AlertState
    ) -> Alert:
        assert state.opened_ns is not None
        return Alert(
            stream=verdict.stream,
            rule=rule.name,
            state=told,
            time_ns=verdict.time_ns,
            sequence=verdict.sequence,
            opened_ns=state.opened_ns,
            opened_sequence=state.opened_sequence,
            severity=state.peak / rule.at_least,
            value=float(count),
            peak=float(state.peak),
            message=_message(rule, state, verdict, count, told),
            stage=str(verdict.stage),
            model=self._origin.model,
            configuration=self._origin.configuration,
        )


def _count(rule: CountRule, verdict: Verdict) -> int:
    answer = verdict.answer
    if rule.class_name not in answer.class_names:
        return 0
    wanted = answer.class_ids == answer.class_names.index(rule.class_name)
    return int(np.count_nonzero(wanted & (answer.scores >= rule.score_at_least)))


def _closed_step(
    rule: CountRule, state: EpisodeState, verdict: Verdict, count: int
) -> tuple[EpisodeState, AlertState | None]:
    if count < rule.at_least:
        return EpisodeState(), None
    since_ns = verdict.time_ns if state.since_ns is None else state.since_ns
    peak = max(state.peak, count)
    if verdict.time_ns - since_ns < rule.for_seconds * NANOSECONDS:
        return EpisodeState(since_ns=since_ns, peak=peak), None
    now = verdict.time_ns
    return EpisodeState(None, now, verdict.sequence, peak, now, peak), AlertState.OPENED


def _open_step(
    rule: CountRule, state: EpisodeState, verdict: Verdict, count: int
) -> tuple[EpisodeState, AlertState | None]:
    assert state.opened_ns is not None
    now, peak = verdict.time_ns, max(state.peak, count)
    told_ns, told_peak = state.told_ns, state.told_peak
    if count < rule.at_least:
        since_ns = now if state.since_ns is None else state.since_ns
        over = now - since_ns >= rule.clear_seconds * NANOSECONDS
        told = AlertState.CLOSED if over else None
    else:
        since_ns = None
        due = math.isfinite(rule.update_seconds) and (
            now - told_ns >= rule.update_seconds * NANOSECONDS
        )
        told = AlertState.UPDATED if due and peak > told_peak else None
    if told is AlertState.UPDATED:
        told_ns, told_peak = now, peak
    return (
        EpisodeState(since_ns, state.opened_ns, state.opened_sequence, peak, told_ns, told_peak),
        told,
    )


def _message(
    rule: CountRule, state: EpisodeState, verdict: Verdict, count: int, told: AlertState
) -> str:
    now = f"{count} of class '{rule.class_name}' in view"
    if told is AlertState.OPENED:
        return f"{now}, the rule is at least {rule.at_least}"
    if told is AlertState.UPDATED:
        return f"{now}, peak {state.peak}"
    seconds = (verdict.time_ns - (state.opened_ns or 0)) / NANOSECONDS
    return f"over after {seconds:.1f} s, peak {state.peak}"


@operator
def episodes(
    step_id: str,
    up: KeyedStream[VerdictBatch],
    rules: Sequence[CountRule],
    origin: AlertOrigin,
) -> KeyedStream[tuple[Alert, ...]]:
    """Watch the rules on each stream and give the changes of their episodes."""
    return op.stateful_batch(
        "episodes", up, lambda resume: Episodes(rules, origin, resume).as_bytewax()
    )
