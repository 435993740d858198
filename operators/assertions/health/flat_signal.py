"""Flat signal: a channel stands still, sticks to the end of its range, or is missing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from typing_extensions import override

from operators.assertions.health.lasting import check_settings, resumed
from operators.assertions.health.signals import Gathered, SignalCheck
from records.checks import check_name

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEARN_RATE = 1 / 60.0
"""The share of a new window in the usual range."""

FIRST_WINDOWS = 3
"""Windows that are learned from, evenly, before a range can be called small."""


@dataclass(frozen=True, slots=True)
class FlatSignal:
    """The assertion that each channel of a sensor moves within its range.

    Attributes:
        signal: The name of the input that holds the readings.
        name: The assertion's name.
        flat_share: A channel is flat when its range is below this share of its usual one, 0..1.
        stuck_share: It is saturated when this share of its samples equals the highest of the
            window, or the lowest, 0..1.
        missing_share: It is missing when this share of its samples is, 0..1.
        look_seconds: Length of the windows that are judged, seconds.
        hold_seconds: It must hold for so long, seconds.

    Raises:
        RecordError: a setting is out of its range.
    """

    signal: str
    name: str = "flat_signal"
    flat_share: float = 0.05
    stuck_share: float = 0.2
    missing_share: float = 0.5
    look_seconds: float = 1.0
    hold_seconds: float = 2.0

    def __post_init__(self) -> None:
        check_name("signal", self.signal)
        shares = ("flat_share", "stuck_share", "missing_share")
        check_settings(self, "look_seconds", "hold_seconds", shares=shares)

    @property
    def window_seconds(self) -> float:
        """How long it must hold."""
        return self.look_seconds + self.hold_seconds

    def start(self, state: object = None) -> FlatSignalCheck:
        """Begin on a stream, or go on."""
        return FlatSignalCheck(self, resumed(state, FlatSignalState))


@dataclass(frozen=True, slots=True)
class FlatSignalState:
    """What survives a restart.

    Attributes:
        gathered: What all checks of signals remember.
        usual: The usual range of each channel, float64 (channels,); None before the first window.
        learned: Windows that each channel was learned from, int64 (channels,).
    """

    gathered: Gathered = field(default_factory=Gathered)
    usual: NDArray[np.float64] | None = None
    learned: NDArray[np.int64] | None = None


class FlatSignalCheck(SignalCheck):
    """The check of one stream."""

    def __init__(self, settings: FlatSignal, state: FlatSignalState | None) -> None:
        state = state or FlatSignalState()
        super().__init__(
            settings.name,
            settings.signal,
            settings.look_seconds,
            settings.hold_seconds,
            state.gathered,
        )
        self._settings = settings
        self._usual, self._learned = state.usual, state.learned

    @override
    def judge(
        self, window: NDArray[np.float64], rate_hz: float, channels: tuple[str, ...]
    ) -> dict[str, tuple[float, str]]:
        settings, width = self._settings, len(channels)
        if self._usual is None or self._learned is None:
            self._usual, self._learned = np.zeros(width), np.zeros(width, np.int64)
        missing = np.isnan(window)
        high = np.where(missing, -np.inf, window).max(axis=0)
        low = np.where(missing, np.inf, window).min(axis=0)
        span = np.where(missing.all(axis=0), 0.0, high - low)
        stuck = np.maximum((window == high).mean(axis=0), (window == low).mean(axis=0))
        gone = missing.mean(axis=0)
        known = self._learned >= FIRST_WINDOWS
        flat = (span == 0) | (known & (span < settings.flat_share * self._usual))
        judged = {}
        for place, channel in enumerate(channels):
            if gone[place] >= settings.missing_share:
                judged[channel] = 1.0, f"{channel}: {gone[place]:.0%} of its samples are missing"
            elif flat[place]:
                judged[channel] = 1.0, f"{channel} is flat: its range is {span[place]:g}"
            elif stuck[place] >= settings.stuck_share:
                severity = float(stuck[place]) / settings.stuck_share
                share = f"{stuck[place]:.0%} of its samples"
                judged[channel] = severity, f"{channel} is saturated: {share} are at one end"
        fine = np.array([channel not in judged for channel in channels])
        self._learned = self._learned + fine
        rate = np.maximum(1 / np.maximum(self._learned, 1), LEARN_RATE) * fine
        self._usual = self._usual + rate * (span - self._usual)
        return judged

    @override
    def restart(self) -> None:
        self._usual = self._learned = None

    def snapshot(self) -> FlatSignalState:
        """What survives a restart; it is never changed afterwards."""
        return FlatSignalState(self._gathered, self._usual, self._learned)
