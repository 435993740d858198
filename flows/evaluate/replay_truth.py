"""What was truly there in a replay's frames: annotated boxes, counts, or a recorded reference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from flows.evaluate.traces import LARGEST_TRACE, read_trace
from records import RecordError, SourceError, Stage, Verdict
from records.checks import check_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from connectors.replay import EventLog
    from flows.config import Configuration
    from records import Detections

_MOT_COLUMNS = 7
"""Of a MOT15 line these are read: frame, id, left, top, width, height, and whether it counts."""

MOST_FRAMES = 10_000_000
"""The most frames of one stream that truth may tell of."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of every frame.

    Attributes:
        class_name: The class that is counted.
        at_least: The count from which the answer is yes.
        score_at_least: Only boxes with this score count, 0..1.

    Raises:
        RecordError: a value is out of range.
    """

    class_name: str
    at_least: int = 1
    score_at_least: float = 0.0

    def __post_init__(self) -> None:
        check_name("class", self.class_name)
        if self.at_least < 1:
            raise RecordError(f"at_least must be at least 1, got {self.at_least}")
        if not 0 <= self.score_at_least <= 1:
            raise RecordError(f"score_at_least must be in 0..1, got {self.score_at_least}")

    def boxes(self, answer: Detections) -> NDArray[np.float32]:
        """The boxes that count, float32 (n, 4), highest score first."""
        names = answer.class_names
        wanted = names.index(self.class_name) if self.class_name in names else -1
        keep = np.flatnonzero((answer.class_ids == wanted) & (answer.scores >= self.score_at_least))
        return answer.boxes[keep[np.argsort(-answer.scores[keep], kind="stable")]]


@dataclass(frozen=True, slots=True, eq=False)
class StreamTruth:
    """What is known of the frames of one stream; frames behind its end are not known.

    Attributes:
        counts: float64 (frames,), how many objects count; NaN where that is not known.
        boxes: The boxes of each frame, float32 (n, 4); None where only counts are known.
    """

    counts: NDArray[np.float64]
    boxes: Sequence[NDArray[np.float32]] | None = None

    def count(self, sequence: int) -> float:
        """How many objects count in a frame; NaN where that is not known."""
        return float(self.counts[sequence]) if sequence < len(self.counts) else float("nan")


def question_of(configuration: Configuration) -> Question | None:
    """What a configuration asks of frames: its cascade's predicate, else its first rule."""
    predicate = configuration.cascade.predicate
    if predicate is not None:
        return Question(predicate.class_name, predicate.at_least, predicate.score_at_least)
    for rule in configuration.alerts:
        return Question(rule.class_name, rule.at_least, rule.score_at_least)
    return None


def read_truth(path: Path) -> StreamTruth:
    """Read truth from a file.

    Args:
        path: MOT15 lines, ``frame,id,left,top,width,height,counts,…`` in pixels, where frame 1 is
            the stream's frame 0; or counts as `read_trace` reads them.

    Raises:
        SourceError: the file cannot be read, is too large or holds something else.
    """
    try:
        with path.open("rb") as file:
            first = file.readline(4096)
    except OSError as error:
        raise SourceError(f"the truth {path} cannot be read: {error.strerror}") from error
    return _read_mot(path) if b"," in first else StreamTruth(read_trace(path))


def _read_mot(path: Path) -> StreamTruth:
    """MOT15 (Leal-Taixé et al., arXiv 1504.01942), section 3.3.

    Lines that do not count are left out. A frame without a line has no object; frames behind the
    last line are not known.
    """
    try:
        if path.stat().st_size > LARGEST_TRACE:
            raise SourceError(f"the truth {path} must be at most {LARGEST_TRACE} bytes")
        rows = np.loadtxt(
            path, delimiter=",", dtype=np.float64, usecols=range(_MOT_COLUMNS), ndmin=2
        )
    except (OSError, ValueError) as error:
        raise SourceError(f"the truth {path} must hold MOT15 lines: {error}") from error
    frames = rows[:, 0]
    if not np.isfinite(rows).all() or (frames < 1).any() or (frames > MOST_FRAMES).any():
        raise SourceError(f"the truth {path} must hold finite numbers and frames from 1 on")
    rows = rows[rows[:, 6] != 0]
    places = rows[:, 0].astype(np.int64) - 1
    corners = np.concatenate([rows[:, 2:4], rows[:, 2:4] + rows[:, 4:6]], axis=1)
    boxes = [np.empty((0, 4), np.float32)] * int(frames.max())
    order = np.argsort(places, kind="stable")
    starts = np.flatnonzero(np.diff(places[order], prepend=-1))
    for run in np.split(order, starts[1:]):
        boxes[places[run[0]]] = corners[run].astype(np.float32)
    return StreamTruth(np.array([len(one) for one in boxes], np.float64), boxes)


def recorded_truth(
    log: EventLog, streams: Iterable[str], question: Question
) -> dict[str, StreamTruth]:
    """The answers of the recorded reference, on the frames that it decided.

    Args:
        log: The recording.
        streams: Its streams that are compared.
        question: What counts.
    """
    truth = {}
    none = np.empty((0, 4), np.float32)
    for stream in streams:
        counts: list[float] = []
        boxes: list[NDArray[np.float32]] = []
        for record in log.records(stream):
            if not isinstance(record, Verdict) or record.sequence >= MOST_FRAMES:
                continue
            gap = record.sequence + 1 - len(counts)
            counts += [np.nan] * gap
            boxes += [none] * gap
            if record.stage is Stage.REFERENCE:
                boxes[record.sequence] = question.boxes(record.answer)
                counts[record.sequence] = float(len(boxes[record.sequence]))
        truth[stream] = StreamTruth(np.array(counts, np.float64), boxes)
    return truth
