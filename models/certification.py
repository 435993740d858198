"""Certification: accept the cheapest plan whose accuracy is proven on data that tuned nothing.

A plan is *good* when its recall and its precision against the reference both reach the contract's
targets. `certify` accepts a plan that is not good with a probability of at most 1 - confidence:

* The sample is blocks of time (`event_blocks`), not frames: neighbouring frames err together.
* A plan passes only when the lower bounds of recall *and* precision, each at the level of the
  test, both reach their targets. A plan that is not good fails one of the two targets, and that
  one bound errs with at most that level: no correction for having two bounds is due
  (intersection-union test; Berger, Technometrics 1982).
* FIXED_SEQUENCE tests from the safest plan towards the cheapest, each at the full level, and stops
  at the first that does not pass. The first plan in that order that is not good ends it with the
  confidence stated, so trying many plans costs nothing (Angelopoulos et al., Learn then Test,
  2021, section 2). The order must not depend on the data of the certification.
* BONFERRONI tests from the cheapest on, each at level (1 - confidence) / number of plans: for plans
  without a natural order of safety, where one that fails must not stop the others.

The reference alone is always good: its recall and precision are 1 by definition.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np

from models.bounds import check_probability, ratio_lower
from records import RecordError
from records.units import NANOSECONDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

LONGEST_BLOCK = 2.0
"""A block ends at this many times its shortest length even within an event. Bounds need a largest
block that is known before the data, and grow wider with it."""

MOST_BLOCKS = 2**14
"""The most blocks that `blocks_needed` thinks of."""


@dataclass(frozen=True, slots=True)
class Contract:
    """What a cascade promises, measured against the reference detector.

    Attributes:
        target_recall: Least share of the reference's positives that are reported, 0..1 exclusive.
        target_precision: Least share of the reported that are the reference's, 0..1 exclusive.
        confidence: Least probability that the promise is kept, 0..1 exclusive.

    Raises:
        RecordError: a field is out of its range.
    """

    target_recall: float
    target_precision: float
    confidence: float = 0.95

    def __post_init__(self) -> None:
        for field in ("target_recall", "target_precision", "confidence"):
            check_probability(field, getattr(self, field))


class Procedure(StrEnum):
    """How the trial of several plans is corrected for; see the module."""

    FIXED_SEQUENCE = "fixed-sequence"
    BONFERRONI = "bonferroni"


@dataclass(frozen=True, slots=True)
class Blocks:
    """A partition of frames, in order of time, into blocks that are treated as exchangeable.

    Attributes:
        starts: int64 (blocks,), the first frame of each block, ascending from 0.
        frames: The number of frames.
        largest: The most frames that a block can hold, whatever the labels are.
    """

    starts: NDArray[np.int64]
    frames: int
    largest: int

    def count(self, marks: NDArray[np.bool_]) -> NDArray[np.int64]:
        """The marked frames of each block, int64 (blocks,), from bool (frames,)."""
        if not self.starts.size:
            return np.zeros(0, np.int64)
        return np.add.reduceat(marks, self.starts, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Certificate:
    """The outcome of a certification.

    Attributes:
        chosen: The index of the accepted candidate; None for the reference alone.
        recall_low: Its lower bound of recall at `level`; 1 for the reference alone.
        precision_low: Its lower bound of precision at `level`; 1 for the reference alone.
        confidence: The contract's confidence, for the choice as a whole.
        level: The confidence of each single bound.
        tried: How many candidates were tested.
        blocks: How many blocks they were tested on.
    """

    chosen: int | None
    recall_low: float
    precision_low: float
    confidence: float
    level: float
    tried: int
    blocks: int


def event_blocks(
    truth: NDArray[np.bool_], times_ns: NDArray[np.int64], seconds: float = 60.0
) -> Blocks:
    """Cut a stream into blocks of whole events and the gaps after them, each of some length.

    An event is a run of true frames. A block ends where an event begins once the block has lasted
    `seconds`: by event or by that time, whichever is longer. An event that does not end is cut
    when the block has lasted LONGEST_BLOCK times `seconds`.

    Args:
        truth: bool (n,), the reference's answers.
        times_ns: int64 (n,), event times, ascending, nanoseconds.
        seconds: The shortest length of a block (the last may be shorter). Should exceed the time
            over which errors hang together.

    Raises:
        RecordError: an argument has the wrong shape, dtype or range.

    >>> truth = np.array([0, 1, 1, 0, 0, 1, 0, 1, 1, 0], bool)
    >>> event_blocks(truth, np.arange(10) * 10**9, seconds=3).starts.tolist()
    [0, 5]
    """
    _check_stream(truth, times_ns, seconds)
    shortest_ns = int(seconds * NANOSECONDS)
    longest_ns = int(seconds * LONGEST_BLOCK * NANOSECONDS)
    begins = np.flatnonzero(truth[1:] & ~truth[:-1]) + 1
    starts, start = [], 0
    while start < truth.size:
        starts.append(start)
        earliest = int(np.searchsorted(times_ns, times_ns[start] + shortest_ns))
        latest = int(np.searchsorted(times_ns, times_ns[start] + longest_ns))
        place = int(np.searchsorted(begins, max(earliest, start + 1)))
        event = int(begins[place]) if place < begins.size else truth.size
        start = max(min(event, latest), start + 1)
    ends = np.searchsorted(times_ns, times_ns + longest_ns)
    largest = int(np.max(ends - np.arange(truth.size), initial=1))
    return Blocks(np.array(starts, np.int64), truth.size, largest)


def certify(
    candidates: Sequence[NDArray[np.bool_]],
    truth: NDArray[np.bool_],
    blocks: Blocks,
    contract: Contract,
    *,
    procedure: Procedure = Procedure.FIXED_SEQUENCE,
    seed: int = 0,
) -> Certificate:
    """Accept the cheapest candidate that is proven good, else the reference alone.

    Args:
        candidates: bool (n,) each, the plan's final answers on frames that tuned nothing, with the
            reference's answers where the plan asks it. Cheapest first; for FIXED_SEQUENCE the
            safest last.
        truth: bool (n,), the reference's answers.
        blocks: Of these n frames.
        contract: What must be proven.
        procedure: How the trial of several is corrected for.
        seed: Of the random order in which blocks are bet on.

    Raises:
        RecordError: shapes or dtypes do not fit.
    """
    _check_answers(candidates, truth, blocks)
    sequential = procedure is Procedure.FIXED_SEQUENCE
    tests = 1 if sequential else max(1, len(candidates))
    level = 1 - (1 - contract.confidence) / tests
    order = range(len(candidates))
    best: tuple[int | None, float, float] = (None, 1.0, 1.0)
    tried = 0
    for index in reversed(order) if sequential else order:
        tried += 1
        recall, precision = accuracy_bounds(candidates[index], truth, blocks, level, seed)
        passed = recall >= contract.target_recall and precision >= contract.target_precision
        if passed:
            best = (index, recall, precision)
        if passed is not sequential:
            break  # a sequence ends at its first failure, Bonferroni at its first success
    return Certificate(*best, contract.confidence, level, tried, blocks.starts.size)


def accuracy_bounds(
    answers: NDArray[np.bool_],
    truth: NDArray[np.bool_],
    blocks: Blocks,
    confidence: float,
    seed: int = 0,
) -> tuple[float, float]:
    """Lower bounds of recall and precision, each at this confidence, over blocks.

    Args:
        answers: bool (n,), what the plan says.
        truth: bool (n,), what the reference says.
        blocks: Of these n frames.
        confidence: Of each bound, 0..1 exclusive.
        seed: Of the random order in which blocks are bet on.
    """
    right = blocks.count(answers & truth)
    return (
        ratio_lower(right, blocks.count(truth), blocks.largest, confidence, seed),
        ratio_lower(right, blocks.count(answers), blocks.largest, confidence, seed),
    )


def blocks_needed(truth: NDArray[np.bool_], blocks: Blocks, contract: Contract) -> int | None:
    """How many blocks like these a plan without any error would need to be certified.

    What it errs needs more. None when MOST_BLOCKS would not do, or nothing is ever true.

    Args:
        truth: bool (n,), the reference's answers.
        blocks: Of these n frames.
        contract: What is to be proven.
    """
    positives = blocks.count(truth)
    if not positives.any():
        return None

    def enough(count: int) -> bool:
        many = np.resize(positives, count)
        low = ratio_lower(many, many, blocks.largest, contract.confidence)
        return low >= max(contract.target_recall, contract.target_precision)

    most = 1
    while not enough(most):
        most *= 2
        if most > MOST_BLOCKS:
            return None
    least = most // 2
    while most - least > 1:
        middle = (least + most) // 2
        least, most = (least, middle) if enough(middle) else (middle, most)
    return most


def _check_stream(truth: NDArray[np.bool_], times_ns: NDArray[np.int64], seconds: float) -> None:
    if truth.dtype != np.bool_ or truth.ndim != 1:
        raise RecordError(f"truth must be bool (n,), got {truth.dtype} {truth.shape}")
    if times_ns.dtype != np.int64 or times_ns.shape != truth.shape:
        raise RecordError(
            f"times_ns must be int64 {truth.shape} like truth, got {times_ns.dtype} "
            f"{times_ns.shape}"
        )
    if np.any(np.diff(times_ns) < 0):
        raise RecordError("times_ns must ascend; sort the frames by event time first")
    if not 0 < seconds < np.inf:
        raise RecordError(f"seconds must be finite and above 0, got {seconds}")


def _check_answers(
    candidates: Sequence[NDArray[np.bool_]], truth: NDArray[np.bool_], blocks: Blocks
) -> None:
    for name, answers in [
        ("truth", truth),
        *((f"candidate {i}", c) for i, c in enumerate(candidates)),
    ]:
        if answers.dtype != np.bool_ or answers.shape != (blocks.frames,):
            raise RecordError(
                f"{name} must be bool ({blocks.frames},), one answer for each frame of the blocks, "
                f"got {answers.dtype} {answers.shape}"
            )
