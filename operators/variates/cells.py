"""Jittered cells with a control variate: the default estimator.

The window is cut into n equal cells, and one frame is drawn in each, uniform. With values y, a
proxy a known for all frames, and a coefficient l that does not depend on these draws,

    z_i = y_i - l a_i,   theta = mean(z) + l A,   A = mean of a over the window,

is unbiased whatever the stream does. Its variance is that of the values *within* the cells, which
neighbouring frames, being alike, make small.

Draws. B neighbouring cells share their offset u, so that the gaps between their frames are equal. A
step between two levels then costs 1/12 of its square instead of 1/6 (Madow, Annals of Mathematical
Statistics 1944), and the group as a whole (u - 1/2)^2, 1/12 in the mean, of its net change, which
for objects that come and go is small. Sharing over the whole window would be at the mercy of what
repeats from cell to cell.

Variance. With g_h the mean of (z_i+h - z_i)^2 / 2, the sample says how much of the change from
frame to frame is noise, which is there at every lag, and how much are steps, which add up:
g_1 = noise + r / 2, g_2 = noise + r. Noise counts in full, steps and net changes by their costs:

    var = (noise + r / 12 + (g_B - noise) / (6 B)) / n (1 - n / N).

g_1 / n alone is von Neumann's estimate (Annals of Mathematical Statistics 1941; Wolter,
Introduction to Variance Estimation, 2007, section 8.2), which takes every step for noise: on
traffic its 95 % intervals cover 99.8 %. The differences overlap, so Student's t has
2 (n - 1)^2 / (3 n - 4) degrees of freedom.

Where hardly any neighbours differ, the sample says little of its own variance: rare events fall
between the drawn frames. Then the interval reaches further, by what could have been missed: were
the share p of the frames different, n cells would show none of it with a probability of at most
(1 - p)^n, so p is at most 1 - alpha^(1/n).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import t as student

from operators.variates.bounded import bounded
from operators.variates.sample import (
    CellSample,
    Interval,
    Values,
    check_bounds,
    check_confidence,
    interval,
)
from records import RecordError

if TYPE_CHECKING:
    from numpy.typing import NDArray

LARGEST_COEFFICIENT = 4.0
"""The largest coefficient: a proxy in the units of the values has one near 1."""

SHARED_CELLS = 8
"""How many neighbouring cells share their offset."""

FEW_CHANGES = 6
"""With fewer neighbours that differ, what could have been missed is added."""

FEWEST_LAGS = 4
"""With fewer lags in the sample, changes over several cells say too little."""

SMALL_SAMPLE = 8
"""With fewer cells and known bounds, only an interval that needs no variance is honest."""

UNIT = 1.0
"""The change that a rare event makes where no bounds are known: one object."""


def draw_cells(
    frames: int, cells: int, rng: np.random.Generator, shared: int = SHARED_CELLS
) -> NDArray[np.int64]:
    """Draw one place in each of n equal cells, uniform; int64 (n,), ascending.

    Args:
        frames: The frames of the window.
        cells: n, at most as many as frames.
        rng: The source of chance.
        shared: How many neighbouring cells share their offset; 1 for none. To be told to
            `CellSample`.

    >>> draw_cells(4, 4, np.random.default_rng(0)).tolist()
    [0, 1, 2, 3]
    """
    edges = cell_edges(frames, cells)
    first = int(rng.integers(shared))
    offsets = np.repeat(rng.random(cells // shared + 2), shared)[first : first + cells]
    return edges[:-1] + np.floor(offsets * np.diff(edges)).astype(np.int64)


def cell_edges(frames: int, cells: int) -> NDArray[np.int64]:
    """Where the cells begin and the last one ends, int64 (n + 1,).

    Halving every cell gives the edges of twice as many cells.

    >>> cell_edges(10, 4).tolist()
    [0, 2, 5, 7, 10]
    """
    if not 1 <= cells <= frames:
        raise RecordError(f"cells must be in 1..{frames} (frames), got {cells}")
    return np.arange(cells + 1, dtype=np.int64) * frames // cells


def difference_coefficient(
    values: Values, proxies: Values, most: float = LARGEST_COEFFICIENT
) -> float:
    """The coefficient that would have made this window's variance least, in 0..most.

    It is sum(dy da) / sum(da^2) over neighbouring cells. Using it on the window that it was
    learned from would bias the estimate: it is for the next one.

    >>> y = np.array([0.0, 2.0, 4.0, 4.0])
    >>> difference_coefficient(y, y / 2)
    2.0
    """
    dy, da = np.diff(values), np.diff(proxies)
    weight = float(da @ da)
    if weight <= 0 or not math.isfinite(weight):
        return 0.0
    return float(min(max(float(dy @ da) / weight, 0.0), most))


def jittered(
    sample: CellSample,
    confidence: float,
    coefficient: float = 0.0,
    bounds: tuple[float, float] | None = None,
) -> Interval:
    """The mean of a window from one frame in each cell; see the module.

    Args:
        sample: The drawn frames.
        confidence: Of the interval, 0..1 exclusive.
        coefficient: l; must not depend on these values. 0 uses no proxy.
        bounds: The least and the greatest value that there can be, if that is known.

    Raises:
        RecordError: the confidence is out of range, a value is beyond the bounds, or there is a
            coefficient without a proxy.

    >>> found = jittered(CellSample(np.array([1.0, 2.0, 1.0, 2.0] * 10), 4000), 0.95)
    >>> found.value, round(found.half_width, 3)
    (1.5, 0.229)
    """
    check_confidence(confidence)
    check_bounds(bounds, sample.values)
    if coefficient and sample.proxies is None:
        raise RecordError("coefficient must be 0 without proxies")
    shift = 0.0 if sample.proxies is None else coefficient * sample.proxy_mean
    proxies = 0.0 if sample.proxies is None else coefficient * sample.proxies
    z = sample.values - proxies
    value = sample.mean_of(z) + shift
    return cell_interval(sample, z, value, confidence, bounds)


def crossed(
    sample: CellSample, confidence: float, bounds: tuple[float, float] | None = None
) -> Interval:
    """The same without an earlier window: the coefficient of each half comes from the other.

    Cells go to two halves in pairs, so that each half has neighbours of its own. Each value is
    put right by its own cell's mean proxy, y_i - l (a_i - A_i), which keeps the estimate unbiased
    although the halves are not the window.

    Args:
        sample: The drawn frames, with proxies and their means over each cell.
        confidence: Of the interval, 0..1 exclusive.
        bounds: The least and the greatest value that there can be, if that is known.

    Raises:
        RecordError: the sample has no proxies or no means of cells, or see `jittered`.
    """
    check_confidence(confidence)
    check_bounds(bounds, sample.values)
    if sample.proxies is None or sample.proxy_means is None:
        raise RecordError("crossed needs proxies and their means over each cell")
    n = len(sample.values)
    half = (np.arange(n) // 2) % 2
    residual = sample.proxies - sample.proxy_means
    coefficients = [
        _pair_coefficient(sample.values[half != side], residual[half != side]) for side in (0, 1)
    ]
    each = np.array(coefficients)[half]
    value = sample.mean_of(sample.values - each * residual)
    # The cells' mean proxies are known: only y - l a is left to chance.
    return cell_interval(sample, sample.values - each * sample.proxies, value, confidence, bounds)


def _pair_coefficient(values: Values, residuals: Values) -> float:
    pairs = len(values) // 2
    dy = values[1 : 2 * pairs : 2] - values[0 : 2 * pairs : 2]
    da = residuals[1 : 2 * pairs : 2] - residuals[0 : 2 * pairs : 2]
    weight = float(da @ da)
    return float(min(max(float(dy @ da) / weight, 0.0), LARGEST_COEFFICIENT)) if weight else 0.0


def cell_interval(
    sample: CellSample,
    z: Values,
    value: float,
    confidence: float,
    bounds: tuple[float, float] | None,
) -> Interval:
    """The interval around an estimate from cells.

    Args:
        sample: The drawn frames.
        z: float64 (n,), their values less the control variate.
        value: The estimate.
        confidence: Of the interval.
        bounds: The least and the greatest value that there can be.
    """
    n, alpha = len(z), 1 - confidence
    if n == sample.frames:
        return interval(value, 0.0, 0.0, confidence, n, bounds)
    if bounds is not None and n < SMALL_SAMPLE:
        plain = bounded(sample.values, confidence, bounds)
        return Interval(plain.value, plain.low, plain.high, confidence, n)
    if n == 1:
        return interval(value, math.inf, math.inf, confidence, n, bounds)
    left = 1 - n / sample.frames
    variance = cell_variance(z, sample.shared) / n * left
    freedom = 2 * (n - 1) ** 2 / (3 * n - 4)
    half = float(student.ppf(1 - alpha / 2, freedom)) * math.sqrt(variance)
    if np.count_nonzero(np.diff(sample.values)) >= FEW_CHANGES:
        return interval(value, half, half, confidence, n, bounds)
    missed = (1 - alpha ** (1 / n)) * left
    below, above = _reach(sample.values, bounds)
    return interval(value, half + missed * below, half + missed * above, confidence, n, bounds)


def cell_variance(z: Values, shared: int = 1) -> float:
    """The variance that a draw has within its cell, from how neighbouring cells differ.

    Args:
        z: float64 (n,), n >= 2, one value a cell, in order of time.
        shared: How many neighbouring cells share their offset.

    >>> cell_variance(np.array([0.0, 1.0] * 50))
    0.5
    >>> round(cell_variance(np.repeat([0.0, 1.0], 50)), 5)  # one step in 99 gaps, 1/6 of it
    0.00168
    """
    near = _lagged(z, 1)
    if len(z) < FEWEST_LAGS * max(shared, 2):
        return near
    noise = min(max(2 * near - _lagged(z, 2), 0.0), near)
    steps = 2 * (near - noise)
    net = max(_lagged(z, shared) - noise, 0.0) / shared
    return noise + steps / 12 + net / 6


def _lagged(z: Values, lag: int) -> float:
    """Half the mean square of the change over so many cells."""
    return float(np.mean((z[lag:] - z[:-lag]) ** 2)) / 2


def _reach(values: Values, bounds: tuple[float, float] | None) -> tuple[float, float]:
    """How far a missed frame can be from the common value, down and up."""
    common = float(np.median(values))
    if bounds is None:
        return UNIT, UNIT
    return common - bounds[0], bounds[1] - common
