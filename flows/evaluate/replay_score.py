"""Scores of two replays, frame by frame, as parts of sums so that blocks of time can be joined."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from records import Alert, Stage, Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from flows.build import Records
    from flows.evaluate.replay_truth import Question, StreamTruth

OVERLAP = 0.5
"""A box is found when one overlaps it so much (intersection over union), as in PASCAL VOC."""

METRICS = {
    "frame_accuracy": "frames answered right",
    "count_error": "error of the count",
    "recall": "boxes found",
    "precision": "boxes that are right",
    "f1": "F1 of boxes",
    "calls": "frames seen by the reference",
}
"""What is compared, and how people read it; of the count's error and of calls less is better."""


@dataclass
class Collected:
    """What a replay decided; call it with every stream and its records.

    Attributes:
        verdicts: By stream and frame.
        alerts: In order.
    """

    verdicts: dict[tuple[str, int], Verdict] = field(default_factory=dict)
    alerts: list[Alert] = field(default_factory=list)

    def __call__(self, item: Records) -> None:
        """Keep verdicts and alerts."""
        for record in item[1]:
            if isinstance(record, Verdict):
                self.verdicts[record.stream, record.sequence] = record
            elif isinstance(record, Alert):
                self.alerts.append(record)


@dataclass(frozen=True, slots=True, eq=False)
class Ratio:
    """A score of n frames: the sum of `part` over the sum of `whole`.

    Attributes:
        part: float64 (n,).
        whole: float64 (n,).
    """

    part: NDArray[np.float64]
    whole: NDArray[np.float64]

    @property
    def value(self) -> float:
        """The score of all frames; NaN where no frame counts."""
        whole = float(self.whole.sum())
        return float(self.part.sum()) / whole if whole else float("nan")


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """What one replay is worth on the frames that are compared.

    Attributes:
        counts: float64 (n,), what it counts in each; NaN where it said yes without boxes.
        yes: bool (n,), its answers.
        ratios: Its scores by name, those that the truth allows; see `METRICS`.
    """

    counts: NDArray[np.float64]
    yes: NDArray[np.bool_]
    ratios: dict[str, Ratio]


def shared_frames(a: Collected, b: Collected) -> list[tuple[str, int]]:
    """The frames that both decided, by event time, then by stream."""
    both = a.verdicts.keys() & b.verdicts.keys()
    return sorted(both, key=lambda key: (a.verdicts[key].time_ns, *key))


def score(
    frames: Sequence[tuple[str, int]],
    found: Collected,
    question: Question,
    truth: Mapping[str, StreamTruth],
) -> Scores:
    """Score one replay.

    Args:
        frames: The frames that are compared, by stream and number.
        found: What the replay decided.
        question: What counts.
        truth: What is known, by stream; may be empty.
    """
    verdicts = [found.verdicts[key] for key in frames]
    boxes = [question.boxes(verdict.answer) for verdict in verdicts]
    counts = np.array([float(len(one)) for one in boxes])
    # A small model says yes without boxes.
    blind = np.array([bool(verdict.positive) for verdict in verdicts], np.bool_)
    blind &= np.array([len(verdict.answer) == 0 for verdict in verdicts], np.bool_)
    yes = (counts >= question.at_least) | blind
    counts[blind] = np.nan
    asked = np.array([float(verdict.stage is Stage.REFERENCE) for verdict in verdicts])
    ratios = {"calls": Ratio(asked, np.ones(len(frames)))}
    if truth:
        known = np.array(
            [truth[s].count(k) if s in truth else np.nan for s, k in frames], np.float64
        )
        is_known = np.isfinite(known)
        right = yes == (known >= question.at_least)
        ratios["frame_accuracy"] = Ratio((right & is_known) * 1.0, is_known * 1.0)
        error = np.abs(counts - known)
        counted = np.isfinite(error)
        ratios["count_error"] = Ratio(np.where(counted, error, 0.0), counted * 1.0)
        ratios |= _box_ratios(frames, boxes, is_known & ~blind, truth)
    return Scores(counts, yes, ratios)


def truth_counts(
    frames: Sequence[tuple[str, int]], truth: Mapping[str, StreamTruth]
) -> NDArray[np.float64]:
    """The true count of each frame, float64 (n,); NaN where it is not known."""
    return np.array([truth[s].count(k) if s in truth else np.nan for s, k in frames], np.float64)


def _box_ratios(
    frames: Sequence[tuple[str, int]],
    boxes: Sequence[NDArray[np.float32]],
    judged: NDArray[np.bool_],
    truth: Mapping[str, StreamTruth],
) -> dict[str, Ratio]:
    """Recall, precision and F1 of boxes, on frames whose boxes are known."""
    if any(one.boxes is None for one in truth.values()):
        return {}
    hits, found, there = np.zeros((3, len(frames)))
    for place, (stream, sequence) in enumerate(frames):
        if judged[place]:
            known = truth[stream].boxes
            assert known is not None, "checked above"
            hits[place] = matches(boxes[place], known[sequence])
            found[place], there[place] = len(boxes[place]), len(known[sequence])
    return {
        "recall": Ratio(hits, there),
        "precision": Ratio(hits, found),
        "f1": Ratio(2 * hits, found + there),
    }


def matches(found: NDArray[np.float32], there: NDArray[np.float32]) -> int:
    """How many boxes are found: each takes the free true box that it overlaps most, in order.

    Args:
        found: float32 (n, 4), highest score first.
        there: float32 (m, 4), the true ones.

    >>> square = np.array([[0, 0, 10, 10]], np.float32)
    >>> matches(square, square + 1), matches(square, square + 5)
    (1, 0)
    """
    if not len(found) or not len(there):
        return 0
    low = np.maximum(found[:, None, :2], there[None, :, :2])
    high = np.minimum(found[:, None, 2:], there[None, :, 2:])
    shared = np.prod(np.maximum(high - low, 0), axis=2)
    areas = [np.prod(one[:, 2:] - one[:, :2], axis=1) for one in (found, there)]
    overlap_nm = shared / np.maximum(areas[0][:, None] + areas[1][None] - shared, 1e-9)
    hits = 0
    for row in overlap_nm:
        best = int(row.argmax())
        if row[best] >= OVERLAP:
            hits += 1
            overlap_nm[:, best] = 0
    return hits
