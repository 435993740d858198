"""Whether a finding is right: was a model wrong there, and would the correction be right?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from flows.evaluate.assertions_faults import Fault, FaultKind, box_at, find_faults, judge_outputs
from flows.evaluate.truth import Status
from operators.assertions.agreement import overlaps
from records import UNTRACKED, CorrectionKind
from records.finding import DETECTIONS

if TYPE_CHECKING:
    from flows.evaluate.assertions_recording import Recording
    from flows.evaluate.truth import JudgedFrame
    from records import Correction, Finding, Place

SOUGHT: dict[str, tuple[FaultKind, ...]] = {
    "agree": (FaultKind.FALSE,),
    "appear": (FaultKind.FALSE,),
    "multibox": (FaultKind.DUPLICATE,),
    "flicker": (FaultKind.GAP,),
    "velocity": (FaultKind.SWITCH,),
    "count_jump": (FaultKind.COUNT,),
}
"""The faults that each assertion should find, of the camera's output; for "agree" of the LIDAR's as
well. Any other assertion should find false boxes."""

NEAR_OVERLAP = 0.3
"""A box to add that overlaps so much with an object stands for it."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What is true of a finding.

    Attributes:
        model_wrong: Whether a model was wrong; None where the truth does not say.
        correction_right: Whether the correction is right; None where the truth does not say, and
            without a correction.
        box_false: Whether the box that it is about is false; None for findings about no one box.
        faults: The faults that it points at.
    """

    model_wrong: bool | None
    correction_right: bool | None
    box_false: bool | None
    faults: frozenset[Fault]


UNKNOWN = Judgement(None, None, None, frozenset())
"""Where the truth does not say."""


class _Look(NamedTuple):
    """A box that a finding is about: its frame, what it is, the object it found, its faults."""

    frame: int
    status: Status
    track: int | None
    faults: set[Fault]


class FindingJudge:
    """Judges the findings on one recording.

    Args:
        recording: The recording.
        score_at_least: Boxes with a lower score are not used, so not judged, 0..1.
    """

    def __init__(self, recording: Recording, score_at_least: float) -> None:
        self.name = recording.name
        self.frames = judge_outputs(recording, score_at_least)
        self.place_of = {verdict.sequence: k for k, verdict in enumerate(recording.verdicts)}
        times_ns = [verdict.time_ns for verdict in recording.verdicts]
        self._faults = find_faults(self.frames, times_ns)

    def faults(self, assertion: str) -> set[Fault]:
        """The faults that an assertion should find."""
        kinds = SOUGHT.get(assertion, (FaultKind.FALSE,))
        outputs = tuple(self.frames) if assertion == "agree" else (DETECTIONS,)
        return {one for one in self._faults if one.kind in kinds and one.output in outputs}

    def judge(self, finding: Finding) -> Judgement:
        """Judge a finding."""
        if finding.assertion == "agree" and finding.correction is not None:
            return self._judge_agreement(finding.correction)
        correction = finding.correction
        if correction is None or correction.places[0].box is None:
            return self._judge_span(finding)
        if correction.kind is CorrectionKind.INTERPOLATE:
            return self._judge_added(correction)
        return self._judge_dropped(correction)

    def _frame(self, output: str, place: Place) -> JudgedFrame | None:
        k = self.place_of.get(place.sequence)
        return None if k is None or output not in self.frames else self.frames[output][k]

    def _look(self, output: str, place: Place) -> _Look | None:
        """The box at a place; None where it is not used."""
        frame = self._frame(output, place)
        assert place.box is not None
        index = None if frame is None else box_at(frame, place.box)
        if frame is None or index is None:
            return None
        k = self.place_of[place.sequence]
        own = {Fault(kind, output, k, index) for kind in (FaultKind.FALSE, FaultKind.DUPLICATE)}
        found = int(frame.object_of[index])
        track = None if found < 0 else int(frame.truth.objects.tracks[found])
        return _Look(k, Status(int(frame.status[index])), track, own & self._faults)

    def _judge_agreement(self, correction: Correction) -> Judgement:
        """A box without a partner: it is false, or the other output has missed the object."""
        other = next((one for one in self.frames if one != correction.output), correction.output)
        added = correction.kind is CorrectionKind.INTERPOLATE
        mine, its = (other, correction.output) if added else (correction.output, other)
        look = self._look(mine, correction.places[0])
        if look is None or look.status is Status.NEUTRAL:
            return UNKNOWN
        false = look.status is Status.FALSE
        missed = self._missed(its, look.frame, look.track)
        right = missed if added else false
        return Judgement(false or missed, right, false, frozenset(look.faults))

    def _judge_dropped(self, correction: Correction) -> Judgement:
        """Boxes to drop: they are false; or, for a track, its object was missed beside it."""
        found = [self._look(correction.output, place) for place in correction.places]
        looks = [one for one in found if one is not None and one.status is not Status.NEUTRAL]
        if not looks:
            return UNKNOWN
        false = sum(look.status is Status.FALSE for look in looks)
        missed = correction.track != UNTRACKED and (
            self._missed(correction.output, looks[0].frame - 1, looks[0].track)
            or self._missed(correction.output, looks[-1].frame + 1, looks[-1].track)
        )
        right = 2 * false > len(looks)
        faults = frozenset(fault for look in looks for fault in look.faults)
        return Judgement(false > 0 or missed, right, right, faults)

    def _judge_added(self, correction: Correction) -> Judgement:
        """Boxes to add: objects were missed there."""
        right = wrong = 0
        faults: set[Fault] = set()
        for place in correction.places:
            frame = self._frame(correction.output, place)
            if frame is None or place.box is None:
                continue
            box = np.array(place.box, np.float32)
            status = frame.status_at(box)
            right += status is Status.TRUE
            wrong += status is Status.FALSE
            objects = overlaps(box[None], frame.truth.objects.boxes)[0]
            k = self.place_of[place.sequence]
            faults |= {
                Fault(FaultKind.GAP, correction.output, k, index)
                for index in np.flatnonzero(objects >= NEAR_OVERLAP).tolist()
            }
        if not right + wrong:
            return UNKNOWN
        faults &= self._faults
        return Judgement(bool(right or faults), right > wrong, None, frozenset(faults))

    def _judge_span(self, finding: Finding) -> Judgement:
        """A finding about a track or about whole frames: it points at their faults."""
        first, last = (
            self.place_of.get(sequence) for sequence in (finding.start_sequence, finding.sequence)
        )
        if first is None or last is None:
            return UNKNOWN
        kinds = {FaultKind.FALSE, *SOUGHT.get(finding.assertion, ())}
        near = {
            fault
            for fault in self._faults
            if fault.output == DETECTIONS and fault.kind in kinds and first <= fault.frame <= last
        }
        if finding.object.isdecimal():
            near = {fault for fault in near if self._track(fault) == int(finding.object)}
        elif finding.assertion in SOUGHT:
            # The first moment is the one that the others are compared with.
            kinds = set(SOUGHT[finding.assertion])
            near = {fault for fault in near if fault.kind in kinds and fault.frame > first}
        return Judgement(bool(near), None, None, frozenset(near))

    def _track(self, fault: Fault) -> int:
        found = self.frames[fault.output][fault.frame].found
        return int(found.tracks[fault.place]) if fault.kind is not FaultKind.COUNT else -1

    def _missed(self, output: str, k: int, track: int | None) -> bool:
        """Whether an output missed the object of a track in a frame."""
        if track is None or output not in self.frames or not 0 <= k < len(self.frames[output]):
            return False
        frame = self.frames[output][k]
        return track in frame.truth.objects.tracks[frame.missed].tolist()
