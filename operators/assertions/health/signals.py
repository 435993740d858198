"""Health checks that look at windows of a sensor's samples."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from operators.assertions.health.lasting import Held
from records import Reading, RecordError
from records.units import NANOSECONDS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from operators.assertions.api import Moment
    from records import Finding

MOST_VALUES = 2**24
"""The most values, samples times channels, in one window."""

SAME_SAMPLES = 0.5
"""A block follows the one before when it is at most so many samples early or late."""


class Fault(NamedTuple):
    """A condition of a channel that holds.

    Attributes:
        held: Since when.
        severity: How bad it is.
        message: One line for people.
    """

    held: Held
    severity: float
    message: str


@dataclass(frozen=True, slots=True)
class Gathered:
    """The samples that wait for a window to be full, and the conditions that hold.

    Attributes:
        layout: Rate in Hz and channels of the last block; None before the first.
        next_ns: Event time at which the next block is due.
        blocks: float32 (n, channels) each.
        faults: By channel.
    """

    layout: tuple[float, tuple[str, ...]] | None = None
    next_ns: int = 0
    blocks: tuple[NDArray[np.float32], ...] = ()
    faults: Mapping[str, Fault] = field(default_factory=dict)


class SignalCheck(ABC):
    """A check of one stream that looks at windows of one of its sensors.

    Args:
        name: The assertion's name.
        signal: The name of the input that holds the readings.
        window_seconds: Length of a window, seconds.
        hold_seconds: A condition must hold for so long before it is told, seconds.
        gathered: The state to go on from; None at a new start.
    """

    def __init__(
        self,
        name: str,
        signal: str,
        window_seconds: float,
        hold_seconds: float,
        gathered: Gathered | None,
    ) -> None:
        self._name, self._signal = name, signal
        self._window_seconds, self._hold_seconds = window_seconds, hold_seconds
        self._gathered = gathered or Gathered()

    @abstractmethod
    def judge(
        self, window: NDArray[np.float64], rate_hz: float, channels: tuple[str, ...]
    ) -> dict[str, tuple[float, str]]:
        """Severity and message of each channel whose condition holds in a window.

        Args:
            window: float64 (n, channels); NaN marks what is missing.
            rate_hz: Samples per second.
            channels: Their names.
        """

    @abstractmethod
    def restart(self) -> None:
        """Forget what was learned: rate or channels have changed."""

    def observe(self, moment: Moment) -> list[Finding]:
        """Take the moment's block of samples, if there is one.

        Raises:
            RecordError: a window of it would be too large.
        """
        reading = moment.inputs.get(self._signal)
        if isinstance(reading, Reading):
            self._gather(reading)
            self._judge_windows(moment, reading)
        elif moment.time_ns > self._gathered.next_ns + self._window_seconds * NANOSECONDS:
            # Of a sensor that is silent nothing is known any more.
            self._gathered = replace(self._gathered, blocks=(), faults={})
        findings, faults = [], dict(self._gathered.faults)
        for channel, fault in faults.items():
            if fault.held.due(moment, self._hold_seconds):
                told = fault.held.told(moment)
                faults[channel] = fault._replace(held=told)
                findings.append(
                    told.finding(self._name, moment, fault.severity, fault.message, channel)
                )
        if findings:
            self._gathered = replace(self._gathered, faults=faults)
        return findings

    def _gather(self, reading: Reading) -> None:
        gathered, layout = self._gathered, (reading.rate_hz, reading.channels)
        if self._samples(reading.rate_hz) * len(reading.channels) > MOST_VALUES:
            raise RecordError(
                f"a window of {self._window_seconds} s must hold at most {MOST_VALUES} values, "
                f"got {reading.rate_hz} Hz of {len(reading.channels)} channels; "
                "shorten the window"
            )
        if gathered.layout is not None and gathered.layout != layout:
            self.restart()
            gathered = Gathered()
        late = abs(reading.time_ns - gathered.next_ns) * reading.rate_hz
        blocks = gathered.blocks if late <= SAME_SAMPLES * NANOSECONDS else ()
        length_ns = round(len(reading.samples) * NANOSECONDS / reading.rate_hz)
        self._gathered = Gathered(
            layout, reading.time_ns + length_ns, (*blocks, reading.samples), gathered.faults
        )

    def _judge_windows(self, moment: Moment, reading: Reading) -> None:
        size, gathered = self._samples(reading.rate_hz), self._gathered
        if sum(map(len, gathered.blocks)) < size:
            return
        # Wide enough that no arithmetic on what a sensor can say overflows.
        samples = np.concatenate(gathered.blocks).astype(np.float64)
        samples[~np.isfinite(samples)] = np.nan
        faults = dict(gathered.faults)
        for start in range(0, len(samples) - size + 1, size):
            window = samples[start : start + size]
            judged = self.judge(window, reading.rate_hz, reading.channels)
            begun = Held.since(moment)
            faults = {
                channel: Fault(faults[channel].held if channel in faults else begun, *told)
                for channel, told in judged.items()
            }
        rest = samples[len(samples) // size * size :].astype(np.float32)
        self._gathered = replace(gathered, blocks=(rest,), faults=faults)

    def _samples(self, rate_hz: float) -> int:
        """Samples in a window, at least 1."""
        return max(round(min(self._window_seconds * rate_hz, MOST_VALUES + 1)), 1)
