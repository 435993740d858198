"""Files of boxes with their truth: KITTI's tracking labels, and MOT's detections and truth."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from connectors.lidar_files import FileFaults, frame_of, number_of, read_rows
from connectors.lidar_labels import DONT_CARE, Label, read_labels
from flows.evaluate.truth import FrameTruth
from records import Detections, RecordError, SourceError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

NEAR_CLASSES = {"car": ("van",), "pedestrian": ("person_sitting",)}
"""Classes that KITTI's evaluation counts neither for nor against a class."""

MOT_COLUMNS = ("frame", "track", "left", "top", "width", "height", "score")
"""The first columns of MOT's files (Leal-Taixé et al., MOTChallenge 2015, section 3.3); the frame
is counted from 1, and more columns may follow."""

NO_SCORE = -1.0
"""What stands for a score where there is none."""

LONGEST_LINE = 10_000
"""How much of a first line is looked at, bytes."""


@dataclass(frozen=True, slots=True)
class MotBox:
    """One line of a MOT file.

    Attributes:
        frame: The frame, counted from 0.
        track: Its track; -1 for none.
        box: Corners x1, y1, x2, y2, pixels.
        score: Its score, 0..1. In truth, 0 marks what is not to be judged.
    """

    frame: int
    track: int
    box: tuple[float, float, float, float]
    score: float


Row = TypeVar("Row", MotBox, Label)


def parse_mot(line: str) -> MotBox:
    """Read one line of a MOT file.

    Raises:
        RecordError: it is none.

    >>> parse_mot("1,9,499,158,31,75.5,1,-4.1,-7.3,0")
    MotBox(frame=0, track=9, box=(499.0, 158.0, 530.0, 233.5), score=1.0)
    """
    words = line.split(",")
    if len(words) < len(MOT_COLUMNS):
        raise RecordError(
            f"must have at least {len(MOT_COLUMNS)} fields ({', '.join(MOT_COLUMNS)}), "
            f"got {len(words)}"
        )
    fields = {name: number_of(name, word) for name, word in zip(MOT_COLUMNS, words, strict=False)}
    if fields["width"] < 0 or fields["height"] < 0:
        raise RecordError("width and height must be at least 0")
    if fields["track"] != int(fields["track"]) or fields["track"] < -1:
        raise RecordError(f"track must be a whole number of at least -1, got {fields['track']:g}")
    score = 1.0 if fields["score"] == NO_SCORE else fields["score"]
    if not 0 <= score <= 1:
        raise RecordError(f"score must be in 0..1, or -1 for none, got {score:g}")
    x1, y1 = fields["left"], fields["top"]
    box = (x1, y1, x1 + fields["width"], y1 + fields["height"])
    return MotBox(frame_of(fields["frame"], first=1), int(fields["track"]), box, score)


def field_count(path: Path) -> int:
    """How many fields, parted by commas, the first line of a file has.

    Raises:
        SourceError: the file cannot be read.
    """
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return file.readline(LONGEST_LINE).count(",") + 1
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror or error}") from error


def read_mot_boxes(path: Path, class_name: str) -> tuple[list[Detections], FileFaults]:
    """Read detections of one class, from frame 0 to the last that has a box.

    Raises:
        SourceError: the file cannot be read, or is too large.
    """
    rows, faults = read_rows(path, parse_mot)
    return [_detections(frame, class_name) for frame in _by_frame(rows)], faults


def read_truth(path: Path, class_name: str) -> tuple[list[FrameTruth], FileFaults]:
    """Read the truth of one class, from frame 0 to the last that has a line.

    Args:
        path: KITTI's labels, parted by blanks, or MOT's truth, parted by commas.
        class_name: The class, in small letters; MOT's files hold only one.

    Raises:
        SourceError: the file cannot be read, or is too large.
    """
    if field_count(path) > 1:
        rows, faults = read_rows(path, parse_mot)
        return [_of_mot(frame, class_name) for frame in _by_frame(rows)], faults
    labels, faults = read_labels(path)
    return [_of_labels(frame, class_name) for frame in _by_frame(labels)], faults


def _by_frame(rows: Sequence[Row]) -> list[list[Row]]:
    """The rows of each frame, from frame 0 to the last that has one."""
    found: dict[int, list[Row]] = defaultdict(list)
    for row in rows:
        found[row.frame].append(row)
    return [found[frame] for frame in range(max(found, default=-1) + 1)]


def _detections(rows: Sequence[MotBox], class_name: str) -> Detections:
    return Detections.of(
        corners([row.box for row in rows]),
        [row.score for row in rows],
        [class_name] * len(rows),
        tracks=np.array([row.track for row in rows], np.int64),
    )


def _of_mot(rows: Sequence[MotBox], class_name: str) -> FrameTruth:
    judged = _detections([row for row in rows if row.score > 0], class_name)
    neutral = corners([row.box for row in rows if row.score == 0])
    return FrameTruth(judged, neutral, corners([]))


def _of_labels(labels: Sequence[Label], class_name: str) -> FrameTruth:
    objects = [one for one in labels if one.kind.lower() == class_name]
    near = NEAR_CLASSES.get(class_name, ())
    return FrameTruth(
        Detections.of(
            corners([one.box for one in objects]),
            [1.0] * len(objects),
            [class_name] * len(objects),
            tracks=np.array([one.track for one in objects], np.int64),
        ),
        corners([one.box for one in labels if one.kind.lower() in near]),
        corners([one.box for one in labels if one.kind == DONT_CARE]),
    )


def corners(boxes: Sequence[tuple[float, float, float, float]]) -> NDArray[np.float32]:
    """Boxes as an array, float32 (n, 4)."""
    return np.array(boxes, np.float32).reshape(-1, 4)
