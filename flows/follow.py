"""Following a FrameQL aggregate: its windows, told as they close, on streams that run."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import bytewax.operators as op
import numpy as np
from bytewax.dataflow import Dataflow

from connectors.video import VideoSource
from flows.engine import execute, interrupts_end
from flows.query.checks import group_filters
from flows.query.matching import matcher
from flows.query.model import AggregateQuery, Measure
from flows.query.planner import plan_query
from flows.sinks import Nowhere
from operators.observe import ObserveSettings, observe
from operators.window import window
from operators.window_settings import Aggregate, WindowSettings
from records import UNTRACKED, Estimate, QueryError, StreamEvent

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Mapping

    from connectors.video import VideoSettings
    from flows.query.matching import Zones
    from flows.query.model import Filters, Query
    from records import Detections, Detector

    Told = Estimate | StreamEvent

USUAL_HZ = 30.0
"""The frame rate that calls are predicted for, Hz: a live stream does not say its own."""

MOST_CALLS_A_SECOND = 2.0
"""The most calls a second of event time where no budget is stated: a detector has its limits."""

EVERYTHING = "all"
"""The name of the group where a query names none."""

_AGGREGATES = {
    Measure.AVERAGE: Aggregate.AVERAGE,
    Measure.SUM: Aggregate.SUM,
    Measure.PRESENCE: Aggregate.PRESENCE,
}


@dataclass(frozen=True, slots=True)
class MatchGroup:
    """The objects that a query's filters let through, as a group of windows.

    Attributes:
        name: The group's name.
        filters: What counts.
        zones: The zones there are.
    """

    name: str
    filters: Filters
    zones: Zones

    def count(self, answer: Detections) -> float:
        """How many objects count."""
        return float(np.count_nonzero(matcher(self.filters, self.zones)(answer)))

    def tracks(self, answer: Detections) -> list[int]:
        """The tracks of the objects that count."""
        chosen = answer.select(matcher(self.filters, self.zones)(answer))
        return [track for track in chosen.tracks.tolist() if track != UNTRACKED]


def follow_settings(
    query: Query, zones: Zones, seed: int
) -> tuple[ObserveSettings, WindowSettings]:
    """What is drawn and told for a query that is followed.

    Args:
        query: The query.
        zones: The zones there are.
        seed: Of the frames that are drawn.

    Raises:
        QueryError: only aggregates over windows of sampled frames can be followed.
    """
    if not isinstance(query, AggregateQuery) or query.window is None:
        raise QueryError("only aggregates over windows can be followed: add GROUP BY TUMBLE(…)")
    if query.measure is Measure.DISTINCT:
        raise QueryError("different objects cannot be counted from drawn frames; ask a log instead")
    if query.estimator != "fast":
        raise QueryError(f"windows that are followed use 'fast', not {query.estimator!r}")
    if query.filters.contents:
        raise QueryError("pixels can be asked only by SELECT * over a video")
    groups = tuple(_groups(query, zones))
    panes = round(query.window.seconds / query.window.slide_seconds)
    return (
        ObserveSettings(
            groups=groups,
            pane_seconds=query.window.slide_seconds,
            calls_per_pane=max(round(_calls(query) / panes), 1),
            seed=seed,
        ),
        WindowSettings(
            name="query",
            groups=tuple(group.name for group in groups),
            aggregates=(_AGGREGATES[query.measure],),
            size_seconds=query.window.seconds,
            slide_seconds=query.window.slide_seconds,
            confidence=query.confidence,
        ),
    )


def _calls(query: AggregateQuery) -> int:
    """The calls for one window of one stream."""
    assert query.window is not None
    if query.budget is not None:
        return max(query.budget // len(query.streams), 1)
    most = round(MOST_CALLS_A_SECOND * query.window.seconds)
    if query.error is None:
        return most
    predicted = plan_query(query, round(USUAL_HZ * query.window.seconds), proxy=False).chosen.calls
    return most if predicted is None else min(predicted, most)


def _groups(query: AggregateQuery, zones: Zones) -> list[MatchGroup]:
    found = []
    for filters in group_filters(query, zones):
        matcher(filters, zones)  # says at once what is wrong with a zone
        parts = [filters.classes[0]] if "class" in query.group_by else []
        parts += [filters.zone or ""] if "zone" in query.group_by else []
        found.append(MatchGroup("/".join(parts) or EVERYTHING, filters, zones))
    if not found:
        raise QueryError("GROUP BY class or zone needs classes or zones to group by")
    return found


def follow(
    query: Query,
    videos: Mapping[str, VideoSettings],
    detector: Detector,
    zones: Zones,
    seed: int,
    tell: Callable[[Told], None],
    stop: threading.Event,
) -> None:
    """Tell of each window as it closes, until the streams end or are stopped.

    Args:
        query: The query.
        videos: The streams, by name.
        detector: The reference detector.
        zones: The zones there are.
        seed: Of the frames that are drawn.
        tell: Called with each estimate, and with each event of a stream or a window.
        stop: Set it to end the streams; an interrupt sets it.

    Raises:
        QueryError: the query cannot be followed, or names a stream that there is not.
    """
    missing = [name for name in query.streams if name not in videos]
    if missing:
        known = ", ".join(sorted(videos)) or "none"
        raise QueryError(f"there is no stream {missing[0]!r}; there is: {known}")
    observing, telling = follow_settings(query, zones, seed)
    flow = Dataflow("follow")
    chosen = {name: videos[name] for name in query.streams}
    source = VideoSource(chosen, stop=stop, clock=time.time_ns)
    frames = op.input("frames", flow, source)
    observed = observe("observe", frames, observing, detector, {}, lambda _: "0")
    told = window("window", observed, telling)
    events = op.flat_map_value("events", frames, lambda batch: list(batch.events))
    records = op.merge("told", told.estimates, told.events, events)
    op.output("nowhere", op.inspect("tell", records, lambda _, item: tell(item[1])), Nowhere())
    with interrupts_end(stop):
        execute(flow)
