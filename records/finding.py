"""Findings: what a model assertion says is wrong, and how it could be put right."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from records.checks import check_count, check_finite, check_name, check_time
from records.detections import UNTRACKED
from records.errors import RecordError

Box = tuple[float, float, float, float]
"""Corners x1, y1, x2, y2, pixels of the full frame."""

DETECTIONS = "detections"
"""The name of the output that holds what the stream's own detector found."""

MOST_PLACES = 4096
"""The most places that one correction may change."""

_CORNERS = 4


class CorrectionKind(StrEnum):
    """What a correction does (Kang et al., MLSys 2020, section 4.2)."""

    DROP = "drop"
    MODIFY = "modify"
    INTERPOLATE = "interpolate"


@dataclass(frozen=True, slots=True)
class Place:
    """One output to change.

    Attributes:
        sequence: The number of the frame or window in its stream.
        time_ns: Its event time, nanoseconds since 1970 UTC.
        box: The box that is dropped, modified or added; None for an output without boxes.
        score: The score of that box, 0..1.
    """

    sequence: int
    time_ns: int
    box: Box | None = None
    score: float = 1.0

    def __post_init__(self) -> None:
        check_count("sequence", self.sequence)
        check_time("time_ns", self.time_ns)
        check_finite("score", self.score)
        if not 0 <= self.score <= 1:
            raise RecordError(f"score must be in 0..1, got {self.score}")
        if self.box is None:
            return
        if not isinstance(self.box, tuple) or len(self.box) != _CORNERS:
            raise RecordError(f"box must be a tuple of x1, y1, x2, y2, got {self.box!r}")
        for corner in self.box:
            check_finite("box", corner)
        if self.box[0] > self.box[2] or self.box[1] > self.box[3]:
            raise RecordError(f"box must have x1 <= x2 and y1 <= y2, got {self.box}")


@dataclass(frozen=True, slots=True)
class Correction:
    """A change of a model's outputs that would put them right; a weak label for training.

    DROP takes the box of each place away. MODIFY gives it the class `class_name`. INTERPOLATE adds
    a box of that class and track at each place.

    Attributes:
        kind: What is done.
        places: Where, in order of sequence, at least one; all with a box, or none.
        class_name: The class of the boxes: the right one for MODIFY.
        track: The track of the boxes; -1 where they have none.
        output: The name of the output that is changed, as in `Moment.outputs`.

    Raises:
        RecordError: a field breaks its contract; the message names it.
    """

    kind: CorrectionKind
    places: tuple[Place, ...]
    class_name: str = ""
    track: int = UNTRACKED
    output: str = DETECTIONS

    def __post_init__(self) -> None:
        if not isinstance(self.kind, CorrectionKind):
            raise RecordError(f"kind must be a CorrectionKind, got {self.kind!r}")
        if not 0 < len(self.places) <= MOST_PLACES:
            raise RecordError(f"places must be 1 to {MOST_PLACES}, got {len(self.places)}")
        sequences = [place.sequence for place in self.places]
        if sequences != sorted(sequences):
            raise RecordError(f"places must be in order of sequence, got {sequences}")
        if len({place.box is None for place in self.places}) > 1:
            raise RecordError("places must all have a box, or none")
        if self.kind is CorrectionKind.INTERPOLATE and self.places[0].box is None:
            raise RecordError("places must have boxes for interpolate")
        if self.class_name != "" or self.kind is not CorrectionKind.DROP:
            check_name("class_name", self.class_name)
        if self.track != UNTRACKED:
            check_count("track", self.track)
        check_name("output", self.output)

    @property
    def sequence(self) -> int:
        """The first frame that is changed."""
        return self.places[0].sequence

    @property
    def time_ns(self) -> int:
        """The event time of the first frame that is changed, nanoseconds since 1970 UTC."""
        return self.places[0].time_ns


@dataclass(frozen=True, slots=True)
class Finding:
    """One time that an assertion fired.

    Attributes:
        stream: The stream's name.
        assertion: The assertion's name.
        sequence: The moment at which it fired.
        time_ns: That moment's event time, nanoseconds since 1970 UTC.
        start_sequence: The first moment that it concerns.
        start_ns: That moment's event time.
        severity: How bad it is, above 0, in a unit of the assertion's own; larger is worse.
        message: One line for people.
        object: What it is about, say the track as text; empty for the whole frame. Findings of one
            stream, assertion and object belong to one episode.
        model_wrong: Probability that the model is wrong; None while it is not calibrated.
        correction_right: Probability that the correction is right; None while it is not
            calibrated, and without a correction.
        correction: What would put it right; None where nothing is proposed.

    Raises:
        RecordError: a field breaks its contract; the message names it.

    >>> found = Finding("gate", "appear", 7, 700, 5, 500, 1.5, "seen for 0.2 s", object="12")
    >>> found.id
    'gate:appear:12:7'
    """

    stream: str
    assertion: str
    sequence: int
    time_ns: int
    start_sequence: int
    start_ns: int
    severity: float
    message: str
    object: str = ""
    model_wrong: float | None = None
    correction_right: float | None = None
    correction: Correction | None = None

    def __post_init__(self) -> None:
        check_name("stream", self.stream)
        check_name("assertion", self.assertion)
        if self.object != "":
            check_name("object", self.object)
        for field in ("sequence", "start_sequence"):
            check_count(field, getattr(self, field))
        for field in ("time_ns", "start_ns"):
            check_time(field, getattr(self, field))
        if self.start_sequence > self.sequence:
            raise RecordError(
                f"start_sequence must be at most {self.sequence}, got {self.start_sequence}"
            )
        check_finite("severity", self.severity)
        if self.severity <= 0:
            raise RecordError(f"severity must be above 0, got {self.severity}")
        for field in ("model_wrong", "correction_right"):
            value = getattr(self, field)
            if value is not None:
                check_finite(field, value)
                if not 0 <= value <= 1:
                    raise RecordError(f"{field} must be a probability in 0..1, got {value}")
        if self.correction is None and self.correction_right is not None:
            raise RecordError("correction_right must be None without a correction")

    @property
    def id(self) -> str:
        """The deterministic identity, ``stream:assertion:object:sequence``."""
        return f"{self.stream}:{self.assertion}:{self.object}:{self.sequence}"
