"""Class change: a class that changes and changes back within a short time.

Heart rhythms last: guidelines ask for at least 30 seconds of atrial fibrillation, so a class A that
becomes B and then A again within 30 seconds is a mistake of the classifier (Kang et al., MLSys
2020, section 2.2 and table 1). The correction gives the class of the majority: that of B's time
where the A before it is at least as long as B, else that of the A's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, cast

from operators.assertions.api import CLASSIFICATION
from operators.assertions.sightings import seconds_between
from records import (
    Classification,
    Correction,
    CorrectionKind,
    Finding,
    Place,
    RecordError,
)
from records.checks import check_name
from records.finding import MOST_PLACES
from records.units import NANOSECONDS

if TYPE_CHECKING:
    from operators.assertions.api import Check, Moment

BACK = 3
"""Runs of one class that make a change back: A, B, and the A that follows."""

RUNS = BACK + 1
"""Runs that are remembered: the one before them may change back once they are joined."""


@dataclass(frozen=True, slots=True)
class ClassChange:
    """The assertion "class_change".

    Attributes:
        name: Its name.
        window_seconds: T; a class that lasts for less long between two times of another is wrong,
            seconds. 30 s is the least duration of atrial fibrillation (ESC guidelines 2020).
        output: The name of the output that is watched: a Classification, or the class as text.

    Raises:
        RecordError: a setting is out of its range.
    """

    name: str = "class_change"
    window_seconds: float = 30.0
    output: str = CLASSIFICATION

    def __post_init__(self) -> None:
        check_name("name", self.name)
        check_name("output", self.output)
        if not 0 < self.window_seconds < math.inf:
            raise RecordError(f"window_seconds must be above 0, got {self.window_seconds}")

    def start(self, state: object = None) -> Check:
        """Begin on a stream, or go on from a snapshot."""
        return _ClassChangeCheck(self, cast("list[_Run]", state or []))


class _Run(NamedTuple):
    """Moments of one class, one after the other.

    Attributes:
        label: The class.
        start_ns: Event time of the first moment.
        moments: How many there were.
        places: The last of them.
    """

    label: str
    start_ns: int
    moments: int
    places: list[Place]


class _ClassChangeCheck:
    """The last runs of one stream."""

    def __init__(self, rule: ClassChange, runs: list[_Run]) -> None:
        self._rule = rule
        self._runs = [run._replace(places=list(run.places)) for run in runs]
        self._window_ns = round(rule.window_seconds * NANOSECONDS)

    def observe(self, moment: Moment) -> list[Finding]:
        """A finding when a class comes back too soon."""
        output = moment.outputs.get(self._rule.output)
        if output is None:
            return []
        label, score = _label(self._rule.output, output)
        place = Place(moment.sequence, moment.time_ns, score=score)
        runs = self._runs
        if runs and moment.time_ns < runs[-1].places[-1].time_ns:
            runs.clear()  # the stream's clock was set back
        if runs and runs[-1].label == label:
            run = runs[-1]
            runs[-1] = run._replace(moments=run.moments + 1)
            run.places.append(place)
            del run.places[:-MOST_PLACES]
            return []
        runs.append(_Run(label, moment.time_ns, 1, [place]))
        del runs[:-RUNS]
        if len(runs) < BACK or runs[-BACK].label != label:
            return []
        if moment.time_ns - runs[-2].start_ns >= self._window_ns:
            return []
        return [self._change_back(moment)]

    def snapshot(self) -> list[_Run]:
        """A copy of the last runs."""
        return [run._replace(places=list(run.places)) for run in self._runs]

    def _change_back(self, moment: Moment) -> Finding:
        """Make one run of the three, of the class of the majority."""
        first, middle, back = self._runs[-BACK:]
        wrong, right = [middle], first.label
        if first.moments < middle.moments:
            wrong, right = [first, back], middle.label
        places = [place for run in wrong for place in run.places][-MOST_PLACES:]
        runs = self._runs
        joined = runs[-BACK:]
        del runs[-BACK:]
        if runs and runs[-1].label == right:
            joined.insert(0, runs.pop())
        runs.append(_joined(right, joined))
        seconds = seconds_between(middle.start_ns, moment.time_ns)
        return Finding(
            moment.stream,
            self._rule.name,
            moment.sequence,
            moment.time_ns,
            places[0].sequence,
            places[0].time_ns,
            1 - seconds / self._rule.window_seconds,
            f"{first.label} became {middle.label} for {seconds:.1f} s and {first.label} again",
            correction=Correction(
                CorrectionKind.MODIFY, tuple(places), right, output=self._rule.output
            ),
        )


def _joined(label: str, runs: list[_Run]) -> _Run:
    places = [place for run in runs for place in run.places]
    moments = sum(run.moments for run in runs)
    return _Run(label, runs[0].start_ns, moments, places[-MOST_PLACES:])


def _label(name: str, output: object) -> tuple[str, float]:
    if isinstance(output, Classification):
        return output.label, max(output.probabilities)
    if isinstance(output, str):
        return output, 1.0
    raise RecordError(
        f"the output {name} must be a Classification or text, got {type(output).__name__}"
    )
