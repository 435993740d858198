"""Missing partner: a sensor that belongs to a camera gave nothing at a moment.

After a join (`operators.join`) a moment has an entry for each sensor that was near enough in event
time. One that is not there is told at the first moment without it, again every `REPEAT_SECONDS`
while it stays away, and no more once it is back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from operators.assertions.api import REPEAT_SECONDS
from records import Finding, RecordError
from records.checks import check_name
from records.units import NANOSECONDS

if TYPE_CHECKING:
    from operators.assertions.api import Moment


@dataclass(frozen=True, slots=True)
class Absence:
    """Since when a sensor is away.

    Attributes:
        sensor: Its stream.
        start_sequence: The first moment without it.
        start_ns: That moment's event time, nanoseconds since 1970 UTC.
        told_ns: When it was last told; None while it has not been.
    """

    sensor: str
    start_sequence: int
    start_ns: int
    told_ns: int | None = None


@dataclass(frozen=True, slots=True)
class MissingPartner:
    """The assertion that each sensor gives something at each moment.

    Attributes:
        sensors: The sensors' streams.
        after_seconds: A sensor may be away for so long before it is told, seconds of event time;
            0 tells the first moment without it.
        name: The assertion's name.

    Raises:
        RecordError: a setting is out of its range.
    """

    sensors: tuple[str, ...]
    after_seconds: float = 0.0
    name: str = "missing_partner"

    def __post_init__(self) -> None:
        if not self.sensors:
            raise RecordError("sensors must name at least one sensor")
        check_name("name", self.name)
        for sensor in self.sensors:
            check_name("sensor", sensor)
        if not self.after_seconds >= 0:
            raise RecordError(f"after_seconds must be at least 0, got {self.after_seconds}")

    @property
    def window_seconds(self) -> float:
        """How far back it looks, seconds."""
        return self.after_seconds

    def start(self, state: object = None) -> MissingPartnerCheck:
        """Begin on a stream, or go on from a snapshot."""
        assert state is None or isinstance(state, tuple)
        return MissingPartnerCheck(self, state or ())


class MissingPartnerCheck:
    """The assertion on one stream.

    Args:
        assertion: Which sensors must be there.
        resume: The absences to go on from.
    """

    def __init__(self, assertion: MissingPartner, resume: tuple[Absence, ...]) -> None:
        self._assertion = assertion
        self._absences = {one.sensor: one for one in resume}

    def observe(self, moment: Moment) -> list[Finding]:
        """The sensors that are away; severity is one more than how long they were, seconds."""
        findings = []
        for sensor in self._assertion.sensors:
            if sensor in moment.outputs or sensor in moment.inputs:
                self._absences.pop(sensor, None)
                continue
            now = moment.time_ns
            absence = self._absences.get(sensor) or Absence(sensor, moment.sequence, now)
            away = (now - absence.start_ns) / NANOSECONDS
            told = absence.told_ns
            due = told is None or now - told >= REPEAT_SECONDS * NANOSECONDS
            if due and away >= self._assertion.after_seconds:
                findings.append(_finding(self._assertion.name, moment, absence, away))
                told = now
            self._absences[sensor] = Absence(sensor, absence.start_sequence, absence.start_ns, told)
        return findings

    def snapshot(self) -> tuple[Absence, ...]:
        """The absences, of sensors that are away now."""
        return tuple(self._absences.values())


def _finding(name: str, moment: Moment, absence: Absence, away: float) -> Finding:
    return Finding(
        stream=moment.stream,
        assertion=name,
        sequence=moment.sequence,
        time_ns=moment.time_ns,
        start_sequence=absence.start_sequence,
        start_ns=absence.start_ns,
        severity=1 + max(away, 0.0),
        message=f"{absence.sensor} gave nothing near this moment, for {away:.1f} s now",
        object=absence.sensor,
    )
