"""Frames that wait for findings about them, and the items that they become."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from operators.assertions.api import CLASSIFICATION, Moment
from operators.assertions.apply import apply_correction
from operators.retraining_value import (
    box_uncertainty,
    class_uncertainty,
    score_uncertainty,
    wrongness,
)
from records import (
    ClassificationBatch,
    Correction,
    Detections,
    Flag,
    Label,
    Origin,
    Place,
    RetrainingItem,
    Stage,
    Verdict,
)
from records.checks import LONGEST_NAME
from records.finding import DETECTIONS
from records.retraining import MOST_FLAGS, REFERENCE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from operators.retraining_settings import NominationSettings
    from records import Finding, VerdictBatch
    from records.finding import Box


@dataclass(frozen=True, slots=True)
class HeldFrame:
    """A frame, or a window of a signal, that waits.

    Attributes:
        sequence: Its number in the stream.
        time_ns: Its event time, nanoseconds since 1970 UTC.
        answer: What the models say is in it: boxes, or a class; None where a stage said yes or no
            without looking for boxes.
        uncertainty: How unsure they are, 0..1.
        referred: Whether the reference detector itself looked at it: then `answer` is its own.
        audited: Whether the audit asked it to.
        disagreed: Whether the audit showed that the cascade was wrong.
        chance: The probability with which the random share drew it; 0 where it did not.
    """

    sequence: int
    time_ns: int
    answer: Detections | str | None
    uncertainty: float
    referred: bool = False
    audited: bool = False
    disagreed: bool = False
    chance: float = 0.0


@dataclass(frozen=True, slots=True)
class Note:
    """What one finding says of one frame.

    Attributes:
        flag: For the item.
        correction: What would put the frame right; None where nothing is proposed.
        place: The place of the correction that is this frame; None without one.
        right: Probability that the correction is right; None while it is not calibrated.
        object: What the finding is about, say the track as text; empty for the whole frame.
    """

    flag: Flag
    correction: Correction | None = None
    place: Place | None = None
    right: float | None = None
    object: str = ""


def held_frames(batch: VerdictBatch | ClassificationBatch) -> list[HeldFrame]:
    """The frames or windows of a batch."""
    if isinstance(batch, ClassificationBatch):
        return [
            HeldFrame(one.sequence, one.time_ns, one.label, class_uncertainty(one.probabilities))
            for one in batch.classifications
        ]
    return [_held_frame(one) for one in batch.verdicts]


def _held_frame(verdict: Verdict) -> HeldFrame:
    answer = Moment.of(verdict).outputs.get(DETECTIONS)
    assert answer is None or isinstance(answer, Detections)
    if verdict.stage is Stage.SPECIALISED:
        uncertainty = score_uncertainty(verdict.score)
    else:
        uncertainty = box_uncertainty(verdict.answer)
    return HeldFrame(
        verdict.sequence,
        verdict.time_ns,
        answer,
        uncertainty,
        referred=verdict.stage is Stage.REFERENCE and verdict.copied_from is None,
        audited=verdict.audited,
        disagreed=verdict.unaudited is not None and verdict.unaudited != verdict.positive,
    )


def notes_of(finding: Finding, episode: str, most_places: int) -> list[tuple[int, Note]]:
    """The frames that a finding concerns, by sequence, and what it says of them.

    They are those that its correction changes, at most `most_places`, evenly spread; without one,
    the frame at which it fired.
    """
    flag = Flag(finding.assertion, finding.severity, episode, finding.model_wrong)
    correction = finding.correction
    if correction is None or correction.output not in (DETECTIONS, CLASSIFICATION):
        return [(finding.sequence, Note(flag, object=finding.object))]
    places = correction.places
    chosen = np.linspace(0, len(places) - 1, min(most_places, len(places))).round().astype(int)
    return [
        (
            place.sequence,
            Note(flag, correction, place, finding.correction_right, finding.object),
        )
        for place in (places[k] for k in dict.fromkeys(chosen.tolist()))
    ]


def concerned_box(frame: HeldFrame, notes: Iterable[Note]) -> Box | None:
    """What the findings of a frame are about, the smallest box around all; None for all of it."""
    boxes = [box for note in notes for box in _boxes(frame, note)]
    if not boxes:
        return None
    x1, y1, x2, y2 = zip(*boxes, strict=True)
    return min(x1), min(y1), max(x2), max(y2)


def _boxes(frame: HeldFrame, note: Note) -> list[Box]:
    """The box that a correction is about, else that of the track that the finding names."""
    if note.place is not None and note.place.box is not None:
        return [note.place.box]
    if not isinstance(frame.answer, Detections) or not note.object.isdecimal():
        return []
    own = frame.answer.boxes[frame.answer.tracks == int(note.object)]
    return [(x1, y1, x2, y2) for x1, y1, x2, y2 in own.tolist()]


def item_of(
    stream: str, frame: HeldFrame, notes: Sequence[Note], settings: NominationSettings
) -> RetrainingItem | None:
    """The item that a frame becomes when it leaves; None when it is not nominated."""
    reasons = {
        Origin.ASSERTION: bool(notes),
        Origin.AUDIT: frame.disagreed,
        Origin.RANDOM: frame.chance > 0,
    }
    origins = tuple(origin for origin, there in reasons.items() if there)
    if not origins:
        return None
    flags = sorted({note.flag for note in notes}, key=lambda one: (-one.severity, one.episode))
    item = RetrainingItem(
        stream,
        frame.sequence,
        frame.time_ns,
        origins,
        priority=0.0,
        propensity=frame.chance or 1.0,
        flags=tuple(flags[:MOST_FLAGS]),
        uncertainty=frame.uncertainty,
        label=_label(frame, notes),
        uri=settings.uris.get(stream, ""),
        model=settings.model,
        configuration=settings.configuration,
    )
    return replace(item, priority=wrongness(item))


def _label(frame: HeldFrame, notes: Iterable[Note]) -> Label | None:
    """The reference's answer, or the models' own as corrections change it; None for neither.

    What the reference said is no label where a finding alone put the frame aside: it may be what
    is wrong.
    """
    answer = frame.answer
    free = Label(REFERENCE, boxes=answer) if isinstance(answer, Detections) else None
    if frame.disagreed and free is not None:
        return free
    changes: dict[str, list[float | None]] = {}
    for note in notes:
        if note.correction is None or note.place is None:
            continue
        changed = _changed(answer, note.correction, note.place)
        if changed is not answer:
            changes.setdefault(note.flag.assertion, []).append(note.right)
            answer = changed
    if not changes or answer is None:
        return free if frame.referred and frame.chance > 0 else None
    rights = [right for each in changes.values() for right in each]
    known = [right for right in rights if right is not None]
    # All must be right, and are taken to be so independently.
    probability = math.prod(known) if len(known) == len(rights) else None
    source = "+".join(changes)[:LONGEST_NAME]
    if isinstance(answer, str):
        return Label(source, class_name=answer, probability=probability)
    return Label(source, boxes=answer, probability=probability)


def _changed(
    answer: Detections | str | None, correction: Correction, place: Place
) -> Detections | str | None:
    """The answer as a correction changes it; the same object where it changes nothing."""
    if isinstance(answer, Detections):
        return apply_correction(answer, correction, place)
    return answer and (correction.class_name or answer)
