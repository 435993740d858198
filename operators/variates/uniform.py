"""Uniform sampling: the textbook estimator, and prediction-powered inference on top of it."""

from __future__ import annotations

import math

from scipy.stats import t as student

from operators.variates.sample import (
    Interval,
    Values,
    check_bounds,
    check_confidence,
    interval,
)

FEWEST = 2
"""A variance needs this many values."""


def uniform(
    values: Values, frames: int, confidence: float, bounds: tuple[float, float] | None = None
) -> Interval:
    """The mean of a window from frames drawn at random without replacement.

    mean(y) +- t_{n-1} sqrt(s^2 / n (1 - n / N)): Cochran, Sampling Techniques, 1977, section 2.8.

    Args:
        values: float64 (n,), the reference's values, n >= 1.
        frames: N, the frames of the window.
        confidence: Of the interval, 0..1 exclusive.
        bounds: The least and the greatest value that there can be, if that is known.
    """
    check_confidence(confidence)
    check_bounds(bounds, values)
    n = len(values)
    half = math.inf
    if n >= FEWEST:
        variance = float(values.var(ddof=1)) / n * (1 - n / frames)
        half = float(student.ppf(1 - (1 - confidence) / 2, n - 1)) * math.sqrt(variance)
    return interval(float(values.mean()), half, half, confidence, n, bounds)


def ppi(
    values: Values,
    proxies: Values,
    proxy_mean: float,
    frames: int,
    confidence: float,
    bounds: tuple[float, float] | None = None,
) -> Interval:
    """Prediction-powered inference with power tuning, for a finite window.

    theta = l A + mean(y - l a) with l = Cov(y, a) / Var(a): PPI++ (Angelopoulos, Duchi & Zrnic,
    2023, section 6), whose n / N term is 0 here since A is known without error; the finite
    population correction takes its place.

    Args:
        values: float64 (n,), the reference's values of frames drawn at random.
        proxies: float64 (n,), the proxy's values of the same frames.
        proxy_mean: A, the proxy's mean over all frames of the window.
        frames: N, the frames of the window.
        confidence: Of the interval, 0..1 exclusive.
        bounds: The least and the greatest value that there can be, if that is known.
    """
    coefficient = tuned_coefficient(values, proxies)
    rectified = uniform(values - coefficient * proxies, frames, confidence)
    shift = coefficient * proxy_mean
    return interval(
        rectified.value + shift,
        rectified.value - rectified.low,
        rectified.high - rectified.value,
        confidence,
        len(values),
        bounds,
    )


def tuned_coefficient(values: Values, proxies: Values) -> float:
    """Cov(y, a) / Var(a); 0 for a proxy that never changes. BlazeIt's c* is its negative."""
    if len(values) < FEWEST:
        return 0.0
    centred = proxies - proxies.mean()
    weight = float(centred @ centred)
    return float(centred @ (values - values.mean())) / weight if weight > 0 else 0.0
