"""Swapped lead: a channel is upside down, or two have changed places.

A beat, or whatever stands out of a channel each second, is cut out around its largest deflection.
Its shape is compared with what the channel's beats have looked like, by correlation: an electrode
on the wrong side turns them upside down, and the correlation is near -1.

Where two channels have changed places, each is nearer to the other's history than to its own, in
the shape of its beats, their size and the roughness of the channel. One channel may come near to
another by chance; that both do so at once is rare. Two channels that are alike cannot be told
apart. This fits signals that repeat a shape, such as an ECG; what has no shape is never told.
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
"""Comparisons of so many windows are averaged, so that one odd window tells nothing."""

LEARN_RATE = 0.2
"""The share of a new window in what a channel looks like."""

FIRST_WINDOWS = 3
"""Windows that are learned from, evenly, before the first judgement."""

MOST_MISSING = 0.2
"""A window that misses more of a channel than this share tells nothing of it."""

MOST_COMPARED = 64
"""With more channels than this they are only compared with themselves."""

TINY = 1e-9
"""Keeps what has no size from dividing by zero and from a logarithm of nothing."""


@dataclass(frozen=True, slots=True)
class SwappedLead:
    """The assertion that each channel looks as it has always looked.

    Attributes:
        signal: The name of the input that holds the readings.
        name: The assertion's name.
        inverted: A channel is upside down when its correlation with its history is below minus
            this, 0..1.
        margin: Two channels are swapped when each is nearer to the other's history than to its
            own, on average by so much: the logarithm of the ratio of the squared distances, 0..1.
            0.7 is half of it.

    Raises:
        RecordError: a setting is out of its range.
    """

    signal: str
    name: str = "swapped_lead"
    inverted: float = 0.55
    margin: float = 0.7

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
        usual: What each channel looks like (`portrait`), float32 (channels, n); None before the
            first window.
        learned: Windows that each was learned from, int64 (channels,).
        recent: The comparisons of the last windows (`_compare`), float32 (channels, channels) each.
    """

    gathered: Gathered = field(default_factory=Gathered)
    usual: NDArray[np.float32] | None = None
    learned: NDArray[np.int64] | None = None
    recent: tuple[NDArray[np.float32], ...] = ()


class SwappedLeadCheck(SignalCheck):
    """The check of one stream."""

    def __init__(self, settings: SwappedLead, state: SwappedLeadState | None) -> None:
        state = state or SwappedLeadState()
        super().__init__(settings.name, settings.signal, WINDOW_SECONDS, 0.0, state.gathered)
        self._settings = settings
        self._usual, self._learned, self._recent = state.usual, state.learned, state.recent

    @override
    def judge(
        self, window: NDArray[np.float64], rate_hz: float, channels: tuple[str, ...]
    ) -> dict[str, tuple[float, str]]:
        seen = np.stack([portrait(column, rate_hz) for column in window.T])
        if self._usual is None or self._learned is None:
            self._usual = np.zeros_like(seen)
            self._learned = np.zeros(len(channels), np.int64)
        matrix = _compare(seen, self._usual)
        known, shaped = self._learned >= FIRST_WINDOWS, seen.any(axis=1)
        unclear = ~(known & shaped)
        matrix[unclear] = 0
        matrix[:, unclear] = 0
        self._recent = (*self._recent, matrix)[-AVERAGED_WINDOWS:]
        # What looks upside down or swapped is not learned from, nor is a window without a shape.
        swapped = (_gains(matrix) > 0).any(axis=1)
        fits = shaped & (~known | ((matrix.diagonal() > 0) & ~swapped))
        self._learned = self._learned + fits
        rate = np.maximum(1 / np.maximum(self._learned, 1), LEARN_RATE) * fits
        update = rate[:, None] * (seen - self._usual)
        self._usual = (self._usual + update).astype(np.float32)
        if len(self._recent) < AVERAGED_WINDOWS:
            return {}
        return self._judged(np.mean(self._recent, axis=0), channels)

    def _judged(
        self, matrix: NDArray[np.float32], channels: tuple[str, ...]
    ) -> dict[str, tuple[float, str]]:
        own, gains = matrix.diagonal(), _gains(matrix)
        judged: dict[str, tuple[float, str]] = {}
        for place, channel in enumerate(channels):
            other = int(gains[place].argmax())
            if gains[place, other] >= self._settings.margin:
                severity = float(gains[place, other]) / self._settings.margin
                judged[channel] = severity, f"{channel} looks like {channels[other]} used to"
            elif own[place] < -self._settings.inverted:
                severity = -float(own[place]) / self._settings.inverted
                judged[channel] = severity, f"{channel} is upside down"
        return judged

    @override
    def restart(self) -> None:
        self._usual = self._learned = None
        self._recent = ()

    def snapshot(self) -> SwappedLeadState:
        """What survives a restart; it is never changed afterwards."""
        return SwappedLeadState(self._gathered, self._usual, self._learned, self._recent)


def portrait(samples: NDArray[np.float64], rate_hz: float) -> NDArray[np.float32]:
    """What a window of a channel looks like.

    Args:
        samples: float64 (n,), one window; NaN marks what is missing.
        rate_hz: Samples per second.

    Returns:
        float32 (2 reach + 3,): the mean shape around the largest deflection of each second, of
        length 1; the logarithms of that shape's size and of the mean step from sample to sample.
        Zeros where there is no shape.
    """
    part, reach = max(round(BEAT_SECONDS * rate_hz), 1), max(round(REACH_SECONDS * rate_hz), 1)
    nothing = np.zeros(2 * reach + 3, np.float32)
    if len(samples) < 2 * reach + 1 or np.isnan(samples).mean() > MOST_MISSING:
        return nothing
    signal = np.nan_to_num(samples - np.nanmedian(samples))
    pieces = []
    for start in range(0, len(signal) - part + 1, part):
        place = start + int(np.abs(signal[start : start + part]).argmax())
        place = min(max(place, reach), len(signal) - reach - 1)
        piece = signal[place - reach : place + reach + 1]
        pieces.append(piece - piece.mean())
    beats = np.array(pieces)
    # Each beat counts alike in the shape: an artefact is large.
    shape = (beats / (np.linalg.norm(beats, axis=1, keepdims=True) + TINY)).sum(axis=0)
    length = float(np.linalg.norm(shape))
    if length < TINY:
        return nothing
    size = np.linalg.norm(beats.mean(axis=0))
    roughness = np.nanmean(np.abs(np.diff(samples)))
    logarithms = np.log(np.maximum([size, roughness], TINY))
    return np.concatenate([shape / length, logarithms]).astype(np.float32)


def _compare(seen: NDArray[np.float32], usual: NDArray[np.float32]) -> NDArray[np.float32]:
    """How channels look like themselves and each other, float32 (channels, channels).

    Row i, column j: the logarithm of how often as far, squared, channel i is from its own history
    as from that of channel j. On the diagonal: the correlation of its shape with its own history.
    """
    shapes, usual_shapes = seen[:, :-2], usual[:, :-2]
    length = np.linalg.norm(usual_shapes, axis=1) + TINY
    own = (shapes * usual_shapes).sum(axis=1) / length
    if len(seen) > MOST_COMPARED:
        return np.asarray(np.diag(own), np.float32)
    apart = seen[:, None].astype(np.float64) - usual[None]
    distances = np.log(np.square(apart).sum(axis=2) + TINY)
    matrix = distances.diagonal()[:, None] - distances
    np.fill_diagonal(matrix, own)
    return np.asarray(matrix, np.float32)


def _gains(matrix: NDArray[np.float32]) -> NDArray[np.float32]:
    """By how much each two channels are nearer to the other's history; 0 unless both are."""
    both = np.where(np.minimum(matrix, matrix.T) > 0, (matrix + matrix.T) / 2, 0)
    np.fill_diagonal(both, 0)
    return np.asarray(both, np.float32)
