"""Allocation of calls to streams or windows by how much each is predicted to vary."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from records import RecordError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

HALVINGS = 200
"""Halvings when the factor of proportion is solved for."""

SMALLEST_WEIGHT = 1e-9
"""The weight of what is not predicted to vary, as a share of the largest."""

ROUNDING = 1e-9
"""What a share may lack of a whole number by rounding."""


def allocate(
    deviations: Sequence[float], frames: Sequence[int], budget: int, least: int = 2
) -> list[int]:
    """Share a budget of calls so that the sum of the variances is predicted to be least.

    Neyman (JRSS 1934): in proportion to frames times standard deviation; at least `least` and at
    most the frames of each, whole numbers that add up to the budget as far as it goes.

    Args:
        deviations: The predicted standard deviation of each.
        frames: The frames of each.
        budget: Calls in all.
        least: The fewest calls of each, where there are as many frames.

    Returns:
        The calls of each.

    Raises:
        RecordError: lengths differ, or the budget is below what the fewest calls come to.

    >>> allocate([1.0, 3.0], [100, 100], 20)
    [5, 15]
    """
    if len(deviations) != len(frames):
        raise RecordError(f"frames must have {len(deviations)} entries, got {len(frames)}")
    most = np.array(frames, np.int64)
    floor = np.minimum(most, least)
    if budget < floor.sum():
        raise RecordError(f"budget must be at least {floor.sum()} calls, got {budget}")
    weights = np.maximum(np.array(deviations, np.float64), 0.0) * most.astype(np.float64)
    total = min(budget, int(most.sum()))
    if total == 0:
        return [0] * len(frames)
    shares = _clamped(weights, floor.astype(np.float64), most.astype(np.float64), float(total))
    return [int(one) for one in _whole(shares, total, most)]


def _clamped(
    weights: NDArray[np.float64],
    low: NDArray[np.float64],
    high: NDArray[np.float64],
    total: float,
) -> NDArray[np.float64]:
    """Shares in proportion to the weights, each within its ends, that add up to the total."""
    if not weights.any():
        weights = high.copy()
    # A tiny weight keeps those with none able to take what the others cannot.
    weights = np.maximum(weights, weights.max() * SMALLEST_WEIGHT)

    def shares(factor: float) -> NDArray[np.float64]:
        return np.clip(weights * factor, low, high)

    below, above = 0.0, float((high / weights).max())
    for _ in range(HALVINGS):
        middle = (below + above) / 2
        below, above = (middle, above) if shares(middle).sum() < total else (below, middle)
    return shares(above)


def _whole(shares: NDArray[np.float64], total: int, most: NDArray[np.int64]) -> NDArray[np.int64]:
    """Whole numbers near the shares that add up to the total (largest remainder)."""
    whole = np.floor(shares + ROUNDING).astype(np.int64)
    rest = total - int(whole.sum())
    order = np.argsort(-(shares - whole), kind="stable")
    able = order[whole[order] < most[order]]
    whole[able[:rest]] += 1
    return whole
