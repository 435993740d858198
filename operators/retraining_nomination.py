"""Nomination: the frames that are worth a label, found while they go by.

A frame is nominated by a finding that concerns it, by the audit when it shows that the cascade was
wrong, or by the draw of the random share. Findings come after the frames that they concern, so
frames wait for them, and leave as one item each with all that was found. No pixels pass through
here: whoever keeps the pictures of the last seconds adds them to what is nominated.

The corrections of assertions make weak labels: the model's answer, corrected (Kang et al., MLSys
2020, section 4.2).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeVar

import bytewax.operators as op
from bytewax.dataflow import operator
from bytewax.operators import KeyedStream
from typing_extensions import override

from operators.assertions.monitor import Monitored
from operators.keyed import KeyedLogic
from operators.retraining_held import (
    HeldFrame,
    Note,
    concerned_box,
    held_frames,
    item_of,
    notes_of,
)
from operators.retraining_settings import Dropped, Nominations, NominationSettings
from operators.retraining_share import RandomShare, ShareState
from records import ClassificationBatch, Finding, VerdictBatch
from records.units import NANOSECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MOST_EPISODES = 1000
"""The most open episodes of one stream that are told apart; beyond it the oldest is forgotten."""

Answers = TypeVar("Answers", VerdictBatch, ClassificationBatch)
"""What the models say of frames, or of windows of a signal."""

Watched = VerdictBatch | ClassificationBatch | Monitored
"""What nominations follow from."""


@dataclass(frozen=True, slots=True)
class NominationState:
    """What survives a restart.

    Attributes:
        held: The frames that wait, in order.
        notes: What findings say of frames that have not left, by sequence.
        episodes: The name and the last event time of each open episode, by assertion and object.
        reached: Sequence and event time of the last moment that the assertions looked at; None
            before the first.
        ended: Whether the stream ended there.
        left: Sequence and event time of the last frame that left; -1 before the first.
        share: Of the random share; None before the first frame.
        stream: The stream's name; empty before the first item.
    """

    held: tuple[HeldFrame, ...] = ()
    notes: Mapping[int, tuple[Note, ...]] = field(default_factory=dict)
    episodes: Mapping[tuple[str, str], tuple[str, int]] = field(default_factory=dict)
    reached: tuple[int, int] | None = None
    ended: bool = False
    left: tuple[int, int] = (-1, 0)
    share: ShareState | None = None
    stream: str = ""


class Nomination(KeyedLogic[Watched, Nominations, NominationState]):
    """The nominations of one stream.

    Args:
        settings: Which frames are nominated.
        resume: The state to go on from; None at a new start.
    """

    def __init__(self, settings: NominationSettings, resume: NominationState | None = None) -> None:
        state = resume or NominationState()
        self._settings = settings
        self._held = deque(state.held)
        self._notes, self._episodes = dict(state.notes), dict(state.episodes)
        self._reached, self._ended, self._left = state.reached, state.ended, state.left
        self._stream, self._share_state = state.stream, state.share
        self._share: RandomShare | None = None
        self._late = 0

    @override
    def on_item(self, item: Watched) -> Nominations | None:
        """Take frames or findings; the items that follow, None when there is nothing to tell."""
        self._stream = item.stream
        if isinstance(item, Monitored):
            self._reached, self._ended = item.reached, item.ended
            for finding in item.findings:
                if finding.assertion not in self._settings.ignored:
                    self._take(finding)
        else:
            self._hold(item)
        return self._release(self._done)

    @override
    def flush(self) -> Nominations | None:
        """Nothing more will be found: the frames that wait leave."""
        return self._release(lambda _: True)

    @override
    def snapshot(self) -> NominationState:
        """What waits, and what was found."""
        return NominationState(
            tuple(self._held),
            dict(self._notes),
            dict(self._episodes),
            self._reached,
            self._ended,
            self._left,
            self._share_state if self._share is None else self._share.snapshot(),
            self._stream,
        )

    def _hold(self, item: VerdictBatch | ClassificationBatch) -> None:
        frames = held_frames(item)
        if self._share is None:
            self._share = RandomShare(self._settings, item.stream, self._share_state)
        self._held.extend(
            replace(frame, chance=chance) if chance else frame
            for frame, chance in zip(frames, self._share.chances(frames), strict=True)
        )

    def _take(self, finding: Finding) -> None:
        """Note what a finding says of the frames that it concerns."""
        episode = self._episode(finding)
        for sequence, note in notes_of(finding, episode, self._settings.most_places):
            if sequence <= self._left[0]:
                self._late += 1
            else:
                self._notes[sequence] = (*self._notes.get(sequence, ()), note)

    def _episode(self, finding: Finding) -> str:
        key = (finding.assertion, finding.object)
        name, last_ns = self._episodes.pop(key, ("", 0))
        quiet_ns = self._settings.clear_seconds * NANOSECONDS
        if not name or finding.time_ns - last_ns >= quiet_ns:
            concerned = f"{finding.object}:" if finding.object else ""
            name = f"{finding.stream}:{finding.assertion}:{concerned}{finding.sequence}"
        self._episodes[key] = (name, finding.time_ns)
        if len(self._episodes) > MOST_EPISODES:
            del self._episodes[next(iter(self._episodes))]
        return name

    def _release(self, done: Callable[[HeldFrame], bool]) -> Nominations | None:
        """Let frames leave, in order, as long as they are done; what follows from that."""
        held, items, boxes, before = self._held, [], {}, self._left
        while held and (len(held) > self._settings.most_held or done(held[0])):
            frame = held.popleft()
            self._left = max(self._left, (frame.sequence, frame.time_ns))
            notes = self._notes.pop(frame.sequence, ())
            item = item_of(self._stream, frame, notes, self._settings)
            if item is not None:
                items.append(item)
            box = concerned_box(frame, notes)
            if box is not None:
                boxes[frame.sequence] = box
        # What is left of those that left was for frames that never came.
        for sequence in [one for one in self._notes if one <= self._left[0]]:
            del self._notes[sequence]
            self._late += 1
        late, self._late = self._late, 0
        if not late and self._left == before:
            return None
        dropped = {Dropped.LATE: late} if late else {}
        left = None if self._left[0] < 0 else self._left
        return Nominations(self._stream, tuple(items), dropped, left, boxes)

    def _done(self, frame: HeldFrame) -> bool:
        """Whether the assertions have looked far enough past a frame."""
        if self._settings.hold_seconds == 0:
            return True
        if self._reached is None:
            return False
        sequence, time_ns = self._reached
        if sequence > frame.sequence and time_ns < frame.time_ns:
            return True  # the clock was set back: how long it has waited cannot be known
        waited = time_ns - frame.time_ns >= self._settings.hold_seconds * NANOSECONDS
        return sequence >= frame.sequence and (self._ended or waited)


@operator
def nominate(
    step_id: str,
    answers: KeyedStream[Answers],
    monitored: KeyedStream[Monitored],
    settings: NominationSettings,
) -> KeyedStream[Nominations]:
    """Nominate frames of each stream for the retraining queue.

    Args:
        step_id: Unique.
        answers: The verdicts or classifications, the same that the assertions look at.
        monitored: What the assertions found, calibrated if priorities are to be probabilities.
        settings: Which frames are nominated.
    """
    both: KeyedStream[Watched] = op.merge("both", answers, monitored)
    return op.stateful_batch(
        "nominate", both, lambda resume: Nomination(settings, resume).as_bytewax()
    )
