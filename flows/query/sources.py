"""What recorded queries ask: one interface, and the traces and recorded verdicts behind it.

Videos are in `flows.query.film`.

A source knows when each of its frames was, and answers how many objects match in chosen frames. It
counts every frame that the reference had to see for that once, however often it is asked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

from connectors.replay import EventLog
from flows.query.proxies import TraceProxy
from records import Detections, QueryError, Verdict
from records.units import NANOSECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from flows.query.costs import Costs
    from flows.query.proxies import Proxy

    Match = Callable[[Detections], NDArray[np.bool_]]
    """Which objects of an answer match, bool (n,)."""


class Recorded(Protocol):
    """A recorded stream."""

    @property
    def name(self) -> str:
        """The stream's name."""

    @property
    def times_ns(self) -> NDArray[np.int64]:
        """When each frame was, int64 (n,), nanoseconds since 1970 UTC, ascending."""

    @property
    def proxy(self) -> Proxy | None:
        """Its proxy; None without one."""

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """The classes that the reference can find; None where that is not known."""

    @property
    def has_boxes(self) -> bool:
        """Whether it knows boxes, and not only counts."""

    @property
    def has_tracks(self) -> bool:
        """Whether its boxes have tracks."""

    @property
    def calls(self) -> int:
        """Frames that the reference has seen so far."""

    def counts(self, places: NDArray[np.int64], match: Match) -> NDArray[np.float64]:
        """How many objects match in each frame, float64 (n,)."""

    def answers(self, places: NDArray[np.int64]) -> Iterator[Detections]:
        """What is in each frame.

        Raises:
            QueryError: the source does not know.
        """

    def measure(self, places: NDArray[np.int64]) -> Costs | None:
        """What a frame costs, measured on a few of these; None where asking costs nothing.

        Args:
            places: int64 (n,), the frames that are asked about, ascending.
        """


class TraceSource:
    """A trace: its values stand for the count that is asked for, whatever class that is of.

    Args:
        name: The stream's name.
        values: float64 (frames,).
        fps: Frames a second, Hz.
        proxies: float64 (frames,), a proxy; None for none.
    """

    has_boxes = has_tracks = False
    class_names = None

    def __init__(
        self,
        name: str,
        values: NDArray[np.float64],
        fps: float,
        proxies: NDArray[np.float64] | None = None,
    ) -> None:
        self.name = name
        self.proxy = None if proxies is None else TraceProxy(proxies)
        self.times_ns = np.rint(np.arange(len(values)) * (NANOSECONDS / fps)).astype(np.int64)
        self._values = values
        self._seen = np.zeros(len(values), dtype=np.bool_)

    @property
    def calls(self) -> int:
        """Frames that the reference would have seen so far."""
        return int(self._seen.sum())

    def counts(self, places: NDArray[np.int64], match: Match) -> NDArray[np.float64]:
        """The trace's values."""
        del match
        self._seen[places] = True
        return self._values[places]

    def answers(self, places: NDArray[np.int64]) -> Iterator[Detections]:
        """A trace knows no boxes."""
        del places
        raise QueryError(f"{self.name} is a trace, which knows counts but no objects")

    def measure(self, places: NDArray[np.int64]) -> None:
        """A trace has all its answers."""


class LogSource:
    """Recorded verdicts, as if the reference had to be asked for each.

    Args:
        name: The stream's name.
        verdicts: Its verdicts, in order of time.
        where: What holds them, for errors.

    Raises:
        QueryError: there are none.
    """

    proxy = None
    class_names = None
    has_boxes = True

    def __init__(self, name: str, verdicts: Sequence[Verdict], where: str = "the log") -> None:
        self.name = name
        if not verdicts:
            raise QueryError(f"{where} holds no verdicts of the stream {name}")
        self.times_ns = np.array([one.time_ns for one in verdicts], np.int64)
        self._answers = [one.answer for one in verdicts]
        self.has_tracks = any((answer.tracks >= 0).any() for answer in self._answers)
        self._seen = np.zeros(len(verdicts), dtype=np.bool_)

    @classmethod
    def open(cls, name: str, run_dir: Path) -> LogSource:
        """Open a run's folder.

        Raises:
            LogError: it holds no log.
        """
        records = EventLog.open(run_dir).records(name)
        return cls(name, [one for one in records if isinstance(one, Verdict)])

    @property
    def calls(self) -> int:
        """Frames that the reference would have seen so far."""
        return int(self._seen.sum())

    def counts(self, places: NDArray[np.int64], match: Match) -> NDArray[np.float64]:
        """How many recorded objects match."""
        return np.array([match(one).sum() for one in self.answers(places)], np.float64)

    def answers(self, places: NDArray[np.int64]) -> Iterator[Detections]:
        """What was recorded."""
        self._seen[places] = True
        for place in places.tolist():
            yield self._answers[place]

    def measure(self, places: NDArray[np.int64]) -> None:
        """A log has all its answers."""
