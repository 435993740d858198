"""Parts of queries: windows, counts of classes, and numbers in their ranges."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from sqlglot import exp

from flows.query.conditions import column_name, literal_number, place
from flows.query.faults import fault
from flows.query.model import Window

if TYPE_CHECKING:
    from flows.query.clauses import Clauses

_MOST_FRAMES = 2**53
_UNITS = {"SECOND": 1, "MINUTE": 60, "HOUR": 3600, "DAY": 86_400}


def having(node: exp.Expression) -> list[exp.Expression]:
    """The conditions under HAVING, which are joined by AND."""
    if isinstance(node, exp.And):
        return [*having(node.this), *having(node.expression)]
    return having(node.this) if isinstance(node, exp.Paren) else [node]


def sum_condition(query: str, node: exp.Expression) -> tuple[str, int]:
    """SUM(class='bus') >= 1, or > 0, as a class and its least count."""
    count = node.args.get("expression")
    total = node.args.get("this")
    inner = total.this if isinstance(total, exp.Sum) else None
    number = literal_number(count)
    good = (
        isinstance(node, exp.GTE | exp.GT)
        and isinstance(inner, exp.EQ)
        and column_name(inner.this) == "class"
        and isinstance(inner.expression, exp.Literal)
        and inner.expression.is_string
    )
    if not good or inner is None or count is None or number is None:
        remedy = "Write SUM(class='bus') >= 1."
        raise fault(query, *place(query, node), "is no count of a class", remedy)
    least = math.floor(number) + 1 if isinstance(node, exp.GT) else math.ceil(number)
    if least < 1:
        raise fault(query, *place(query, count), "always holds", "Ask for at least 1.")
    return str(inner.expression.this), least


def window_of(query: str, node: exp.Anonymous) -> Window:
    """TUMBLE or HOP as a window."""
    name = str(node.this).upper()
    lengths = [_seconds(query, one) for one in node.expressions]
    if name == "TUMBLE" and len(lengths) == 1:
        return Window(lengths[0], lengths[0])
    if name in ("HOP", "SLIDE") and len(lengths) == 2:
        slide, size = lengths
        ratio = size / slide
        count = round(ratio) if math.isfinite(ratio) else 0
        if count < 1 or not math.isclose(count * slide, size):
            remedy = "Make the window a multiple of its slide: HOP(slide, window)."
            raise fault(query, *place(query, node), "has lengths that do not fit", remedy)
        return Window(size, slide)
    remedy = (
        "Write TUMBLE(INTERVAL '60' SECOND) or HOP(INTERVAL '10' SECOND, INTERVAL '60' SECOND)."
    )
    raise fault(query, *place(query, node), "is no window", remedy)


def _seconds(query: str, node: exp.Expression) -> float:
    unit = str(node.args.get("unit") or "").upper().rstrip("S")
    text = node.this.this if isinstance(node, exp.Interval) and node.this is not None else ""
    try:
        seconds = float(text) * _UNITS[unit]
    except (KeyError, TypeError, ValueError):
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise fault(query, *place(query, node), "is no length", "Write INTERVAL '60' SECOND.")
    return seconds


def limit_number(query: str, select: exp.Select) -> int | None:
    """The number behind LIMIT; None without one."""
    node = select.args.get("limit")
    if node is None:
        return None
    literal = node.expression
    number = literal_number(literal)
    if number is not None and 1 <= number <= _MOST_FRAMES and number == int(number):
        return int(number)
    raise fault(query, *place(query, node), "is no number of frames", "Write LIMIT 10.")


def positive(query: str, cut: Clauses, name: str) -> float | None:
    """A clause's number above 0; None without the clause."""
    value = cut.numbers.get(name)
    if value is not None and not 0 < value < math.inf:
        raise fault(query, *cut.places[name], f"is no {name}", "Write a number above 0.")
    return value


def share(query: str, cut: Clauses, name: str) -> float | None:
    """A clause's share between 0 and 1; None without the clause."""
    value = cut.numbers.get(name)
    if value is not None and not 0 < value < 1:
        raise fault(query, *cut.places[name], f"is no {name}", "Write a share: 0.95 or 95%.")
    return value


def whole(query: str, cut: Clauses, name: str, least: int = 1) -> int | None:
    """A clause's whole number; None without the clause."""
    value = cut.numbers.get(name)
    if value is None:
        return None
    if not least <= value <= _MOST_FRAMES or value != round(value):
        remedy = f"Write a whole number of at least {least}."
        raise fault(query, *cut.places[name], f"is no {name}", remedy)
    return int(value)
