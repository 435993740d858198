"""The cascade: difference detector, then reference detector, and one verdict for every frame.

NoScope (Kang et al., VLDB 2017), section 3. `Cascade` runs the stages in-process for tests and
evaluations; the operator `cascade` runs the very same stages on the engine, where frames of all
streams share the detector's batches.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import bytewax.operators as op
from bytewax.dataflow import operator
from bytewax.operators import KeyedStream
from typing_extensions import override

from operators.detect import AnsweredBatch, DetectLogic, DetectSettings, detect
from operators.difference import (
    DifferenceDetector,
    DifferenceSettings,
    difference,
    screen_nothing,
)
from operators.keyed import KeyedLogic
from records import Detections, Detector, FrameBatch, Stage, Verdict, VerdictBatch

if TYPE_CHECKING:
    from operators.detect import Answered


@dataclass(frozen=True, slots=True)
class CascadeSettings:
    """Which stages the cascade has.

    Attributes:
        difference: The difference detector; None to ask the reference detector on every frame.
        detect: How the reference detector is called.
    """

    difference: DifferenceSettings | None = field(default_factory=DifferenceSettings)
    detect: DetectSettings = field(default_factory=DetectSettings)


@dataclass(frozen=True, slots=True)
class LastAnswer:
    """The last answer that a stream's reference detector gave, which quiet frames copy.

    Attributes:
        sequence: The frame it was given for.
        answer: What was in it.
    """

    sequence: int
    answer: Detections


class Decide(KeyedLogic[AnsweredBatch, VerdictBatch, LastAnswer | None]):
    """Turns answers into verdicts; quiet frames copy the answer of the frame they point at.

    Args:
        resume: The state to go on from; None at a new start.
    """

    def __init__(self, resume: LastAnswer | None = None) -> None:
        self._last = resume

    @override
    def on_item(self, item: AnsweredBatch) -> VerdictBatch:
        """Decide the frames of one batch, in order."""
        return VerdictBatch(
            item.stream, tuple(self._decide(item.stream, frame) for frame in item.frames)
        )

    @override
    def snapshot(self) -> LastAnswer | None:
        """The state to go on from after a restart; it is never changed afterwards."""
        return self._last

    def _decide(self, stream: str, frame: Answered) -> Verdict:
        if frame.answer is not None:
            self._last = LastAnswer(frame.sequence, frame.answer)
            score = float(frame.answer.scores.max(initial=0.0))
            return Verdict(
                stream, frame.sequence, frame.time_ns, Stage.REFERENCE, score, frame.answer
            )
        last = self._last
        # The difference detector points at the last frame that fired, which was answered above.
        assert last is not None
        assert last.sequence == frame.copy_of
        return Verdict(
            stream,
            frame.sequence,
            frame.time_ns,
            Stage.DIFFERENCE,
            frame.difference,
            last.answer,
            copied_from=last.sequence,
        )


class Cascade:
    """The cascade of one stream, run in-process.

    Args:
        settings: Its stages.
        detector: The reference detector.
    """

    def __init__(self, settings: CascadeSettings, detector: Detector) -> None:
        self._screen = DifferenceDetector(settings.difference) if settings.difference else None
        self._detect = DetectLogic(detector, settings.detect)
        self._decide = Decide()

    def on_batch(self, batch: FrameBatch) -> VerdictBatch:
        """Decide the frames of one batch, in order."""
        screened = self._screen.on_item(batch) if self._screen else screen_nothing(batch)
        (answered,) = self._detect.on_batch([screened])
        return self._decide.on_item(answered)


@operator
def cascade(
    step_id: str,
    up: KeyedStream[FrameBatch],
    settings: CascadeSettings,
    detector: Detector,
) -> KeyedStream[VerdictBatch]:
    """Decide every frame of every stream; the streams share the reference detector."""
    if settings.difference is None:
        screened = op.map_value("pass", up, screen_nothing)
    else:
        screened = difference("difference", up, settings.difference)
    answered = detect("reference", screened, detector, settings.detect)
    return op.stateful_batch("decide", answered, lambda resume: Decide(resume).as_bytewax())
