"""What paired answers tell of a candidate beside an incumbent, valid at every moment at once.

On each frame that counts D is +1 when only the candidate is right, -1 when only the incumbent is,
else 0. Against H0 "the mean of D is at most m" the wealth

    W(m) = mean over s in STAKES of  prod (1 + s (D - m) / (1 + m))

is an e-process: each factor is at least 1 - s and has a mean of at most 1, so that W ever reaches
1 / (1 - confidence) with a probability of at most 1 - confidence (Ville, 1939; Waudby-Smith &
Ramdas, JRSS-B 2024, section 4). W falls in m; the lower bound is the largest m that is refuted.
The three values of D make W a function of counts alone, so that nothing else need be stored.

Assumed: given the past, D has a mean of at most m under H0, as for the audit.
"""

from __future__ import annotations

import math

import numpy as np

STAKES = (0.9, 0.6, 0.3, 0.15, 0.07, 0.03, 0.015)
"""The shares of the wealth that one frame may lose, in equal parts: bold ones prove soon that two
models are alike, cautious ones that a small difference is there among many that cancel."""

BISECTIONS = 40
"""Halvings of -1..1 when a bound is solved for."""

_STAKES = np.array(STAKES)


def difference_bounds(
    candidate: int, incumbent: int, alike: int, confidence: float
) -> tuple[float, float]:
    """Bounds of the mean difference in rightness, candidate less incumbent, each at `confidence`.

    Args:
        candidate: Frames on which only the candidate was right.
        incumbent: Frames on which only the incumbent was.
        alike: Frames on which both were right, or neither.
        confidence: In 0..1 exclusive.

    Returns:
        The lower and the upper bound, each in -1..1.

    >>> low, high = difference_bounds(4, 3, 293, 0.95)
    >>> round(low, 3), round(high, 3)
    (-0.029, 0.037)
    >>> difference_bounds(0, 0, 0, 0.95)
    (-1.0, 1.0)
    """
    low = _lower(candidate, incumbent, alike, confidence)
    return low, -_lower(incumbent, candidate, alike, confidence)


def surely_above(wins: int, losses: int, ties: int, mean: float, confidence: float) -> bool:
    """Whether it is refuted that the mean of D is at most `mean`.

    Args:
        wins: Frames on which D is +1.
        losses: On which it is -1.
        ties: On which it is 0.
        mean: In -1..1 exclusive.
        confidence: In 0..1 exclusive.

    >>> surely_above(0, 0, 250, -0.02, 0.95), surely_above(0, 0, 300, -0.02, 0.95)
    (False, True)
    """
    gained = _STAKES / (1 + mean)
    wealth = (
        wins * np.log1p(gained * (1 - mean))
        + ties * np.log1p(-gained * mean)
        + losses * np.log1p(-_STAKES)
    )
    goal = math.log(len(STAKES)) - math.log1p(-confidence)
    return bool(np.logaddexp.reduce(wealth) >= goal)


def _lower(wins: int, losses: int, ties: int, confidence: float) -> float:
    if wins + ties == 0:
        return -1.0
    low, high = -1.0, 1.0
    for _ in range(BISECTIONS):
        mean = (low + high) / 2
        above = surely_above(wins, losses, ties, mean, confidence)
        low, high = (mean, high) if above else (low, mean)
    return low
