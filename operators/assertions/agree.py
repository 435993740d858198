"""Agree: what a ranging sensor sees, the camera sees as well, and the other way round.

The assertion "agree" of Kang et al. (MLSys 2020, section 2.2 and table 1): boxes of a LIDAR model,
projected to the image, are compared with the boxes of the camera's detector. A box without a
partner says that one of the two models is wrong. That holds only where both could see the object,
so the assertion abstains on boxes that are too low or too far, outside the image, covered by nearer
ones, or in regions that are to be ignored, and on moments at which one of the two is missing.

Each box without a partner is a finding of its own. The correction follows its score: a box from
`trusted_score` on is added to the other's output, any other is dropped. The severity is how far
the score speaks for that, times the share of the box that could be seen; so the surest corrections
rank first, and a correction's probability is calibrated by output and kind (`context_of`).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from operators.assertions.agreement import AgreeSettings, without_partner
from operators.assertions.sightings import overlap
from records import UNTRACKED, Detections, Finding, RecordError
from records.checks import check_name
from records.finding import DETECTIONS, Box, Correction, CorrectionKind, Place
from records.range_boxes import RangeBoxes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from operators.assertions.agreement import Alone
    from operators.assertions.api import Moment

SAME_OBJECT_OVERLAP = 0.3
"""The intersection over union from which boxes of successive moments are one object."""

LEAST_SEVERITY = 1e-6
"""The severity of a correction that the score speaks wholly against."""


class Named(NamedTuple):
    """A box without a partner, kept so that it has the same name at the next moment.

    Attributes:
        output: Whose box it is.
        number: Its number on the stream.
        box: Its corners.
    """

    output: str
    number: int
    box: Box


@dataclass(frozen=True, slots=True)
class AgreeState:
    """What survives a restart.

    Attributes:
        named: The boxes without a partner at the last moment.
        next_number: The number of the next one that is new.
    """

    named: tuple[Named, ...] = ()
    next_number: int = 1


@dataclass(frozen=True, slots=True)
class Agree:
    """The assertion that camera and ranging sensor see the same objects.

    Attributes:
        settings: Which boxes must have a partner.
        name: The assertion's name.

    Raises:
        RecordError: `name` is no name.
    """

    settings: AgreeSettings = field(default_factory=AgreeSettings)
    name: str = "agree"

    def __post_init__(self) -> None:
        check_name("name", self.name)

    @property
    def window_seconds(self) -> float:
        """It looks at single moments."""
        return 0.0

    def start(self, state: object = None) -> AgreeCheck:
        """Begin on a stream, or go on from a snapshot."""
        assert state is None or isinstance(state, AgreeState)
        return AgreeCheck(self.settings, state, self.name)


def context_of(finding: Finding) -> str:
    """The context in which a finding's severity is calibrated: output and kind of correction."""
    correction = finding.correction
    return "" if correction is None else f"{correction.output}/{correction.kind}"


class AgreeCheck:
    """The assertion on one stream.

    Args:
        settings: Which boxes must have a partner.
        resume: The state to go on from; None at a new start.
        assertion: The assertion's name.
    """

    def __init__(
        self, settings: AgreeSettings, resume: AgreeState | None = None, assertion: str = "agree"
    ) -> None:
        self._settings = settings
        self._assertion = assertion
        self._state = resume or AgreeState()

    def observe(self, moment: Moment) -> list[Finding]:
        """The boxes without a partner, the camera's first.

        Raises:
            RecordError: an output has the wrong type.
        """
        settings = self._settings
        camera = moment.outputs.get(DETECTIONS)
        scan = moment.outputs.get(settings.sensor)
        if camera is None or scan is None or moment.copied:
            return []
        if not isinstance(camera, Detections) or not isinstance(scan, RangeBoxes):
            raise RecordError(
                f"agree needs Detections and the RangeBoxes of {settings.sensor}, "
                f"got {type(camera).__name__} and {type(scan).__name__}"
            )
        wanted, ranged_wanted = self._wanted(camera), self._wanted(scan.boxes)
        seen = camera if wanted.all() else camera.select(wanted)
        ranged = scan if ranged_wanted.all() else scan.select(ranged_wanted)
        everything = without_partner(seen, ranged, settings)
        findings: list[Finding] = []
        named: list[Named] = []
        for output, boxes in ((DETECTIONS, seen), (settings.sensor, ranged.boxes)):
            alone = [one for one in everything if one.output == output]
            rows = boxes.boxes[[one.place for one in alone]].tolist()
            names = self._name(output, [(x1, y1, x2, y2) for x1, y1, x2, y2 in rows])
            named += names
            for one, name in zip(alone, names, strict=True):
                findings.append(self._finding(moment, one, boxes, name))
        self._state = replace(self._state, named=tuple(named))
        return findings

    def snapshot(self) -> AgreeState:
        """The boxes without a partner at the last moment; never changed afterwards."""
        return self._state

    def _wanted(self, found: Detections) -> NDArray[np.bool_]:
        wanted = [name == self._settings.class_name for name in found.class_names]
        return np.array(wanted, np.bool_)[found.class_ids]

    def _name(self, output: str, boxes: list[Box]) -> list[Named]:
        """The boxes with the numbers that they had at the last moment, or new ones."""
        known = [one for one in self._state.named if one.output == output]
        named = []
        for box in boxes:
            near = max(known, key=lambda one: overlap(one.box, box), default=None)
            if near is not None and overlap(near.box, box) >= SAME_OBJECT_OVERLAP:
                known.remove(near)
                named.append(Named(output, near.number, box))
                continue
            named.append(Named(output, self._state.next_number, box))
            self._state = replace(self._state, next_number=self._state.next_number + 1)
        return named

    def _finding(self, moment: Moment, alone: Alone, boxes: Detections, one: Named) -> Finding:
        settings = self._settings
        mine = alone.output == DETECTIONS
        score, track = float(boxes.scores[alone.place]), int(boxes.tracks[alone.place])
        other = settings.sensor if mine else DETECTIONS
        trusted = score >= (settings.trusted_score if mine else settings.trusted_sensor_score)
        correction = Correction(
            CorrectionKind.INTERPOLATE if trusted else CorrectionKind.DROP,
            (Place(moment.sequence, moment.time_ns, one.box, score),),
            settings.class_name,
            UNTRACKED if trusted else track,
            other if trusted else alone.output,
        )
        certainty = score if trusted else 1 - score
        return Finding(
            stream=moment.stream,
            assertion=self._assertion,
            sequence=moment.sequence,
            time_ns=moment.time_ns,
            start_sequence=moment.sequence,
            start_ns=moment.time_ns,
            severity=max(certainty * alone.visible, LEAST_SEVERITY),
            message=(
                f"{alone.output} has a {settings.class_name} (score {score:.2f}) where {other} "
                f"has none; {alone.visible:.0%} of it could be seen"
            ),
            object=f"{alone.output} {one.number}" if track == UNTRACKED else str(track),
            correction=correction,
        )
