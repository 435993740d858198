"""The threshold sweep: the band of scores that saves the most reference calls.

NoScope (Kang et al., VLDB 2017), section 6.2: a stage answers "no" below `low` and "yes" above
`high`; what lies between goes to the reference, which is right by definition. The paper tries
pairs on a grid. Here the scores are sorted once; then, for each place of the lower cut, the
closest upper cut that keeps the target is found by bisection, for all places at once. The result
is the best pair there is, in O(n log n).

The targets hold *on the data given*, as in the paper. On later data they fail about half the time
(Kang et al., SUPG, VLDB 2020); `models.certification` mends that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from records import RecordError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Keeps = Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.bool_]]
    """Whether missed and false positives (weights, same shape) together keep the target."""


@dataclass(frozen=True, slots=True)
class Thresholds:
    """A band of scores and what it does on the data it was chosen on.

    Attributes:
        low: Scores below this are negative. Exactly a float32.
        high: Scores above this are positive; at least `low`. Exactly a float32.
        referred: Share of the weight that goes to the reference, 0..1.
        recall: True positives among positives; 1 when there are no positives.
        precision: True positives among reported; 1 when nothing is reported.
        accuracy: Share of the weight with the right answer; 1 when there are no frames.
    """

    low: float
    high: float
    referred: float
    recall: float
    precision: float
    accuracy: float


class ThresholdSweep:
    """Scores sorted once, to be asked for the best band under any target.

    Args:
        scores: float32 (n,), finite. Equal scores are never parted.
        labels: bool (n,), the reference's answers.
        weights: float64 (n,), above 0: what each frame counts and costs; 1 each when None.

    Raises:
        RecordError: an argument has the wrong shape, dtype or range.

    >>> scores = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6], np.float32)
    >>> labels = np.array([False, False, True, False, True, True])
    >>> ThresholdSweep(scores, labels).for_recall_precision(1.0, 1.0).referred  # 0.3 and 0.4
    0.3333333333333333
    >>> ThresholdSweep(scores, labels).for_accuracy(0.8).referred
    0.0
    """

    def __init__(
        self,
        scores: NDArray[np.float32],
        labels: NDArray[np.bool_],
        weights: NDArray[np.float64] | None = None,
    ) -> None:
        _check(scores, labels, weights)
        # -0.0 equals 0.0 but nextafter tells them apart; adding 0 makes them one.
        values_m, group_n = np.unique(scores + np.float32(0), return_inverse=True)
        total_m = np.bincount(group_n, weights, values_m.size)
        positive_weights = None if weights is None else weights[labels]
        positive_m = np.bincount(group_n[labels], positive_weights, values_m.size)
        self._values = values_m
        self._below = np.concatenate(([0.0], np.cumsum(total_m)))
        self._missed = np.concatenate(([0.0], np.cumsum(positive_m)))
        negative_m = np.where(positive_m == total_m, 0.0, total_m - positive_m)
        self._false = np.concatenate((np.cumsum(negative_m[::-1])[::-1], [0.0]))

    def for_recall_precision(self, recall: float, precision: float) -> Thresholds:
        """The band that refers the least while recall and precision keep their targets.

        Args:
            recall: Least share of the positives that must be reported, 0..1.
            precision: Least share of the reported that must be positive, 0..1.

        Raises:
            RecordError: a target is out of its range.
        """
        _check_target("recall", recall)
        _check_target("precision", precision)
        positives = self._missed[-1]

        def keeps(missed: NDArray[np.float64], false: NDArray[np.float64]) -> NDArray[np.bool_]:
            found = positives - missed
            return (_share(found, positives) >= recall) & (
                _share(found, found + false) >= precision
            )

        return self._best(keeps)

    def for_accuracy(self, accuracy: float) -> Thresholds:
        """The band that refers the least while enough frames have the right answer.

        Args:
            accuracy: Least share of the frames that must have the reference's answer, 0..1.

        Raises:
            RecordError: the target is out of its range.
        """
        _check_target("accuracy", accuracy)
        weight = self._below[-1]

        def keeps(missed: NDArray[np.float64], false: NDArray[np.float64]) -> NDArray[np.bool_]:
            return _share(weight - missed - false, weight) >= accuracy

        return self._best(keeps)

    def _best(self, keeps: Keeps) -> Thresholds:
        lower = self._lower_cuts(keeps)
        upper = self._closest(lower, keeps)
        referred = self._below[upper] - self._below[lower]
        errors = self._missed[lower] + self._false[upper]
        place = np.lexsort((lower, errors, referred))[0]
        return self._thresholds(int(lower[place]), int(upper[place]))

    def _lower_cuts(self, keeps: Keeps) -> NDArray[np.int64]:
        """Every lower cut that keeps the target when nothing is reported by score alone."""
        within = keeps(self._missed, np.zeros_like(self._missed))
        return np.flatnonzero(within)

    def _closest(self, lower: NDArray[np.int64], keeps: Keeps) -> NDArray[np.int64]:
        """For each lower cut the smallest upper cut, not before it, that keeps the target."""
        low = lower + ~self._gap()[lower]
        high = np.full_like(low, self._values.size)
        while np.any(low < high):
            middle = (low + high) // 2
            kept = keeps(self._missed[lower], self._false[middle])
            open_ = low < high
            high = np.where(open_ & kept, middle, high)
            low = np.where(open_ & ~kept, middle + 1, low)
        return high

    def _gap(self) -> NDArray[np.bool_]:
        """Whether a float32 lies between the scores on both sides of each cut."""
        inner = np.nextafter(self._values[:-1], np.float32(np.inf)) < self._values[1:]
        if not self._values.size:
            return np.array([True])
        return np.concatenate(([True], inner, [True]))

    def _thresholds(self, lower: int, upper: int) -> Thresholds:
        low, high = self._scores_at(lower, upper)
        weight, positives = self._below[-1], self._missed[-1]
        found = positives - self._missed[lower]
        errors = self._missed[lower] + self._false[upper]
        referred = self._below[upper] - self._below[lower]
        return Thresholds(
            low=low,
            high=high,
            referred=float(referred / weight) if weight else 0.0,
            recall=float(_share(found, positives)),
            precision=float(_share(found, found + self._false[upper])),
            accuracy=float(_share(weight - errors, weight)),
        )

    def _scores_at(self, lower: int, upper: int) -> tuple[float, float]:
        values, last = self._values, self._values.size
        if not last:
            return 0.0, 0.0
        if lower < upper:
            return float(values[lower]), float(values[upper - 1])
        if lower == 0:
            one = np.nextafter(values[0], np.float32(-np.inf))
        elif lower == last:
            one = np.nextafter(values[-1], np.float32(np.inf))
        else:
            one = np.float32((float(values[lower - 1]) + float(values[lower])) / 2)
        return float(one), float(one)


def _share(
    part: NDArray[np.float64] | np.float64, whole: NDArray[np.float64] | np.float64
) -> NDArray[np.float64]:
    """The share of a part in a whole, 1 where the whole is empty."""
    whole_n = np.asarray(whole, np.float64)
    shape = np.broadcast_shapes(np.shape(part), whole_n.shape)
    return np.divide(part, whole_n, out=np.ones(shape), where=whole_n > 0)


def _check_target(field: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise RecordError(f"{field} must be in 0..1, got {value}")


def _check(
    scores: NDArray[np.float32], labels: NDArray[np.bool_], weights: NDArray[np.float64] | None
) -> None:
    if scores.dtype != np.float32 or scores.ndim != 1:
        raise RecordError(f"scores must be float32 (n,), got {scores.dtype} {scores.shape}")
    if labels.dtype != np.bool_ or labels.shape != scores.shape:
        raise RecordError(
            f"labels must be bool {scores.shape} like the scores, got {labels.dtype} {labels.shape}"
        )
    faults = int(np.count_nonzero(~np.isfinite(scores)))
    if faults:
        raise RecordError(f"scores must be finite, got {faults} that are NaN or infinite")
    if weights is None:
        return
    if weights.dtype != np.float64 or weights.shape != scores.shape:
        raise RecordError(
            f"weights must be float64 {scores.shape} like the scores, "
            f"got {weights.dtype} {weights.shape}"
        )
    if not np.all((weights > 0) & np.isfinite(weights)):
        raise RecordError("weights must be finite and above 0; leave a frame out instead of 0")
