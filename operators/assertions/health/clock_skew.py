"""Clock skew: event time runs away from the time of arrival, or steps back.

Arrival is late by what the way takes, which varies; the least delay of each second hardly does.
What it was in the stream's first seconds is kept, so that the slowest drift is found in the end.
Only a live source gives an arrival time; it must be taken where the data come in, before any queue
of ours. Without one only steps back are found.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from operators.assertions.health.lasting import Held, check_settings, resumed
from records import RecordError
from records.units import NANOSECONDS

if TYPE_CHECKING:
    from operators.assertions.api import Moment
    from records import Finding

ARRIVAL = "arrival_ns"
"""The name of the input that holds the time of arrival, nanoseconds since 1970 UTC."""

FIRST_SECONDS = 10
"""Seconds that the usual delay is learned from."""

JITTER_RATE = 1 / 60.0
"""The share of a new second in the usual change of the least delay."""

TIMES_JITTER = 6.0
"""A skew is at least so many times that change: a way that varies much hides more."""


@dataclass(frozen=True, slots=True)
class ClockSkew:
    """The assertion that event time keeps step with arrival and never steps back.

    Attributes:
        name: The assertion's name.
        tolerance_seconds: By so much the delay may differ from the usual one, seconds.
        hold_seconds: It must differ for so long, seconds.
        back_seconds: Event time may step back by so much, seconds.

    Raises:
        RecordError: a setting is out of its range.
    """

    name: str = "clock_skew"
    tolerance_seconds: float = 0.5
    hold_seconds: float = 3.0
    back_seconds: float = 0.001

    def __post_init__(self) -> None:
        check_settings(self, "tolerance_seconds", "hold_seconds", "back_seconds")

    @property
    def window_seconds(self) -> float:
        """How long the delay must differ."""
        return self.hold_seconds

    def start(self, state: object = None) -> ClockSkewCheck:
        """Begin on a stream, or go on."""
        return ClockSkewCheck(self, resumed(state, ClockSkewState))


@dataclass(frozen=True, slots=True)
class ClockSkewState:
    """What survives a restart. Delays are arrival less event time, nanoseconds.

    Attributes:
        last: The moment before, as sequence and event time; None before the first.
        second: The second of arrival that runs; None before the first.
        least_ns: The least delay in it.
        before_ns: The least delay of the second before; None before the first.
        usual_ns: The usual least delay.
        learned: Seconds that it was learned from.
        jitter_ns: The usual change of the least delay from one second to the next.
        unusual: Seconds in a row in which the delay differed.
        held: When that began; None while it does not.
    """

    last: tuple[int, int] | None = None
    second: int | None = None
    least_ns: int = 0
    before_ns: int | None = None
    usual_ns: float = 0.0
    learned: int = 0
    jitter_ns: float = 0.0
    unusual: int = 0
    held: Held | None = None


class ClockSkewCheck:
    """The check of one stream."""

    def __init__(self, settings: ClockSkew, state: ClockSkewState | None) -> None:
        self._settings = settings
        self._state = state or ClockSkewState()
        self._last = self._state.last  # apart, since it changes with every frame

    def observe(self, moment: Moment) -> list[Finding]:
        """Take the next moment.

        Raises:
            RecordError: its time of arrival is no time.
        """
        findings = self._step_back(moment)
        self._last = moment.sequence, moment.time_ns
        arrival_ns = moment.inputs.get(ARRIVAL)
        if arrival_ns is None:
            return findings
        if not isinstance(arrival_ns, int) or isinstance(arrival_ns, bool):
            raise RecordError(f"{ARRIVAL} must be nanoseconds as an int, got {arrival_ns!r}")
        state, second = self._state, arrival_ns // NANOSECONDS
        delay_ns = arrival_ns - moment.time_ns
        if second == state.second:
            if delay_ns < state.least_ns:
                self._state = replace(state, least_ns=delay_ns)
            return findings
        if state.second is not None:
            findings += self._second(moment)
        self._state = replace(self._state, second=second, least_ns=delay_ns)
        return findings

    def snapshot(self) -> ClockSkewState:
        """What survives a restart; it is never changed afterwards."""
        return replace(self._state, last=self._last)

    def _step_back(self, moment: Moment) -> list[Finding]:
        if self._last is None:
            return []
        sequence, time_ns = self._last
        seconds = (time_ns - moment.time_ns) / NANOSECONDS
        if seconds <= self._settings.back_seconds:
            return []
        message = f"event time stepped back by {seconds:.3g} s"
        severity = seconds / self._settings.back_seconds
        return [Held(sequence, time_ns).finding(self._settings.name, moment, severity, message)]

    def _second(self, moment: Moment) -> list[Finding]:
        """Judge the least delay of the second that is over."""
        state, settings = self._state, self._settings
        before_ns = state.least_ns if state.before_ns is None else state.before_ns
        change_ns, skew_ns = abs(state.least_ns - before_ns), state.least_ns - state.usual_ns
        tolerance_ns = max(settings.tolerance_seconds * NANOSECONDS, TIMES_JITTER * state.jitter_ns)
        if state.learned >= FIRST_SECONDS and abs(skew_ns) > tolerance_ns:
            held = state.held or Held.since(moment)
            self._state = replace(
                state, before_ns=state.least_ns, unusual=state.unusual + 1, held=held
            )
            if self._state.unusual < settings.hold_seconds:
                return []
            side = "behind" if skew_ns > 0 else "ahead of"
            seconds = abs(skew_ns) / NANOSECONDS
            message = f"event time is {seconds:.1f} s {side} where it was against arrival"
            return [held.finding(settings.name, moment, abs(skew_ns) / tolerance_ns, message)]
        learned, usual_ns = state.learned, state.usual_ns
        if learned < FIRST_SECONDS:
            learned += 1
            usual_ns += (state.least_ns - usual_ns) / learned
        self._state = replace(
            state,
            before_ns=state.least_ns,
            usual_ns=usual_ns,
            learned=learned,
            jitter_ns=state.jitter_ns + JITTER_RATE * (change_ns - state.jitter_ns),
            unusual=0,
            held=None,
        )
        return []
