"""Samples of a window, and what an estimator says of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from records import RecordError

Values: TypeAlias = NDArray[np.float64]
"""Numbers, float64 (n,)."""

Asker: TypeAlias = Callable[[NDArray[np.int64]], Values]
"""Asks the reference: from the places of frames, int64 (n,), to their values, float64 (n,)."""


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with its confidence interval.

    Attributes:
        value: The estimate.
        low: Lower end of the interval.
        high: Upper end of the interval.
        confidence: Probability that the interval covers the true value, 0..1 exclusive.
        calls: Frames that the reference saw for it.
    """

    value: float
    low: float
    high: float
    confidence: float
    calls: int

    @property
    def half_width(self) -> float:
        """Half the length of the interval."""
        return (self.high - self.low) / 2

    def times(self, factor: float) -> Interval:
        """The interval of a multiple, as the sum is the mean times the number of frames.

        >>> Interval(2.0, 1.0, 3.0, 0.95, 7).times(10.0)
        Interval(value=20.0, low=10.0, high=30.0, confidence=0.95, calls=7)
        """
        low, high = sorted((self.low * factor, self.high * factor))
        return Interval(self.value * factor, low, high, self.confidence, self.calls)


@dataclass(frozen=True, slots=True, eq=False)
class CellSample:
    """One frame of each time cell of a window, drawn uniformly; the cells in order of time.

    Attributes:
        values: float64 (n,), the reference's values of the drawn frames.
        frames: N, the frames of the window, at least n.
        proxies: float64 (n,), the proxy's values of the drawn frames; None without a proxy.
        proxy_mean: The proxy's mean over all frames of the window.
        proxy_means: float64 (n,), the proxy's mean over each cell, for cross-fitting; may be None.
        sizes: int64 (n,), the frames of each cell; None for equal cells.
        shared: How many neighbouring cells share the offset of their draw; 1 for none.

    Raises:
        RecordError: shapes do not fit, or there is no frame.
    """

    values: Values
    frames: int
    proxies: Values | None = None
    proxy_mean: float = 0.0
    proxy_means: Values | None = field(default=None)
    sizes: NDArray[np.int64] | None = field(default=None)
    shared: int = 1

    def __post_init__(self) -> None:
        n = len(self.values)
        if self.shared < 1:
            raise RecordError(f"shared must be at least 1, got {self.shared}")
        if not 1 <= n <= self.frames:
            raise RecordError(f"a sample must hold 1 to {self.frames} frames, got {n}")
        for name in ("proxies", "proxy_means", "sizes"):
            array = getattr(self, name)
            if array is not None and len(array) != n:
                raise RecordError(f"{name} must have {n} entries, got {len(array)}")

    def mean_of(self, values: Values) -> float:
        """The window's mean by one value in each cell, float64 (n,).

        Divided once, at the end: so the mean of ones is one, and not a little less.
        """
        if self.sizes is None:
            return float(values.mean())
        return float(self.sizes @ values / self.sizes.sum())


def check_confidence(confidence: float) -> None:
    """Raise RecordError unless a confidence is between 0 and 1."""
    if not 0 < confidence < 1:
        raise RecordError(f"confidence must be between 0 and 1, got {confidence}")


def check_bounds(bounds: tuple[float, float] | None, values: Values) -> None:
    """Raise RecordError unless values lie within bounds, where there are any."""
    if bounds is None:
        return
    low, high = bounds
    if not low <= high:
        raise RecordError(f"bounds must be (low, high), got {bounds}")
    if len(values) and not (low <= values.min() and values.max() <= high):
        raise RecordError(
            f"values must lie within the bounds {bounds}, got {values.min()}..{values.max()}"
        )


def interval(
    value: float,
    below: float,
    above: float,
    confidence: float,
    calls: int,
    bounds: tuple[float, float] | None,
) -> Interval:
    """An interval around a value, kept within the bounds where there are any.

    Args:
        value: The estimate.
        below: How far it reaches down, at least 0.
        above: How far it reaches up, at least 0.
        confidence: Of the interval.
        calls: Frames that the reference saw.
        bounds: The least and the greatest value that there can be.
    """
    low, high = value - below, value + above
    if bounds is not None:
        value = min(max(value, bounds[0]), bounds[1])
        low, high = max(low, bounds[0]), min(high, bounds[1])
        # An estimate with a control variate may lie beyond the bounds, and its interval with it.
        low, high = min(low, value), max(high, value)
    return Interval(float(value), float(low), float(high), confidence, calls)
