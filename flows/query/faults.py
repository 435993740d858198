"""Errors of queries: the line, a caret under the place, what is wrong and what would be right."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from records import QueryError

if TYPE_CHECKING:
    from collections.abc import Iterable

WIDEST_LINE = 100
"""The most characters of a line that are shown."""


def fault(query: str, start: int, end: int, problem: str, remedy: str) -> QueryError:
    """The error of a place in a query.

    Args:
        query: The query.
        start: The first character that is wrong.
        end: The character behind the last.
        problem: What is wrong.
        remedy: What would be right.

    >>> print(fault("SELECT x FROM gate", 7, 8, "is no function", "Write FCOUNT(*)."))
    x is no function. Write FCOUNT(*).
      SELECT x FROM gate
             ^
    """
    start = max(min(start, len(query)), 0)
    begin = query.rfind("\n", 0, start) + 1
    stop = query.find("\n", start)
    line = query[begin : len(query) if stop < 0 else stop]
    column = start - begin
    if column > WIDEST_LINE - 20:
        cut = column - WIDEST_LINE // 2
        line, column = "…" + line[cut:], column - cut + 1
    shown = line[:WIDEST_LINE].replace("\t", " ")
    carets = "^" * max(min(end - start, len(shown) - column), 1)
    what = query[start:end].strip() or "the query"
    name = what if len(what) <= WIDEST_LINE else f"{what[:WIDEST_LINE]}…"
    return QueryError(f"{name} {problem}. {remedy}\n  {shown}\n  {' ' * column}{carets}")


def meant(word: str, known: Iterable[str]) -> str:
    """A sentence that suggests the known word, or lists them.

    >>> meant("FCONT", ["FCOUNT", "COUNT"])
    'Did you mean FCOUNT?'
    """
    names = sorted(known)
    near = difflib.get_close_matches(word, names, 1)
    if near:
        return f"Did you mean {near[0]}?"
    return f"There is: {', '.join(names)}." if names else "There is none."
