"""Figures over event time in little memory: the latest points, and the latest minutes."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from records.units import NANOSECONDS

MOST_POINTS = 240
"""The most points of a series that are kept; the oldest leave first."""

MOST_MINUTES = 60
"""The most minutes in which findings are counted one by one."""

MINUTE_NS = 60 * NANOSECONDS
"""A minute, nanoseconds."""

NS_PER_MS = 1_000_000
"""Nanoseconds in a millisecond: a page's numbers hold no nanoseconds since 1970."""


@dataclass(frozen=True, slots=True)
class Point:
    """One value with its interval.

    Attributes:
        end_ns: The end of the time that it is about, nanoseconds since 1970 UTC.
        value: The estimate.
        low: Lower end of its interval.
        high: Upper end of its interval.
    """

    end_ns: int
    value: float
    low: float
    high: float


class Series:
    """The latest points of one figure; a point for the same end takes the place of the earlier one.

    >>> series = Series()
    >>> for revision, value in enumerate((1.0, 2.0, 3.0), 1):
    ...     series.put(Point(min(value, 2.0) * 10**9, value, 0.0, 9.0), revision)
    >>> [point.value for point in series.points_since(0)]
    [1.0, 3.0]
    >>> [point.value for point in series.points_since(2)]
    [3.0]
    """

    def __init__(self) -> None:
        self._points: OrderedDict[int, tuple[int, Point]] = OrderedDict()

    def put(self, point: Point, revision: int) -> None:
        """Keep a point that came with a revision of the whole."""
        self._points[point.end_ns] = (revision, point)
        if len(self._points) > MOST_POINTS:
            self._points.popitem(last=False)

    def points_since(self, revision: int) -> list[Point]:
        """The points that came after a revision, in order of their ends."""
        found = [point for came, point in self._points.values() if came > revision]
        return sorted(found, key=lambda point: point.end_ns)


class MinuteCounts:
    """How often something happened in each of the latest minutes of event time.

    >>> counts = MinuteCounts()
    >>> for second in (10, 20, 130):
    ...     counts.add(second * 10**9)
    >>> counts.total, counts.to_json()
    (3, [[0, 2], [120000, 1]])
    """

    def __init__(self) -> None:
        self.total = 0
        self._minutes: OrderedDict[int, int] = OrderedDict()

    def add(self, time_ns: int) -> None:
        """Count one at an event time, nanoseconds since 1970 UTC."""
        self.total += 1
        minute = time_ns // MINUTE_NS
        self._minutes[minute] = self._minutes.get(minute, 0) + 1
        if len(self._minutes) > MOST_MINUTES:
            self._minutes.popitem(last=False)

    def to_json(self) -> list[list[int]]:
        """The start of each minute, milliseconds since 1970 UTC, and its count."""
        minute_ms = MINUTE_NS // NS_PER_MS
        return [[minute * minute_ms, count] for minute, count in sorted(self._minutes.items())]
