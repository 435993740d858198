"""Answering queries over recorded streams: rows, what they cost, and how they were found."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from connectors.codec import iso_time
from connectors.video import decode_frames
from flows.query.checks import aggregate_question, check_query, group_filters, has_proxy
from flows.query.contents import BUILT_IN
from flows.query.costs import MEASURED_CALLS, MEASURED_SHARE, Costs, average_costs
from flows.query.estimate import estimate_window
from flows.query.film import FilmSource
from flows.query.matching import content_holds, matcher
from flows.query.model import AggregateQuery, Filters, LimitQuery, SelectionQuery
from flows.query.planner import PROXIED, Plan, Way, plan_query
from flows.query.search import find_frames
from records import QueryError
from records.units import NANOSECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from numpy.typing import NDArray

    from flows.query.contents import Contents
    from flows.query.matching import Zones
    from flows.query.model import Query
    from flows.query.sources import Recorded

CHUNK = 64
"""Frames that a selection reads at a time."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a query.

    Attributes:
        rows: Plain JSON values, one for each window, frame or object.
        plan: How it was found.
        calls: Frames that the reference saw, those for measuring costs included.
        proxy_frames: Frames that proxies scored.
        proxy_seconds: How long decoding them for that and scoring them took, seconds.
    """

    rows: list[dict[str, Any]]
    plan: Plan
    calls: int
    proxy_frames: int = 0
    proxy_seconds: float = 0.0


def execute(
    query: Query,
    sources: Mapping[str, Recorded],
    zones: Zones,
    seed: int = 0,
    force: Way | None = None,
    tell: Callable[[int], None] = lambda _: None,
    contents: Contents = BUILT_IN,
) -> Answer:
    """Answer a query.

    Args:
        query: The query.
        sources: The streams there are, by name.
        zones: The zones there are.
        seed: Of everything that is random.
        force: The way that is wanted; None lets the planner choose.
        tell: Called with how many frames the reference has seen, as the search goes on.
        contents: The functions of `content` that the query may name.

    Raises:
        QueryError: the query names what there is not, or asks what the sources do not know.
    """
    asked = [_source(name, sources) for name in query.streams]
    places = {one.name: _within(one, query.filters) for one in asked}
    check_query(query, asked, zones)
    proxy = has_proxy(query, asked, zones)
    before = sum(one.calls for one in asked)
    costs = None
    if query.explain or (proxy and force is None):
        costs = _measured(query, asked, places)
    spent = sum(one.calls for one in asked) - before
    frames = sum(len(one) for one in places.values())
    plan = plan_query(query, frames, proxy=proxy, force=force, costs=costs)
    rows: list[dict[str, Any]] = []
    if not query.explain:
        rows = _answer(_spared(query, spent), asked, places, zones, seed, plan, tell, contents)
    used = [one.proxy for one in asked if one.proxy is not None]
    return Answer(
        rows,
        plan,
        sum(one.calls for one in asked),
        sum(one.scored for one in used),
        sum(one.seconds for one in used),
    )


def _measured(
    query: Query, asked: list[Recorded], places: Mapping[str, NDArray[np.int64]]
) -> Costs | None:
    """What a frame costs; not measured where that would take much of the budget."""
    budget = None if isinstance(query, SelectionQuery) else query.budget
    most = MEASURED_CALLS * len(asked)
    if not query.explain and budget is not None and most > budget * MEASURED_SHARE:
        return None
    parts = [places[one.name] for one in asked]
    measured = [one.measure(part) for one, part in zip(asked, parts, strict=True)]
    return average_costs(measured, [len(part) for part in parts])


def _spared(query: Query, spent: int) -> Query:
    """The query with what measuring left of its budget."""
    if isinstance(query, SelectionQuery) or query.budget is None:
        return query
    return replace(query, budget=query.budget - spent)


def _answer(
    query: Query,
    asked: list[Recorded],
    places: Mapping[str, NDArray[np.int64]],
    zones: Zones,
    seed: int,
    plan: Plan,
    tell: Callable[[int], None],
    contents: Contents,
) -> list[dict[str, Any]]:
    if isinstance(query, AggregateQuery):
        return list(_aggregate(query, asked, places, zones, seed, plan))
    if isinstance(query, LimitQuery):
        return find_frames(query, asked, places, zones, seed, plan.chosen.way, tell)
    return _select(query, asked, places, zones, tell, contents)


def _source(name: str, sources: Mapping[str, Recorded]) -> Recorded:
    if name not in sources:
        known = ", ".join(sorted(sources)) or "none; say --source NAME=FILE"
        raise QueryError(f"there is no stream {name!r}; there is: {known}")
    return sources[name]


def _within(source: Recorded, filters: Filters) -> NDArray[np.int64]:
    """The frames in the query's range of time."""
    times, ends = source.times_ns, filters.time_ns
    good = np.ones(len(times), dtype=np.bool_)
    if ends.low is not None:
        good &= times >= ends.low
    if ends.high is not None:
        good &= times <= ends.high
    found = np.flatnonzero(good)
    if not len(found):
        raise QueryError(f"{source.name} has no frame in that range of time")
    return found


def _aggregate(
    query: AggregateQuery,
    asked: list[Recorded],
    places: Mapping[str, NDArray[np.int64]],
    zones: Zones,
    seed: int,
    plan: Plan,
) -> Iterator[dict[str, Any]]:
    windows = [
        (source, start, stop, part)
        for source in asked
        for start, stop, part in _windows(query, source, places[source.name])
    ]
    share = None if query.budget is None else max(query.budget // len(windows), 2)
    for (source, start, stop, part), filters in product(windows, group_filters(query, zones)):
        rng = np.random.default_rng([seed, start % 2**32])
        match = matcher(filters, zones)
        proxies = None
        if plan.chosen.way in PROXIED and source.proxy is not None:
            proxies = source.proxy.values(part, aggregate_question(query.measure, filters, zones))
        found = estimate_window(query, source, part, match, share, plan.chosen.way, rng, proxies)
        yield {
            "stream": source.name,
            **({"class": filters.classes[0]} if "class" in query.group_by else {}),
            **({"zone": filters.zone} if "zone" in query.group_by else {}),
            "start": iso_time(start),
            "end": iso_time(stop),
            "value": found.value,
            "low": found.low,
            "high": found.high,
            "confidence": found.confidence,
            "calls": found.calls,
            "frames": len(part),
        }


def _windows(
    query: AggregateQuery, source: Recorded, places: NDArray[np.int64]
) -> list[tuple[int, int, NDArray[np.int64]]]:
    """Start, end and frames of each window; hopping ones share frames."""
    times = source.times_ns[places]
    if query.window is None:
        return [(int(times[0]), int(times[-1]) + 1, places)]
    size = round(query.window.seconds * NANOSECONDS)
    slide = round(query.window.slide_seconds * NANOSECONDS)
    first = (int(times[0]) - size) // slide * slide + slide
    found = []
    for start in range(first, int(times[-1]) + 1, slide):
        low, high = np.searchsorted(times, [start, start + size])
        if high > low:
            found.append((start, start + size, places[low:high]))
    return found


def _select(
    query: SelectionQuery,
    asked: list[Recorded],
    places: Mapping[str, NDArray[np.int64]],
    zones: Zones,
    tell: Callable[[int], None],
    contents: Contents,
) -> list[dict[str, Any]]:
    match = matcher(query.filters, zones)
    rows: list[dict[str, Any]] = []
    for source in asked:
        wanted = places[source.name]
        for start in range(0, len(wanted), CHUNK):
            rows += _objects(query, source, wanted[start : start + CHUNK], match, contents)
            tell(sum(one.calls for one in asked))
            if query.limit is not None and len(rows) >= query.limit:
                return rows[: query.limit]
    return rows


def _objects(
    query: SelectionQuery,
    source: Recorded,
    places: NDArray[np.int64],
    match: Callable[[Any], NDArray[np.bool_]],
    contents: Contents,
) -> Iterator[dict[str, Any]]:
    """The objects of some frames that pass the filters."""
    found = [
        (place, answer.select(match(answer)))
        for place, answer in zip(places.tolist(), source.answers(places), strict=True)
    ]
    found = [(place, answer) for place, answer in found if len(answer)]
    images: dict[int, NDArray[np.uint8]] = {}
    if query.filters.contents:
        if not isinstance(source, FilmSource):
            raise QueryError(f"{source.name} is no video: its pixels are not there")
        images = dict(decode_frames(source.video, [place for place, _ in found], kind="full"))
    for place, answer in found:
        for number, box in enumerate(answer.boxes):
            if images:
                x1, y1, x2, y2 = np.maximum(np.rint(box), 0).astype(int)
                if not content_holds(query.filters, images[place][y1:y2, x1:x2], contents):
                    continue
            yield {
                "stream": source.name,
                "frame": place,
                "time": iso_time(int(source.times_ns[place])),
                "class": answer.classes[number],
                "score": round(float(answer.scores[number]), 4),
                "box": [round(float(edge), 1) for edge in box],
            }
