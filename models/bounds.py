"""Confidence bounds for shares and ratios, exact for any sample size.

Frames of a video are not independent: a missed object is missed for many frames in a row. Bounds
that count frames (`clopper_pearson`) are therefore right only for independent trials. For frames
use `ratio_lower` over blocks of time: the blocks, not the frames, are the sample.

To test that a ratio is at most r, Z = part - r whole has a mean of at most 0 and lies in
-r largest .. (1 - r) largest, so the wealth

    K_b(r) = prod over i <= b of (1 + bet_i(r) Z_i / largest),    0 <= bet_i(r) < 1/r,

is a nonnegative supermartingale and ever reaches 1/a with a probability of at most
a = 1 - confidence (Ville). The bets are the predictable plug-in ones of Waudby-Smith & Ramdas
(JRSS-B 2024): min(√(2 log(1/a) / (n v)), LARGEST_STAKE / r), v the variance of the blocks before.
v does not depend on r, so K falls in r, and the bound, the largest r whose wealth reaches 1/a at
any time, is found by bisection.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import betaincinv

from records import RecordError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

LARGEST_STAKE = 0.9
"""The largest share of the wealth that one block may lose. WSR call it c and use 1/2 or 3/4;
near a recall of 1 blocks vary little and a bolder bet certifies with fewer of them."""

PRIOR_VARIANCE = 0.25
"""The variance that bets assume before the first block, the most a variable in 0..1 can have."""

BISECTIONS = 40
"""Halvings of 0..1 when a bound is solved for: the bound is exact to 2^-40."""


def clopper_pearson(successes: int, trials: int, confidence: float) -> tuple[float, float]:
    """The exact two-sided interval of a binomial proportion.

    low is the B(a/2; k, n-k+1) quantile and high the B(1-a/2; k+1, n-k) quantile of the beta
    distribution, a = 1 - confidence, k successes in n trials (Clopper & Pearson, Biometrika 1934).
    For a one-sided bound at confidence c ask for the interval at 2c - 1 and take one end.

    Raises:
        RecordError: the counts or the confidence are out of range.

    >>> low, high = clopper_pearson(9, 10, 0.95)
    >>> round(low, 4), round(high, 4)
    (0.555, 0.9975)
    """
    _check_counts(successes, trials)
    check_probability("confidence", confidence)
    tail = (1 - confidence) / 2
    failures = trials - successes
    low = float(betaincinv(successes, failures + 1, tail)) if successes else 0.0
    high = float(betaincinv(successes + 1, failures, 1 - tail)) if failures else 1.0
    return low, high


def wilson(successes: int, trials: int, confidence: float) -> tuple[float, float]:
    """The score interval of a binomial proportion, short and good for display, not exact.

    (p + z²/2n ± z √(p(1-p)/n + z²/4n²)) / (1 + z²/n) with z the normal quantile (Wilson, JASA
    1927).

    Raises:
        RecordError: the counts or the confidence are out of range.

    >>> low, high = wilson(9, 10, 0.95)
    >>> round(low, 4), round(high, 4)
    (0.5958, 0.9821)
    """
    _check_counts(successes, trials)
    check_probability("confidence", confidence)
    if trials == 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share, ratio = successes / trials, z * z / trials
    spread = z * math.sqrt(share * (1 - share) / trials + ratio / (4 * trials))
    low, high = share + ratio / 2 - spread, share + ratio / 2 + spread
    return max(0.0, low / (1 + ratio)), min(1.0, high / (1 + ratio))


def mean_lower(values: ArrayLike, confidence: float, seed: int = 0) -> float:
    """A lower confidence bound of the mean of values in 0..1, whatever their distribution.

    The lower half of the hedged capital interval with predictable plug-in bets (Waudby-Smith &
    Ramdas, JRSS-B 2024, section 4): `ratio_lower` with every block of size 1.

    Args:
        values: (n,), each in 0..1.
        confidence: In 0..1 exclusive.
        seed: Of the random order in which the values are bet on.

    Raises:
        RecordError: a value or the confidence is out of range.

    >>> round(mean_lower([1.0] * 100, 0.95), 2)
    0.97
    """
    parts = np.asarray(values, np.float64)
    return ratio_lower(parts, np.ones_like(parts), 1.0, confidence, seed)


def mean_upper(values: ArrayLike, confidence: float, seed: int = 0) -> float:
    """An upper confidence bound of the mean of values in 0..1; see `mean_lower`.

    >>> round(mean_upper([0.0] * 100, 0.95), 2)
    0.03
    """
    return 1 - mean_lower(1 - np.asarray(values, np.float64), confidence, seed)


def ratio_lower(
    parts: ArrayLike, wholes: ArrayLike, largest: float, confidence: float, seed: int = 0
) -> float:
    """A lower confidence bound of sum(parts) / sum(wholes) over exchangeable blocks.

    The ratio bounded is E[part] / E[whole]. For recall `parts` are the true positives of each block
    and `wholes` its positives; for precision `wholes` are the reported frames; for accuracy the
    right frames and all frames. The module tells how.

    Args:
        parts: (n,), 0 <= part <= whole.
        wholes: (n,), 0 <= whole <= largest.
        largest: The most that a whole can be, known before the data are seen.
        confidence: In 0..1 exclusive.
        seed: Of the random order in which the blocks are bet on.

    Returns:
        The bound, in 0..1; 0 when nothing can be said.

    Raises:
        RecordError: an argument is out of range.
    """
    check_probability("confidence", confidence)
    part_n, whole_n = _blocks(parts, wholes, largest)
    if not whole_n.size:
        return 0.0
    order = np.random.default_rng(seed).permutation(part_n.size)
    part_n, whole_n = part_n[order], whole_n[order]
    goal = -math.log1p(-confidence)
    bets_n = np.sqrt(2 * goal / (part_n.size * _variances(part_n, whole_n)))
    low, high = 0.0, 1.0
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        stakes_n = np.minimum(bets_n, LARGEST_STAKE / middle)
        wealth_n = np.cumsum(np.log1p(stakes_n * (part_n - middle * whole_n)))
        low, high = (middle, high) if wealth_n.max() >= goal else (low, middle)
    return low


def ratio_upper(
    parts: ArrayLike, wholes: ArrayLike, largest: float, confidence: float, seed: int = 0
) -> float:
    """An upper confidence bound of sum(parts) / sum(wholes); see `ratio_lower`.

    >>> round(ratio_upper([0] * 100, [60] * 100, 60, 0.95), 2)
    0.03
    """
    rest = np.asarray(wholes, np.float64) - np.asarray(parts, np.float64)
    return 1 - ratio_lower(rest, wholes, largest, confidence, seed)


def check_probability(field: str, value: float) -> None:
    """Raise RecordError unless `value` is between 0 and 1, both excluded."""
    if not 0 < value < 1:
        raise RecordError(f"{field} must be between 0 and 1, got {value}")


def _variances(part_n: NDArray[np.float64], whole_n: NDArray[np.float64]) -> NDArray[np.float64]:
    """The variance of Z known before each block, around the ratio known before each block."""
    count_n = np.arange(1, part_n.size + 1)
    ratio_n = (0.5 + np.cumsum(part_n)) / (1 + np.cumsum(whole_n))
    before_n = np.concatenate(([0.5], ratio_n[:-1]))
    squares_n = np.cumsum((part_n - before_n * whole_n) ** 2)
    sums_n = PRIOR_VARIANCE + np.concatenate(([0.0], squares_n[:-1]))
    return np.asarray(sums_n / count_n)


def _blocks(
    parts: ArrayLike, wholes: ArrayLike, largest: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Parts and wholes as shares of the largest block."""
    part_n, whole_n = np.asarray(parts, np.float64), np.asarray(wholes, np.float64)
    if part_n.ndim != 1 or part_n.shape != whole_n.shape:
        raise RecordError(
            f"parts and wholes must be of one shape (n,), got {part_n.shape} and {whole_n.shape}"
        )
    if not (largest > 0 and math.isfinite(largest)):
        raise RecordError(f"largest must be a finite number above 0, got {largest}")
    if not np.all((part_n >= 0) & (part_n <= whole_n) & (whole_n <= largest)):
        raise RecordError(
            f"0 <= part <= whole <= largest = {largest} must hold for every block; "
            "'largest' is the most a block can hold, known before the data"
        )
    return part_n / largest, whole_n / largest


def _check_counts(successes: int, trials: int) -> None:
    if not 0 <= successes <= trials:
        raise RecordError(f"0 <= successes <= trials must hold, got {successes} and {trials}")
