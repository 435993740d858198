"""Intervals for bounded values that need no variance to be right: small and certified samples.

- `bounded`: Hoeffding (JASA 1963) and the empirical Bernstein bound (Maurer & Pontil, COLT 2009,
  Theorem 11). Both hold for independent values that need not be alike, so for one frame in each
  cell as well as for frames drawn at random.
- `certified`: the empirical Bernstein confidence sequence for sampling without replacement
  (Waudby-Smith & Ramdas, NeurIPS 2020, Theorem 4, with the predictable mixing of their JRSSB 2023
  paper). It holds at all sample sizes at once: one may look after every frame, and stop when one
  likes.
"""

from __future__ import annotations

import math

import numpy as np

from operators.variates.growing import grown
from operators.variates.sample import (
    Asker,
    Interval,
    Values,
    check_bounds,
    check_confidence,
    interval,
)
from records import RecordError

LARGEST_BET = 0.5
"""The most that is bet on one value (the recommendation of the source)."""

PRIOR_VARIANCE = 0.25
"""The variance that is assumed before the first value: the largest that values in 0..1 can have."""

LOOKS_APART = 1.05
"""While `certified` asks on, the sample grows by this factor between two looks."""

FIRST_LOOK = 64
"""The size of the sample at the first look."""


def bounded(values: Values, confidence: float, bounds: tuple[float, float]) -> Interval:
    """The mean of independent bounded values, at any sample size.

    Args:
        values: float64 (n,), at least one.
        confidence: Of the interval, 0..1 exclusive.
        bounds: The least and the greatest value that there can be.

    Raises:
        RecordError: a value is beyond the bounds, or the confidence is out of range.

    >>> found = bounded(np.array([0.0, 1.0, 0.0, 0.0]), 0.95, (0.0, 1.0))
    >>> found.value, found.low, round(found.high, 2)
    (0.25, 0.0, 0.99)
    """
    check_confidence(confidence)
    check_bounds(bounds, values)
    n, span = len(values), bounds[1] - bounds[0]
    value = float(values.mean())
    # Two sides and two bounds share alpha.
    goal = math.log(4 / (1 - confidence))
    half = math.sqrt(goal / (2 * n))
    if n > 1 and span > 0:
        variance = float(values.var(ddof=1)) / span**2
        half = min(half, math.sqrt(2 * variance * goal / n) + 7 * goal / (3 * (n - 1)))
    return interval(value, span * half, span * half, confidence, n, bounds)


def confidence_sequence(
    values: Values, frames: int, confidence: float, bounds: tuple[float, float]
) -> tuple[Values, Values]:
    """The lower and upper ends after each value, float64 (n,) each; they hold all at once.

    Args:
        values: float64 (n,), of frames drawn at random without replacement, in order of drawing.
        frames: N, the frames that they were drawn from.
        confidence: Of the whole sequence, 0..1 exclusive.
        bounds: The least and the greatest value that there can be.

    Raises:
        RecordError: there are more values than frames, one is beyond the bounds, or the
            confidence is out of range.
    """
    check_confidence(confidence)
    check_bounds(bounds, values)
    n, span = len(values), bounds[1] - bounds[0]
    if n > frames:
        raise RecordError(f"values must be at most {frames} (frames), got {n}")
    if span == 0:
        same = np.full(n, bounds[0])
        return same, same.copy()
    x = (values - bounds[0]) / span
    count = np.arange(1, n + 1, dtype=np.float64)
    sums = np.cumsum(x)
    means = (0.5 + sums) / (count + 1)
    variances = (PRIOR_VARIANCE + np.cumsum((x - means) ** 2)) / (count + 1)
    before = np.concatenate([[0.5], means[:-1]])
    spread = np.concatenate([[PRIOR_VARIANCE], variances[:-1]])
    goal = math.log(2 / (1 - confidence))
    bets = np.sqrt(2 * goal / (spread * count * np.log1p(count)))
    bets = np.minimum(bets, LARGEST_BET)
    costs = (x - before) ** 2 * (-np.log1p(-bets) - bets)
    earlier = np.concatenate([[0.0], sums[:-1]])
    rest = frames - count + 1
    weights = np.cumsum(bets * (1 + (count - 1) / rest))
    centres = np.cumsum(bets * (x + earlier / rest)) / weights
    margins = (goal + np.cumsum(costs)) / weights
    # What was drawn already bounds the mean as well: the rest lies in 0..1.
    low = np.maximum(centres - margins, sums / frames)
    high = np.minimum(centres + margins, (sums + frames - count) / frames)
    low, high = np.maximum.accumulate(low), np.minimum.accumulate(high)
    return bounds[0] + span * low, bounds[0] + span * high


def certified(
    values: Values,
    frames: int,
    confidence: float,
    bounds: tuple[float, float],
) -> Interval:
    """The mean of the window, certified at every sample size at once.

    With a control variate, pass y - l a and its bounds, and add l A to the result.

    Args:
        values: float64 (n,), of frames drawn at random without replacement, in order of drawing.
        frames: N, the frames that they were drawn from.
        confidence: Of the whole sequence, 0..1 exclusive.
        bounds: The least and the greatest value that there can be.
    """
    lows, highs = confidence_sequence(values, frames, confidence, bounds)
    low, high = float(lows[-1]), float(highs[-1])
    value = min(max(float(values.mean()), low), high)
    low, high = min(low, value), max(high, value)
    return Interval(value, low, high, confidence, len(values))


def certified_within(
    ask: Asker,
    frames: int,
    error: float,
    confidence: float,
    bounds: tuple[float, float],
    rng: np.random.Generator,
    most: int | None = None,
) -> Interval:
    """Ask the reference until the certified interval is short enough.

    Args:
        ask: Asks the reference.
        frames: The frames of the window.
        error: The half-width that is wanted.
        confidence: Of the whole sequence, 0..1 exclusive.
        bounds: The least and the greatest value that there can be.
        rng: The source of chance.
        most: The most calls; None for as many as there are frames.
    """

    def judge(values: Values, _: int) -> tuple[Interval, float]:
        found = certified(values, frames, confidence, bounds)
        return found, found.half_width

    return grown(
        ask,
        rng.permutation(frames),
        judge,
        error,
        first=FIRST_LOOK,
        growth=LOOKS_APART,
        most=frames if most is None else min(most, frames),
    )
