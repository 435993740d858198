"""ECG records for training: labelled signals, splits by record, and signals made comparable."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from records import RecordError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

BASELINE_REACH = 150
"""Samples before and after a sample whose mean is its baseline: half a second at 300 Hz, which is
slower than a heart beat and faster than breathing."""

SCALE_REACH = 600
"""Samples before and after a sample whose root mean square is its scale: two seconds at 300 Hz, so
that at least one beat is among them."""

NORMALISE_REACH = BASELINE_REACH + SCALE_REACH
"""How many samples before and after a sample its normalised value depends on."""

LEAST_SCALE_MV = 0.005
"""Added to the scale: what is smaller is the electrodes' noise, and is not blown up."""

LARGEST = 10.0
"""Normalised values are cut to ±10 scales: an electrode that moves tells no more than that."""


@dataclass(frozen=True, slots=True, eq=False)
class LabelledSignal:
    """One recording and its label.

    Attributes:
        name: The record's name.
        signal: float32 (n,), millivolts; NaN where a sample is missing.
        label: The index of its class.

    Raises:
        RecordError: the signal has another shape or dtype, or the label is below 0.
    """

    name: str
    signal: NDArray[np.float32]
    label: int

    def __post_init__(self) -> None:
        if self.signal.ndim != 1 or self.signal.dtype != np.float32:
            raise RecordError(
                f"signal of {self.name} must be float32 (n,), "
                f"got {self.signal.dtype} {self.signal.shape}"
            )
        if self.label < 0:
            raise RecordError(f"label of {self.name} must be at least 0, got {self.label}")


@dataclass(frozen=True, slots=True)
class Split:
    """Which records serve for what. Indices, ascending.

    Attributes:
        train: For the weights.
        validation: For calibration.
        test: For figures alone.
    """

    train: tuple[int, ...]
    validation: tuple[int, ...]
    test: tuple[int, ...]


def split_records(
    labels: Sequence[int], seed: int, validation_share: float = 0.2, test_share: float = 0.2
) -> Split:
    """Split by record, so that each class has its share in every part.

    Args:
        labels: The class of each record.
        seed: The split follows from it.
        validation_share: In 0..1 exclusive.
        test_share: In 0..1 exclusive; together below 1.

    Raises:
        RecordError: a share is out of range.

    >>> split_records([0] * 5 + [1] * 5, seed=0)
    Split(train=(0, 1, 3, 5, 7, 8), validation=(4, 6), test=(2, 9))
    """
    if min(validation_share, test_share) <= 0 or validation_share + test_share >= 1:
        raise RecordError(
            "validation_share and test_share must be above 0 and together below 1, "
            f"got {validation_share} and {test_share}"
        )
    random = np.random.default_rng(seed)
    parts: tuple[list[int], list[int], list[int]] = ([], [], [])
    classes = np.asarray(labels)
    for label in np.unique(classes):
        mixed = random.permutation(np.flatnonzero(classes == label)).tolist()
        tested, validated = (round(len(mixed) * s) for s in (test_share, validation_share))
        parts[2].extend(mixed[:tested])
        parts[1].extend(mixed[tested : tested + validated])
        parts[0].extend(mixed[tested + validated :])
    return Split(*(tuple(sorted(part)) for part in parts))


def normalise(signal: NDArray[np.float32]) -> NDArray[np.float32]:
    """Take the baseline off a signal and divide it by its scale, both local.

    Depends on no more than `NORMALISE_REACH` samples before and after each sample, so a stream
    can be normalised piece by piece.

    Args:
        signal: float32 (n,), millivolts; what is not finite is missing.

    Returns:
        float32 (n,), without unit, in ±10; 0 where a sample is missing.

    >>> normalise(np.zeros(3, np.float32)).tolist()
    [0.0, 0.0, 0.0]
    """
    known = np.isfinite(signal)
    values = np.where(known, signal, 0).astype(np.float64)
    counted = known.astype(np.float64)
    baseline = _moving_mean(values, counted, BASELINE_REACH)
    centred = np.where(known, values - baseline, 0)
    # Differences of running sums may fall below zero by a rounding.
    power = np.maximum(_moving_mean(centred**2, counted, SCALE_REACH), 0)
    scale = np.sqrt(power) + LEAST_SCALE_MV
    return np.clip(centred / scale, -LARGEST, LARGEST).astype(np.float32)


def class_weights(labels: Sequence[int], classes: int) -> NDArray[np.float32]:
    """How much a record of each class weighs in training: as the root of its rarity.

    Full balance would give up accuracy on the common classes for the rare ones; none would give up
    the rare ones.

    Returns:
        float32 (classes,), with mean 1 over the records; 0 for a class without records.

    >>> [round(weight, 2) for weight in class_weights([0, 0, 0, 0, 1], 2).tolist()]
    [0.83, 1.67]
    """
    counts = np.bincount(labels, minlength=classes)
    weights = np.where(counts, 1 / np.sqrt(np.maximum(counts, 1)), 0)
    return (weights * len(labels) / (weights @ counts)).astype(np.float32)


def crop_batch(
    signals: Sequence[NDArray[np.float32]], length: int, random: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Cut a random piece out of each signal and turn some upside down.

    Signals shorter than `length` are padded with zeros behind. Half of them change sign, since
    electrodes are often swapped.

    Args:
        signals: Normalised, float32 (n,) each.
        length: Samples of a piece.
        random: Draws where to cut and what to turn.

    Returns:
        float32 (signals, 1, length), and int64 (signals,), how many samples of each are real.
    """
    pieces = np.zeros((len(signals), 1, length), dtype=np.float32)
    real = np.zeros(len(signals), dtype=np.int64)
    for row, signal in enumerate(signals):
        start = int(random.integers(max(len(signal) - length, 0) + 1))
        piece = signal[start : start + length]
        pieces[row, 0, : len(piece)] = piece if random.random() < 0.5 else -piece
        real[row] = len(piece)
    return pieces, real


def _moving_mean(
    values: NDArray[np.float64], counted: NDArray[np.float64], reach: int
) -> NDArray[np.float64]:
    """The mean of the counted values up to `reach` places on either side; 0 without any."""
    places = np.arange(len(values))
    low = np.maximum(places - reach, 0)
    high = np.minimum(places + reach + 1, len(values))
    sums, counts = (np.concatenate([[0.0], np.cumsum(one)]) for one in (values, counted))
    mean: NDArray[np.float64] = (sums[high] - sums[low]) / np.maximum(counts[high] - counts[low], 1)
    return mean
