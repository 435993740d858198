"""Answering queries over recorded streams: rows, what they cost, and how they were found."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from connectors.codec import iso_time
from connectors.video import decode_frames
from flows.query.estimate import estimate_window
from flows.query.matching import content_holds, matcher
from flows.query.model import AggregateQuery, Filters, LimitQuery, SelectionQuery
from flows.query.planner import Plan, Way, plan_query
from flows.query.sources import FilmSource
from operators.limit import LimitSettings, search
from operators.orders import make_order
from records import QueryError
from records.units import NANOSECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from numpy.typing import NDArray

    from flows.query.matching import Zones
    from flows.query.model import Query
    from flows.query.sources import Recorded
    from operators.orders import OrderName

CHUNK = 64
"""Frames that a selection reads at a time."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a query.

    Attributes:
        rows: Plain JSON values, one for each window, frame or object.
        plan: How it was found.
        calls: Frames that the reference saw.
    """

    rows: list[dict[str, Any]]
    plan: Plan
    calls: int


def execute(
    query: Query,
    sources: Mapping[str, Recorded],
    zones: Zones,
    seed: int = 0,
    force: Way | None = None,
    tell: Callable[[int], None] = lambda _: None,
) -> Answer:
    """Answer a query.

    Args:
        query: The query.
        sources: The streams there are, by name.
        zones: The zones there are.
        seed: Of everything that is random.
        force: The way that is wanted; None lets the planner choose.
        tell: Called with how many frames the reference has seen, as the search goes on.

    Raises:
        QueryError: the query names what there is not, or asks what the sources do not know.
    """
    asked = [_source(name, sources) for name in query.streams]
    places = {one.name: _within(one, query.filters) for one in asked}
    frames = sum(len(one) for one in places.values())
    proxy = all(one.proxies is not None for one in asked)
    plan = plan_query(query, frames, proxy=proxy, force=force)
    _check(query, asked, zones)
    if query.explain:
        return Answer([], plan, 0)
    if isinstance(query, AggregateQuery):
        rows = list(_aggregate(query, asked, places, zones, seed, plan))
    elif isinstance(query, LimitQuery):
        rows = _limit(query, asked, places, zones, seed, plan, tell)
    else:
        rows = _select(query, asked, places, zones, tell)
    return Answer(rows, plan, sum(one.calls for one in asked))


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


def _check(query: Query, asked: list[Recorded], zones: Zones) -> None:
    """Refuse what the sources do not know, before anything is asked."""
    matcher(query.filters, zones)
    boxed = bool(query.filters.boxes or query.filters.zone or query.filters.contents)
    for source in asked:
        if boxed and not source.has_boxes:
            raise QueryError(f"{source.name} is a trace: it can be asked neither boxes nor zones")
        if isinstance(query, LimitQuery) and not source.has_boxes and len(query.least) > 1:
            raise QueryError(f"{source.name} is a trace: it holds the counts of one class")
    if query.filters.contents and not isinstance(query, SelectionQuery):
        raise QueryError("pixels can be asked only by SELECT * over a video")
    if isinstance(query, AggregateQuery):
        if "class" in query.group_by and not query.filters.classes:
            raise QueryError("GROUP BY class needs the classes: add class IN ('car', 'bus')")
        if "zone" in query.group_by and not zones:
            raise QueryError("GROUP BY zone needs zones: say --zone NAME=x1,y1,x2,y2,x3,y3")


def _aggregate(
    query: AggregateQuery,
    asked: list[Recorded],
    places: Mapping[str, NDArray[np.int64]],
    zones: Zones,
    seed: int,
    plan: Plan,
) -> Iterator[dict[str, Any]]:
    classes: list[str | None] = list(query.filters.classes) if "class" in query.group_by else [None]
    named: list[str | None] = list(zones) if "zone" in query.group_by else [None]
    windows = [
        (source, start, stop, part)
        for source in asked
        for start, stop, part in _windows(query, source, places[source.name])
    ]
    share = None if query.budget is None else max(query.budget // len(windows), 2)
    for (source, start, stop, part), class_name, zone in product(windows, classes, named):
        filters = query.filters
        if class_name is not None:
            filters = replace(filters, classes=(class_name,))
        if zone is not None:
            filters = replace(filters, zone=zone)
        rng = np.random.default_rng([seed, start % 2**32])
        match = matcher(filters, zones)
        found = estimate_window(query, source, part, match, share, plan.chosen.way, rng)
        yield {
            "stream": source.name,
            **({} if class_name is None else {"class": class_name}),
            **({} if zone is None else {"zone": zone}),
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


def _limit(
    query: LimitQuery,
    asked: list[Recorded],
    places: Mapping[str, NDArray[np.int64]],
    zones: Zones,
    seed: int,
    plan: Plan,
    tell: Callable[[int], None],
) -> list[dict[str, Any]]:
    """Search all streams as if one followed the other, further apart than the gap."""
    matches = {
        name: matcher(replace(query.filters, classes=(name,)), zones) for name in query.least
    }
    where = [(source, place) for source in asked for place in places[source.name].tolist()]
    lengths = np.repeat(
        np.arange(len(asked)) * (query.gap + 1), [len(places[one.name]) for one in asked]
    )
    positions = np.arange(len(where)) + lengths

    def counts(number: int) -> dict[str, float]:
        source, place = where[number]
        one = np.array([place], np.int64)
        return {name: float(source.counts(one, match)[0]) for name, match in matches.items()}

    def verify(numbers: list[int]) -> list[bool | None]:
        found = [counts(number) for number in numbers]
        tell(sum(one.calls for one in asked))
        return [all(each[name] >= least for name, least in query.least.items()) for each in found]

    scores = None
    if plan.chosen.way is Way.RANKED:
        scores = np.concatenate([_proxies(one, places[one.name]) for one in asked])
    name: OrderName = "sequential" if plan.chosen.way is Way.SCAN else "sightflow"
    order = make_order(name, len(where), query.gap, seed, scores)
    result = search(LimitSettings(query.limit, query.gap, query.budget), order, verify, positions)
    rows = []
    for number in sorted(result.found):
        source, place = where[number]
        time_ns = int(source.times_ns[place])
        rows.append({"stream": source.name, "frame": place, "time": iso_time(time_ns),
                     "counts": counts(number)})  # fmt: skip
    return rows


def _proxies(source: Recorded, places: NDArray[np.int64]) -> NDArray[np.float64]:
    assert source.proxies is not None
    return source.proxies[places]


def _select(
    query: SelectionQuery,
    asked: list[Recorded],
    places: Mapping[str, NDArray[np.int64]],
    zones: Zones,
    tell: Callable[[int], None],
) -> list[dict[str, Any]]:
    match = matcher(query.filters, zones)
    rows: list[dict[str, Any]] = []
    for source in asked:
        wanted = places[source.name]
        for start in range(0, len(wanted), CHUNK):
            rows += _objects(query, source, wanted[start : start + CHUNK], match)
            tell(sum(one.calls for one in asked))
            if query.limit is not None and len(rows) >= query.limit:
                return rows[: query.limit]
    return rows


def _objects(
    query: SelectionQuery,
    source: Recorded,
    places: NDArray[np.int64],
    match: Callable[[Any], NDArray[np.bool_]],
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
                if not content_holds(query.filters, images[place][y1:y2, x1:x2]):
                    continue
            yield {
                "stream": source.name,
                "frame": place,
                "time": iso_time(int(source.times_ns[place])),
                "class": answer.classes[number],
                "score": round(float(answer.scores[number]), 4),
                "box": [round(float(edge), 1) for edge in box],
            }
