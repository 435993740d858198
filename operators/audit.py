"""The audit: a small random share of frames always goes to the reference.

It tells live what recall and precision the cascade has, and raises an alarm when they are below
what the contract promises.

Sampling. Event time is cut into cells; each cell draws one instant, uniform, from a hash of seed,
stream and cell alone, so that nothing needs to be stored and a restart draws the same. The first
frame at or after an instant is audited. A frame is so drawn with a probability of the time since
the frame before it over the cell's length, whatever is in it: at a steady frame rate all frames
are equally likely.

The estimates and the alarm are in `operators.audit_statistics`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from enum import StrEnum
from hashlib import blake2b

from operators.audit_statistics import SideState, confidence_sequence, learn
from records import RecordError
from records.checks import check_count, check_name, check_time
from records.units import NANOSECONDS

MOST_RECENT = 100_000
"""The longest window of recent observations."""

HASH_BYTES = 8
"""Bytes of the hash that an instant is drawn from."""


class Side(StrEnum):
    """A side of the contract."""

    RECALL = "recall"
    PRECISION = "precision"


@dataclass(frozen=True, slots=True)
class AuditSettings:
    """How the audit draws and judges.

    Attributes:
        target_recall: The recall that the contract promises, 0..1 exclusive.
        target_precision: The precision that it promises, 0..1 exclusive.
        cell_seconds: Length of a cell of event time, seconds; one audited frame each.
        false_alarm: The most that the probability of ever raising a false alarm may be.
        confidence: Of each side's interval, 0..1 exclusive.
        recent: How many of the last observations of a side the recent share covers.
        seed: Of the instants drawn.

    Raises:
        RecordError: a setting is out of its range.
    """

    target_recall: float
    target_precision: float
    cell_seconds: float = 10.0
    false_alarm: float = 0.05
    confidence: float = 0.95
    recent: int = 200
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("target_recall", "target_precision", "false_alarm", "confidence"):
            if not 0 < getattr(self, name) < 1:
                raise RecordError(f"{name} must be between 0 and 1, got {getattr(self, name)}")
        if not 1 / NANOSECONDS <= self.cell_seconds < math.inf:
            raise RecordError(
                f"cell_seconds must be finite and at least 1e-09, got {self.cell_seconds}"
            )
        if not 1 <= self.recent <= MOST_RECENT:
            raise RecordError(f"recent must be in 1..{MOST_RECENT}, got {self.recent}")
        check_count("seed", self.seed)

    @property
    def cell_ns(self) -> int:
        """Length of a cell, nanoseconds."""
        return round(self.cell_seconds * NANOSECONDS)


@dataclass(frozen=True, slots=True)
class AuditState:
    """All that survives a restart; plain values.

    Attributes:
        epoch: The plan that is audited; a new one starts after each certification.
        last_ns: Event time of the last frame asked for, nanoseconds; None before the first.
        last_sequence: That frame's number.
        out_of_order: Frames that came again or late, and were not drawn.
        observed: Audited frames observed in this epoch.
        recall: The side of recall.
        precision: The side of precision.
        broken: The side that the alarm blames; None while the contract stands.
        broken_ns: Event time of the alarm, nanoseconds.
    """

    epoch: int = 0
    last_ns: int | None = None
    last_sequence: int = -1
    out_of_order: int = 0
    observed: int = 0
    recall: SideState = field(default_factory=SideState)
    precision: SideState = field(default_factory=SideState)
    broken: Side | None = None
    broken_ns: int | None = None


@dataclass(frozen=True, slots=True)
class LiveShare:
    """A live estimate of recall or precision.

    Attributes:
        value: Hits among the frames seen, 0..1; 1 before the first.
        low: Lower end of the confidence sequence.
        high: Upper end of the confidence sequence.
        seen: Audited frames that it rests on.
        recent: The share of the last frames, for people; 1 before the first.
        evidence: The e-value against the target.
    """

    value: float
    low: float
    high: float
    seen: int
    recent: float
    evidence: float


class Audit:
    """The audit of one stream.

    Args:
        settings: How it draws and judges.
        stream: The stream's name, so that streams draw independently.
        resume: The state to go on from; None at a new start.

    Raises:
        RecordError: `stream` is no valid name.

    >>> audit = Audit(AuditSettings(0.9, 0.9, cell_seconds=1), "gate")
    >>> sum(audit.wants(number * 10**8, sequence=number) for number in range(101))
    10
    >>> for number in range(60):
    ...     audit.observe(decided=number % 2 == 0, truth=True, time_ns=number)
    >>> audit.broken, audit.share(Side.PRECISION).value
    (<Side.RECALL: 'recall'>, 1.0)
    """

    def __init__(
        self, settings: AuditSettings, stream: str, resume: AuditState | None = None
    ) -> None:
        check_name("stream", stream)
        self._settings = settings
        self._stream = stream
        self._cell_ns = settings.cell_ns
        self._instants: dict[int, int] = {}
        self._state = resume or AuditState()

    @property
    def broken(self) -> Side | None:
        """The side of the contract that is broken; None while it stands."""
        return self._state.broken

    @property
    def observed(self) -> int:
        """Audited frames observed in this epoch."""
        return self._state.observed

    def wants(self, time_ns: int, sequence: int) -> bool:
        """Whether this frame must go to the reference whatever the cascade says.

        To be asked once for every frame, in order. A frame that comes again or late is counted
        and not drawn. The first frame of a stream is not drawn: the time before it is unknown.

        Raises:
            RecordError: `time_ns` or `sequence` is no event time or frame number.
        """
        check_time("time_ns", time_ns)
        check_count("sequence", sequence)
        state = self._state
        last_ns = state.last_ns
        if last_ns is not None and (time_ns <= last_ns or sequence <= state.last_sequence):
            self._state = replace(state, out_of_order=state.out_of_order + 1)
            return False
        self._state = replace(state, last_ns=time_ns, last_sequence=sequence)
        return last_ns is not None and self._drawn(last_ns, time_ns)

    def observe(self, *, decided: bool, truth: bool, time_ns: int) -> None:
        """Learn what the cascade would have said of an audited frame and what the reference said.

        After an alarm the estimates go on; the alarm stays until `reset`.

        Args:
            decided: The cascade's own answer, as if the frame had not been audited.
            truth: The reference's answer.
            time_ns: The frame's event time, nanoseconds.
        """
        state, settings = self._state, self._settings
        recall, precision = state.recall, state.precision
        if truth:
            recall = learn(recall, settings.target_recall, settings.recent, hit=decided)
        if decided:
            precision = learn(precision, settings.target_precision, settings.recent, hit=truth)
        observed = state.observed + 1
        self._state = replace(state, recall=recall, precision=precision, observed=observed)
        evidence = (recall.evidence + precision.evidence) / 2
        if state.broken is None and evidence >= 1 / settings.false_alarm:
            side = Side.RECALL if recall.evidence >= precision.evidence else Side.PRECISION
            self._state = replace(self._state, broken=side, broken_ns=time_ns)

    def share(self, side: Side) -> LiveShare:
        """The live estimate of one side since the epoch began."""
        state = self._state.recall if side is Side.RECALL else self._state.precision
        low, high = confidence_sequence(state.hits, state.seen, self._settings.confidence)
        return LiveShare(
            value=state.hits / state.seen if state.seen else 1.0,
            low=low,
            high=high,
            seen=state.seen,
            recent=sum(state.recent) / len(state.recent) if state.recent else 1.0,
            evidence=state.evidence,
        )

    def reset(self, epoch: int) -> None:
        """Start a new epoch after a certification: estimates, evidence and alarm start anew.

        Raises:
            RecordError: `epoch` is not after the present one.
        """
        check_count("epoch", epoch)
        if epoch <= self._state.epoch:
            raise RecordError(f"epoch must be above {self._state.epoch}, got {epoch}")
        state = self._state
        self._state = AuditState(epoch, state.last_ns, state.last_sequence, state.out_of_order)

    def snapshot(self) -> AuditState:
        """The state to go on from after a restart."""
        return self._state

    def _drawn(self, after_ns: int, until_ns: int) -> bool:
        """Whether an instant lies after `after_ns` and not after `until_ns`."""
        first, last = after_ns // self._cell_ns, until_ns // self._cell_ns
        if last - first > 1:
            return True  # a whole cell went by, and every cell has an instant
        return any(after_ns < self._instant_ns(cell) <= until_ns for cell in range(first, last + 1))

    def _instant_ns(self, cell: int) -> int:
        """The instant of a cell; kept, since all frames of the cell are held against it."""
        if cell not in self._instants:
            instant = instant_ns(self._settings.seed, self._stream, cell, self._cell_ns)
            kept = {one: at for one, at in self._instants.items() if one == cell - 1}
            self._instants = {**kept, cell: instant}
        return self._instants[cell]


def instant_ns(seed: int, stream: str, cell: int, cell_ns: int) -> int:
    """The instant drawn in a cell, uniform in cell * cell_ns .. (cell + 1) * cell_ns - 1.

    A hash as a counter-based generator: the same arguments give the same instant for ever.

    >>> 30 <= instant_ns(0, "gate", cell=3, cell_ns=10) < 40
    True
    """
    key = f"{seed}:{cell}:{stream}".encode()
    drawn = int.from_bytes(blake2b(key, digest_size=HASH_BYTES).digest())
    return cell * cell_ns + (drawn * cell_ns >> 8 * HASH_BYTES)


def draw_probability(previous_ns: int, time_ns: int, cell_ns: int) -> float:
    """The probability that a frame is audited, given the event time of the frame before it.

    Its inverse is the frame's weight in an unbiased estimate (Horvitz & Thompson, JASA 1952).

    >>> draw_probability(0, 10, cell_ns=100)
    0.1
    """
    first, last = previous_ns // cell_ns, time_ns // cell_ns
    if last - first > 1:
        return 1.0
    if first == last:
        return (time_ns - previous_ns) / cell_ns
    # The instants of the two cells are independent. Instants are whole nanoseconds.
    before = ((first + 1) * cell_ns - 1 - previous_ns) / cell_ns
    within = (time_ns - last * cell_ns + 1) / cell_ns
    return 1 - (1 - before) * (1 - within)
