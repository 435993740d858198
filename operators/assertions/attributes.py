"""Attributes: what one object is must not change from one moment to the next.

The attribute assertions that Kang et al. (MLSys 2020, section 4) derive from an identifier: within
a window all outputs of one identifier have the same attribute. An output that differs from the
majority of its window is told, and the correction gives it the attribute of the majority.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, cast

from operators.assertions.api import Moment
from operators.assertions.sightings import Sighting, object_name
from records import UNTRACKED, Correction, CorrectionKind, Finding, Place
from records.finding import DETECTIONS
from records.units import NANOSECONDS

if TYPE_CHECKING:
    from operators.assertions.api import Check

LEAST_SIGHTINGS = 3
"""Fewer sightings than this have no majority."""

MOST_SIGHTINGS = 1000
"""The most sightings of one object in a window."""

Attributed = Callable[[Moment], Iterable[tuple[Sighting, str]] | None]
"""Gives the objects that a moment shows, each with its attribute; None where there is no output."""


@dataclass(frozen=True, slots=True)
class AttributeRule:
    """How differing attributes are found.

    Attributes:
        name: The assertion's name.
        attribute: What the attribute is called, for people.
        window_seconds: The window, seconds of event time.
        attributed: Gives the objects with their attributes.
        is_class: Whether the attribute is the class of the output, so that it can be corrected.
        output: The name of the output, for corrections.
    """

    name: str
    attribute: str
    window_seconds: float
    attributed: Attributed
    is_class: bool = False
    output: str = DETECTIONS

    def start(self, state: object = None) -> Check:
        """Begin on a stream, or go on from a snapshot."""
        return AttributeCheck(self, cast("AttributeState | None", state))


class Attribute(NamedTuple):
    """An attribute, and when it was seen: event time in nanoseconds."""

    time_ns: int
    value: str


@dataclass(frozen=True, slots=True)
class AttributeState:
    """What survives a restart: each object's attributes in the window, the longest unseen first."""

    seen: dict[Hashable, tuple[Attribute, ...]] = field(default_factory=dict)


class AttributeCheck:
    """The attributes of one stream.

    Args:
        rule: How differing attributes are found.
        state: The state to go on from; None at a new start.
    """

    def __init__(self, rule: AttributeRule, state: AttributeState | None = None) -> None:
        seen = state.seen if state else {}
        self._rule = rule
        self._seen = {key: deque(values, MOST_SIGHTINGS) for key, values in seen.items()}
        self._window_ns = round(rule.window_seconds * NANOSECONDS)

    def observe(self, moment: Moment) -> list[Finding]:
        """A finding for each object whose attribute differs from its majority."""
        attributed = self._rule.attributed(moment)
        if attributed is None:
            return []
        time_ns, since_ns = moment.time_ns, moment.time_ns - self._window_ns
        found: list[Finding] = []
        for sighting, value in attributed:
            if sighting.identifier is None or sighting.identifier == UNTRACKED:
                continue
            values = self._seen.pop(sighting.identifier, None)
            if values is None or values[-1].time_ns > time_ns:
                values = deque(maxlen=MOST_SIGHTINGS)
            self._seen[sighting.identifier] = values
            values.append(Attribute(time_ns, value))
            while values[0].time_ns < since_ns:
                values.popleft()
            if len(values) < LEAST_SIGHTINGS:
                continue
            most, times = Counter(one.value for one in values).most_common(1)[0]
            if most != value and 2 * times > len(values):
                found.append(self._finding(moment, sighting, value, most, times / len(values)))
        self._forget(since_ns)
        return found

    def snapshot(self) -> AttributeState:
        """A copy of the attributes in the window."""
        return AttributeState({key: tuple(values) for key, values in self._seen.items()})

    def _forget(self, since_ns: int) -> None:
        seen = self._seen
        while seen:
            identifier = next(iter(seen))
            if seen[identifier][-1].time_ns >= since_ns:
                return
            del seen[identifier]

    def _finding(
        self, moment: Moment, sighting: Sighting, value: str, most: str, share: float
    ) -> Finding:
        rule = self._rule
        correction = None
        if rule.is_class:
            place = Place(moment.sequence, moment.time_ns, sighting.box, sighting.score)
            correction = Correction(
                CorrectionKind.MODIFY, (place,), most, sighting.track, rule.output
            )
        return Finding(
            moment.stream,
            rule.name,
            moment.sequence,
            moment.time_ns,
            moment.sequence,
            moment.time_ns,
            share,
            f"{rule.attribute} is {value}, but {most} {share:.0%} of the time",
            object_name(sighting.identifier),
            correction=correction,
        )
