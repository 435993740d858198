"""The figures of a study of retraining: curves with intervals, paired differences, who won."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from flows.evaluate.ecg_figures import INTERVAL
from flows.evaluate.retraining_rounds import BASELINE
from operators.selection_trial import compare_scores, mean_interval

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from flows.evaluate.retraining_study import RetrainingStudy
    from operators.selection_trial import Difference

RESAMPLES = 2000
"""Resamples of the trials for the interval of the labels that are saved."""

UNDECIDED = "undecided"
"""The verdict where an interval holds 0."""


def verdict(difference: Difference) -> str:
    """``better`` or ``worse`` where the interval leaves out 0, else ``undecided``."""
    if difference.low > 0:
        return "better"
    return "worse" if difference.high < 0 else UNDECIDED


def told(difference: Difference) -> dict[str, Any]:
    """A difference as plain JSON values."""
    return {
        "mean": difference.mean,
        "low": difference.low,
        "high": difference.high,
        "verdict": verdict(difference),
    }


def interval(values: NDArray[np.float64], confidence: float) -> dict[str, float]:
    """The mean over trials, float64 (trials,), with Student's t interval."""
    found = mean_interval(values, (1 - confidence) / 2)
    return {"mean": found.mean, "low": found.low, "high": found.high}


def gain_words(gain: Mapping[str, float | None]) -> str:
    """A relative gain with its interval.

    >>> gain_words({"mean": 0.021, "low": -0.001, "high": 0.043})
    '+2.1% (-0.1% to +4.3%)'
    """
    mean, low, high = (gain[field] for field in ("mean", "low", "high"))
    if mean is None or low is None or high is None:
        return "no gain to tell: the first model is never right"
    return f"{mean:+.1%} ({low:+.1%} to {high:+.1%})"


def selection_figures(
    curves: Mapping[str, NDArray[np.float64]], study: RetrainingStudy
) -> dict[str, Any]:
    """What selections came to.

    The intervals of accuracies stand for themselves; those of the differences hold together, at the
    study's confidence, for all selections (Bonferroni).

    Args:
        curves: For each selection float64 (trials, 2, rounds + 1), as `run_trial` gives them.
        study: What was studied.

    Returns:
        ``selectors``, and ``winner``: the one with the highest mean accuracy over the rounds, with
        what the comparison says of it.
    """
    windows = {name: curve[:, 0] for name, curve in curves.items()}
    compared = compare_scores(windows, BASELINE, study.confidence)
    draws = np.random.default_rng(study.seed).integers(study.trials, size=(RESAMPLES, study.trials))
    selectors = {
        name: {
            "accuracy": [interval(each, study.confidence) for each in curve[:, 0].T],
            "record_accuracy": [interval(each, study.confidence) for each in curve[:, 1].T],
            "difference_last": told(compared[name].last),
            "difference_over_rounds": told(compared[name].mean),
            "labels_saved": _labels_saved(windows[name], windows[BASELINE], draws),
        }
        for name, curve in curves.items()
    }
    best = max(windows, key=lambda name: float(windows[name][:, 1:].mean()))
    winner = {"selector": best, "verdict": verdict(compared[best].mean)}
    return {"selectors": selectors, "winner": winner}


def labels_saved(curve: NDArray[np.float64], baseline: NDArray[np.float64]) -> float:
    """The share of the baseline's labels that a selection does without.

    Counted where its curve first reaches the accuracy that the baseline ends with, drawn straight
    between rounds; 0 where it never does.

    Args:
        curve: Mean accuracy before the first round and after each, float64 (rounds + 1,).
        baseline: The same of the baseline.

    >>> labels_saved(np.array([0.5, 0.75, 0.75]), np.array([0.5, 0.5, 0.625]))
    0.75
    """
    reached = np.flatnonzero(curve >= baseline[-1])
    if not len(reached):
        return 0.0
    place = int(reached[0])
    if place == 0:
        return 1.0
    low, high = curve[place - 1], curve[place]
    needed = place - 1 + float((baseline[-1] - low) / (high - low))
    return 1 - needed / (len(curve) - 1)


def _labels_saved(
    curves: NDArray[np.float64], baseline: NDArray[np.float64], draws: NDArray[np.int64]
) -> dict[str, float]:
    """With the percentile interval of resampled trials."""
    resampled = [
        labels_saved(curves[draw].mean(axis=0), baseline[draw].mean(axis=0)) for draw in draws
    ]
    low, high = np.percentile(resampled, INTERVAL)
    return {
        "mean": labels_saved(curves.mean(axis=0), baseline.mean(axis=0)),
        "low": float(low),
        "high": float(high),
    }
