"""Loading assertions: built-in ones, those of a Python file, and those of installed packages."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
import traceback
from importlib import metadata
from importlib.machinery import SourceFileLoader
from typing import TYPE_CHECKING

from typing_extensions import override

from operators.assertions.api import Assertion
from operators.assertions.appear import Appear
from operators.assertions.class_change import ClassChange
from operators.assertions.consistency import ConsistencyAssertion
from operators.assertions.count_jump import CountJump
from operators.assertions.flicker import Flicker
from operators.assertions.multibox import Multibox
from operators.assertions.velocity import Velocity
from records import ConfigurationError, Fault, RecordError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path
    from types import CodeType, ModuleType

ENTRY_POINTS = "sightflow.assertions"
"""The group of entry points by which installed packages offer assertions."""

BUILT_IN: dict[str, type[Assertion]] = {
    "flicker": Flicker,
    "appear": Appear,
    "multibox": Multibox,
    "velocity": Velocity,
    "count_jump": CountJump,
    "class_change": ClassChange,
}
"""The built-in assertions about outputs by name; their settings have defaults."""

_EXAMPLE = "Decorate a function (inputs, outputs) -> severity with @assertion(window=1.0)."


def load_file(path: Path, key: str = "assertions") -> tuple[Assertion, ...]:
    """Load the assertions that a Python file defines at its top level.

    The file is run as a program is: load only files that you trust.

    Args:
        path: The file.
        key: The key of the configuration that names it, for faults.

    Raises:
        ConfigurationError: there is no such file, it fails, or it holds no assertion.
    """
    if path.suffix != ".py" or not path.is_file():
        problem = "is no file" if path.suffix == ".py" else "is no Python file"
        raise _fault(path, 0, key, problem, "Name a file that ends in .py.")
    module = _run(path, key)
    found = _assertions(value for name, value in vars(module).items() if not name.startswith("_"))
    if not found:
        raise _fault(path, 0, key, "holds no assertion", _EXAMPLE)
    return found


def load_entry_point(name: str, key: str = "assertions") -> tuple[Assertion, ...]:
    """Load the assertions that an installed package offers under a name.

    Args:
        name: The name of an entry point of the group ``sightflow.assertions``; it stands for an
            assertion, a ConsistencyAssertion or a list of them.
        key: The key of the configuration that names it, for faults.

    Raises:
        ConfigurationError: no package offers it, it fails, or it is no assertion.
    """
    offered = metadata.entry_points(group=ENTRY_POINTS)
    if name not in offered.names:
        choice = ", ".join(sorted(offered.names)) or "none"
        remedy = f"Installed packages offer: {choice}."
        raise _fault(name, 0, key, f"is offered by no package in {ENTRY_POINTS}", remedy)
    try:
        value = offered[name].load()
    except Exception as error:
        # A package may raise anything when it is imported.
        problem = f"cannot be loaded: {_described(error)}"
        raise _fault(name, 0, key, problem, "Mend or reinstall the package.") from error
    found = _assertions(value if isinstance(value, list | tuple) else [value])
    if not found:
        raise _fault(name, 0, key, f"is no assertion but {type(value).__name__}", _EXAMPLE)
    return found


class _AsRead(SourceFileLoader):
    """Runs the text that was read, and no compiled file: that may be of an edit before."""

    def __init__(self, name: str, path: Path, text: bytes) -> None:
        super().__init__(name, str(path))
        self._text = text

    @override
    def get_code(self, fullname: str) -> CodeType:
        return self.source_to_code(self._text, self.path)


def _run(path: Path, key: str) -> ModuleType:
    """Run the file as a module that can be found again, as dataclasses and pickles ask for.

    A file that was edited is another module, since a flow may still run with the one before.
    """
    try:
        text = path.read_bytes()
    except OSError as error:
        raise _fault(path, 0, key, f"cannot be read: {error.strerror}", "Check it.") from error
    digest = hashlib.sha256(str(path.resolve()).encode() + b"\0" + text).hexdigest()[:8]
    name = f"sightflow_assertions_{path.stem}_{digest}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path, loader=_AsRead(name, path, text))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        # A user's file may raise anything.
        del sys.modules[name]
        remedy = _EXAMPLE if isinstance(error, RecordError) else "Mend the file."
        raise _fault(path, _line(path, error), key, _described(error), remedy) from error
    return module


def _assertions(values: Iterable[object]) -> tuple[Assertion, ...]:
    """The assertions among values, generated ones instead of their generators, each once."""
    found: dict[int, Assertion] = {}
    for value in values:
        generated = value.assertions() if isinstance(value, ConsistencyAssertion) else (value,)
        for each in generated:
            if isinstance(each, Assertion) and not isinstance(each, type):
                found[id(each)] = each
    return tuple(found.values())


def _line(path: Path, error: Exception) -> int:
    """The last line of the file that the error came by; 0 where it is not known."""
    if isinstance(error, SyntaxError):
        return error.lineno or 0
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == str(path)]
    return (lines[-1] or 0) if lines else 0


def _described(error: Exception) -> str:
    if isinstance(error, RecordError):
        return str(error)
    return " ".join(f"{type(error).__name__}: {error}".split())


def _fault(where: Path | str, line: int, key: str, problem: str, remedy: str) -> ConfigurationError:
    return ConfigurationError([Fault(str(where), line, key, "", problem, remedy)])
