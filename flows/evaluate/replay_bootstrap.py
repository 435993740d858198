"""Intervals for the difference of two replays of the same frames: a paired bootstrap over blocks.

Neighbouring frames resemble each other, so the sample is blocks of time and not frames, and both
replays are resampled with the same blocks (Künsch, Annals of Statistics 1989; Efron & Tibshirani,
An Introduction to the Bootstrap, 1993, chapter 8). A score is a ratio of sums, so a resample adds
up the sums of its blocks. Percentiles are expanded for few blocks (Hesterberg, The American
Statistician 2015, section 5.1).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.stats import norm, t

from records import RecordError
from records.checks import check_count
from records.units import NANOSECONDS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from flows.evaluate.replay_score import Ratio

FEWEST_BLOCKS = 8
"""With fewer blocks no interval is given."""

USUAL_BLOCKS = 20
"""Where no length is given, the recording is cut into so many blocks."""

LEAST_BLOCK_SECONDS, MOST_BLOCK_SECONDS = 1.0, 60.0
"""The shortest and the longest block where no length is given, seconds."""


@dataclass(frozen=True, slots=True)
class BootstrapSettings:
    """How intervals are made.

    Attributes:
        block_seconds: Length of a block, seconds; longer than what happens goes on. None takes a
            twentieth of the recording, 1 to 60 s.
        confidence: Of each interval, 0..1 exclusive.
        resamples: How many resamples.
        seed: Of the resamples.

    Raises:
        RecordError: a setting is out of its range.
    """

    block_seconds: float | None = None
    confidence: float = 0.95
    resamples: int = 4000
    seed: int = 0

    def __post_init__(self) -> None:
        if self.block_seconds is not None and not 0 < self.block_seconds < math.inf:
            raise RecordError(f"block_seconds must be above 0, got {self.block_seconds}")
        if not 0 < self.confidence < 1:
            raise RecordError(f"confidence must be between 0 and 1, got {self.confidence}")
        if not 100 <= self.resamples <= 1_000_000:
            raise RecordError(f"resamples must be 100 to 1,000,000, got {self.resamples}")
        check_count("seed", self.seed)


@dataclass(frozen=True, slots=True)
class Difference:
    """One score of two replays. NaN where no frame counts.

    Attributes:
        a: The score of the first.
        b: The score of the second.
        low: Lower end of the interval of b - a; None where there are too few blocks.
        high: Its upper end.
    """

    a: float
    b: float
    low: float | None
    high: float | None

    @property
    def difference(self) -> float:
        """How much the second is above the first."""
        return self.b - self.a

    @property
    def is_sure(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.low is not None and self.high is not None and not self.low <= 0 <= self.high

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        values = {
            "a": self.a,
            "b": self.b,
            "difference": self.difference,
            "low": self.low,
            "high": self.high,
        }
        return {
            name: None if value is None or math.isnan(value) else round(value, 6)
            for name, value in values.items()
        }


@dataclass(frozen=True, slots=True, eq=False)
class Blocks:
    """Frames cut into blocks of time; blocks without frames do not count.

    Attributes:
        of_frame: int64 (n,), the block of each frame.
        count: How many there are.
        seconds: Their length, seconds.
    """

    of_frame: NDArray[np.int64]
    count: int
    seconds: float


def blocks_of(time_ns: NDArray[np.int64], settings: BootstrapSettings) -> Blocks:
    """Cut frames into blocks.

    Args:
        time_ns: int64 (n,), ascending event times, nanoseconds.
        settings: How.
    """
    if not len(time_ns):
        return Blocks(np.empty(0, np.int64), 0, settings.block_seconds or LEAST_BLOCK_SECONDS)
    span = int(time_ns[-1] - time_ns[0]) / NANOSECONDS
    usual = min(max(span / USUAL_BLOCKS, LEAST_BLOCK_SECONDS), MOST_BLOCK_SECONDS)
    seconds = settings.block_seconds or usual
    places = (time_ns - time_ns[0]) // max(round(seconds * NANOSECONDS), 1)
    kept, of_frame = np.unique(places, return_inverse=True)
    return Blocks(of_frame.astype(np.int64), len(kept), seconds)


def differences(
    a: Mapping[str, Ratio], b: Mapping[str, Ratio], blocks: Blocks, settings: BootstrapSettings
) -> dict[str, Difference]:
    """The difference of every score that both have, with its interval.

    Args:
        a: The scores of the first replay, on the frames of `blocks`.
        b: Those of the second.
        blocks: The blocks.
        settings: How intervals are made.
    """
    names = [name for name in a if name in b]
    if blocks.count < FEWEST_BLOCKS:
        return {name: Difference(a[name].value, b[name].value, None, None) for name in names}
    rng = np.random.default_rng(settings.seed)
    shares = np.full(blocks.count, 1 / blocks.count)
    drawn = rng.multinomial(blocks.count, shares, settings.resamples).astype(np.float64)
    tails = _tails(blocks.count, settings.confidence)
    found = {}
    for name in names:
        resampled = _resampled(b[name], blocks, drawn) - _resampled(a[name], blocks, drawn)
        resampled = resampled[np.isfinite(resampled)]
        ends = np.quantile(resampled, tails).tolist() if len(resampled) else (None, None)
        found[name] = Difference(a[name].value, b[name].value, *ends)
    return found


def _resampled(ratio: Ratio, blocks: Blocks, drawn: NDArray[np.float64]) -> NDArray[np.float64]:
    """The score of every resample, float64 (resamples,); NaN where no frame of it counts."""
    part, whole = (
        drawn @ np.bincount(blocks.of_frame, one, minlength=blocks.count)
        for one in (ratio.part, ratio.whole)
    )
    none = np.full(len(drawn), np.nan)
    np.divide(part, whole, out=none, where=whole > 0)
    return none


def _tails(count: int, confidence: float) -> tuple[float, float]:
    """The quantiles of the resamples that are the ends of the interval."""
    wide = math.sqrt(count / (count - 1)) * float(t.ppf((1 + confidence) / 2, count - 1))
    tail = float(norm.cdf(-wide))
    return tail, 1 - tail
