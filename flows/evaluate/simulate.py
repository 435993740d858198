"""Simulating a plan on a table: what it would answer, and how often it would do what.

Gives just what the cascade itself gives on the same frames with the same models; a test holds the
two together. Thousands of plans can be tried this way without decoding a frame again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from models.optimiser import Counts
from operators.difference import DifferenceDetector, DifferenceSettings
from records import Frame, RecordError, Stage

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from flows.evaluate.table import Table
    from operators.plan import Band, Plan

STAGES = tuple(Stage)
"""The stages, by the number that `Outcome.stages` holds."""

_OPEN = -1


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What a plan gives on a table of n frames.

    Attributes:
        positive: bool (n,), its answers.
        stages: int8 (n,), the stage that decided, as a place in `STAGES`.
        counts: How often it did what.
    """

    positive: NDArray[np.bool_]
    stages: NDArray[np.int8]
    counts: Counts


def simulate(plan: Plan, table: Table) -> Outcome:
    """Simulate a plan.

    Raises:
        RecordError: the table lacks the scores or images that a stage of the plan needs.
    """
    n = len(table)
    stages = np.full(n, _OPEN, dtype=np.int8)
    positive = np.zeros(n, dtype=np.bool_)
    if plan.packets is not None:
        _decide(plan.packets, table.packet_scores, Stage.PACKETS, np.arange(n), stages, positive)
    undecided = np.flatnonzero(stages == _OPEN)
    looked_at = undecided[:: plan.stride]
    stages[undecided] = STAGES.index(Stage.SKIP)
    stages[looked_at] = _OPEN
    copy_of = _screen(plan.difference, table, looked_at) if plan.difference else {}
    stages[list(copy_of)] = STAGES.index(Stage.DIFFERENCE)
    fired = looked_at[stages[looked_at] == _OPEN]
    if plan.specialised is not None:
        scores = table.specialised_scores
        _decide(plan.specialised, scores, Stage.SPECIALISED, fired, stages, positive)
    asked = np.flatnonzero(stages == _OPEN)
    stages[asked] = STAGES.index(Stage.REFERENCE)
    positive[asked] = table.truth[asked]
    _copy(positive, stages, copy_of)
    pixels = looked_at if plan.difference else fired
    keyframes, others = decoded(table.keyframe, pixels)
    counts = Counts(
        frames=n,
        packets=n if plan.packets else 0,
        keyframes=keyframes,
        others=others,
        lumas=len(looked_at) if plan.difference else 0,
        specialised=len(fired) if plan.specialised else 0,
        reference=len(asked),
    )
    return Outcome(positive, stages, counts)


def decoded(keyframe: NDArray[np.bool_], wanted: NDArray[np.int64]) -> tuple[int, int]:
    """How many keyframes and other frames are decoded to see the wanted ones.

    Decoding runs from the keyframe before a wanted frame up to it, and on from there.

    Args:
        keyframe: bool (n,).
        wanted: int64 (m,), places, ascending.

    >>> decoded(np.array([True, False, False, True, False, False]), np.array([1, 4]))
    (2, 2)
    >>> decoded(np.array([True, False, False, True, False, False]), np.array([2]))
    (1, 2)
    """
    if not len(wanted):
        return 0, 0
    groups = np.cumsum(keyframe) - 1
    groups = np.maximum(groups, 0)
    starts = np.flatnonzero(keyframe) if keyframe.any() else np.array([0])
    reached = np.full(groups[-1] + 1, -1)
    np.maximum.at(reached, groups[wanted], wanted)
    touched = np.flatnonzero(reached >= 0)
    lengths = reached[touched] - starts[touched] + 1
    return len(touched), int(lengths.sum()) - len(touched)


def _decide(
    band: Band,
    scores: NDArray[np.float32],
    stage: Stage,
    places: NDArray[np.int64],
    stages: NDArray[np.int8],
    positive: NDArray[np.bool_],
) -> None:
    if len(scores) != len(stages):
        raise RecordError(f"the table has no scores for the stage {stage}")
    # As the cascade compares them: float32 scores, thresholds at full precision.
    wide = scores[places].astype(np.float64)
    sure = (wide < band.low) | (wide > band.high)
    stages[places[sure]] = STAGES.index(stage)
    positive[places[sure]] = wide[sure] > band.high


class _Small:
    """Pixels that are the table's small grey image."""

    width = height = 1

    def __init__(self, luma: NDArray[np.uint8]) -> None:
        self._luma = luma

    def luma(self, width: int, height: int) -> NDArray[np.uint8]:
        if self._luma.shape != (height, width):
            raise RecordError(f"the table has no grey images of {width}x{height} pixels")
        return self._luma

    def rgb(self, width: int | None = None, height: int | None = None) -> NDArray[np.uint8]:
        raise RecordError(f"the table has no colour images of {width}x{height} pixels")


def _screen(
    settings: DifferenceSettings, table: Table, looked_at: NDArray[np.int64]
) -> dict[int, int]:
    """The quiet frames, each with the frame whose answer it takes."""
    if settings.against == "background":
        raise RecordError("a background cannot be simulated: it is learned from verdicts")
    detector = DifferenceDetector(settings)
    copies = {}
    for place in looked_at.tolist():
        frame = Frame("table", place, int(table.time_ns[place]), _Small(table.lumas[place]))
        screened = detector.screen(frame)
        if screened.copy_of is not None:
            copies[place] = screened.copy_of
    return copies


def _copy(positive: NDArray[np.bool_], stages: NDArray[np.int8], copy_of: dict[int, int]) -> None:
    """Let quiet and skipped frames take the answers that they copy, in order."""
    skip = STAGES.index(Stage.SKIP)
    last = False
    for place, stage in enumerate(stages.tolist()):
        if place in copy_of:
            positive[place] = positive[copy_of[place]]
        elif stage == skip:
            positive[place] = last
        last = bool(positive[place])
