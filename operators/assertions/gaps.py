"""Gaps: an object that is gone for a short time, and how its absence is filled.

One of the two temporal assertions that Kang et al. (MLSys 2020, section 4) derive from an
identifier and a threshold: an object that vanishes and comes back within T seconds was there all
the time. The correction interpolates its box linearly; outputs without boxes keep its label.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, cast

from operators.assertions.sightings import (
    PlainSighting,
    Seen,
    Sighting,
    Sightings,
    between,
    object_name,
    seconds_between,
)
from records import UNTRACKED, Correction, CorrectionKind, Finding, Place
from records.finding import DETECTIONS, MOST_PLACES
from records.units import NANOSECONDS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from operators.assertions.api import Check, Moment

SURENESS_SIGHTINGS = 10
"""About how many sightings the mean score of an object reaches back."""


class Absence(NamedTuple):
    """A moment that showed other objects, or none.

    Attributes:
        sequence: The moment's number in its stream.
        time_ns: Its event time, nanoseconds since 1970 UTC.
        others: What it showed.
    """

    sequence: int
    time_ns: int
    others: Sequence[PlainSighting]


class Gap(NamedTuple):
    """An object that was seen, then not, then again.

    Attributes:
        before: Where it was seen last.
        after: Where it is seen again.
        absences: The moments between, at least one.
    """

    before: Seen
    after: Seen
    absences: Sequence[Absence]

    @property
    def seconds(self) -> float:
        """The time between the two sightings, seconds."""
        return seconds_between(self.before.time_ns, self.after.time_ns)

    def places(self) -> Iterator[tuple[Absence, Place]]:
        """Each absence, with the place where the object should have been: on a straight line."""
        span = self.after.time_ns - self.before.time_ns
        first, last = self.before.sighting, self.after.sighting
        for absence in self.absences:
            share = (absence.time_ns - self.before.time_ns) / span
            box = None
            if first.box is not None and last.box is not None:
                box = between(first.box, last.box, share)
            score = min(max(first.score + (last.score - first.score) * share, 0.0), 1.0)
            yield absence, Place(absence.sequence, absence.time_ns, box, score)


GapJudge = Callable[[Gap], tuple[float, list[Place]]]
"""Gives a gap's severity and the places to fill; a severity of 0, or no place, abstains."""


@dataclass(frozen=True, slots=True)
class GapRule:
    """How gaps are found.

    Attributes:
        name: The assertion's name.
        window_seconds: Only gaps shorter than this count, seconds of event time.
        sightings: Gives what a moment shows.
        judge: Gives the severity and the places to fill.
        least_score: Objects of a lower score count as not seen, 0..1.
        output: The name of the output, for corrections.
    """

    name: str
    window_seconds: float
    sightings: Sightings
    judge: GapJudge
    least_score: float = 0.0
    output: str = DETECTIONS

    def start(self, state: object = None) -> Check:
        """Begin on a stream, or go on from a snapshot."""
        return GapCheck(self, cast("GapState | None", state))


@dataclass(frozen=True, slots=True)
class GapState:
    """What survives a restart.

    Attributes:
        last: Where each object was seen last.
        recent: The moments of the window, oldest first.
    """

    last: dict[Hashable, Seen] = field(default_factory=dict)
    recent: tuple[Absence, ...] = ()


class _Known:
    """Where an object was seen last; changed in place, for it happens at every moment."""

    __slots__ = ("sequence", "sighting", "sureness", "time_ns")

    def __init__(
        self, sequence: int, time_ns: int, sighting: PlainSighting, sureness: float
    ) -> None:
        self.sequence, self.time_ns = sequence, time_ns
        self.sighting, self.sureness = sighting, sureness

    def seen(self) -> Seen:
        """A copy that stays."""
        return Seen(self.sequence, self.time_ns, Sighting(*self.sighting), self.sureness)


class GapCheck:
    """The gaps of one stream.

    Args:
        rule: How gaps are found.
        state: The state to go on from; None at a new start.
    """

    def __init__(self, rule: GapRule, state: GapState | None = None) -> None:
        state = state or GapState()
        self._rule = rule
        self._last = {identifier: _Known(*seen) for identifier, seen in state.last.items()}
        self._recent = deque(state.recent, maxlen=MOST_PLACES)
        self._reach_ns = round(rule.window_seconds * NANOSECONDS)
        self._sweep_ns = 0

    def observe(self, moment: Moment) -> list[Finding]:
        """The gaps that end at this moment."""
        sightings = self._rule.sightings(moment)
        if sightings is None:
            return []
        sequence, time_ns = moment.sequence, moment.time_ns
        last, recent, least = self._last, self._recent, self._rule.least_score
        if recent and time_ns <= recent[-1].time_ns:
            last.clear()  # the clock was set back: times before and after have no order
            recent.clear()
        newest = recent[-1].sequence if recent else sequence
        found: list[Finding] = []
        for sighting in sightings:
            identifier, _, _, score, _ = sighting
            if score < least or identifier is None or identifier == UNTRACKED:
                continue
            known = last.get(identifier)
            if known is None or time_ns - known.time_ns >= self._reach_ns:
                last[identifier] = _Known(sequence, time_ns, sighting, score)
                continue
            before = known.seen() if known.sequence < newest else None
            known.sequence, known.time_ns, known.sighting = sequence, time_ns, sighting
            known.sureness += (score - known.sureness) / SURENESS_SIGHTINGS
            if before is not None:
                found += self._judged(moment, before, known.seen())
        recent.append(Absence(sequence, time_ns, sightings))
        self._forget(time_ns)
        return found

    def snapshot(self) -> GapState:
        """Where objects were last, and the recent moments."""
        last = {identifier: known.seen() for identifier, known in self._last.items()}
        return GapState(last, tuple(self._recent))

    def _forget(self, now_ns: int) -> None:
        """Let go of what is too old; objects now and then, since old ones are passed over."""
        before_ns = now_ns - self._reach_ns
        recent = self._recent
        while recent[0].time_ns <= before_ns:
            recent.popleft()
        if now_ns >= self._sweep_ns or self._sweep_ns - now_ns > self._reach_ns:
            self._sweep_ns = now_ns + self._reach_ns
            for identifier in [key for key, one in self._last.items() if one.time_ns <= before_ns]:
                del self._last[identifier]

    def _judged(self, moment: Moment, before: Seen, after: Seen) -> list[Finding]:
        absences = [each for each in self._recent if each.sequence > before.sequence]
        gap = Gap(before, after, absences)
        severity, places = self._rule.judge(gap)
        if severity <= 0 or not places:
            return []
        sighting = before.sighting
        kind = CorrectionKind.MODIFY if sighting.box is None else CorrectionKind.INTERPOLATE
        return [
            Finding(
                moment.stream,
                self._rule.name,
                moment.sequence,
                moment.time_ns,
                absences[0].sequence,
                absences[0].time_ns,
                severity,
                f"{sighting.label} was gone for {gap.seconds:.2f} s, missed {len(places)} times",
                object_name(sighting.identifier),
                correction=Correction(
                    kind, tuple(places), sighting.label, sighting.track, self._rule.output
                ),
            )
        ]


def any_gap(seconds: float) -> GapJudge:
    """Judge every gap: the shorter, the more severe, up to 1; every place is filled."""

    def judge(gap: Gap) -> tuple[float, list[Place]]:
        return 1 - gap.seconds / seconds, [place for _, place in gap.places()]

    return judge
