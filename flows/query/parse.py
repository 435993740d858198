"""Parsing FrameQL: `parse` turns a text into a query, or says where and why it is none.

SQL itself is read by sqlglot; FrameQL's own clauses are cut out before (`flows.query.clauses`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlglot
from sqlglot import exp
from sqlglot.errors import ParseError

from flows.query.clauses import Clauses, cut_clauses
from flows.query.conditions import column_name, parse_filters, place
from flows.query.contents import BUILT_IN
from flows.query.faults import fault, meant
from flows.query.model import (
    DEFAULT_CONFIDENCE,
    ESTIMATORS,
    GROUPS,
    AggregateQuery,
    LimitQuery,
    Measure,
    Query,
    SelectionQuery,
)
from flows.query.parts import (
    having,
    limit_number,
    positive,
    share,
    sum_condition,
    whole,
    window_of,
)
from records import RecordError
from records.checks import check_name

if TYPE_CHECKING:
    from collections.abc import Collection

    from flows.query.model import Filters

FUNCTIONS = ("FCOUNT(*)", "COUNT(*)", "PRESENCE(*)", "COUNT(DISTINCT trackid)", "timestamp", "*")
"""What may be selected."""

_KNOWN_PARTS = {"expressions", "from_", "joins", "where", "group", "having", "limit", "kind"}


def parse(query: str, contents: Collection[str] = tuple(BUILT_IN)) -> Query:
    """Parse a query.

    Args:
        query: The query.
        contents: The names of the functions of `content` that it may use.

    Raises:
        QueryError: it is none; the message shows where, and what would be right.

    >>> parse("SELECT FCOUNT(*) FROM gate WHERE class='car' ERROR WITHIN 0.1").error
    0.1
    """
    cut = cut_clauses(query)
    select = _select(query, cut.sql)
    for name, part in select.args.items():
        if part and name not in _KNOWN_PARTS:
            problem = f"has {name.upper().strip('_')}, which streams cannot be asked"
            raise fault(query, 0, 6, problem, "See docs/frameql.md for what can.")
    streams = _streams(query, select)
    where = select.args.get("where")
    filters = parse_filters(query, None if where is None else where.this, contents)
    what = _selected(query, select)
    if isinstance(what, Measure):
        return _aggregate(query, select, cut, streams, what, filters)
    if what == "timestamp":
        return _limit(query, select, cut, streams, filters)
    return _selection(query, select, cut, streams, filters)


def _select(query: str, sql: str) -> exp.Select:
    try:
        parsed = sqlglot.parse(sql)
    except ParseError as error:
        first = error.errors[0] if error.errors else {}
        word = str(first.get("highlight") or "")
        start = len(str(first.get("start_context") or ""))
        if len(query) > len(sql[:start]) and word:
            start = max(sql.find(word, max(start - 1, 0)), 0)
        reason = str(first.get("description") or "cannot be read").rstrip(".").lower()
        remedy = "Write SELECT … FROM stream WHERE … GROUP BY …."
        raise fault(query, start, start + max(len(word), 1), f"cannot be read ({reason})",
                    remedy) from error  # fmt: skip
    except RecursionError as error:
        raise fault(query, 0, 1, "is nested too deeply", "Write it flat.") from error
    if len(parsed) > 1 or isinstance(parsed[0], exp.SetOperation):
        raise fault(query, 0, len(query), "asks more than one question", "Ask one at a time.")
    if not isinstance(parsed[0], exp.Select):
        raise fault(
            query, 0, len(query.split(maxsplit=1)[0]), "begins no question", "Begin with SELECT."
        )
    return parsed[0]


def _streams(query: str, select: exp.Select) -> tuple[str, ...]:
    source = select.args.get("from_")
    if source is None:
        end = len(query.rstrip())
        raise fault(query, end, end + 1, "lacks its stream", "Write FROM and a stream's name.")
    names = []
    for node in [source.this, *(join.this for join in select.args.get("joins") or [])]:
        if not isinstance(node, exp.Table) or node.args.get("db") or not node.name:
            raise fault(query, *place(query, node), "is no stream", "Write FROM gate, till.")
        try:
            check_name("stream", node.name)
        except RecordError:
            raise fault(query, *place(query, node), "is no stream's name", "Use another.") from None
        names.append(str(node.name))
    for name in names:
        if names.count(name) > 1:
            raise fault(query, *place(query, source), f"names {name} twice", "Name it once.")
    return tuple(names)


def _selected(query: str, select: exp.Select) -> Measure | str:
    if len(select.expressions) != 1:
        places = [place(query, one) for one in select.expressions[1:]] or [(0, 6)]
        raise fault(query, *places[0], "selects a second thing", "Select one thing in a query.")
    (node,) = select.expressions
    if isinstance(node, exp.Star):
        return "*"
    name = column_name(node)
    if name == "timestamp":
        return name
    if isinstance(node, exp.Count):
        if isinstance(node.this, exp.Star):
            return Measure.SUM
        inner = node.this.expressions if isinstance(node.this, exp.Distinct) else []
        if [column_name(one) for one in inner] == ["trackid"]:
            return Measure.DISTINCT
    if isinstance(node, exp.Anonymous):
        named = str(node.this).upper()
        star = len(node.expressions) == 1 and isinstance(node.expressions[0], exp.Star)
        if named in (Measure.AVERAGE, Measure.PRESENCE) and star:
            return Measure(named)
    raise fault(query, *place(query, node), "cannot be selected", meant(node.sql(), FUNCTIONS))


def _aggregate(
    query: str,
    select: exp.Select,
    cut: Clauses,
    streams: tuple[str, ...],
    measure: Measure,
    filters: Filters,
) -> AggregateQuery:
    _refuse(query, cut, ("GAP", "FNR", "FPR"), "an aggregate")
    _refuse_part(query, select, ("having", "limit"), "an aggregate")
    group = select.args.get("group")
    window, groups = None, []
    for node in [] if group is None else group.expressions:
        name = column_name(node)
        if name in GROUPS:
            groups.append(name)
        elif isinstance(node, exp.Anonymous) and window is None:
            window = window_of(query, node)
        else:
            names = [*GROUPS, "TUMBLE(INTERVAL '60' SECOND)"]
            raise fault(query, *place(query, node), "is no group", meant(node.sql(), names))
    estimator = cut.estimator or "fast"
    if estimator not in ESTIMATORS:
        raise fault(query, *cut.places["USING"], "is no estimator", meant(estimator, ESTIMATORS))
    return AggregateQuery(
        streams=streams,
        measure=measure,
        filters=filters,
        window=window,
        group_by=tuple(dict.fromkeys(groups)),
        error=positive(query, cut, "ERROR"),
        confidence=share(query, cut, "CONFIDENCE") or DEFAULT_CONFIDENCE,
        budget=whole(query, cut, "BUDGET"),
        estimator=estimator,
        explain=cut.explain,
    )


def _limit(
    query: str, select: exp.Select, cut: Clauses, streams: tuple[str, ...], filters: Filters
) -> LimitQuery:
    _refuse(query, cut, ("ERROR", "CONFIDENCE", "FNR", "FPR", "USING"), "a limit query")
    group, condition = select.args.get("group"), select.args.get("having")
    grouped = [] if group is None else [column_name(one) for one in group.expressions]
    if grouped != ["timestamp"]:
        remedy = "Write GROUP BY timestamp HAVING SUM(class='bus') >= 1 LIMIT 10."
        raise fault(query, 0, 6, "asks for times without GROUP BY timestamp", remedy)
    limit = limit_number(query, select)
    if condition is None or limit is None:
        missing = "HAVING" if condition is None else "LIMIT"
        end = len(query.rstrip())
        raise fault(query, end, end + 1, f"lacks {missing}", "Write HAVING … LIMIT 10.")
    least: dict[str, int] = {}
    for node in having(condition.this):
        name, count = sum_condition(query, node)
        least[name] = max(count, least.get(name, 0))
    seconds = positive(query, cut, "GAP") if cut.gap_in_seconds else None
    frames = 0 if cut.gap_in_seconds else whole(query, cut, "GAP", least=0) or 0
    budget = whole(query, cut, "BUDGET")
    return LimitQuery(streams, least, limit, frames, seconds, filters, budget, cut.explain)


def _selection(
    query: str, select: exp.Select, cut: Clauses, streams: tuple[str, ...], filters: Filters
) -> SelectionQuery:
    _refuse(query, cut, ("ERROR", "CONFIDENCE", "GAP", "USING", "BUDGET"), "a selection")
    _refuse_part(query, select, ("having", "group"), "a selection")
    return SelectionQuery(
        streams,
        filters,
        limit_number(query, select),
        share(query, cut, "FNR"),
        share(query, cut, "FPR"),
        cut.explain,
    )


def _refuse(query: str, cut: Clauses, names: tuple[str, ...], what: str) -> None:
    for name in names:
        if name in cut.places:
            problem = f"belongs to {name}, which {what} does not take"
            raise fault(query, *cut.places[name], problem, "Remove the clause.")


def _refuse_part(query: str, select: exp.Select, names: tuple[str, ...], what: str) -> None:
    for name in names:
        part = select.args.get(name)
        if part is not None:
            problem = f"is in {name.upper()}, which {what} does not take"
            raise fault(query, *place(query, part), problem, "Remove the clause.")
