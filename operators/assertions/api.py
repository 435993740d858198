"""What an assertion is: moments of a stream go in, findings come out.

An assertion is a factory of checks; a check is the assertion's state on one stream. A condition
that lasts is told again at least every `REPEAT_SECONDS`, so that whoever listens knows that it
holds still; an event is told once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

from records import Detections, RecordError, Stage
from records.finding import DETECTIONS, Box

if TYPE_CHECKING:
    from collections.abc import Mapping

    from records import Classification, Estimate, Finding, Frame, StreamEvent, Verdict

FRAME = "frame"
"""The name of the input that holds the frame."""

CLASSIFICATION = "classification"
"""The name of the output that holds what the stream's own classifier said of a window."""

REPEAT_SECONDS = 1.0
"""A condition that lasts is told again at least this often, seconds of event time."""


class PlainBoxes(NamedTuple):
    """Detections as plain Python values, which small loops read faster than arrays.

    Attributes:
        boxes: Corners x1, y1, x2, y2 of each box, pixels.
        scores: The score of each box, 0..1.
        classes: The class name of each box.
        tracks: The track of each box; -1 where it has none.
    """

    boxes: list[Box]
    scores: list[float]
    classes: list[str]
    tracks: list[int]


@dataclass(frozen=True, slots=True)
class Moment:
    """What came into the models at one event time of a stream, and what they made of it.

    Attributes:
        stream: The stream's name.
        sequence: The frame's or window's number in the stream.
        time_ns: Event time, nanoseconds since 1970 UTC.
        inputs: By name; ``frame`` is the Frame, sensors have the names of their streams.
        outputs: By the name of the model or sensor; ``detections`` is what the stream's own
            detector found. What is missing at this moment has no entry.
        copied: Whether the outputs are those of an earlier moment, so that nothing new was seen.
    """

    stream: str
    sequence: int
    time_ns: int
    inputs: Mapping[str, object] = field(default_factory=dict)
    outputs: Mapping[str, object] = field(default_factory=dict)
    copied: bool = False
    _plain: dict[str, PlainBoxes] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    @classmethod
    def of(cls, verdict: Verdict, frame: Frame | None = None) -> Moment:
        """The moment of a verdict, with its frame if there is one.

        A stage that says yes or no without looking for boxes leaves the detections missing.
        """
        boxless = (
            verdict.positive is not None
            and verdict.stage is not Stage.REFERENCE
            and not verdict.audited
            and not len(verdict.answer)
        )
        return cls(
            verdict.stream,
            verdict.sequence,
            verdict.time_ns,
            {} if frame is None else {FRAME: frame},
            {} if boxless else {DETECTIONS: verdict.answer},
            verdict.copied_from is not None,
        )

    @classmethod
    def of_classification(cls, found: Classification) -> Moment:
        """The moment of a classified window of a signal."""
        return cls(found.stream, found.sequence, found.time_ns, outputs={CLASSIFICATION: found})

    def plain(self, output: str = DETECTIONS) -> PlainBoxes | None:
        """The boxes of an output as plain values, made once; None where the output is missing.

        Raises:
            RecordError: the output is no Detections.
        """
        plain = self._plain.get(output)
        if plain is not None:
            return plain
        found = self.outputs.get(output)
        if found is None:
            return None
        if not isinstance(found, Detections):
            raise RecordError(f"the output {output} must be Detections, got {type(found).__name__}")
        names = found.class_names
        plain = PlainBoxes(
            [(x1, y1, x2, y2) for x1, y1, x2, y2 in found.boxes.tolist()],
            found.scores.tolist(),
            [names[one] for one in found.class_ids.tolist()],
            found.tracks.tolist(),
        )
        self._plain[output] = plain
        return plain


@dataclass(frozen=True, slots=True)
class MomentBatch:
    """Consecutive moments of one stream.

    Attributes:
        stream: The stream's name.
        moments: In order of sequence; may be empty.
        reports: What the operators before had to say besides.
    """

    stream: str
    moments: tuple[Moment, ...]
    reports: tuple[Estimate | StreamEvent, ...] = ()


class Check(Protocol):
    """An assertion at work on one stream."""

    def observe(self, moment: Moment) -> list[Finding]:
        """Take the next moment, in order of sequence, and give what is found; often nothing."""

    def snapshot(self) -> object:
        """A copy of all that must survive a restart, of plain values that can be pickled."""


@runtime_checkable
class Assertion(Protocol):
    """A condition that a model's outputs must meet; the factory of its checks.

    An assertion has no state of its own, so one serves any number of streams.
    """

    @property
    def name(self) -> str:
        """Its name, without ':'."""

    @property
    def window_seconds(self) -> float:
        """How far back in event time it looks, seconds."""

    def start(self, state: object = None) -> Check:
        """Begin on a stream, or go on from what a check's `snapshot` gave."""
