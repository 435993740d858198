"""What a run of the loop was worth: its answers beside the reference detector's on every frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from connectors.replay import EventLog
from connectors.video import VideoSettings
from connectors.video.reader import read_video
from records import EventKind, Frame, Stage, StreamEvent, Verdict
from records.units import NANOSECONDS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from operators.predicate import Predicate
    from records import Detector

BATCH = 16
"""Frames in one call of the detector."""


@dataclass(frozen=True, slots=True)
class Course:
    """What was decided of every frame, and what was right.

    Attributes:
        seconds: float64 (n,), event time from the first frame on, seconds.
        said: bool (n,), the run's answers.
        truth: bool (n,), the reference detector's.
        asked: bool (n,), whether the reference detector was asked.
        events: What the run said of its contract and its models: seconds, reason, detail.
    """

    seconds: NDArray[np.float64]
    said: NDArray[np.bool_]
    truth: NDArray[np.bool_]
    asked: NDArray[np.bool_]
    events: tuple[tuple[float, str, str], ...]

    def windows(self, length: float) -> list[dict[str, float]]:
        """Recall, precision and accuracy of stretches of so many seconds; NaN where none is."""
        rows = []
        for place in range(int(self.seconds[-1] // length) + 1):
            inside = (self.seconds // length).astype(int) == place
            if inside.any():
                rows.append({"seconds": (place + 0.5) * length, **self.quality(inside)})
        return rows

    def quality(self, inside: NDArray[np.bool_]) -> dict[str, float]:
        """Recall, precision, accuracy and the share of frames of which the reference was asked."""
        said, truth = self.said[inside], self.truth[inside]
        both = float((said & truth).sum())
        return {
            "recall": both / truth.sum() if truth.any() else float("nan"),
            "precision": both / said.sum() if said.any() else float("nan"),
            "accuracy": float((said == truth).mean()),
            "asked": float(self.asked[inside].mean()),
        }

    def between(self, first: float, last: float) -> dict[str, float]:
        """The quality from one moment to another, seconds."""
        return self.quality((self.seconds >= first) & (self.seconds < last))


def reference_answers(
    video: Path, detector: Detector, predicate: Predicate
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The time, seconds, and the reference detector's answer of every frame of a video."""
    times: list[int] = []
    answers: list[bool] = []
    waiting: list[NDArray[np.uint8]] = []

    def detect() -> None:
        found = detector.detect(waiting)
        answers.extend(predicate.count(one) >= predicate.at_least for one in found)
        waiting.clear()

    for item in read_video("stream", VideoSettings(str(video))):
        if isinstance(item, Frame):
            times.append(item.time_ns)
            waiting.append(item.pixels.rgb())
        if len(waiting) == BATCH:
            detect()
    if waiting:
        detect()
    seconds = (np.array(times, np.int64) - times[0]) / NANOSECONDS
    return seconds, np.array(answers, np.bool_)


def course(run_dir: Path, stream: str, truth: NDArray[np.bool_]) -> Course:
    """Read a run's event log.

    Raises:
        ValueError: a frame has no verdict, or two.
    """
    verdicts: list[Verdict] = []
    told: list[StreamEvent] = []
    for record in EventLog.open(run_dir).records(stream=stream):
        if isinstance(record, Verdict):
            verdicts.append(record)
        elif isinstance(record, StreamEvent):
            told.append(record)
    if [one.sequence for one in verdicts] != list(range(len(truth))):
        raise ValueError(f"{len(truth)} frames must have one verdict each, got {len(verdicts)}")
    begun = verdicts[0].time_ns
    return Course(
        np.array([one.time_ns - begun for one in verdicts], np.int64) / NANOSECONDS,
        np.array([bool(one.positive) for one in verdicts]),
        truth,
        np.array([one.audited or one.stage is Stage.REFERENCE for one in verdicts]),
        _events(told, begun),
    )


def _events(told: Sequence[StreamEvent], begun: int) -> tuple[tuple[float, str, str], ...]:
    kinds: tuple[Any, ...] = (EventKind.CONTRACT, EventKind.MODEL)
    return tuple(
        ((one.time_ns - begun) / NANOSECONDS, one.reason, one.detail)
        for one in told
        if one.kind in kinds
    )
