"""Parsed queries: what is asked, in typed values. `to_sql` writes them as FrameQL again."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

from records.units import NANOSECONDS

DEFAULT_CONFIDENCE = 0.95
"""The confidence of queries that state none."""

GROUPS = ("class", "zone", "stream")
"""What an aggregate may be grouped by, besides its windows."""

ESTIMATORS = ("fast", "certified", "uniform", "blazeit", "ppi")
"""What USING may name: design section 5."""


class Measure(StrEnum):
    """What an aggregate measures, by the name of its function."""

    AVERAGE = "FCOUNT"
    SUM = "COUNT"
    PRESENCE = "PRESENCE"
    DISTINCT = "COUNT DISTINCT"


@dataclass(frozen=True, slots=True)
class Range:
    """A range of numbers, ends included; None leaves an end open."""

    low: float | None = None
    high: float | None = None

    def holds(self, value: float) -> bool:
        """Whether a value lies within."""
        return (self.low is None or value >= self.low) and (self.high is None or value <= self.high)

    def to_sql(self, name: str) -> list[str]:
        """The range as comparisons."""
        ends = ((">=", self.low), ("<=", self.high))
        return [f"{name} {sign} {end!r}" for sign, end in ends if end is not None]


@dataclass(frozen=True, slots=True)
class Filters:
    """Which objects and which frames count.

    Attributes:
        classes: The classes; empty for every class.
        zone: The name of a zone that objects must stand in; None for everywhere.
        boxes: Ranges of what a box has: score 0..1, area in square pixels, and xmin, ymin, xmax,
            ymax in pixels.
        contents: Ranges of what its pixels have: redness and its like, in grey levels.
        time_ns: The event times that are looked at, nanoseconds.
    """

    classes: tuple[str, ...] = ()
    zone: str | None = None
    boxes: dict[str, Range] = field(default_factory=dict)
    contents: dict[str, Range] = field(default_factory=dict)
    time_ns: Range = field(default_factory=Range)

    def to_sql(self) -> list[str]:
        """The filters as conditions."""
        parts = []
        if len(self.classes) == 1:
            parts.append(f"class = {_quoted(self.classes[0])}")
        elif self.classes:
            parts.append(f"class IN ({', '.join(map(_quoted, self.classes))})")
        if self.zone is not None:
            parts.append(f"zone = {_quoted(self.zone)}")
        for name, one in self.boxes.items():
            parts += one.to_sql(name)
        for name, one in self.contents.items():
            parts += one.to_sql(f"{name}(content)")
        seconds = Range(
            *(None if end is None else end / NANOSECONDS
              for end in (self.time_ns.low, self.time_ns.high))
        )  # fmt: skip
        return parts + seconds.to_sql("timestamp")


@dataclass(frozen=True, slots=True)
class Window:
    """Windows of event time: tumbling when they are as long as they are apart.

    Attributes:
        seconds: How long each is, seconds.
        slide_seconds: How far apart their starts are, seconds.
    """

    seconds: float
    slide_seconds: float

    def to_sql(self) -> str:
        """The window as a function in GROUP BY."""
        if self.seconds == self.slide_seconds:
            return f"TUMBLE(INTERVAL '{self.seconds!r}' SECOND)"
        return f"HOP(INTERVAL '{self.slide_seconds!r}' SECOND, INTERVAL '{self.seconds!r}' SECOND)"


@dataclass(frozen=True, slots=True)
class AggregateQuery:
    """A number for each window and group, with its interval.

    Attributes:
        streams: The streams.
        measure: What is measured.
        filters: What counts.
        window: The windows; None for one over all frames.
        group_by: Some of `GROUPS`.
        error: The half-width that is wanted; None for none.
        confidence: Of the intervals, 0..1.
        budget: The most reference calls in all; None for no bound.
        estimator: One of `ESTIMATORS`.
        explain: Whether only the plan is wanted.
    """

    streams: tuple[str, ...]
    measure: Measure
    filters: Filters = field(default_factory=Filters)
    window: Window | None = None
    group_by: tuple[str, ...] = ()
    error: float | None = None
    confidence: float = DEFAULT_CONFIDENCE
    budget: int | None = None
    estimator: str = "fast"
    explain: bool = False

    def to_sql(self) -> str:
        """The query as FrameQL."""
        function = f"{self.measure}(*)"
        if self.measure is Measure.DISTINCT:
            function = "COUNT(DISTINCT trackid)"
        groups = [*self.group_by, *([] if self.window is None else [self.window.to_sql()])]
        parts = [_head(self.explain, function, self.streams), *_where(self.filters)]
        parts += [f"GROUP BY {', '.join(groups)}"] if groups else []
        parts += [] if self.error is None else [f"ERROR WITHIN {self.error!r}"]
        parts += [f"AT CONFIDENCE {self.confidence!r}"]
        parts += [] if self.budget is None else [f"BUDGET {self.budget}"]
        return " ".join([*parts, f"USING '{self.estimator}'"])


@dataclass(frozen=True, slots=True)
class LimitQuery:
    """Frames in which there are so many objects of some classes, a gap apart.

    Attributes:
        streams: The streams.
        least: How many objects of each class there must be.
        limit: How many frames are wanted.
        gap: How far apart they must be, frames.
        gap_seconds: The same in seconds of the streams' own times, which counts then instead of
            frames; None for frames.
        filters: What counts, besides the classes.
        budget: The most reference calls; None for no bound.
        explain: Whether only the plan is wanted.
    """

    streams: tuple[str, ...]
    least: dict[str, int]
    limit: int
    gap: int = 0
    gap_seconds: float | None = None
    filters: Filters = field(default_factory=Filters)
    budget: int | None = None
    explain: bool = False

    def to_sql(self) -> str:
        """The query as FrameQL."""
        having = " AND ".join(f"SUM(class={_quoted(c)}) >= {n}" for c, n in self.least.items())
        parts = [_head(self.explain, "timestamp", self.streams), *_where(self.filters)]
        gap = f"{self.gap}" if self.gap_seconds is None else f"{self.gap_seconds!r} SECONDS"
        parts += [f"GROUP BY timestamp HAVING {having} LIMIT {self.limit} GAP {gap}"]
        return " ".join(parts + ([] if self.budget is None else [f"BUDGET {self.budget}"]))


@dataclass(frozen=True, slots=True)
class SelectionQuery:
    """The objects that pass all filters.

    Attributes:
        streams: The streams.
        filters: What counts.
        limit: How many are wanted; None for all.
        fnr: The most of them that may be missed, 0..1; None for none.
        fpr: The most of the frames without any that may be reported, 0..1; None for none.
        explain: Whether only the plan is wanted.
    """

    streams: tuple[str, ...]
    filters: Filters = field(default_factory=Filters)
    limit: int | None = None
    fnr: float | None = None
    fpr: float | None = None
    explain: bool = False

    def to_sql(self) -> str:
        """The query as FrameQL."""
        parts = [_head(self.explain, "*", self.streams), *_where(self.filters)]
        ends = (("LIMIT", self.limit), ("FNR WITHIN", self.fnr), ("FPR WITHIN", self.fpr))
        return " ".join(parts + [f"{name} {end!r}" for name, end in ends if end is not None])


Query: TypeAlias = AggregateQuery | LimitQuery | SelectionQuery
"""Any query."""


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _head(explain: bool, what: str, streams: tuple[str, ...]) -> str:  # noqa: FBT001 - a field
    names = ", ".join('"' + name.replace('"', '""') + '"' for name in streams)
    words = [*(["EXPLAIN"] if explain else []), "SELECT", what, "FROM", names]
    return " ".join(words)


def _where(filters: Filters) -> list[str]:
    conditions = filters.to_sql()
    return [f"WHERE {' AND '.join(conditions)}"] if conditions else []
