"""The clauses that FrameQL adds to SQL: found by their tokens and cut out, so that SQL remains.

What is cut out becomes blanks, so every place in what remains is a place in the query.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sqlglot import Tokenizer, TokenType
from sqlglot.errors import TokenError

from flows.query.faults import fault

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlglot import Token

LONGEST_QUERY = 20_000
"""The most characters of a query."""

_EXPLAIN = re.compile(r"\s*EXPLAIN\b", re.IGNORECASE)
_WITHIN = ("ERROR", "FNR", "FPR")
_PLAIN = ("GAP", "BUDGET")
_FRAMES, _SECONDS = ("FRAME", "FRAMES"), ("SECOND", "SECONDS")


@dataclass
class Clauses:
    """What the clauses said.

    Attributes:
        sql: The query with blanks in their places.
        numbers: The number of each clause that was there, by its name.
        places: Where each clause stands, from and to.
        estimator: What USING named; None without one.
        gap_in_seconds: Whether GAP counts seconds, and not frames.
        explain: Whether EXPLAIN stands in front.
    """

    sql: str
    numbers: dict[str, float] = field(default_factory=dict)
    places: dict[str, tuple[int, int]] = field(default_factory=dict)
    estimator: str | None = None
    gap_in_seconds: bool = False
    explain: bool = False


def cut_clauses(query: str) -> Clauses:
    """Find FrameQL's clauses and cut them out.

    Raises:
        QueryError: a clause is incomplete, given twice or out of its range.

    >>> cut = cut_clauses("SELECT FCOUNT(*) FROM gate ERROR WITHIN 0.1 AT CONFIDENCE 95%")
    >>> cut.numbers, cut.sql.rstrip()
    ({'ERROR': 0.1, 'CONFIDENCE': 0.95}, 'SELECT FCOUNT(*) FROM gate')
    """
    if len(query) > LONGEST_QUERY:
        raise fault(query[:80], 0, 80, "is too long", f"Use at most {LONGEST_QUERY} characters.")
    if not query.strip():
        raise fault(query or " ", 0, 1, "is empty", "Write SELECT FCOUNT(*) FROM stream.")
    cut = Clauses(query)
    front = _EXPLAIN.match(query)
    if front is not None:
        # To sqlglot it is a command, whose rest it does not read.
        cut.explain = True
        cut.sql = " " * front.end() + query[front.end() :]
    try:
        tokens = Tokenizer().tokenize(cut.sql)
    except TokenError as error:
        end = len(query.rstrip())
        raise fault(query, end - 1, end, "ends within a text or a name", "Close it.") from error
    place = 0
    while place < len(tokens):
        place = _clause(query, tokens, place, cut)
    return cut


def _clause(query: str, tokens: Sequence[Token], place: int, cut: Clauses) -> int:
    """Take the clause that begins here, if one does; where to go on."""
    token = tokens[place]
    word = token.text.upper() if token.token_type is not TokenType.STRING else ""
    after = tokens[place + 1].text.upper() if place + 1 < len(tokens) else ""
    if word in _WITHIN and place and after != "WITHIN" and _is_near(after, "WITHIN"):
        wrong = tokens[place + 1]
        raise fault(query, wrong.start, wrong.end + 1, "is no WITHIN", f"Write {word} WITHIN.")
    if word in _WITHIN and after == "WITHIN":
        last = _number(query, tokens, place + 2, word, cut)
    elif word in _PLAIN and place and after not in ("", "=", "<", ">", ",", "(", ")"):
        last = _number(query, tokens, place + 1, word, cut)
    elif word == "CONFIDENCE" and place:
        last = _number(query, tokens, place + 1, word, cut)
        if place and tokens[place - 1].text.upper() == "AT":
            place -= 1
    elif word == "USING" and place + 1 < len(tokens):
        last = place + 1
        cut.estimator = tokens[last].text
        cut.places["USING"] = tokens[last].start, tokens[last].end + 1
    else:
        return place + 1
    if word == "GAP" and last + 1 < len(tokens):
        unit = tokens[last + 1].text.upper()
        cut.gap_in_seconds = unit in _SECONDS
        last += unit in (*_FRAMES, *_SECONDS)
    _blank(cut, tokens[place], tokens[last])
    return last + 1


def _is_near(word: str, wanted: str) -> bool:
    return bool(difflib.get_close_matches(word, [wanted], 1))


def _number(query: str, tokens: Sequence[Token], place: int, name: str, cut: Clauses) -> int:
    """Take a number, with the point or the per cent sign that belongs to it; its last token."""
    if place >= len(tokens):
        end = tokens[-1].end + 1
        raise fault(query, end, end + 1, f"lacks the number of {name}", "Write it behind.")
    first, last = place, place
    if tokens[place].token_type is TokenType.DOT and place + 1 < len(tokens):
        last = place + 1
    text = query[tokens[first].start : tokens[last].end + 1]
    start, end = tokens[first].start, tokens[last].end + 1
    try:
        value = float(text)
    except ValueError:
        problem = f"is no number, which {name} needs"
        raise fault(query, start, end, problem, "Write a number.") from None
    if last + 1 < len(tokens) and tokens[last + 1].token_type is TokenType.MOD:
        last += 1
        value /= 100
    if name in cut.numbers:
        raise fault(query, start, end, f"is a second {name}", "Say it once.")
    cut.numbers[name] = value
    cut.places[name] = start, end
    return last


def _blank(cut: Clauses, first: Token, last: Token) -> None:
    start, end = first.start, last.end + 1
    cut.sql = cut.sql[:start] + " " * (end - start) + cut.sql[end:]
