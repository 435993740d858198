"""Limit queries: the search for frames, over all streams as if one followed the other."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from connectors.codec import iso_time
from flows.query.checks import limit_questions
from flows.query.matching import matcher
from flows.query.planner import Way
from operators.limit import LimitSettings, search
from operators.orders import conjunction_scores, make_order
from records.units import NANOSECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from flows.query.matching import Zones
    from flows.query.model import LimitQuery
    from flows.query.proxies import Question
    from flows.query.sources import Match, Recorded
    from operators.orders import OrderName

    Places = Mapping[str, NDArray[np.int64]]
    """The frames that are asked about, by stream, ascending."""


@dataclass(frozen=True, slots=True)
class Line:
    """The frames of all streams in one line, further apart at the seams than the gap.

    Attributes:
        positions: int64 (n,), where each frame is: frames, or nanoseconds.
        gap: How far apart found frames must be, in the same unit.
        gap_frames: About how many frames that is.
    """

    positions: NDArray[np.int64]
    gap: int
    gap_frames: int


def line_of(query: LimitQuery, asked: Sequence[Recorded], places: Places) -> Line:
    """Put the frames of all streams in one line.

    A gap in seconds is measured on the streams' own times, so it is right where the frame rate
    varies.

    Args:
        query: The query.
        asked: The streams.
        places: The frames of each.
    """
    seconds = query.gap_seconds
    if seconds is None:
        own = [np.arange(len(places[one.name])) for one in asked]
        return Line(_joined(own, query.gap), query.gap, query.gap)
    own = [one.times_ns[places[one.name]] - one.times_ns[places[one.name][0]] for one in asked]
    span, frames = sum(int(one[-1]) for one in own), sum(len(one) for one in own)
    # A gap beyond all times means the same as one just beyond them, and cannot overflow.
    gap = round(min(seconds, span / NANOSECONDS + 1) * NANOSECONDS)
    return Line(_joined(own, gap), gap, round(gap * frames / max(span, 1)))


def _joined(own: Sequence[NDArray[np.int64]], gap: int) -> NDArray[np.int64]:
    parts, start = [], 0
    for one in own:
        parts.append(one + start)
        start += int(one[-1]) + gap + 1
    return np.concatenate(parts)


def find_frames(
    query: LimitQuery,
    asked: Sequence[Recorded],
    places: Places,
    zones: Zones,
    seed: int,
    way: Way,
    tell: Callable[[int], None],
) -> list[dict[str, Any]]:
    """Search for frames in which there are enough objects of every class.

    Args:
        query: The query.
        asked: The streams.
        places: The frames of each that are asked about.
        zones: The zones there are.
        seed: Of the order's draws.
        way: How it is answered.
        tell: Called with how many frames the reference has seen.

    Returns:
        A row of plain JSON values for each frame, each verified by the reference.
    """
    matches = {
        name: matcher(replace(query.filters, classes=(name,)), zones) for name in query.least
    }
    where = [(source, place) for source in asked for place in places[source.name].tolist()]

    def verify(numbers: list[int]) -> list[bool | None]:
        found = [_counts(*where[number], matches) for number in numbers]
        tell(sum(one.calls for one in asked))
        return [all(each[name] >= least for name, least in query.least.items()) for each in found]

    scores = None
    if way is Way.RANKED:
        questions = limit_questions(query, zones)
        scores = np.concatenate([_scores(one, places[one.name], questions) for one in asked])
    line = line_of(query, asked, places)
    name: OrderName = "sequential" if way is Way.SCAN else "sightflow"
    order = make_order(name, len(where), line.gap_frames, seed, scores)
    settings = LimitSettings(query.limit, line.gap, query.budget)
    result = search(settings, order, verify, line.positions)
    rows = []
    for number in sorted(result.found):
        source, place = where[number]
        time_ns = int(source.times_ns[place])
        rows.append({"stream": source.name, "frame": place, "time": iso_time(time_ns),
                     "counts": _counts(source, place, matches)})  # fmt: skip
    return rows


def _counts(source: Recorded, place: int, matches: Mapping[str, Match]) -> dict[str, float]:
    """How many objects of each class there are in one frame."""
    one = np.array([place], np.int64)
    return {name: float(source.counts(one, match)[0]) for name, match in matches.items()}


def _scores(
    source: Recorded, places: NDArray[np.int64], questions: Sequence[Question]
) -> NDArray[np.float64]:
    """How promising each frame is, by the classes that the proxy was made for."""
    proxy = source.proxy
    assert proxy is not None
    known = [proxy.values(places, one) for one in questions if proxy.fits(one)]
    return conjunction_scores(np.stack(known, axis=1))
