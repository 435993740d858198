"""Samples that grow until they tell enough: the loop that stopping rules share."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from operators.variates.sample import Asker, Interval, Values

    Judge = Callable[[Values, int], tuple[Interval, float]]
    """From the values so far and the number of the look, counted from 1, to an interval and to the
    half-width that the rule goes by."""


def grown(
    ask: Asker,
    order: NDArray[np.int64],
    judge: Judge,
    error: float,
    *,
    first: int,
    growth: float,
    most: int,
) -> Interval:
    """Ask the reference in some order until the half-width is within the error.

    Args:
        ask: Asks the reference.
        order: int64 (N,), the frames' places in the order in which they are asked.
        judge: The rule.
        error: The half-width that is wanted.
        first: The size of the sample at the first look.
        growth: The factor between the sizes of the sample at two looks, above 1.
        most: The most calls, at most N.
    """
    values = np.empty(0)
    size, look = min(first, most), 1
    while True:
        values = np.concatenate([values, ask(order[len(values) : size])])
        found, half_width = judge(values, look)
        if half_width <= error or size == most:
            return found
        size, look = min(math.ceil(size * growth), most), look + 1
