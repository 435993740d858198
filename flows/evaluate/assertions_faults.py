"""The faults of a model on a recording, as the truth shows them: what assertions should find.

A fault is a false box, an object that was missed for a short time, a track that jumps from one
object to another, or a count that jumps although the objects do not. docs/assertions.md says which
assertion looks for which.
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from flows.evaluate.assertions_recording import LIDAR
from flows.evaluate.truth import OVERLAP, JudgedFrame, Status, judge
from operators.assertions.agreement import overlaps
from records import UNTRACKED
from records.finding import DETECTIONS
from records.units import NANOSECONDS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flows.evaluate.assertions_recording import Recording
    from records.finding import Box

GAP_SECONDS = 1.0
"""An object that is missed for less than this, and found before and after, was missed in a gap."""

COUNT_STEP = 2
"""The count is at fault where its error is so many objects from the median of the frames before."""

COUNTS_COMPARED = 5
"""How many frames before a count's error is compared with."""

SAME_BOX_PIXELS = 0.5
"""Corners this near are those of the same box: a correction's box has gone through float32."""


class FaultKind(StrEnum):
    """What kind of fault it is.

    FALSE: a box where no object is. DUPLICATE: a further box on an object that another box found.
    GAP: an object that is missed between two frames in which it is found. SWITCH: a track that is
    on another object than at its last box. COUNT: the error of the count jumps.
    """

    FALSE = "false"
    DUPLICATE = "duplicate"
    GAP = "gap"
    SWITCH = "switch"
    COUNT = "count"


class Fault(NamedTuple):
    """One fault of a model.

    Attributes:
        kind: What it is.
        output: The output that has it.
        frame: The place of the frame in the recording.
        place: The place of the box, or of the object for GAP; 0 for COUNT.
    """

    kind: FaultKind
    output: str
    frame: int
    place: int


Judged = dict[str, list[JudgedFrame]]
"""Each output's frames against the truth."""


def judge_outputs(recording: Recording, score_at_least: float) -> Judged:
    """Judge every output of a recording.

    The camera's boxes below the score are not used, so not judged; the LIDAR's scores mean other
    things, and all its boxes are used.
    """
    answers = [verdict.answer for verdict in recording.verdicts]
    outputs = {DETECTIONS: [one.select(one.scores >= score_at_least) for one in answers]}
    if recording.scans is not None:
        outputs[LIDAR] = [scan.boxes for scan in recording.scans]
    return {
        name: [judge(one, truth) for one, truth in zip(found, recording.truth, strict=True)]
        for name, found in outputs.items()
    }


def find_faults(judged: Mapping[str, list[JudgedFrame]], times_ns: list[int]) -> set[Fault]:
    """All faults of a recording."""
    faults: set[Fault] = set()
    for output, frames in judged.items():
        for k, frame in enumerate(frames):
            for index in np.flatnonzero(frame.status == Status.FALSE).tolist():
                faults.add(Fault(FaultKind.FALSE, output, k, index))
                again = overlaps(frame.found.boxes[[index]], frame.truth.objects.boxes) >= OVERLAP
                if again.any():
                    faults.add(Fault(FaultKind.DUPLICATE, output, k, index))
    own = judged[DETECTIONS]
    return faults | _gaps(own, times_ns) | _switches(own) | _counts(own)


def box_at(frame: JudgedFrame, box: Box) -> int | None:
    """The place of a box in a frame; None where it is none of its boxes."""
    if not len(frame.found):
        return None
    away = np.abs(frame.found.boxes - np.array(box, np.float32)).max(axis=1)
    place = int(away.argmin())
    return place if away[place] <= SAME_BOX_PIXELS else None


def _gaps(frames: list[JudgedFrame], times_ns: list[int]) -> set[Fault]:
    """Objects that are missed for a short time."""
    last: dict[int, int] = {}
    missing: dict[int, list[Fault]] = defaultdict(list)
    faults: set[Fault] = set()
    for k, frame in enumerate(frames):
        missed = set(frame.missed)
        for index, track in enumerate(frame.truth.objects.tracks.tolist()):
            if index in missed:
                missing[track].append(Fault(FaultKind.GAP, DETECTIONS, k, index))
                continue
            waiting = missing.pop(track, [])
            if track in last and times_ns[k] - times_ns[last[track]] < GAP_SECONDS * NANOSECONDS:
                faults.update(waiting)
            last[track] = k
    return faults


def _switches(frames: list[JudgedFrame]) -> set[Fault]:
    """Boxes of tracks that were on another object, or on none, before."""
    last: dict[int, int] = {}
    faults: set[Fault] = set()
    for k, frame in enumerate(frames):
        objects = frame.truth.objects.tracks
        for index, track in enumerate(frame.found.tracks.tolist()):
            place = int(frame.object_of[index])
            if track == UNTRACKED or place < 0:
                continue
            now = int(objects[place])
            if last.setdefault(track, now) != now:
                faults.add(Fault(FaultKind.SWITCH, DETECTIONS, k, index))
            last[track] = now
    return faults


def _counts(frames: list[JudgedFrame]) -> set[Fault]:
    """Frames in which the count's error jumps; neutral boxes count for nothing."""
    errors = [int((frame.status == Status.FALSE).sum()) - len(frame.missed) for frame in frames]
    return {
        Fault(FaultKind.COUNT, DETECTIONS, k, 0)
        for k in range(1, len(errors))
        if abs(errors[k] - statistics.median_low(errors[max(k - COUNTS_COMPARED, 0) : k]))
        >= COUNT_STEP
    }
