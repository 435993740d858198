"""Verdicts: the answer for one frame, and the stage of the cascade that gave it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from records.checks import check_count, check_finite, check_name, check_time
from records.detections import Detections
from records.errors import RecordError

if TYPE_CHECKING:
    from records.estimate import Estimate
    from records.event import StreamEvent
    from records.finding import Finding


class Stage(StrEnum):
    """The stages of a cascade (NoScope, Kang et al., VLDB 2017, section 3), cheapest first."""

    PACKETS = "packets"
    SKIP = "skip"
    DIFFERENCE = "difference"
    SPECIALISED = "specialised"
    REFERENCE = "reference"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer for one frame.

    Attributes:
        stream: The stream's name.
        sequence: The frame's number in the stream.
        time_ns: The frame's event time, nanoseconds since 1970 UTC.
        stage: The stage that decided.
        score: That stage's score: the model's for packets and the specialised model, the mean
            squared error of luma for the difference detector, the highest detection score (0 when
            nothing was found) for the reference detector, 0 for a frame that was skipped.
        answer: What is in the frame. Empty where a model said yes or no without finding boxes.
        copied_from: The sequence of the frame whose answer was copied; None when the answer is
            this frame's own.
        positive: Whether the cascade's predicate holds; None for a cascade without one.
        audited: Whether the frame was drawn for the audit: then the reference detector answered,
            whatever the stages before it said.
        unaudited: What the cascade would have said of an audited frame; None for other frames, and
            where it had nothing to say. Frames that copy this frame's answer copy this one.
        corrected: The assertions whose corrections changed the answer, each once; empty for the
            models' own answer.
    """

    stream: str
    sequence: int
    time_ns: int
    stage: Stage
    score: float
    answer: Detections
    copied_from: int | None = None
    positive: bool | None = None
    audited: bool = False
    unaudited: bool | None = None
    corrected: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_name("stream", self.stream)
        check_count("sequence", self.sequence)
        check_time("time_ns", self.time_ns)
        check_finite("score", self.score)
        if not isinstance(self.stage, Stage):
            raise RecordError(f"stage must be a Stage, got {self.stage!r}")
        if not isinstance(self.answer, Detections):
            raise RecordError(f"answer must be Detections, got {type(self.answer).__name__}")
        for field in ("positive", "unaudited"):
            value = getattr(self, field)
            if value is not None and not isinstance(value, bool):
                raise RecordError(f"{field} must be true, false or None, got {value!r}")
        if not isinstance(self.audited, bool):
            raise RecordError(f"audited must be true or false, got {self.audited!r}")
        if self.unaudited is not None and not self.audited:
            raise RecordError("unaudited must be None for a frame that was not audited")
        if self.corrected != ():
            _check_corrected(self.corrected)
        if self.copied_from is not None:
            check_count("copied_from", self.copied_from)
            if self.copied_from >= self.sequence:
                raise RecordError(
                    f"copied_from must be an earlier frame than {self.sequence}, "
                    f"got {self.copied_from}"
                )

    @property
    def id(self) -> str:
        """The deterministic identity, ``stream:sequence``."""
        return f"{self.stream}:{self.sequence}"


def _check_corrected(names: object) -> None:
    if not isinstance(names, tuple):
        raise RecordError(f"corrected must be a tuple of names, got {names!r}")
    for name in names:
        check_name("corrected", name)


@dataclass(frozen=True, slots=True)
class VerdictBatch:
    """Consecutive verdicts of one stream, the item of the dataflow after the cascade.

    Attributes:
        stream: The stream's name.
        verdicts: Consecutive verdicts, in order of sequence.
        reports: What the cascade has to say besides: estimates of its audit, events of its
            contract.
        findings: What the checks of the input's health say of the frames behind the verdicts.
        ended: Whether the stream ends with this batch.
    """

    stream: str
    verdicts: tuple[Verdict, ...]
    reports: tuple[Estimate | StreamEvent, ...] = ()
    findings: tuple[Finding, ...] = ()
    ended: bool = False
