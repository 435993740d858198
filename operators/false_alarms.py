"""False-alarm control: which episodes to tell, at a stated rate of false alarms a stream-day.

Each episode k of a stream-day is a test of "nothing is wrong". Its evidence is an e-value, a number
of at least 0 whose mean is at most 1 while nothing is wrong. It is told when e >= 1 / level:

- *rate*: the k-th episode of a day has the level rate · g(k). By Markov's inequality the mean
  number of false alarms a day is at most rate · Σ g = rate.
- *share*: e-LOND (Xu & Ramdas, AISTATS 2024, "Online multiple testing with e-values"): the t-th
  episode of a stream has the level share · g(t) · (told before + 1), so that the expected share of
  false alarms among those told (false discovery rate) is at most `share`.

With both, the lower level counts, and both promises hold. Episodes may depend on each other in any
way, as those of a video do. The discount is g(k) = m / ((m + k - 1)(m + k)), m the number of
episodes that is expected: it sums to 1 telescoping, is nearly flat up to m, and never ends.

*Randomised* divides 1 / level by a uniform draw (Ue-LOND of the same paper; Ramdas & Manole 2023):
more power under the same promises, at the price that a hair decides. The draw follows from seed,
stream and the episode's number alone.
"""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import gammaincinv

from records import RecordError
from records.checks import check_count, check_finite, check_name
from records.units import NANOSECONDS

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

DAY_SECONDS = 86_400
"""Seconds in a stream-day."""


@dataclass(frozen=True, slots=True)
class FalseAlarmSettings:
    """What is promised.

    Attributes:
        per_day: The most false alarms a stream-day on average, above 0; None promises none.
        share: The most false alarms among those told on average, 0..1 exclusive; None promises
            none.
        expected_per_day: About how many episodes a stream-day brings, told or not. A wrong figure
            costs power, never the promise.
        expected: About how many episodes a stream will ever bring, for `share`.
        randomised: Whether a uniform draw softens the threshold.
        seed: Of these draws.

    Raises:
        RecordError: a setting is out of its range.
    """

    per_day: float | None = 1.0
    share: float | None = None
    expected_per_day: int = 20
    expected: int = 1000
    randomised: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if self.per_day is None and self.share is None:
            raise RecordError("per_day or share must be given, got neither")
        if self.per_day is not None and not (self.per_day > 0 and math.isfinite(self.per_day)):
            raise RecordError(f"per_day must be above 0, got {self.per_day}")
        if self.share is not None and not 0 < self.share < 1:
            raise RecordError(f"share must be between 0 and 1, got {self.share}")
        for name in ("expected_per_day", "expected"):
            if getattr(self, name) < 1:
                raise RecordError(f"{name} must be at least 1, got {getattr(self, name)}")
        check_count("seed", self.seed)


@dataclass(frozen=True, slots=True)
class FalseAlarmState:
    """What survives a restart; plain values.

    Attributes:
        day: The stream-day of the last episode, days since 1970 UTC.
        in_day: Episodes begun in it.
        begun: Episodes begun ever.
        told: Episodes told ever.
    """

    day: int = 0
    in_day: int = 0
    begun: int = 0
    told: int = 0


class FalseAlarmControl:
    """The control of one stream: `begin` each episode once, `tell` as its evidence grows.

    An episode may be judged again and again if its evidence only grows towards a final e-value, as
    that of its worst severity does (`rank_e_value`).

    Args:
        settings: What is promised.
        stream: The stream's name, so that streams draw independently.
        resume: The state to go on from; None at a new start.

    >>> control = FalseAlarmControl(FalseAlarmSettings(per_day=1, expected_per_day=9), "gate")
    >>> needed = control.begin(time_ns=0)
    >>> round(needed), control.tell(12.0, needed), control.tell(9.0, needed)
    (10, True, False)
    """

    def __init__(
        self, settings: FalseAlarmSettings, stream: str, resume: FalseAlarmState | None = None
    ) -> None:
        check_name("stream", stream)
        self._settings = settings
        self._stream = zlib.crc32(stream.encode("utf-8", "surrogatepass"))
        self._state = resume or FalseAlarmState()

    def snapshot(self) -> FalseAlarmState:
        """The state to go on from after a restart; it is never changed afterwards."""
        return self._state

    def begin(self, time_ns: int) -> float:
        """Begin an episode: the e-value that it needs, above 0; `inf` if none suffices."""
        settings, state = self._settings, self._state
        # A time that steps back stays in the newest day: a day's budget is never spent twice.
        day = max(time_ns // (DAY_SECONDS * NANOSECONDS), state.day)
        in_day = state.in_day + 1 if day == state.day else 1
        state = replace(state, day=day, in_day=in_day, begun=state.begun + 1)
        levels = []
        if settings.per_day is not None:
            levels.append(settings.per_day * discount(in_day, settings.expected_per_day))
        if settings.share is not None:
            discounted = discount(state.begun, settings.expected)
            levels.append(settings.share * discounted * (state.told + 1))
        self._state = state
        return self._draw() / min(levels)

    def tell(self, e_value: float, needed: float) -> bool:
        """Whether to tell an episode now; ask no more of one that was told.

        Args:
            e_value: Its evidence so far, at least 0.
            needed: What `begin` gave.

        Raises:
            RecordError: the evidence is no e-value.
        """
        if not e_value >= 0:
            raise RecordError(f"e_value must be at least 0, got {e_value}")
        if e_value < needed:
            return False
        self._state = replace(self._state, told=self._state.told + 1)
        return True

    def _draw(self) -> float:
        """1, or uniform in (0, 1] when randomised."""
        if not self._settings.randomised:
            return 1.0
        key = (self._settings.seed, self._stream, self._state.begun)
        return 1.0 - float(np.random.default_rng(key).random())


def discount(number: int, expected: int) -> float:
    """g(number) for number = 1, 2 …; sums to 1; see the module.

    >>> round(sum(discount(k, 5) for k in range(1, 100_000)), 3)
    1.0
    """
    return expected / ((expected + number - 1) * (expected + number))


def rank_e_value(severity: float, clean: ArrayLike) -> float:
    """The evidence of an episode's worst severity against those of clean episodes.

    (n + 1) s / (s + Σ clean), a conformal e-value (Balinsky & Balinsky, COPA 2024): its mean, over
    the draw of the clean ones too, is 1 if the episode is exchangeable with them. It rises in s, so
    it may be asked while an episode grows. It stays below n + 1: to tell an episode at the level a,
    more than 1 / a - 1 clean episodes are needed.

    Args:
        severity: The worst severity of the episode, at least 0.
        clean: (n,), the worst severities of episodes in which nothing was wrong, at least 0.

    Raises:
        RecordError: a severity is negative or not finite.

    >>> rank_e_value(6.0, [1.0, 2.0, 3.0])
    2.0
    """
    clean_n = np.asarray(clean, np.float64)
    check_finite("severity", severity)
    if clean_n.ndim != 1 or severity < 0 or not np.isfinite(clean_n).all() or (clean_n < 0).any():
        raise RecordError("severities must be finite and at least 0, and clean must be (n,)")
    if severity == 0:
        return 0.0
    return float((clean_n.size + 1) * severity / (severity + clean_n.sum()))


def odds_e_value(model_wrong: float, base_rate: float) -> float:
    """The evidence of a calibrated probability: its odds over the odds before.

    It is the likelihood ratio, and so an e-value, as far as the calibration is right.

    Args:
        model_wrong: The calibrated probability that the model is wrong, 0..1, 1 excluded.
        base_rate: The share of findings with the model wrong where it was calibrated, 0..1
            exclusive.

    Raises:
        RecordError: a probability is out of range.

    >>> round(odds_e_value(0.9, 0.1), 1)
    81.0
    """
    if not 0 <= model_wrong < 1 or not 0 < base_rate < 1:
        raise RecordError(
            f"probabilities must be in 0..1 and below 1, got {model_wrong} and {base_rate}"
        )
    return model_wrong / (1 - model_wrong) * (1 - base_rate) / base_rate


def alarms_per_day(
    alarms: int, stream_seconds: float, confidence: float = 0.95
) -> tuple[float, float, float]:
    """A measured rate of alarms a stream-day with its exact interval.

    The gamma quantiles of a Poisson count (Garwood, Biometrika 1936).

    Returns:
        The rate, the lower and the upper end.

    Raises:
        RecordError: an argument is out of range.

    >>> rate, low, high = alarms_per_day(0, 3600)
    >>> rate, low, round(high, 1)
    (0.0, 0.0, 88.5)
    """
    check_count("alarms", alarms)
    if not (stream_seconds > 0 and math.isfinite(stream_seconds)):
        raise RecordError(f"stream_seconds must be above 0, got {stream_seconds}")
    if not 0 < confidence < 1:
        raise RecordError(f"confidence must be between 0 and 1, got {confidence}")
    tail, days = (1 - confidence) / 2, stream_seconds / DAY_SECONDS
    low = float(gammaincinv(alarms, tail)) if alarms else 0.0
    return alarms / days, low / days, float(gammaincinv(alarms + 1, 1 - tail)) / days
