"""What is checked before anything is asked, and whether the streams' proxies fit the query."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING

from flows.query.faults import meant
from flows.query.matching import corners, matcher
from flows.query.model import AggregateQuery, Filters, LimitQuery, Measure, SelectionQuery
from flows.query.planner import takes_proxy
from flows.query.proxies import Question
from records import QueryError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flows.query.matching import Zones
    from flows.query.model import Query
    from flows.query.sources import Recorded


def check_query(query: Query, asked: Sequence[Recorded], zones: Zones) -> None:
    """Refuse what the sources do not know, before anything is asked.

    Raises:
        QueryError: the query asks for a class, a zone or a property that is not there.
    """
    matcher(query.filters, zones)
    boxed = bool(query.filters.boxes or query.filters.zone or query.filters.contents)
    for source in asked:
        if boxed and not source.has_boxes:
            raise QueryError(f"{source.name} is a trace: it can be asked neither boxes nor zones")
        if isinstance(query, LimitQuery) and not source.has_boxes and len(query.least) > 1:
            raise QueryError(f"{source.name} is a trace: it holds the counts of one class")
        if source.class_names is not None:
            check_classes(query, source.name, source.class_names)
    if query.filters.contents and not isinstance(query, SelectionQuery):
        raise QueryError("pixels can be asked only by SELECT * over a video")
    if isinstance(query, LimitQuery):
        _check_counted(query)
    if isinstance(query, AggregateQuery):
        if "class" in query.group_by and not query.filters.classes:
            raise QueryError("GROUP BY class needs the classes: add class IN ('car', 'bus')")
        if "zone" in query.group_by and not zones:
            raise QueryError("GROUP BY zone needs zones: say --zone NAME=x1,y1,x2,y2,x3,y3")


def check_classes(query: Query, stream: str, known: Sequence[str]) -> None:
    """Refuse classes that a stream's detector cannot find.

    Args:
        query: The query.
        stream: The stream's name.
        known: The classes that its detector can find.

    Raises:
        QueryError: the query names another.
    """
    counted = tuple(query.least) if isinstance(query, LimitQuery) else ()
    for name in (*query.filters.classes, *counted):
        if name not in known:
            raise QueryError(
                f"the detector of {stream} knows no class {name!r}. {meant(name, known)}"
            )


def _check_counted(query: LimitQuery) -> None:
    """Refuse a HAVING that counts what WHERE leaves out: nothing could ever be found."""
    left = query.filters.classes
    for name in query.least:
        if left and name not in left:
            raise QueryError(
                f"HAVING counts {name!r}, of which WHERE leaves none: it keeps {', '.join(left)}. "
                "Leave the class out of WHERE"
            )


def group_filters(query: AggregateQuery, zones: Zones) -> list[Filters]:
    """The filters of each group of an aggregate, classes first, then zones."""
    filters = query.filters
    classes = [filters.classes]
    if "class" in query.group_by:
        classes = [(name,) for name in filters.classes]
    named = list(zones) if "zone" in query.group_by else [filters.zone]
    return [replace(filters, classes=c, zone=z) for c, z in product(classes, named)]


def aggregate_question(measure: Measure, filters: Filters, zones: Zones) -> Question:
    """What a proxy is asked for one group of an aggregate."""
    least = 1 if measure is Measure.PRESENCE else None
    return Question(filters.classes, corners(filters.zone, zones), least)


def limit_questions(query: LimitQuery, zones: Zones) -> list[Question]:
    """What a proxy is asked for a limit query: whether there are enough of each class."""
    zone = corners(query.filters.zone, zones)
    return [Question((name,), zone, least) for name, least in query.least.items()]


def has_proxy(query: Query, asked: Sequence[Recorded], zones: Zones) -> bool:
    """Whether every stream has a proxy that this query can use.

    For an aggregate it must fit each group; for a limit query one of the classes, since where one
    is missing the others need not be looked for.

    Raises:
        QueryError: a stream has trained models, but for something else.
    """
    if isinstance(query, SelectionQuery) or not takes_proxy(query):
        return False
    if isinstance(query, AggregateQuery):
        groups = group_filters(query, zones)
        questions = [aggregate_question(query.measure, one, zones) for one in groups]
    else:
        questions = limit_questions(query, zones)
    for source in asked:
        if source.proxy is None:
            continue
        misfits = [one for one in questions if not source.proxy.fits(one)]
        enough = len(questions) - 1 if isinstance(query, LimitQuery) else 0
        if len(misfits) > enough:
            known = " and ".join(source.proxy.trained_for)
            raise QueryError(
                f"the proxy of {source.name} was trained for {known}; the query asks for "
                f"{misfits[0]}. Train one for that with 'sightflow evaluate cascade --save', or "
                "leave --trained out"
            )
    return all(source.proxy is not None for source in asked)
