"""Are probabilities what they say? The reliability diagram and its figures.

Probabilities are cut into bins of equal width; each bin compares what was said with what came true
(Murphy & Winkler, Applied Statistics 1977). The expected calibration error is the mean distance
between the two, weighed by samples (Naeini et al., AAAI 2015). Judge on samples that the
calibration was not fitted on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from models.bounds import check_probability, clopper_pearson
from records import RecordError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

MOST_BINS = 1000
"""The most bins of a diagram."""


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """The samples whose probability falls into one bin.

    Attributes:
        said: The mean of their probabilities.
        share: The share that came true.
        low: Lower end of the exact interval of that share (Clopper-Pearson).
        high: Upper end of it.
        n: How many samples.
    """

    said: float
    share: float
    low: float
    high: float
    n: int


@dataclass(frozen=True, slots=True)
class Reliability:
    """How well probabilities hold.

    Attributes:
        bins: The bins that hold samples, rising.
        n: How many samples there are.
        expected_error: Expected calibration error, 0..1; 0 without samples.
        brier: Mean squared distance of probability and outcome (Brier 1950); 0 without samples.
        confidence: Of the bins' intervals.
    """

    bins: tuple[ReliabilityBin, ...]
    n: int
    expected_error: float
    brier: float
    confidence: float

    @property
    def consistent(self) -> bool:
        """Whether what was said lies in the interval of every bin."""
        return all(each.low <= each.said <= each.high for each in self.bins)


def reliability(
    probabilities: ArrayLike, outcomes: ArrayLike, *, bins: int = 10, confidence: float = 0.95
) -> Reliability:
    """Compare probabilities with outcomes.

    Args:
        probabilities: (n,), each in 0..1.
        outcomes: (n,), true or false.
        bins: Bins of equal width over 0..1.
        confidence: Of each bin's interval, in 0..1 exclusive.

    Raises:
        RecordError: an argument is out of range.

    >>> diagram = reliability([0.1] * 10 + [0.9] * 10, [False] * 10 + [True] * 10)
    >>> [(each.said, each.share, each.n) for each in diagram.bins], diagram.consistent
    ([(0.1, 0.0, 10), (0.9, 1.0, 10)], True)
    """
    check_probability("confidence", confidence)
    if not 1 <= bins <= MOST_BINS:
        raise RecordError(f"bins must be in 1..{MOST_BINS}, got {bins}")
    said_n = np.asarray(probabilities, np.float64)
    true_n = np.asarray(outcomes, np.bool_)
    if said_n.ndim != 1 or said_n.shape != true_n.shape:
        raise RecordError(
            f"probabilities and outcomes must be (n,), got {said_n.shape} and {true_n.shape}"
        )
    if not ((said_n >= 0) & (said_n <= 1)).all():
        raise RecordError("probabilities must be in 0..1")
    places_n = np.minimum((said_n * bins).astype(np.int64), bins - 1)
    found = []
    for place in np.unique(places_n):
        inside = places_n == place
        n, hits = int(inside.sum()), int(true_n[inside].sum())
        low, high = clopper_pearson(hits, n, confidence)
        found.append(ReliabilityBin(float(said_n[inside].mean()), hits / n, low, high, n))
    total = max(said_n.size, 1)
    error = sum(each.n * abs(each.said - each.share) for each in found) / total
    brier = float(((said_n - true_n) ** 2).sum()) / total
    return Reliability(tuple(found), said_n.size, error, brier, confidence)
