"""Figures of classifiers: F1 for each class, answers for whole records, bootstrap intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

INTERVAL = (2.5, 97.5)
"""The percentiles between which a 95 % interval lies."""


def class_scores(
    answers: NDArray[np.int64], truths: NDArray[np.int64], classes: tuple[str, ...]
) -> dict[str, float | None]:
    """F1 of each class, 2 TP / (2 TP + FP + FN); None for a class that neither side has.

    >>> class_scores(np.array([0, 0, 1]), np.array([0, 1, 1]), ("N", "A", "O"))
    {'N': 0.6666666666666666, 'A': 0.6666666666666666, 'O': None}
    """
    scores: dict[str, float | None] = {}
    for place, name in enumerate(classes):
        both = int(np.count_nonzero((answers == place) & (truths == place)))
        either = int(np.count_nonzero(answers == place) + np.count_nonzero(truths == place))
        scores[name] = 2 * both / either if either else None
    return scores


def record_answers(answers: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    """The class of most windows of each record, int64 (records,); of equals the first.

    >>> record_answers([np.array([1, 1, 2]), np.array([0])]).tolist()
    [1, 0]
    """
    return np.array([np.bincount(answer).argmax() for answer in answers], dtype=np.int64)


def bootstrap_interval(
    parts: NDArray[np.integer[Any]], wholes: NDArray[np.integer[Any]], draws: NDArray[np.int64]
) -> list[float]:
    """The 95 % percentile interval of sum(parts) / sum(wholes) over resampled records.

    Windows of a record are not independent, so records are resampled whole.

    Args:
        parts: Integer (records,).
        wholes: Integer (records,), above 0.
        draws: int64 (resamples, records), the records of each resample.

    Returns:
        Low and high.

    >>> bootstrap_interval(np.array([1, 1]), np.array([2, 2]), np.array([[0, 1], [1, 1]]))
    [0.5, 0.5]
    """
    shares = parts[draws].sum(axis=1) / wholes[draws].sum(axis=1)
    return [float(end) for end in np.percentile(shares, INTERVAL)]
