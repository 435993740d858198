"""Faults from pydantic's errors: what is wrong in a person's words, and what would be right."""

from __future__ import annotations

import difflib
import types
import typing
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from connectors.video.uri import redact
from flows.config.model import Configuration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydantic_core import ErrorDetails

    from flows.config.document import Document, Path

SECRET_KEYS = frozenset({"secret", "secrets", "username", "password"})
"""Keys whose values are never shown."""

LONGEST_VALUE = 80
"""The most characters of a value that a fault shows."""

_REMEDIES = {
    "int_type": "Write a whole number, without quotes.",
    "int_from_float": "Write a whole number.",
    "float_type": "Write a number, without quotes.",
    "finite_number": "Write an ordinary number.",
    "string_type": "Write text; put it in quotes if it looks like a number.",
    "bool_type": "Write true or false.",
    "list_type": "Write a list: one entry a line, each after '- '.",
    "dict_type": "Write keys with values, indented below this one.",
    "model_type": "Write keys with values, indented below this one.",
    "datetime_type": "Write a time with its zone: 2026-05-01T08:00:00Z.",
    "datetime_from_date_parsing": "Write it with its zone: 2026-05-01T08:00:00Z.",
    "datetime_parsing": "Write it with its zone: 2026-05-01T08:00:00Z.",
    "timezone_aware": "Add the zone: 2026-05-01T08:00:00Z.",
    "string_too_short": "Write at least one character.",
}

_PROBLEMS = {
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "string_type": "must be text",
    "bool_type": "must be true or false",
    "list_type": "must be a list",
    "dict_type": "must be a mapping of keys",
    "model_type": "must be a mapping of keys",
    "datetime_type": "must be a time",
    "datetime_from_date_parsing": "must be a time",
    "datetime_parsing": "must be a time",
    "timezone_aware": "says no time zone",
    "string_too_short": "must not be empty",
}


def add_faults(document: Document, errors: Sequence[ErrorDetails]) -> None:
    """Add a fault to the document for each of pydantic's errors."""
    for error in errors:
        path: Path = tuple(part for part in error["loc"] if part != "[key]")
        document.fault(path, _shown(document, path, error), *_told(path, error))


def show(document: Document, path: Path, value: object) -> str:
    """A value as a fault may show it: never a secret, never what a reference stands for."""
    if SECRET_KEYS & set(path):
        return "a secret that is not shown"
    text = document.written.get(path) or redact(repr(value))
    return text if len(text) <= LONGEST_VALUE else text[: LONGEST_VALUE - 1] + "…"


def _shown(document: Document, path: Path, error: ErrorDetails) -> str:
    kind, value = error["type"], error["input"]
    if kind == "missing":
        return ""
    if isinstance(value, dict | list):
        return f"{'a mapping' if isinstance(value, dict) else 'a list'} of {len(value)}"
    return show(document, path, value)


def _told(path: Path, error: ErrorDetails) -> tuple[str, str]:
    kind = error["type"]
    context: dict[str, Any] = error.get("ctx", {})
    if kind == "missing":
        return "is missing", f"Add it: {_description(path)}"
    if kind == "extra_forbidden":
        return "is no key of this section", _suggest(path)
    if kind == "literal_error":
        return f"must be {context['expected']}", "Use one of these."
    if "remedy" in context:
        return error["msg"], context["remedy"]
    if kind in _REMEDIES:
        return _PROBLEMS[kind], _REMEDIES[kind]
    for bound, words in (("ge", "at least"), ("gt", "above"), ("le", "at most"), ("lt", "below")):
        if bound in context:
            return f"must be {words} {context[bound]:g}", _description(path)
    if kind == "too_short":
        return "must have at least one entry", _description(path)
    return error["msg"][:1].lower() + error["msg"][1:], "'sightflow schema' says what may stand."


def _suggest(path: Path) -> str:
    keys = [key for key, _ in _fields(_section(path[:-1]))]
    near = difflib.get_close_matches(str(path[-1]), keys, n=1)
    hint = f"Did you mean '{near[0]}'? " if near else ""
    return f"{hint}Keys that may stand here: {', '.join(sorted(keys))}."


def _description(path: Path) -> str:
    section = _section(path[:-1])
    for key, description in _fields(section):
        if key == path[-1] and description:
            return description
    return "'sightflow schema' says what may stand."


def _fields(section: type[BaseModel] | None) -> list[tuple[str, str]]:
    if section is None:
        return []
    return [
        (info.alias or name, info.description or "") for name, info in section.model_fields.items()
    ]


def _section(path: Path) -> type[BaseModel] | None:
    """The section that a path leads to; None when it leads to no section."""
    kind: Any = Configuration
    for part in path:
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            found = [
                info.annotation
                for name, info in kind.model_fields.items()
                if (info.alias or name) == part
            ]
            kind = _unwrapped(found[0]) if found else None
        elif typing.get_origin(kind) in {list, dict}:
            kind = _unwrapped(typing.get_args(kind)[-1])
        else:
            return None
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def _unwrapped(annotation: Any) -> Any:  # noqa: ANN401 - any annotation
    """An annotation without its ``| None``."""
    if typing.get_origin(annotation) in {typing.Union, types.UnionType}:
        return next(arg for arg in typing.get_args(annotation) if arg is not type(None))
    return annotation
