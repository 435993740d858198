"""EBGStop and BlazeIt: random frames until an empirical Bernstein bound is short enough.

EBGStop (Mnih, Szepesvari & Audibert, ICML 2008, section 3.1): after t values with standard
deviation s and range R,

    |mean - mu| <= s sqrt(2 x / t) + 3 R x / t,   x = log(3 / d_k),

holds at all looks k at once when the d_k add up to at most delta; d_k = delta (p - 1) / (p k^p)
with p = 1.1. Between two looks the sample grows by a constant factor, and x is multiplied by the
growth since the last look (their alpha), which lets one stop anywhere between.

BlazeIt (Kang et al., VLDB 2020, section 6.3) uses it on y + c (a - E[a]) with
c = -Cov(y, a) / Var(a) of the values so far. The code released with the paper takes log(d / 3)
with the sign lost, and too short intervals; here it is log(3 / d). Since c is learned from the very
values that it is used on, the range and the bound hold for it only nearly, as in the paper.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from operators.variates.growing import grown
from operators.variates.sample import Asker, Interval, Values, check_confidence, interval
from operators.variates.uniform import tuned_coefficient, uniform

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

GROWTH = 1.1
"""The factor between the sizes of the sample at two looks (beta of the source)."""

EXPONENT = 1.1
"""How fast the d_k fall (p of the source)."""

FIRST_LOOK = 64
"""The size of the sample at the first look."""


def bernstein_half_width(values: Values, span: float, look: int, delta: float) -> float:
    """The half-width of EBGStop's bound at a look.

    Args:
        values: float64 (n,), the values so far.
        span: R, the range of the values.
        look: k, the number of the look, counted from 1.
        delta: The probability that any bound fails.
    """
    share = delta * (EXPONENT - 1) / (EXPONENT * look**EXPONENT)
    goal = GROWTH * math.log(3 / share)
    n = len(values)
    return float(values.std()) * math.sqrt(2 * goal / n) + 3 * span * goal / n


def blazeit(
    ask: Asker,
    proxies: Values | None,
    frames: int,
    error: float,
    confidence: float,
    bounds: tuple[float, float],
    rng: np.random.Generator,
    most: int | None = None,
) -> Interval:
    """Ask the reference for random frames until the error is reached.

    Args:
        ask: Asks the reference.
        proxies: float64 (N,), the proxy's values of all frames; None without a proxy.
        frames: N, the frames of the window.
        error: The half-width that is wanted.
        confidence: Of the interval at the stop, 0..1 exclusive.
        bounds: The least and the greatest value that there can be.
        rng: The source of chance.
        most: The most calls; None for as many as there are frames.
    """
    check_confidence(confidence)
    order: NDArray[np.int64] = rng.permutation(frames)
    mean = 0.0 if proxies is None else float(proxies.mean())

    def judge(values: Values, look: int) -> tuple[Interval, float]:
        size, rectified = len(values), values
        if proxies is not None:
            drawn = proxies[order[:size]]
            rectified = values - tuned_coefficient(values, drawn) * (drawn - mean)
        half = bernstein_half_width(rectified, bounds[1] - bounds[0], look, 1 - confidence)
        if size == frames:
            half = 0.0
        return interval(float(rectified.mean()), half, half, confidence, size, bounds), half

    most = frames if most is None else min(most, frames)
    return grown(ask, order, judge, error, first=FIRST_LOOK, growth=GROWTH, most=most)


def blazeit_sample(
    values: Values,
    proxies: Values | None,
    proxy_mean: float,
    frames: int,
    confidence: float,
    bounds: tuple[float, float] | None = None,
) -> Interval:
    """BlazeIt's control variate at a fixed number of calls, with the usual interval.

    Args:
        values: float64 (n,), the reference's values of frames drawn at random.
        proxies: float64 (n,), the proxy's values of the same frames; None without a proxy.
        proxy_mean: The proxy's mean over all frames of the window.
        frames: N, the frames of the window.
        confidence: Of the interval, 0..1 exclusive.
        bounds: The least and the greatest value that there can be, if that is known.
    """
    if proxies is None:
        return uniform(values, frames, confidence, bounds)
    rectified = values - tuned_coefficient(values, proxies) * (proxies - proxy_mean)
    found = uniform(rectified, frames, confidence)
    below, above = found.value - found.low, found.high - found.value
    return interval(found.value, below, above, confidence, len(values), bounds)
