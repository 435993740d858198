"""Swapped lead: a channel is upside down, or two have changed places.

A beat, or whatever stands out of a channel each second, is cut out around its largest deflection
and compared with what the channel's beats have looked like, by correlation. An electrode on the
wrong side turns them upside down: the correlation is near -1. Where two channels have changed
places each looks like the other one's history. This fits signals that repeat a shape, such as an
ECG; a shape that is not there correlates with nothing and is never told.
"""

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

WINDOW_SECONDS = 3.0
"""Length of a window: beats of three seconds are averaged."""

BEAT_SECONDS = 1.0
"""One shape is looked for in each part of this length; a heart beats about once in it."""

REACH_SECONDS = 0.15
"""How far a shape reaches before and after its largest deflection: a QRS complex."""

AVERAGED_WINDOWS = 2
"""Correlations of so many windows are averaged, so that one odd window tells nothing."""

LEARN_RATE = 0.2
"""The share of a new window in what a channel looks like."""

FIRST_WINDOWS = 3
"""Windows that are learned from, evenly, before the first judgement."""

MOST_MISSING = 0.2
"""A window that misses more of a channel than this share tells nothing of it."""

MOST_COMPARED = 64
"""With more channels than this they are only compared with themselves."""

_TINY = 1e-9


@dataclass(frozen=True, slots=True)
class SwappedLead:
    """The assertion that each channel looks as it has always looked.

    Attributes:
        signal: The name of the input that holds the readings.
        name: The assertion's name.
        inverted: A channel is upside down when its correlation with its history is below minus
            this, 0..1.
        margin: Two channels are swapped when each correlates with the other's history by so much
            more than with its own, 0..1.

    Raises:
        RecordError: a setting is out of its range.
    """

    signal: str
    name: str = "swapped_lead"
    inverted: float = 0.6
    margin: float = 0.2

    def __post_init__(self) -> None:
        check_name("signal", self.signal)
        check_settings(self, shares=("inverted", "margin"))

    @property
    def window_seconds(self) -> float:
        """How long two windows are."""
        return AVERAGED_WINDOWS * WINDOW_SECONDS

    def start(self, state: object = None) -> SwappedLeadCheck:
        """Begin on a stream, or go on."""
        return SwappedLeadCheck(self, resumed(state, SwappedLeadState))


@dataclass(frozen=True, slots=True)
class SwappedLeadState:
    """What survives a restart.

    Attributes:
        gathered: What all checks of signals remember.
        shapes: What each channel looks like, float32 (channels, n); None before the first window.
        learned: Windows that each was learned from, int64 (channels,).
        recent: The correlations of the last windows, float32 (channels, channels) each: row i
            compares channel i with the history of each channel.
    """

    gathered: Gathered = field(default_factory=Gathered)
    shapes: NDArray[np.float32] | None = None
    learned: NDArray[np.int64] | None = None
    recent: tuple[NDArray[np.float32], ...] = ()


class SwappedLeadCheck(SignalCheck):
    """The check of one stream."""

    def __init__(self, settings: SwappedLead, state: SwappedLeadState | None) -> None:
        state = state or SwappedLeadState()
        super().__init__(settings.name, settings.signal, WINDOW_SECONDS, 0.0, state.gathered)
        self._settings = settings
        self._shapes, self._learned, self._recent = state.shapes, state.learned, state.recent

    @override
    def judge(
        self, window: NDArray[np.float64], rate_hz: float, channels: tuple[str, ...]
    ) -> dict[str, tuple[float, str]]:
        shapes = np.stack([beat_shape(column, rate_hz) for column in window.T])
        if self._shapes is None or self._learned is None:
            self._shapes = np.zeros_like(shapes)
            self._learned = np.zeros(len(channels), np.int64)
        matrix = _correlations(shapes, self._shapes)
        known = self._learned >= FIRST_WINDOWS
        matrix[~known] = 0
        matrix[:, ~known] = 0
        self._recent = (*self._recent, matrix)[-AVERAGED_WINDOWS:]
        # What looks upside down is not learned from, nor is a window without a shape.
        fits = (~known | (matrix.diagonal() > 0)) & shapes.any(axis=1)
        self._learned = self._learned + fits
        rate = np.maximum(1 / np.maximum(self._learned, 1), LEARN_RATE) * fits
        update = rate[:, None] * (shapes - self._shapes)
        self._shapes = (self._shapes + update).astype(np.float32)
        if len(self._recent) < AVERAGED_WINDOWS:
            return {}
        return self._judged(np.mean(self._recent, axis=0), channels)

    def _judged(
        self, matrix: NDArray[np.float32], channels: tuple[str, ...]
    ) -> dict[str, tuple[float, str]]:
        own = matrix.diagonal()
        gain = matrix - own[:, None]
        both = np.minimum(gain, gain.T)
        judged: dict[str, tuple[float, str]] = {}
        for place, channel in enumerate(channels):
            other = int(both[place].argmax())
            if both[place, other] >= self._settings.margin and matrix[place, other] > 0:
                severity = float(both[place, other]) / self._settings.margin
                judged[channel] = severity, f"{channel} looks like {channels[other]} used to"
            elif own[place] < -self._settings.inverted:
                severity = -float(own[place]) / self._settings.inverted
                judged[channel] = severity, f"{channel} is upside down"
        return judged

    @override
    def restart(self) -> None:
        self._shapes = self._learned = None
        self._recent = ()

    def snapshot(self) -> SwappedLeadState:
        """What survives a restart; it is never changed afterwards."""
        return SwappedLeadState(self._gathered, self._shapes, self._learned, self._recent)


def beat_shape(samples: NDArray[np.float64], rate_hz: float) -> NDArray[np.float32]:
    """The mean shape around the largest deflection of each second, of length 1.

    Args:
        samples: float64 (n,), one window; NaN marks what is missing.
        rate_hz: Samples per second.

    Returns:
        float32 (2 reach + 1,); zeros where there is no shape.
    """
    part, reach = max(round(BEAT_SECONDS * rate_hz), 1), max(round(REACH_SECONDS * rate_hz), 1)
    nothing, total = np.zeros(2 * reach + 1, np.float32), np.zeros(2 * reach + 1)
    if len(samples) < 2 * reach + 1 or np.isnan(samples).mean() > MOST_MISSING:
        return nothing
    level = np.nanmedian(samples)
    signal = np.nan_to_num(samples - level)
    for start in range(0, len(signal) - part + 1, part):
        place = start + int(np.abs(signal[start : start + part]).argmax())
        place = min(max(place, reach), len(signal) - reach - 1)
        shape = signal[place - reach : place + reach + 1]
        shape = shape - shape.mean()
        total += shape / (np.linalg.norm(shape) + _TINY)
    size = float(np.linalg.norm(total))
    return nothing if size < _TINY else np.asarray(total / size, np.float32)


def _correlations(shapes: NDArray[np.float32], usual: NDArray[np.float32]) -> NDArray[np.float32]:
    """Row i compares shape i with each usual shape, float32 (channels, channels)."""
    length = np.linalg.norm(usual, axis=1) + _TINY
    if len(shapes) > MOST_COMPARED:
        return np.asarray(np.diag((shapes * usual).sum(axis=1) / length), np.float32)
    return np.asarray(shapes @ usual.T / length, np.float32)
