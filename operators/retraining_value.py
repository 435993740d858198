"""What an item is worth: how likely the model is wrong on it, and how new its picture is.

Pictures are compared by their difference hash: each bit tells whether one of 8 x 9 grey cells is
darker than its neighbour to the right. Two pictures of one scene differ in few bits, two that have
nothing to do with each other in about half of them. Kind of hash: N. Krawetz, "Kind of Like That",
2013.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from records import Origin, RecordError
from records.retraining import FINGERPRINT_BITS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from records import Detections, RetrainingItem

HASH_SIZE = (9, 8)
"""Width and height of the luma plane that a fingerprint is made of, pixels."""

UNRELATED_BITS = FINGERPRINT_BITS // 2
"""How many bits of the fingerprints of unrelated pictures differ on average."""


def fingerprint(luma: NDArray[np.uint8]) -> int:
    """The difference hash of a picture, 64 bits.

    Args:
        luma: uint8 (8, 9), the whole picture shrunk to that size by area means.

    Raises:
        RecordError: the shape or the dtype is wrong.

    >>> hex(fingerprint(np.tile(np.arange(9, dtype=np.uint8), (8, 1))))
    '0xffffffffffffffff'
    """
    want = HASH_SIZE[::-1]
    if not isinstance(luma, np.ndarray) or luma.dtype != np.uint8 or luma.shape != want:
        got = f"{getattr(luma, 'dtype', type(luma).__name__)} {getattr(luma, 'shape', '')}"
        raise RecordError(f"luma must be a uint8 array of shape {want}, got {got.strip()}")
    return int.from_bytes(np.packbits(luma[:, :-1] < luma[:, 1:]).tobytes())


def distances(one: int, others: NDArray[np.uint64]) -> NDArray[np.uint8]:
    """How many bits of each fingerprint differ from `one`, uint8 (n,).

    >>> distances(0b1011, np.array([0b1011, 0b0010], np.uint64)).tolist()
    [0, 2]
    """
    bits: NDArray[np.uint8] = np.bitwise_count(others ^ np.uint64(one))
    return bits


def novelty(bits: int) -> float:
    """How new a picture is that differs in so many bits from the most similar one, 0..1.

    >>> novelty(0), novelty(16), novelty(40)
    (0.0, 0.5, 1.0)
    """
    return min(bits / UNRELATED_BITS, 1.0)


def wrongness(item: RetrainingItem) -> float:
    """How likely the model is wrong on an item, 0..1.

    The highest calibrated probability of its flags; 1 where the audit saw the mistake, 0 where
    nothing was found. A severity s that is not calibrated counts as s / (1 + s): it only ranks.
    """
    if Origin.AUDIT in item.origins:
        return 1.0
    chances = (
        flag.severity / (1 + flag.severity) if flag.model_wrong is None else flag.model_wrong
        for flag in item.flags
    )
    return max(chances, default=0.0)


def score_uncertainty(score: float) -> float:
    """How unsure a model is that gave this score, 0..1: 1 - |2 s - 1|.

    It is 1 at a score of 1/2 and 0 at 0 and 1 (margin sampling, see Settles, "Active Learning
    Literature Survey", 2009, section 3.1).
    """
    return max(1 - abs(2 * score - 1), 0.0)


def box_uncertainty(answer: Detections) -> float:
    """How unsure a detector is of a frame, 0..1: of its most doubtful box; 0 without boxes.

    >>> from records import Detections
    >>> box_uncertainty(Detections.of([[0, 0, 1, 1]] * 2, [0.9, 0.75], ["car", "car"]))
    0.5
    """
    return max(map(score_uncertainty, answer.scores.tolist()), default=0.0)


def class_uncertainty(probabilities: Iterable[float]) -> float:
    """How unsure a classifier is of a window, 0..1: 1 minus the highest probability.

    >>> class_uncertainty((0.25, 0.75))
    0.25
    """
    return 1 - max(probabilities)
