"""FrameQL: questions about streams, and how they are answered."""

from flows.query.model import (
    AggregateQuery,
    Filters,
    LimitQuery,
    Measure,
    Query,
    SelectionQuery,
    Window,
)
from flows.query.parse import parse

__all__ = [
    "AggregateQuery",
    "Filters",
    "LimitQuery",
    "Measure",
    "Query",
    "SelectionQuery",
    "Window",
    "parse",
]
