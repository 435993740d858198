"""The corrector: verdicts wait for what assertions say of them, and leave corrected.

Findings come after the frames that they correct, so verdicts are held back for some event time.
What counts is how far the assertions have looked, not which verdicts have come, so the order in
which verdicts and findings arrive changes nothing. Verdicts leave once each, in their order.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import bytewax.operators as op
from bytewax.dataflow import operator
from bytewax.operators import KeyedStream
from typing_extensions import override

from operators.assertions.apply import apply_correction
from operators.assertions.monitor import Monitored
from operators.keyed import KeyedLogic
from records import Correction, Estimate, EventKind, Place, RecordError, StreamEvent, VerdictBatch
from records.finding import DETECTIONS
from records.units import NANOSECONDS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from records import Finding, Verdict

TOO_LATE = "correction_too_late"
"""The reason of an event: corrections came for verdicts that had left."""


@dataclass(frozen=True, slots=True)
class CorrectorSettings:
    """Which corrections are applied.

    Attributes:
        least_right: For each assertion whose corrections are applied, the least probability that
            its correction is right, 0..1. At 0 corrections are applied without calibration too.
        hold_seconds: How long verdicts wait, seconds of event time; at least the longest window of
            these assertions.
        most_held: The most verdicts of one stream that wait; the oldest then waits no more.

    Raises:
        RecordError: a setting is out of its range.
    """

    least_right: Mapping[str, float]
    hold_seconds: float = 3.0
    most_held: int = 10_000

    def __post_init__(self) -> None:
        for name, least in self.least_right.items():
            if not 0 <= least <= 1:
                raise RecordError(f"least_right of {name} must be in 0..1, got {least}")
        if not 0 <= self.hold_seconds < math.inf:
            raise RecordError(f"hold_seconds must be at least 0, got {self.hold_seconds}")
        if self.most_held < 1:
            raise RecordError(f"most_held must be at least 1, got {self.most_held}")

    def applies(self, finding: Finding) -> bool:
        """Whether the correction of a finding is applied."""
        least = self.least_right.get(finding.assertion)
        correction = finding.correction
        if least is None or correction is None or correction.output != DETECTIONS:
            return False
        return least == 0 or (finding.correction_right or 0.0) >= least


@dataclass(frozen=True, slots=True)
class Pending:
    """One change of one frame.

    Attributes:
        assertion: The assertion that asks for it.
        correction: What is done.
        place: The place of the correction that is this frame.
    """

    assertion: str
    correction: Correction
    place: Place


@dataclass(frozen=True, slots=True)
class CorrectorState:
    """What survives a restart.

    Attributes:
        held: The verdicts that wait, in order.
        pending: The changes of each frame, by sequence.
        reached: Sequence and event time of the last moment that the assertions looked at; None
            before the first.
        ended: Whether the stream ended there.
        left: The sequence of the last verdict that left; -1 before the first.
    """

    held: tuple[Verdict, ...] = ()
    pending: Mapping[int, tuple[Pending, ...]] = field(default_factory=dict)
    reached: tuple[int, int] | None = None
    ended: bool = False
    left: int = -1


class Corrector(KeyedLogic[VerdictBatch | Monitored, VerdictBatch, CorrectorState]):
    """The verdicts of one stream on their way past the assertions.

    Args:
        settings: Which corrections are applied.
        resume: The state to go on from; None at a new start.
    """

    def __init__(self, settings: CorrectorSettings, resume: CorrectorState | None = None) -> None:
        state = resume or CorrectorState()
        self._settings = settings
        self._held = deque(state.held)
        self._pending = dict(state.pending)
        self._reached, self._ended = state.reached, state.ended
        self._left = state.left
        self._hold_ns = round(settings.hold_seconds * NANOSECONDS)

    @override
    def on_item(self, item: VerdictBatch | Monitored) -> VerdictBatch | None:
        """Take verdicts or findings; the verdicts that wait no more, None for none."""
        reports: tuple[Estimate | StreamEvent, ...]
        if isinstance(item, VerdictBatch):
            self._held.extend(item.verdicts)
            reports = item.reports
        else:
            reports = self._take(item)
        left = self._release(everything=False)
        return VerdictBatch(item.stream, left, reports) if left or reports else None

    @override
    def snapshot(self) -> CorrectorState:
        """What waits, and what is to be done to it."""
        return CorrectorState(
            tuple(self._held), dict(self._pending), self._reached, self._ended, self._left
        )

    @override
    def flush(self) -> VerdictBatch | None:
        """Let all verdicts go: no finding will come any more."""
        left = self._release(everything=True)
        return VerdictBatch(left[0].stream, left) if left else None

    def _take(self, item: Monitored) -> tuple[StreamEvent, ...]:
        """Note what is to be done, and how far the assertions have looked."""
        self._reached, self._ended = item.reached, item.ended
        late = 0
        for finding in item.findings:
            correction = finding.correction
            if correction is None or not self._settings.applies(finding):
                continue
            for place in correction.places:
                if place.sequence <= self._left:
                    late += 1
                    continue
                change = Pending(finding.assertion, correction, place)
                self._pending[place.sequence] = (*self._pending.get(place.sequence, ()), change)
        if not late:
            return ()
        event = StreamEvent(item.stream, item.reached[1], EventKind.ASSERTION, late, TOO_LATE)
        return (event,)

    def _release(self, *, everything: bool) -> tuple[Verdict, ...]:
        held, left = self._held, []
        while held and (everything or len(held) > self._settings.most_held or self._done(held[0])):
            left.append(self._corrected(held.popleft()))
        # What is left of those that left was for frames that never came.
        for sequence in [one for one in self._pending if one <= self._left]:
            del self._pending[sequence]
        return tuple(left)

    def _done(self, verdict: Verdict) -> bool:
        """Whether the assertions have looked far enough past a verdict."""
        if self._reached is None:
            return False
        sequence, time_ns = self._reached
        if sequence > verdict.sequence and time_ns < verdict.time_ns:
            return True  # the clock was set back: how long it has waited cannot be known
        waited = self._ended or time_ns - verdict.time_ns >= self._hold_ns
        return sequence >= verdict.sequence and waited

    def _corrected(self, verdict: Verdict) -> Verdict:
        self._left = max(self._left, verdict.sequence)
        answer, by = verdict.answer, list(verdict.corrected)
        for change in self._pending.pop(verdict.sequence, ()):
            changed = apply_correction(answer, change.correction, change.place)
            if changed is not answer and change.assertion not in by:
                by.append(change.assertion)
            answer = changed
        if answer is verdict.answer:
            return verdict
        return replace(verdict, answer=answer, corrected=tuple(by))


@operator
def correct(
    step_id: str,
    verdicts: KeyedStream[VerdictBatch],
    monitored: KeyedStream[Monitored],
    settings: CorrectorSettings,
) -> KeyedStream[VerdictBatch]:
    """Correct the verdicts of each stream by what the assertions found in them.

    Args:
        step_id: Unique.
        verdicts: The verdicts, the same that the assertions look at.
        monitored: What the assertions found, calibrated if corrections ask for a probability.
        settings: Which corrections are applied.
    """
    both: KeyedStream[VerdictBatch | Monitored] = op.merge("both", verdicts, monitored)
    return op.stateful_batch(
        "correct", both, lambda resume: Corrector(settings, resume).as_bytewax()
    )
