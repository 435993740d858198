"""Applying corrections to the detections of one frame."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from records import UNTRACKED, Correction, CorrectionKind, Detections, Place

if TYPE_CHECKING:
    from records.finding import Box

SAME_CORNERS_PIXELS = 0.01
"""Boxes whose corners are this near are one box: corners are float32, and may have been float64."""


def apply_correction(answer: Detections, correction: Correction, place: Place) -> Detections:
    """Change one frame's detections as a correction says.

    DROP and MODIFY find their box by its corners, else by its track; a box that is not there (any
    more) changes nothing. INTERPOLATE adds a box, or moves the box of the same track if there is
    one.

    Args:
        answer: The detections.
        correction: What is done.
        place: The place of the correction that is this frame.

    Returns:
        The same object where nothing changes.

    >>> found = Detections.of([[0, 0, 2, 4], [0, 0, 2, 5]], [0.9, 0.4], ["person", "person"])
    >>> place = Place(0, 0, (0.0, 0.0, 2.0, 5.0))
    >>> apply_correction(found, Correction(CorrectionKind.DROP, (place,)), place).boxes.tolist()
    [[0.0, 0.0, 2.0, 4.0]]
    """
    track = correction.track
    if correction.kind is CorrectionKind.INTERPOLATE:
        assert place.box is not None
        index = None if track == UNTRACKED else _tracked(answer, track)
        rest = answer if index is None else _without(answer, index)
        return _with_box(rest, place.box, place.score, correction.class_name, track)
    index = _find(answer, place.box, track)
    if index is None:
        return answer
    if correction.kind is CorrectionKind.DROP:
        return _without(answer, index)
    names, class_id = _class_id(answer, correction.class_name)
    if answer.class_ids[index] == class_id:
        return answer
    class_ids = answer.class_ids.copy()
    class_ids[index] = class_id
    return Detections(answer.boxes, answer.scores, class_ids, names, answer.tracks)


def _find(answer: Detections, box: Box | None, track: int) -> int | None:
    if box is not None and len(answer):
        apart = np.abs(answer.boxes - np.array(box)).max(axis=1)
        nearest = int(apart.argmin())
        if apart[nearest] <= SAME_CORNERS_PIXELS:
            return nearest
    return None if track == UNTRACKED else _tracked(answer, track)


def _tracked(answer: Detections, track: int) -> int | None:
    places = np.flatnonzero(answer.tracks == track)
    return int(places[0]) if len(places) else None


def _without(answer: Detections, index: int) -> Detections:
    return answer.select(np.delete(np.arange(len(answer)), index))


def _with_box(
    answer: Detections, box: Box, score: float, class_name: str, track: int
) -> Detections:
    names, class_id = _class_id(answer, class_name)
    return Detections(
        np.concatenate([answer.boxes, np.array([box], np.float32)]),
        np.append(answer.scores, np.float32(score)),
        np.append(answer.class_ids, np.int32(class_id)),
        names,
        np.append(answer.tracks, np.int64(track)),
    )


def _class_id(answer: Detections, class_name: str) -> tuple[tuple[str, ...], int]:
    """The vocabulary, with the class, and the class's place in it."""
    names = answer.class_names
    if class_name not in names:
        names = (*names, class_name)
    return names, names.index(class_name)
