"""The reference detector: runs on the frames that the cheaper stages let pass, in batches.

Frames of several streams share a batch, so that one loaded model serves them all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import bytewax.operators as op
from bytewax.dataflow import operator
from bytewax.operators import KeyedStream

from operators.difference import Screened, ScreenedBatch
from records import Detections, Detector, RecordError

if TYPE_CHECKING:
    from collections.abc import Sequence

LARGEST_BATCH = 256
"""The most frames in one call of the detector."""


@dataclass(frozen=True, slots=True)
class DetectSettings:
    """How the reference detector is called.

    Attributes:
        batch: The most frames in one call. Each is held at full size during the call.

    Raises:
        RecordError: a setting is out of its range.
    """

    batch: int = 8

    def __post_init__(self) -> None:
        if not 1 <= self.batch <= LARGEST_BATCH:
            raise RecordError(f"batch must be in 1..{LARGEST_BATCH} frames, got {self.batch}")


@dataclass(frozen=True, slots=True)
class Answered:
    """A frame after the reference detector; its pixels are let go.

    Attributes:
        sequence: The frame's number in the stream.
        time_ns: Its event time, nanoseconds since 1970 UTC.
        difference: The score of the difference detector, squared grey levels.
        copy_of: The sequence of the frame whose answer it takes; None when it has its own.
        answer: Its own answer; None when it takes another's.
    """

    sequence: int
    time_ns: int
    difference: float
    copy_of: int | None
    answer: Detections | None


@dataclass(frozen=True, slots=True)
class AnsweredBatch:
    """Consecutive frames of one stream after the reference detector.

    Attributes:
        stream: The stream's name.
        frames: In order of sequence.
    """

    stream: str
    frames: tuple[Answered, ...]


class DetectLogic:
    """Runs the detector on the frames that have no answer yet. Holds no state.

    Args:
        detector: The reference detector.
        settings: How it is called.
    """

    def __init__(self, detector: Detector, settings: DetectSettings) -> None:
        self._detector = detector
        self._settings = settings

    def on_batch(self, batches: Sequence[ScreenedBatch]) -> list[AnsweredBatch]:
        """Answer the frames of several batches, of any streams, with as few calls as possible."""
        survivors = [
            screened for batch in batches for screened in batch.frames if screened.copy_of is None
        ]
        answers = iter(self._detect(survivors))
        return [
            AnsweredBatch(
                batch.stream,
                tuple(
                    Answered(
                        screened.frame.sequence,
                        screened.frame.time_ns,
                        screened.score,
                        screened.copy_of,
                        next(answers) if screened.copy_of is None else None,
                    )
                    for screened in batch.frames
                ),
            )
            for batch in batches
        ]

    def _detect(self, survivors: list[Screened]) -> list[Detections]:
        answers: list[Detections] = []
        for start in range(0, len(survivors), self._settings.batch):
            chunk = survivors[start : start + self._settings.batch]
            answers += self._detector.detect([screened.frame.pixels.rgb() for screened in chunk])
        return answers


@operator
def detect(
    step_id: str,
    up: KeyedStream[ScreenedBatch],
    detector: Detector,
    settings: DetectSettings,
) -> KeyedStream[AnsweredBatch]:
    """Run the reference detector on the frames that the difference detector let pass."""
    logic = DetectLogic(detector, settings)

    def answer(items: list[tuple[str, ScreenedBatch]]) -> list[tuple[str, AnsweredBatch]]:
        return [(batch.stream, batch) for batch in logic.on_batch([batch for _, batch in items])]

    return op.flat_map_batch("detect", up, answer)
