"""A YAML document read into plain values, with the line of every key and its references resolved.

References ``${NAME}`` in text are replaced by environment variables; ``$${`` writes a plain ``${``.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import AliasEvent
from ruamel.yaml.timestamp import TimeStamp

from records import Fault
from records.checks import MOST_BRACKETS, deepest_brackets

if TYPE_CHECKING:
    from collections.abc import Mapping

Path = tuple[str | int, ...]
"""Where a value stands: keys and places from the top."""

MOST_BYTES = 1_000_000
"""The largest configuration file, bytes."""

MOST_VALUES = 50_000
"""The most values in a configuration, aliases counted each time they are used."""

MOST_NESTED = 40
"""How deeply values may be nested."""

MOST_ALIASES = 100
"""The most aliases in a configuration: merging maps of maps takes long before it is refused."""

REFERENCE = re.compile(r"\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]*)\}|\$\{([^}]*)\}?")
"""An escaped ``$${``, a reference ``${NAME}``, or something that wants to be one."""

_ALIAS = re.compile(r"\*[^\s,\[\]{}]")
_MOST_BITS = 1000
_SCALARS = (bool, int, float, dt.date)

_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


@dataclass
class Document:
    """What a file holds.

    Attributes:
        file: The file's name as the user gave it.
        value: The plain values, references resolved; None when the file is no mapping.
        lines: The line of each key and list entry, counted from 1.
        written: The text of each value that holds a reference, as it stands in the file.
        faults: What is wrong with the document itself.
    """

    file: str
    value: dict[str, Any] | None = None
    lines: dict[Path, int] = field(default_factory=dict)
    written: dict[Path, str] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)

    def line(self, path: Path) -> int:
        """The line of a key, or of the nearest one above it that has a line."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)

    def fault(self, path: Path, value: str, problem: str, remedy: str) -> None:
        """Note a fault at a path."""
        self.faults.append(Fault(self.file, self.line(path), dotted(path), value, problem, remedy))


def mapping(value: object) -> dict[str, Any]:
    """A plain value as keys and values; none for what is no mapping."""
    return value if isinstance(value, dict) else {}


def dotted(path: Path) -> str:
    """A path as text.

    >>> dotted(("sinks", "webhooks", 0, "url"))
    'sinks.webhooks[0].url'
    """
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def read_document(text: str, file: str, environment: Mapping[str, str]) -> Document:
    """Read YAML text. Whatever is wrong with it becomes faults of the document."""
    document = Document(file)
    found = _CONTROL.search(text)
    if found:
        line = text.count("\n", 0, found.start()) + 1
        document.faults.append(
            Fault(file, line, "", "", "holds a control character", "Save it as plain UTF-8 text.")
        )
        return document
    if deepest_brackets(text) > MOST_BRACKETS:
        document.fault((), "", "is nested too deeply", f"Nest at most {MOST_NESTED} levels.")
        return document
    aliases = len(_ALIAS.findall(text))
    try:
        if aliases > MOST_ALIASES:  # some may stand in texts and comments
            aliases = sum(isinstance(each, AliasEvent) for each in YAML(typ="rt").parse(text))
        tree = YAML(typ="rt").load(text if aliases <= MOST_ALIASES else "")
    except MarkedYAMLError as error:
        document.faults.append(_syntax_fault(file, error))
    except RecursionError:
        document.fault((), "", "is nested too deeply", f"Nest at most {MOST_NESTED} levels.")
    except (YAMLError, ValueError, TypeError, LookupError, AttributeError, AssertionError) as error:
        # The parser raises plain Python errors for some broken scalars and tags.
        problem = f"is no valid YAML: {str(error).splitlines()[0] if str(error) else 'broken'}"
        document.fault((), "", problem, "Mend the syntax.")
    else:
        if aliases > MOST_ALIASES:
            document.fault((), str(aliases), "has too many aliases", f"Use at most {MOST_ALIASES}.")
            return document
        _take(document, tree, environment)
    return document


def _syntax_fault(file: str, error: MarkedYAMLError) -> Fault:
    mark = error.problem_mark or error.context_mark
    line = mark.line + 1 if mark else 0
    problem = (error.problem or error.context or "broken syntax").splitlines()[0].strip()
    remedy = "Mend the syntax: check indentation, colons and quotes on this line and above."
    if problem.startswith("found duplicate key"):
        key = problem.split('"')[1] if '"' in problem else ""
        return Fault(file, line, key, "", "the key stands twice", "Keep one of the two.")
    return Fault(file, line, "", "", f"is no valid YAML: {problem}", remedy)


def _take(document: Document, tree: object, environment: Mapping[str, str]) -> None:
    if not isinstance(tree, CommentedMap):
        got = "nothing" if tree is None else type(tree).__name__.replace("Commented", "a YAML ")
        document.fault(
            (), got, "must be a mapping of keys", "Start from 'sightflow init', which writes one."
        )
        return
    reader = _Reader(document, environment)
    document.value = reader.mapping(tree, ())


class _Reader:
    """Turns the parser's tree into plain values, noting lines, references and faults."""

    def __init__(self, document: Document, environment: Mapping[str, str]) -> None:
        self._document = document
        self._environment = environment
        self._values = 0
        self._refused = False

    def mapping(self, tree: CommentedMap, path: Path) -> dict[str, Any]:
        plain: dict[str, Any] = {}
        for key, value in tree.items():
            if not isinstance(key, str):
                self._document.fault(path, _shown(key), "a key must be text", "Put it in quotes.")
                continue
            inner = (*path, str(key))
            if key in (tree.lc.data or {}):
                self._document.lines[inner] = tree.lc.data[key][0] + 1
            plain[str(key)] = self._plain(value, inner)
        return plain

    def _plain(self, value: object, path: Path) -> Any:  # noqa: ANN401 - any YAML value
        self._values += 1
        if self._values > MOST_VALUES or len(path) > MOST_NESTED:
            self._refuse_size(path)
            return None
        if isinstance(value, CommentedMap):
            return self.mapping(value, path)
        if isinstance(value, CommentedSeq):
            return self._sequence(value, path)
        if isinstance(value, str):
            return self._resolve(str(value), path)
        if value is None or isinstance(value, _SCALARS):
            return _plain_scalar(value)
        self._document.fault(
            path, type(value).__name__, "is a YAML type that is not used here", "Write plain text."
        )
        return None

    def _refuse_size(self, path: Path) -> None:
        remedy = f"Keep to {MOST_VALUES} values and {MOST_NESTED} levels."
        if not self._refused:
            self._document.fault(path, "", "is too large or nested too deeply", remedy)
        self._refused = True

    def _sequence(self, tree: CommentedSeq, path: Path) -> list[Any]:
        plain = []
        for place, value in enumerate(tree):
            inner = (*path, place)
            if place in (tree.lc.data or {}):
                self._document.lines[inner] = tree.lc.data[place][0] + 1
            plain.append(self._plain(value, inner))
        return plain

    def _resolve(self, text: str, path: Path) -> str | int | float | bool:
        if "${" not in text:
            return text
        self._document.written[path] = text

        def replacement(match: re.Match[str]) -> str:
            if match[0] == "$${":
                return "${"
            name = match[1]
            if name is None:
                self._document.fault(
                    path, text, "holds a malformed reference", "Write ${NAME}, or $${ for a ${."
                )
                return ""
            if name not in self._environment:
                self._document.fault(
                    path,
                    text,
                    f"the environment variable {name} is not set",
                    f"Set it: export {name}=…",
                )
                return ""
            return self._environment[name]

        resolved = REFERENCE.sub(replacement, text)
        return _number(resolved) if REFERENCE.fullmatch(text) else resolved


def _shown(key: object) -> str:
    """A key that is no text, as messages show it."""
    plain = key is None or isinstance(key, _SCALARS)
    return repr(_plain_scalar(key)) if plain else type(key).__name__


def _plain_scalar(value: object) -> object:
    """A scalar without the parser's memory of how it was written; beyond any float is infinite."""
    if isinstance(value, int) and value.bit_length() > _MOST_BITS:
        return math.inf
    if isinstance(value, TimeStamp):
        # Kept as text: pydantic then reads the time with the zone as it was written.
        return value.isoformat()
    for plain in (bool, int, float):
        if isinstance(value, plain):
            return plain(value)
    return value


def _number(text: str) -> str | int | float | bool:
    """The number or truth value that a reference alone stands for, else the text."""
    if text in {"true", "false"}:
        return text == "true"
    for plain in (int, float):
        try:
            return plain(text)
        except ValueError:
            continue
    return text
