"""WHERE: which objects and frames count, from SQL's conditions to `Filters`."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from sqlglot import exp

from flows.query.contents import BUILT_IN
from flows.query.faults import fault, meant
from flows.query.model import Filters, Range
from records.checks import LATEST_TIME_NS
from records.units import NANOSECONDS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

BOX_FIELDS = ("score", "area", "xmin", "ymin", "xmax", "ymax")
"""What of a box may be compared with a number."""

TEXT_FIELDS = ("class", "zone")
"""What is compared with a text."""

_FLIPPED: dict[type[exp.Expression], type[exp.Expression]] = {
    exp.LT: exp.GT,
    exp.LTE: exp.GTE,
    exp.GT: exp.LT,
    exp.GTE: exp.LTE,
    exp.EQ: exp.EQ,
}


def place(query: str, node: exp.Expression) -> tuple[int, int]:
    """Where a part of the query stands, from and to."""
    places = [
        (int(one.meta["start"]), int(one.meta["end"]) + 1)
        for one in node.walk()
        if "start" in one.meta
    ]
    if not places:
        return 0, len(query)
    start, end = min(start for start, _ in places), max(end for _, end in places)
    # sqlglot does not keep the places of parentheses; those that were opened are closed behind.
    missing = query[start:end].count("(") - query[start:end].count(")")
    for _ in range(missing):
        closed = query.find(")", end)
        if closed < 0:
            break
        end = closed + 1
    return start, end


def column_name(node: exp.Expression) -> str | None:
    """The name of a column, in lower case; None for anything else."""
    if isinstance(node, exp.Column) and not node.table:
        return str(node.name).lower()
    return None


def parse_filters(
    query: str, where: exp.Expression | None, contents: Collection[str] = tuple(BUILT_IN)
) -> Filters:
    """Read the conditions, which are joined by AND.

    Args:
        query: The query, for errors.
        where: The expression under WHERE; None without one.
        contents: The names of the functions of `content` that there are.

    Raises:
        QueryError: a condition is none that frames and objects can be asked.
    """
    filters = Filters()
    for condition in () if where is None else _conjuncts(query, where):
        filters = _add(query, condition, filters, contents)
    return filters


def _conjuncts(query: str, node: exp.Expression) -> Iterator[exp.Expression]:
    if isinstance(node, exp.And):
        yield from _conjuncts(query, node.this)
        yield from _conjuncts(query, node.expression)
    elif isinstance(node, exp.Paren):
        yield from _conjuncts(query, node.this)
    elif isinstance(node, exp.Between):
        yield exp.GTE(this=node.this, expression=node.args["low"])
        yield exp.LTE(this=node.this.copy(), expression=node.args["high"])
    elif isinstance(node, exp.Or):
        remedy = "Join conditions by AND; several classes are class IN ('car', 'bus')."
        raise fault(query, *place(query, node), "joins by OR", remedy)
    else:
        yield node


def _add(query: str, node: exp.Expression, filters: Filters, contents: Collection[str]) -> Filters:
    if isinstance(node, exp.In) and column_name(node.this) == "class":
        texts = tuple(_text(query, one) for one in node.expressions)
        return _with_classes(query, node, filters, texts)
    left, right = node.args.get("this"), node.args.get("expression")
    kind = type(node)
    if kind not in _FLIPPED or left is None or right is None:
        remedy = "Compare a field with a value: class = 'car', score >= 0.5."
        raise fault(query, *place(query, node), "is no condition", remedy)
    if isinstance(left, exp.Literal | exp.Neg):
        left, right, kind = right, left, _FLIPPED[kind]
    name = column_name(left)
    if name in TEXT_FIELDS:
        if kind is not exp.EQ:
            raise fault(query, *place(query, node), "is no condition", f"Write {name} = '…'.")
        text = _text(query, right)
        if name == "class":
            return _with_classes(query, node, filters, (text,))
        if filters.zone is not None:
            raise fault(query, *place(query, node), "names a second zone", "Name one.")
        return replace(filters, zone=text)
    return _with_range(query, left, right, kind, filters, contents)


def _with_range(
    query: str,
    left: exp.Expression,
    right: exp.Expression,
    kind: type[exp.Expression],
    filters: Filters,
    contents: Collection[str],
) -> Filters:
    name = column_name(left)
    if name == "timestamp":
        nanoseconds = float(_time_ns(query, right))
        return replace(filters, time_ns=_narrowed(filters.time_ns, kind, nanoseconds))
    if name in BOX_FIELDS:
        known = filters.boxes.get(name, Range())
        one = _narrowed(known, kind, _number(query, right))
        return replace(filters, boxes={**filters.boxes, name: one})
    function = _content_function(query, left, contents)
    if function is not None:
        known = filters.contents.get(function, Range())
        one = _narrowed(known, kind, _number(query, right))
        return replace(filters, contents={**filters.contents, function: one})
    fields = [*TEXT_FIELDS, *BOX_FIELDS, "timestamp", *(f"{f}(content)" for f in contents)]
    raise fault(query, *place(query, left), "is no field", meant(name or left.sql(), fields))


def _content_function(query: str, node: exp.Expression, contents: Collection[str]) -> str | None:
    """The name of a function of a box's pixels; area(mask) and its like are fields of the box."""
    if not isinstance(node, exp.Anonymous):
        return None
    name = str(node.this).lower()
    arguments = [column_name(one) for one in node.expressions]
    if name in contents and arguments == ["content"]:
        return name
    start, end = place(query, node)
    if name in contents:
        raise fault(query, start, end, "needs content", f"Write {name}(content).")
    raise fault(query, start, end, "is no function", meant(name, tuple(contents)))


def _with_classes(
    query: str, node: exp.Expression, filters: Filters, names: tuple[str, ...]
) -> Filters:
    if filters.classes:
        remedy = "Write them together: class IN ('car', 'bus')."
        raise fault(query, *place(query, node), "names classes again", remedy)
    return replace(filters, classes=tuple(dict.fromkeys(names)))


def _narrowed(known: Range, kind: type[exp.Expression], value: float) -> Range:
    low, high = known.low, known.high
    # The ends of a range are included: the nearest number stands for one that is not.
    if kind is exp.GT:
        value = math.nextafter(value, math.inf)
    if kind is exp.LT:
        value = math.nextafter(value, -math.inf)
    if kind in (exp.GT, exp.GTE, exp.EQ):
        low = value if low is None else max(low, value)
    if kind in (exp.LT, exp.LTE, exp.EQ):
        high = value if high is None else min(high, value)
    return Range(low, high)


def _text(query: str, node: exp.Expression) -> str:
    if isinstance(node, exp.Literal) and node.is_string and node.this:
        return str(node.this)
    raise fault(query, *place(query, node), "is no text", "Put it in single quotes: 'car'.")


def _number(query: str, node: exp.Expression) -> float:
    sign = 1.0
    inner = node
    if isinstance(node, exp.Neg):
        sign, inner = -1.0, node.this
    value = literal_number(inner)
    if value is None:
        raise fault(query, *place(query, node), "is no number", "Write a number, without quotes.")
    return sign * value


def literal_number(node: object) -> float | None:
    """The finite number that is written here; None for anything else."""
    if not isinstance(node, exp.Literal) or node.is_string:
        return None
    try:
        value = float(node.this)
    except ValueError:  # 1e, which SQL takes for a number
        return None
    return value if math.isfinite(value) else None


def _time_ns(query: str, node: exp.Expression) -> int:
    """An event time: seconds since 1970, or a text with its zone."""
    if isinstance(node, exp.Literal) and node.is_string:
        try:
            moment = datetime.fromisoformat(str(node.this))
        except ValueError:
            moment = None
        if moment is not None and moment.tzinfo is not None:
            return int(moment.timestamp()) * NANOSECONDS + moment.microsecond * 1000
        remedy = "Write it with its zone, '2026-05-01T08:00:00Z', or as seconds."
        raise fault(query, *place(query, node), "is no time", remedy)
    nanoseconds = _number(query, node) * NANOSECONDS
    if not abs(nanoseconds) <= LATEST_TIME_NS:
        raise fault(query, *place(query, node), "is no time", "Write seconds since 1970.")
    return round(nanoseconds)
