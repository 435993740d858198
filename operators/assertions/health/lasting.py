"""What health checks share: a condition must hold for a time, and is told while it lasts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from operators.assertions.api import REPEAT_SECONDS, Moment
from records import Finding, RecordError
from records.checks import check_finite, check_name
from records.units import NANOSECONDS

State = TypeVar("State")


@dataclass(frozen=True, slots=True)
class Held:
    """How long a condition has held.

    Attributes:
        sequence: The moment at which it began.
        time_ns: That moment's event time.
        told_ns: Event time at which it was last told; None before.
    """

    sequence: int
    time_ns: int
    told_ns: int | None = None

    @classmethod
    def since(cls, moment: Moment) -> Held:
        """A condition that begins now."""
        return cls(moment.sequence, moment.time_ns)

    def due(self, moment: Moment, hold_seconds: float) -> bool:
        """Whether it has held for long enough, and was not told a moment ago."""
        if moment.time_ns - self.time_ns < hold_seconds * NANOSECONDS:
            return False
        repeat_ns = REPEAT_SECONDS * NANOSECONDS
        return self.told_ns is None or not 0 <= moment.time_ns - self.told_ns < repeat_ns

    def told(self, moment: Moment) -> Held:
        """The same condition, told now."""
        return Held(self.sequence, self.time_ns, moment.time_ns)

    def finding(
        self, name: str, moment: Moment, severity: float, message: str, concerned: str = ""
    ) -> Finding:
        """The finding of this condition at a moment."""
        return Finding(
            moment.stream,
            name,
            moment.sequence,
            moment.time_ns,
            min(self.sequence, moment.sequence),
            self.time_ns,
            severity,
            message,
            object=concerned,
        )


def resumed(state: object, kind: type[State]) -> State | None:
    """The state that a check goes on from, or None at a new start.

    Raises:
        RecordError: it is the state of another check.
    """
    if state is not None and not isinstance(state, kind):
        raise RecordError(
            f"the state must be a {kind.__name__}, got {type(state).__name__}; "
            "another assertion wrote it: give assertions names of their own"
        )
    return state


def check_settings(settings: object, *positive: str, shares: tuple[str, ...] = ()) -> None:
    """Check a health check's settings: its name, what must be above 0, and what is a share.

    Raises:
        RecordError: a setting is out of its range.
    """
    check_name("name", getattr(settings, "name", None))
    for field in positive:
        value = getattr(settings, field)
        check_finite(field, value)
        if value <= 0:
            raise RecordError(f"{field} must be above 0, got {value}")
    for field in shares:
        value = getattr(settings, field)
        check_finite(field, value)
        if not 0 < value < 1:
            raise RecordError(f"{field} must be between 0 and 1, got {value}")
