"""Live limit queries: the first frames of a stream for which a predicate holds, a gap apart.

Frames are verified as they come, under a budget of calls (see `operators.live_selection`), until as
many as wanted were found. Every frame that is returned was verified by the reference.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import bytewax.operators as op
import numpy as np
from bytewax.dataflow import operator
from bytewax.operators import KeyedStream
from typing_extensions import override

from operators.counting import proxy_counts
from operators.keyed import KeyedLogic
from operators.live_selection import Selection, SelectionSettings, SelectionState
from operators.pixels import LARGEST_BATCH, decoded
from operators.route import top_score
from records import Detections, Detector, FrameBatch, RecordError, Scorer, Stage, Verdict
from records.units import NANOSECONDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from records import Frame

Holds = Callable[[Detections], bool]
"""Whether the predicate holds for an answer."""


@dataclass(frozen=True, slots=True)
class LiveLimitSettings:
    """What is searched for in each stream, and at what cost.

    Attributes:
        limit: How many frames are wanted.
        selection: How calls are spent.
        gap_frames: How far apart found frames must be, frames.
        gap_seconds: How far apart they must be, seconds of event time; both must be kept.
        batch: The most frames in one call of the reference, each at full size.
        score_batch: The most frames in one call of the specialised model.

    Raises:
        RecordError: a setting is out of its range.
    """

    limit: int
    selection: SelectionSettings
    gap_frames: int = 0
    gap_seconds: float = 0.0
    batch: int = 8
    score_batch: int = 64

    def __post_init__(self) -> None:
        if self.limit < 1:
            raise RecordError(f"limit must be at least 1 frame, got {self.limit}")
        if self.gap_frames < 0:
            raise RecordError(f"gap_frames must be at least 0, got {self.gap_frames}")
        if not 0 <= self.gap_seconds < np.inf:
            raise RecordError(f"gap_seconds must be at least 0 and finite, got {self.gap_seconds}")
        for name in ("batch", "score_batch"):
            if not 1 <= getattr(self, name) <= LARGEST_BATCH:
                raise RecordError(
                    f"{name} must be in 1..{LARGEST_BATCH} frames, got {getattr(self, name)}"
                )


@dataclass(frozen=True, slots=True)
class LiveModels:
    """The models of a live limit query, and its predicate.

    Attributes:
        holds: Whether the predicate holds for an answer.
        reference: The reference detector.
        scorer: A specialised model, whose score is how sure it is that the predicate holds; None
            for none.
    """

    holds: Holds
    reference: Detector
    scorer: Scorer | None = None


@dataclass(frozen=True, slots=True)
class LiveFound:
    """What a batch of frames brought.

    Attributes:
        stream: The stream's name.
        verdicts: The frames that were found, verified by the reference.
        found: How many were found so far.
        calls: Reference calls so far.
        unanswered: Frames so far that were to be verified, but could not be decoded.
        done: Whether as many as wanted were found.
    """

    stream: str
    verdicts: tuple[Verdict, ...]
    found: int
    calls: int
    unanswered: int
    done: bool


@dataclass(frozen=True, slots=True)
class LiveLimitState:
    """All that survives a restart; plain values.

    Attributes:
        selection: The state of the selection.
        found: Frames found so far.
        calls: Reference calls so far.
        unanswered: Frames so far that could not be decoded.
        last_sequence: The last frame that was found; None before the first.
        last_ns: Its event time, nanoseconds.
    """

    selection: SelectionState | None = None
    found: int = 0
    calls: int = 0
    unanswered: int = 0
    last_sequence: int | None = None
    last_ns: int = 0


class LiveLimit(KeyedLogic[FrameBatch, LiveFound, LiveLimitState]):
    """The search in one stream.

    Args:
        settings: What is searched for.
        models: Its models and predicate.
        resume: The state to go on from; None at a new start.
    """

    def __init__(
        self,
        settings: LiveLimitSettings,
        models: LiveModels,
        resume: LiveLimitState | None = None,
    ) -> None:
        self._settings = settings
        self._models = models
        self._state = resume or LiveLimitState()
        self._selection: Selection | None = None

    @override
    def on_item(self, item: FrameBatch) -> LiveFound | None:
        """Search the frames of one batch; None where nothing was found, and nothing failed."""
        if self._state.found >= self._settings.limit:
            return None
        if self._selection is None:
            settings, resume = self._settings.selection, self._state.selection
            self._selection = Selection(settings, item.stream, resume)
        frames = [frame for frame in item.frames if self._apart(frame)]
        times = np.array([frame.time_ns for frame in frames], dtype=np.int64)
        chosen = self._selection.choose(times, self._scores(frames))
        verdicts: list[Verdict] = []
        unanswered = self._state.unanswered
        for start in range(0, len(chosen), self._settings.batch):
            part = chosen[start : start + self._settings.batch]
            verdicts += self._verify([(frames[place], arm) for place, arm in part], self._selection)
        state = self._state
        if not verdicts and state.unanswered == unanswered:
            return None
        return LiveFound(
            item.stream,
            tuple(verdicts),
            state.found,
            state.calls,
            state.unanswered,
            done=state.found >= self._settings.limit,
        )

    @override
    def snapshot(self) -> LiveLimitState:
        """The state to go on from; never changed afterwards."""
        if self._selection is None:
            return self._state
        return replace(self._state, selection=self._selection.snapshot())

    def _apart(self, frame: Frame) -> bool:
        """Whether a frame is at least the gap from the last that was found."""
        state, settings = self._state, self._settings
        if state.last_sequence is None:
            return True
        gap_ns = round(settings.gap_seconds * NANOSECONDS)
        return (
            frame.sequence >= state.last_sequence + max(settings.gap_frames, 1)
            and frame.time_ns >= state.last_ns + gap_ns
        )

    def _scores(self, frames: Sequence[Frame]) -> NDArray[np.float64]:
        """The specialised model's score of each frame; NaN where there is none."""
        if self._models.scorer is None:
            return np.full(len(frames), np.nan)
        numbers = proxy_counts(frames, {0: self._models.scorer}, 1, self._settings.score_batch)
        return numbers[:, 0]

    def _verify(self, chosen: Sequence[tuple[Frame, int]], selection: Selection) -> list[Verdict]:
        """Let the reference verify frames; those that are found."""
        frames = [
            (frame, arm)
            for frame, arm in chosen
            if self._apart(frame) and self._state.found < self._settings.limit
        ]
        ready, images = decoded([frame for frame, _ in frames], None)
        selection.give_back(len(chosen) - len(ready))
        state = self._state
        self._state = replace(
            state,
            calls=state.calls + len(ready),
            unanswered=state.unanswered + len(frames) - len(ready),
        )
        answers = self._models.reference.detect(images) if images else []
        verdicts = []
        for place, answer in zip(ready, answers, strict=True):
            frame, arm = frames[place]
            holds = self._models.holds(answer)
            selection.learn(arm, holds=holds)
            if holds and self._apart(frame) and self._state.found < self._settings.limit:
                verdicts.append(self._found(frame, answer))
        return verdicts

    def _found(self, frame: Frame, answer: Detections) -> Verdict:
        self._state = replace(
            self._state,
            found=self._state.found + 1,
            last_sequence=frame.sequence,
            last_ns=frame.time_ns,
        )
        return Verdict(
            stream=frame.stream,
            sequence=frame.sequence,
            time_ns=frame.time_ns,
            stage=Stage.REFERENCE,
            score=top_score(answer),
            answer=answer,
            positive=True,
        )


@operator
def live_limit(
    step_id: str, up: KeyedStream[FrameBatch], settings: LiveLimitSettings, models: LiveModels
) -> KeyedStream[LiveFound]:
    """Search each stream; its share of the output ends when as many as wanted were found."""
    return op.stateful_batch(
        "search", up, lambda resume: LiveLimit(settings, models, resume).as_bytewax()
    )
