"""What windows are asked: their size, their groups, their aggregates."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from records import RecordError
from records.checks import check_name
from records.units import NANOSECONDS

MOST_PANES = 10_000
"""The most panes of a window, of its lateness, and of its out-of-orderness."""

MOST_GROUPS = 1_000
"""The most groups of a query."""


class Aggregate(StrEnum):
    """What a window tells of a group.

    AVERAGE is the mean number per frame, SUM the total over all frames, PRESENCE the share of
    frames with at least so many, TRACKS how many distinct tracks there were.
    """

    AVERAGE = "average"
    SUM = "sum"
    PRESENCE = "presence"
    TRACKS = "tracks"


@dataclass(frozen=True, slots=True)
class WindowSettings:
    """The windows of a query.

    Attributes:
        name: The query's name, the first part of each estimate's.
        groups: The groups' names, in the order of the observations' columns.
        aggregates: What is told of each group.
        size_seconds: Length of a window, seconds of event time.
        slide_seconds: From the start of one window to that of the next; None for the size, so
            that windows tumble. The size is a multiple of it.
        confidence: Of each interval by itself, 0..1 exclusive.
        at_least: The number from which a frame counts for PRESENCE.
        most: The largest number that a frame can have; None where it is not known. With it the
            intervals of windows with few answers are bounded.
        out_of_order_seconds: How far behind the latest frame one may come and still be on time.
        lateness_seconds: How long after its end, by the frames that come, a window is corrected.
        tracked: Whether every frame is tracked, as TRACKS needs.

    Raises:
        RecordError: a setting is out of its range, or the query cannot be answered.
    """

    name: str
    groups: tuple[str, ...]
    aggregates: tuple[Aggregate, ...]
    size_seconds: float
    slide_seconds: float | None = None
    confidence: float = 0.95
    at_least: float = 1.0
    most: float | None = None
    out_of_order_seconds: float = 0.0
    lateness_seconds: float = 0.0
    tracked: bool = False

    def __post_init__(self) -> None:
        self._check_names()
        for name in ("size_seconds", "slide_seconds", "at_least", "most"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise RecordError(f"{name} must be above 0 and finite, got {value}")
        if self.slide_ns < 1 or self.size_ns != self.panes * self.slide_ns:
            raise RecordError(
                "size_seconds must be a multiple of slide_seconds, got "
                f"{self.size_seconds} and {self.slide_seconds}"
            )
        longest = MOST_PANES * self.slide_ns / NANOSECONDS
        for name in ("size_seconds", "out_of_order_seconds", "lateness_seconds"):
            if not 0 <= getattr(self, name) <= longest:
                raise RecordError(
                    f"{name} must be in 0..{longest:g}, which is {MOST_PANES} times the slide, "
                    f"got {getattr(self, name)}"
                )
        if not 0 < self.confidence < 1:
            raise RecordError(f"confidence must be between 0 and 1, got {self.confidence}")
        if Aggregate.TRACKS in self.aggregates and not self.tracked:
            raise RecordError(
                "the number of distinct tracks cannot be estimated from drawn frames: an object "
                "may never be in one; track every frame, or ask for another aggregate"
            )

    def _check_names(self) -> None:
        check_name("name", self.name)
        if not 0 < len(self.groups) <= MOST_GROUPS or len(set(self.groups)) < len(self.groups):
            raise RecordError(
                f"groups must be 1 to {MOST_GROUPS} distinct names, got {list(self.groups)[:10]}"
            )
        if not self.aggregates or len(set(self.aggregates)) < len(self.aggregates):
            raise RecordError(
                f"aggregates must be distinct, and one at least, got {list(self.aggregates)}"
            )
        for group in self.groups:
            for aggregate in self.aggregates:
                check_name("group", self.estimate_name(aggregate, group))

    @property
    def size_ns(self) -> int:
        """Length of a window, nanoseconds."""
        return round(self.size_seconds * NANOSECONDS)

    @property
    def slide_ns(self) -> int:
        """Length of a pane, nanoseconds: the piece of time that overlapping windows share."""
        seconds = self.size_seconds if self.slide_seconds is None else self.slide_seconds
        return round(seconds * NANOSECONDS)

    @property
    def panes(self) -> int:
        """How many panes make a window."""
        return round(self.size_ns / self.slide_ns)

    @property
    def bound_ns(self) -> int:
        """How far the watermark is behind the latest frame, nanoseconds."""
        return round(self.out_of_order_seconds * NANOSECONDS)

    @property
    def late_ns(self) -> int:
        """How far behind the latest frame a window may end and still be corrected, nanoseconds."""
        return self.bound_ns + round(self.lateness_seconds * NANOSECONDS)

    def estimate_name(self, aggregate: Aggregate, group: str) -> str:
        """The name of an estimate: query, aggregate and group."""
        return f"{self.name}/{aggregate}/{group}"

    def column(self, aggregate: Aggregate, group: int) -> int:
        """The column of an aggregate's numbers; see `columns`."""
        shift = len(self.groups) if aggregate is Aggregate.PRESENCE and self.counts else 0
        return shift + group

    def columns(self, numbers: np.ndarray, *, proxy: bool) -> np.ndarray:
        """The numbers whose means are asked for: counts, and whether they are large enough.

        Args:
            numbers: float64 (n, groups), the reference's or the proxy's; NaN stays NaN.
            proxy: Whether they are the proxy's, which may be between: a proxy for presence is the
                share of `at_least` that it reaches.

        Returns:
            float64 (n, columns).
        """
        parts = [numbers] if self.counts else []
        if Aggregate.PRESENCE in self.aggregates:
            if proxy:
                present = np.clip(numbers / self.at_least, 0, 1)
            else:
                present = np.where(np.isnan(numbers), np.nan, numbers >= self.at_least)
            parts.append(present)
        return np.concatenate([*parts, np.empty((len(numbers), 0))], axis=1)

    @property
    def counts(self) -> bool:
        """Whether an aggregate needs the mean count."""
        return Aggregate.AVERAGE in self.aggregates or Aggregate.SUM in self.aggregates
