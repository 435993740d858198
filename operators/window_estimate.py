"""Estimates of a window's means from its drawn frames.

Each drawn frame has a value y, a proxy a, and a weight w: the number of frames it stands for. With
the coefficient c of its pane, learned from earlier panes only,

    z = y - c (a - A),   A the mean proxy over all frames of the pane,
    estimate = sum(w z) / sum(w),

the ratio estimator of Hajek (1971). At a steady frame rate and equal cells all weights are equal,
and it is the mean of z. Its error is that of the mean of e = w (z - estimate) / mean(w), linearised
(Sarndal, Swensson & Wretman 1992, section 5.6); `variates` gives the interval of that.

A drawn frame without an answer leaves its weight to the answers before and after it, half and
half: the cells are merged, so that what is missing is taken from its neighbours in time and the
interval grows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from operators.panes import joined
from operators.variates import CellSample, Interval, bounded, difference_coefficient
from operators.variates.cells import SMALL_SAMPLE, cell_interval

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from operators.panes import Pane

FEWEST_DIFFERENCES = 8
"""Below so many differences of neighbours no coefficient is learned from them."""

EQUAL_WEIGHTS = 1e-6
"""Weights whose relative spread is less than this are equal, but for whole nanoseconds."""


def coefficients(earlier: Sequence[Pane], columns: int) -> NDArray[np.float64]:
    """How much of its proxy to take from each column's values, float64 (columns,), 0 or more.

    Args:
        earlier: Panes before the one that the coefficients are for.
        columns: How many columns there are.
    """
    learned = np.zeros(columns)
    if not earlier:
        return learned
    past = joined(earlier)
    answered = past.answered
    if np.count_nonzero(answered) <= FEWEST_DIFFERENCES:
        return learned
    for column in np.flatnonzero(past.proxy_high > past.proxy_low):
        value, proxy = past.value[answered, column], past.proxy[answered, column]
        learned[column] = difference_coefficient(value, proxy)
    return learned


@dataclass(frozen=True, slots=True, eq=False)
class WindowSample:
    """The answers of a window, ready for any column.

    Attributes:
        frames: Frames in the window.
        weight: float64 (n,), frames that each answer stands for, merged where answers are missing.
        value: float64 (n, columns), y.
        adjusted: float64 (n, columns), z.
        shared: How many neighbouring draws share the offset in their cells, at least.
    """

    frames: int
    weight: NDArray[np.float64]
    value: NDArray[np.float64]
    adjusted: NDArray[np.float64]
    shared: int

    @property
    def calls(self) -> int:
        """How many answers there are."""
        return len(self.weight)


def window_sample(panes: Sequence[Pane], learned: Sequence[NDArray[np.float64]]) -> WindowSample:
    """Make the sample of a window of its panes, in order, and the coefficients of each."""
    adjusted = np.concatenate(
        [
            pane.value - c * (pane.proxy - pane.proxy_mean)
            for pane, c in zip(panes, learned, strict=True)
        ]
    )
    weight = np.concatenate([pane.weight for pane in panes])
    answered = np.concatenate([pane.answered for pane in panes])
    return WindowSample(
        frames=sum(pane.frames for pane in panes),
        weight=merged(weight, answered),
        value=np.concatenate([pane.value for pane in panes])[answered],
        adjusted=adjusted[answered],
        shared=min(pane.shared for pane in panes),
    )


def merged(weight: NDArray[np.float64], answered: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Leave the weight of draws without an answer to the answers before and after.

    >>> merged(np.array([4.0, 4, 4, 2]), np.array([True, False, True, False])).tolist()
    [6.0, 8.0]
    """
    places = np.flatnonzero(answered)
    kept = weight[places]
    missing = np.flatnonzero(~answered)
    if not len(places) or not len(missing):
        return kept
    after = np.searchsorted(places, missing)
    # At the ends of the window there is a neighbour on one side only.
    for side in (np.maximum(after - 1, 0), np.minimum(after, len(places) - 1)):
        np.add.at(kept, side, weight[missing] / 2)
    return kept


def interval(sample: WindowSample, column: int, confidence: float, most: float | None) -> Interval:
    """The mean of a column over all frames of the window, with its interval.

    Args:
        sample: The window's answers, one at least.
        column: The column.
        confidence: Of the interval.
        most: The largest value that a frame can have; None where it is not known. Should an answer
            have a larger one, that takes its place.
    """
    value, z = sample.value[:, column], sample.adjusted[:, column]
    share = sample.weight / sample.weight.mean()
    # Relative to one of them, so that values that are all alike have exactly their mean.
    estimate = float(z[0] + np.mean(share * (z - z[0])))
    floor = min(float(value.min()), 0.0)
    bounds = None if most is None else (floor, max(float(value.max()), most))
    if np.ptp(share) <= EQUAL_WEIGHTS:
        even = CellSample(value, sample.frames, shared=sample.shared)
        found = cell_interval(even, z, estimate, confidence, bounds)
    elif bounds is None or sample.calls >= SMALL_SAMPLE:
        # Answers that are missing or uneven are not evenly spaced, whatever offset cells share.
        linear = estimate + share * (z - estimate)
        uneven = CellSample(value, sample.frames)
        found = cell_interval(uneven, linear, estimate, confidence, bounds)
    else:
        found = _few(value, share, confidence, bounds)
    low, high = max(found.low, floor), max(found.high, floor)
    return replace(found, value=min(max(found.value, low), high), low=low, high=high)


def _few(
    value: NDArray[np.float64],
    share: NDArray[np.float64],
    confidence: float,
    bounds: tuple[float, float],
) -> Interval:
    """The weighted mean of few values, with an interval that needs no variance."""
    middle, heaviest = float(np.mean(share * value)), float(share.max())
    weighted = middle + share * (value - middle)
    reach = middle + heaviest * (bounds[0] - middle), middle + heaviest * (bounds[1] - middle)
    found = bounded(np.clip(weighted, *reach), confidence, reach)  # beyond by rounding only
    low, high = max(found.low, bounds[0]), min(found.high, bounds[1])
    return Interval(middle, low, high, confidence, len(value))
