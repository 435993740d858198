"""Checks that records run once, at the edge, on the fields they are built from."""

from __future__ import annotations

import math
import re

from records.errors import RecordError

MOST_BRACKETS = 64
"""How deeply brackets may be nested in a YAML text before it is parsed."""

_BRACKETS = re.compile(r"[\[\]{}]")

LONGEST_NAME = 200
"""The longest stream, rule or stage name, in characters."""

LATEST_TIME_NS = 2**63 - 1
"""The latest event time that an int64 of nanoseconds since 1970 UTC can hold."""


def check_name(field: str, value: object) -> None:
    """Raise RecordError unless `value` is text of 1 to 200 printable characters without ':'.

    A colon parts the stream from the sequence in an id, so no name may hold one.

    >>> check_name("stream", "gate")
    >>> check_name("stream", "a:b")
    Traceback (most recent call last):
    ...
    records.errors.RecordError: stream must be 1 to 200 printable characters without ':', got 'a:b'
    """
    ok = (
        isinstance(value, str)
        and 0 < len(value) <= LONGEST_NAME
        and ":" not in value
        and value.isprintable()
    )
    if not ok:
        raise RecordError(
            f"{field} must be 1 to {LONGEST_NAME} printable characters without ':', got {value!r}"
        )


def check_count(field: str, value: object) -> None:
    """Raise RecordError unless `value` is a whole number of at least 0 that an int64 holds."""
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= LATEST_TIME_NS:
        raise RecordError(f"{field} must be a whole number of at least 0, got {value!r}")


def check_time(field: str, value: object) -> None:
    """Raise RecordError unless `value` is an event time: int nanoseconds since 1970 UTC."""
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= LATEST_TIME_NS:
        raise RecordError(f"{field} must be nanoseconds since 1970 UTC as an int, got {value!r}")


def check_finite(field: str, value: object) -> None:
    """Raise RecordError unless `value` is a finite number."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not _is_finite(value):
        raise RecordError(f"{field} must be a finite number, got {value!r}")


def deepest_brackets(text: str) -> int:
    """How deeply square brackets and braces are nested in a text, those in quotes counted as well.

    Parsers of YAML take a time that grows with the third power of it, so it is looked at before.

    >>> deepest_brackets("a: [1, {b: [2]}, [3]]")
    3
    """
    depth = deepest = 0
    for each in _BRACKETS.finditer(text):
        depth = depth + 1 if each[0] in "[{" else max(depth - 1, 0)
        deepest = max(deepest, depth)
    return deepest


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number that no float holds
        return False
