"""How far a running flow is behind its live and paced streams, told to the trainer beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from connectors.video.uri import parse_uri
from flows.config.model import FROM_KAFKA
from flows.training.pressure import Pressure
from records import Verdict
from records.units import NANOSECONDS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from flows.config import Configuration, StreamSection
    from records import Clock, Record


class LagWatch:
    """Follows the verdicts of streams whose event time goes by at a known pace.

    How far a stream is behind is counted from the verdict that was the least late so far: clocks
    of cameras are off by any amount, and recordings begin at any time.

    Args:
        paces: Seconds of event time in a second, by stream; others are not looked at.
        pressure: Is told.
        clock: Tells the time.

    >>> from pathlib import Path
    >>> lag = LagWatch({"gate": 2.0}, Pressure(Path("models")), lambda: 10**9)
    >>> lag.behind("gate", 0, 5 * 10**9), lag.behind("gate", 2 * 10**9, 7 * 10**9)
    (0.0, 1.0)
    """

    def __init__(self, paces: Mapping[str, float], pressure: Pressure, clock: Clock) -> None:
        self._paces, self._pressure, self._clock = dict(paces), pressure, clock
        self._least: dict[str, float] = {}

    def observe(self, stream: str, records: Sequence[Record]) -> None:
        """Take what goes to the sinks.

        Raises:
            SightflowError: the trainer cannot be told.
        """
        if stream not in self._paces:
            return
        last = next((one for one in reversed(records) if isinstance(one, Verdict)), None)
        if last is not None:
            self._pressure.report(self.behind(stream, last.time_ns, self._clock()))

    def behind(self, stream: str, time_ns: int, now_ns: int) -> float:
        """How late a verdict on a frame of this event time is, seconds."""
        late = now_ns / NANOSECONDS - time_ns / NANOSECONDS / self._paces[stream]
        self._least[stream] = min(late, self._least.get(stream, late))
        return late - self._least[stream]


def lag_watch(configuration: Configuration, folder: Path, clock: Clock) -> LagWatch | None:
    """What follows the live and paced streams of a flow; None where nobody trains beside it.

    Args:
        configuration: The flow's configuration.
        folder: Where its relative paths count from.
        clock: Tells the time.
    """
    if configuration.models is None:
        return None
    paces = {
        name: section.speed or 1.0
        for name, section in configuration.streams.items()
        if section.speed is not None or _is_live(section)
    }
    return LagWatch(paces, Pressure(folder / configuration.models.directory), clock)


def _is_live(section: StreamSection) -> bool:
    if section.live is not None or section.uri == FROM_KAFKA:
        return bool(section.live)
    return parse_uri(section.uri).live
