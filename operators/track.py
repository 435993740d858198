"""Tracks: which boxes of successive frames are one object.

ByteTrack (Zhang et al., ECCV 2022): boxes with high scores are matched to tracks first, boxes with
low scores then recover the tracks that are left. The implementation is that of the `trackers`
library, run on event time, so that skipped and unevenly spaced frames are right. Each class has a
tracker of its own, so that a car never turns into a person; track numbers are unique in a stream.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import bytewax.operators as op
import numpy as np
import supervision as sv
from bytewax.dataflow import operator
from bytewax.operators import KeyedStream
from trackers import ByteTrackTracker
from typing_extensions import override

from operators.keyed import KeyedLogic
from records import UNTRACKED, Detections, RecordError, VerdictBatch
from records.units import NANOSECONDS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from records import Verdict

BUFFER_RATE_HZ = 30.0
"""The rate at which the library counts its buffer of lost tracks."""


@dataclass(frozen=True, slots=True)
class TrackSettings:
    """How boxes become tracks.

    Attributes:
        start_score: A box needs this score to start a track, 0..1.
        high_score: Boxes from this score on are matched first, 0..1.
        overlap: A box needs this intersection over union with a track's predicted box, 0..1.
        confirm_frames: A track gets its number after this many frames in a row.
        lost_seconds: A track that is not seen for this long ends, seconds of event time.
        rate_hz: The usual rate of the stream, frames per second; the unit of the motion model.

    Raises:
        RecordError: a setting is out of its range.
    """

    start_score: float = 0.5
    high_score: float = 0.5
    overlap: float = 0.1
    confirm_frames: int = 2
    lost_seconds: float = 2.0
    rate_hz: float = 10.0

    def __post_init__(self) -> None:
        for name in ("start_score", "high_score", "overlap"):
            if not 0 <= getattr(self, name) <= 1:
                raise RecordError(f"{name} must be in 0..1, got {getattr(self, name)}")
        if self.confirm_frames < 1:
            raise RecordError(f"confirm_frames must be at least 1, got {self.confirm_frames}")
        for name in ("lost_seconds", "rate_hz"):
            if not 0 < getattr(self, name) < np.inf:
                raise RecordError(f"{name} must be above 0, got {getattr(self, name)}")


@dataclass(slots=True)
class TrackState:
    """What survives a restart.

    Attributes:
        trackers: One tracker for each class seen.
        numbers: The stream's track number of each living (class, tracker's own number).
        next_number: The track number that the next new track gets.
        start_ns: Event time of the first frame, nanoseconds; times are counted from it.
        last: The last tracked answer that was not a copy; None before the first.
        last_sequence: The frame it belongs to.
    """

    trackers: dict[str, ByteTrackTracker] = field(default_factory=dict)
    numbers: dict[tuple[str, int], int] = field(default_factory=dict)
    next_number: int = 1
    start_ns: int | None = None
    last: Detections | None = None
    last_sequence: int = -1


class Track(KeyedLogic[VerdictBatch, VerdictBatch, TrackState]):
    """The trackers of one stream.

    A copied answer keeps the tracks of the answer it copies: nothing new was seen, so the motion
    model is not told that objects stood still. An answer that has tracks already, say of a camera
    that tracks by itself, keeps them.

    Args:
        settings: How boxes become tracks.
        resume: The state to go on from; None at a new start.
    """

    def __init__(self, settings: TrackSettings, resume: TrackState | None = None) -> None:
        self._settings = settings
        self._state = copy.deepcopy(resume) if resume else TrackState()

    @override
    def on_item(self, item: VerdictBatch) -> VerdictBatch:
        """Give each box of a batch its track; order and number of boxes stay."""
        tracked = tuple(self._track(verdict) for verdict in item.verdicts)
        return replace(item, verdicts=tracked)

    @override
    def snapshot(self) -> TrackState:
        """A copy of the trackers."""
        return copy.deepcopy(self._state)

    def _track(self, verdict: Verdict) -> Verdict:
        if (verdict.answer.tracks != UNTRACKED).any():
            return verdict
        state = self._state
        copied = verdict.copied_from is not None and verdict.copied_from == state.last_sequence
        if copied and state.last is not None:
            return replace(verdict, answer=state.last)
        if state.start_ns is None:
            state.start_ns = verdict.time_ns
        seconds = (verdict.time_ns - state.start_ns) / NANOSECONDS
        answer = verdict.answer
        tracks = np.full(len(answer), UNTRACKED, dtype=np.int64)
        seen = answer.classes
        for name in sorted(set(seen) | set(state.trackers)):
            index = np.flatnonzero([one == name for one in seen])
            tracks[index] = self._track_class(name, answer.select(index), seconds)
        state.last = answer.with_tracks(tracks)
        state.last_sequence = verdict.sequence
        return replace(verdict, answer=state.last)

    def _track_class(self, name: str, boxes: Detections, seconds: float) -> NDArray[np.int64]:
        tracker = self._state.trackers.get(name)
        if tracker is None:
            tracker = self._state.trackers[name] = self._new_tracker()
        found = tracker.update(
            sv.Detections(
                # Copies, since the library keeps the arrays it is given.
                xyxy=boxes.boxes.astype(np.float64),
                confidence=boxes.scores.astype(np.float64),
                data={"index": np.arange(len(boxes))},
            ),
            timestamp=seconds,
        )
        tracks = np.full(len(boxes), UNTRACKED, dtype=np.int64)
        if found.tracker_id is not None and len(found):
            numbers = [self._number(name, int(own)) for own in found.tracker_id]
            tracks[np.asarray(found.data["index"], dtype=np.int64)] = numbers
        self._forget_ended(name, tracker)
        return tracks

    def _number(self, name: str, own: int) -> int:
        if own == UNTRACKED:
            return UNTRACKED
        state = self._state
        if (name, own) not in state.numbers:
            state.numbers[name, own] = state.next_number
            state.next_number += 1
        return state.numbers[name, own]

    def _forget_ended(self, name: str, tracker: ByteTrackTracker) -> None:
        alive = {tracklet.tracker_id for tracklet in tracker.tracks}
        numbers = self._state.numbers
        for key in [key for key in numbers if key[0] == name and key[1] not in alive]:
            del numbers[key]

    def _new_tracker(self) -> ByteTrackTracker:
        settings = self._settings
        return ByteTrackTracker(
            lost_track_buffer=round(settings.lost_seconds * BUFFER_RATE_HZ),
            frame_rate=settings.rate_hz,
            track_activation_threshold=settings.start_score,
            minimum_consecutive_frames=settings.confirm_frames,
            minimum_iou_threshold=settings.overlap,
            high_conf_det_threshold=settings.high_score,
        )


@operator
def track(
    step_id: str, up: KeyedStream[VerdictBatch], settings: TrackSettings
) -> KeyedStream[VerdictBatch]:
    """Give the boxes of each stream their tracks."""
    return op.stateful_batch("track", up, lambda resume: Track(settings, resume).as_bytewax())
