"""Corrections of ECG classes that change and change back: proposed, calibrated, applied.

A rhythm does not change A -> B -> A within 30 s (Kang et al., MLSys 2020, section 2.2, after the
guideline of the European Society of Cardiology: atrial fibrillation lasts at least 30 s). Which
of the two classes is wrong is another question: giving B's windows the class A lowers accuracy on
real records. A finding's own correction takes the majority of what was seen so far. After the
fact more is known, so here findings that share windows make one stretch, and all of it gets one
class: the likeliest if a rhythm lasts and windows are evidence of it, the one with the highest sum
of log probabilities over the stretch and the time around it in which rhythms do not change.

Whether that pays is learned from records of known class, for each class that a stretch gets: the
share of its windows that a correction puts right, less those that it spoils. Few stretches of a
class tell little, so its share is drawn to that of all classes; and all together must be better
than none, at a stated confidence, or nothing is corrected.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

PRIOR_STRETCHES = 5.0
"""How many stretches that are like those of all classes each class is given beforehand."""

RESAMPLES = 2000
"""How often records are resampled for the bound of the gain."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Windows of one record in which the class changes and changes back.

    Attributes:
        start: The first window.
        stop: The window after the last.
        proposed: The likeliest class.
    """

    start: int
    stop: int
    proposed: int


@dataclass(frozen=True, slots=True)
class Calibration:
    """What corrections are worth.

    Attributes:
        right: The probability that a correction to each class is right, (classes,).
        gain: The share of a stretch's windows that it puts right, net, (classes,).
        gain_low: The lower confidence bound of the windows put right, net, in all records, over
            the classes whose gain is above 0; 0 without any.
        stretches: How many there were to learn from, of each class.
    """

    right: tuple[float, ...]
    gain: tuple[float, ...]
    gain_low: float
    stretches: tuple[int, ...]

    def pays(self, proposed: int) -> bool:
        """Whether stretches are corrected to this class."""
        return self.gain_low > 0 and self.gain[proposed] > 0


def calibrate(
    answers: Sequence[NDArray[np.int64]],
    stretches: Sequence[Sequence[Stretch]],
    truths: Sequence[int],
    classes: int,
    confidence: float,
    random: np.random.Generator,
) -> Calibration:
    """Learn from records of known class what corrections are worth.

    Args:
        answers: The class of each window of each record, int64 (windows,).
        stretches: The stretches of each record.
        truths: The class of each record.
        classes: How many classes there are.
        confidence: That corrections pay at all: of a percentile bootstrap over records.
        random: Draws the resamples.
    """
    # By record and class: stretches, those rightly corrected, their windows, and the net gain.
    counts_rc, right_rc, windows_rc, gain_rc = np.zeros((4, len(answers), classes))
    for row, (answer, found, truth) in enumerate(zip(answers, stretches, truths, strict=True)):
        for one in found:
            place, size = (row, one.proposed), one.stop - one.start
            before = np.count_nonzero(answer[one.start : one.stop] == truth)
            counts_rc[place] += 1
            windows_rc[place] += size
            right_rc[place] += one.proposed == truth
            gain_rc[place] += size * (one.proposed == truth) - before
    counts = counts_rc.sum(axis=0)
    prior_windows = PRIOR_STRETCHES * windows_rc.sum() / max(counts.sum(), 1)
    gain = _shrunk(gain_rc.sum(axis=0), windows_rc.sum(axis=0), prior_windows)
    paid = gain_rc[:, [one > 0 for one in gain]].sum(axis=1)
    draws = random.integers(len(paid), size=(RESAMPLES, len(paid)))
    return Calibration(
        _shrunk(right_rc.sum(axis=0), counts, PRIOR_STRETCHES),
        gain,
        float(np.quantile(paid[draws].sum(axis=1), 1 - confidence)),
        tuple(counts.astype(int).tolist()),
    )


def corrected(
    answer: NDArray[np.int64], stretches: Sequence[Stretch], calibration: Calibration
) -> NDArray[np.int64]:
    """The classes of a record's windows after the corrections that pay, int64 (windows,)."""
    after = answer.copy()
    for one in stretches:
        if calibration.pays(one.proposed):
            after[one.start : one.stop] = one.proposed
    return after


def _shrunk(
    parts: NDArray[np.float64], wholes: NDArray[np.float64], prior: float
) -> tuple[float, ...]:
    """The ratio of each class, drawn to that of all as if `prior` more of the whole were so."""
    pooled = parts.sum() / max(wholes.sum(), 1)
    shrunk: NDArray[np.float64] = (parts + prior * pooled) / np.maximum(wholes + prior, 1)
    return tuple(shrunk.tolist())
