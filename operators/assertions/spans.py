"""Spans: an object that is seen for a short time only.

The other of the two temporal assertions that Kang et al. (MLSys 2020, section 4) derive from an
identifier and a threshold: an object that appears for less than T seconds was never there. The
correction drops it. Whether it comes back is known only after a while, so it is told late.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, cast

from operators.assertions.sightings import (
    PlainSighting,
    Sightings,
    object_name,
    seconds_between,
)
from records import UNTRACKED, Correction, CorrectionKind, Finding, Place
from records.finding import DETECTIONS, MOST_PLACES
from records.units import NANOSECONDS

if TYPE_CHECKING:
    from operators.assertions.api import Check, Moment


class Glimpse(NamedTuple):
    """An object at one moment: sequence, event time in nanoseconds, and what was seen."""

    sequence: int
    time_ns: int
    sighting: PlainSighting


class Span(NamedTuple):
    """A short-lived object, from where it was seen first to where it was seen last.

    Attributes:
        glimpses: Where it was seen, oldest first.
    """

    glimpses: Sequence[Glimpse]

    @property
    def seconds(self) -> float:
        """The time between the first and the last sighting, seconds."""
        return seconds_between(self.glimpses[0].time_ns, self.glimpses[-1].time_ns)

    @property
    def mean_score(self) -> float:
        """The mean score, 0..1."""
        return sum(glimpse.sighting[3] for glimpse in self.glimpses) / len(self.glimpses)


SpanJudge = Callable[[Span], float]
"""Gives a span's severity; 0 abstains."""


@dataclass(frozen=True, slots=True)
class SpanRule:
    """How short spans are found.

    Attributes:
        name: The assertion's name.
        seconds: Only spans shorter than this count, seconds of event time.
        absent_seconds: An object that is not seen for this long will not come back.
        sightings: Gives what a moment shows.
        judge: Gives the severity.
        least_score: Objects of a lower score count as not seen, 0..1.
        output: The name of the output, for corrections.
    """

    name: str
    seconds: float
    absent_seconds: float
    sightings: Sightings
    judge: SpanJudge
    least_score: float = 0.0
    output: str = DETECTIONS

    @property
    def window_seconds(self) -> float:
        """How far back it looks, seconds: a short span and the wait behind it."""
        return self.seconds + self.absent_seconds

    def start(self, state: object = None) -> Check:
        """Begin on a stream, or go on from a snapshot."""
        return SpanCheck(self, cast("SpanState | None", state))


class Life(NamedTuple):
    """An object as a state keeps it.

    Attributes:
        last_ns: When it was seen last, event time in nanoseconds since 1970 UTC.
        glimpses: Where it was seen; None for an object that is no longer short-lived, or was there
            when the stream began.
    """

    last_ns: int
    glimpses: tuple[Glimpse, ...] | None


@dataclass(frozen=True, slots=True)
class SpanState:
    """What survives a restart.

    Attributes:
        lives: The objects that may still come.
        now_ns: Event time of the last moment; None before the first.
    """

    lives: dict[Hashable, Life] = field(default_factory=dict)
    now_ns: int | None = None


class _Life:
    """A `Life` that is changed in place, for it happens at every moment."""

    __slots__ = ("glimpses", "last_ns")

    def __init__(self, last_ns: int, glimpses: Sequence[Glimpse] | None) -> None:
        self.last_ns = last_ns
        self.glimpses = None if glimpses is None else list(glimpses)


class SpanCheck:
    """The spans of one stream.

    Args:
        rule: How short spans are found.
        state: The state to go on from; None at a new start.
    """

    def __init__(self, rule: SpanRule, state: SpanState | None = None) -> None:
        state = state or SpanState()
        self._rule = rule
        self._lives = {identifier: _Life(*life) for identifier, life in state.lives.items()}
        self._now = state.now_ns
        self._short_ns = round(rule.seconds * NANOSECONDS)
        self._absent_ns = round(rule.absent_seconds * NANOSECONDS)

    def observe(self, moment: Moment) -> list[Finding]:
        """The short spans of which this moment shows that they are over."""
        sightings = self._rule.sightings(moment)
        if sightings is None:
            return []
        sequence, time_ns = moment.sequence, moment.time_ns
        lives, least, shown = self._lives, self._rule.least_score, 0
        began = self._now is None or time_ns < self._now
        if began:
            lives.clear()  # what is there at the beginning may have been there for long
        self._now = time_ns
        for sighting in sightings:
            identifier, _, _, score, _ = sighting
            if score < least or identifier is None or identifier == UNTRACKED:
                continue
            shown += 1
            life = lives.get(identifier)
            if life is None:
                life = lives[identifier] = _Life(time_ns, None if began else ())
            life.last_ns = time_ns
            glimpses = life.glimpses
            if glimpses is not None:
                glimpses.append(Glimpse(sequence, time_ns, sighting))
                if time_ns - glimpses[0].time_ns >= self._short_ns or len(glimpses) > MOST_PLACES:
                    life.glimpses = None
        return self._over(moment) if len(lives) > shown else []

    def snapshot(self) -> SpanState:
        """A copy of the spans."""
        lives = {
            identifier: Life(life.last_ns, None if life.glimpses is None else tuple(life.glimpses))
            for identifier, life in self._lives.items()
        }
        return SpanState(lives, self._now)

    def _over(self, moment: Moment) -> list[Finding]:
        """End the objects that are not seen for long enough."""
        lives, before_ns = self._lives, moment.time_ns - self._absent_ns
        found = []
        for identifier in [key for key, life in lives.items() if life.last_ns <= before_ns]:
            glimpses = lives.pop(identifier).glimpses
            if glimpses is None:
                continue
            span = Span(glimpses)
            severity = self._rule.judge(span)
            if severity > 0:
                found.append(self._finding(moment, span, severity))
        return found

    def _finding(self, moment: Moment, span: Span, severity: float) -> Finding:
        identifier, label, _, _, track = span.glimpses[-1].sighting
        places = tuple(
            Place(sequence, time_ns, box, score)
            for sequence, time_ns, (_, _, box, score, _) in span.glimpses
        )
        return Finding(
            moment.stream,
            self._rule.name,
            moment.sequence,
            moment.time_ns,
            places[0].sequence,
            places[0].time_ns,
            severity,
            f"{label} was seen for {span.seconds:.2f} s only, {len(places)} times",
            object_name(identifier),
            correction=Correction(CorrectionKind.DROP, places, label, track, self._rule.output),
        )


def any_span(seconds: float) -> SpanJudge:
    """Judge every span: the shorter, the more severe, up to 1."""

    def judge(span: Span) -> float:
        return 1 - span.seconds / seconds

    return judge
