"""Loading a configuration: read, resolve, validate, cross-check; every fault is told at once."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from flows.config.check import cross_check
from flows.config.document import MOST_BYTES, Document, read_document
from flows.config.faults import add_faults
from flows.config.model import Configuration
from records import ConfigurationError, Fault

if TYPE_CHECKING:
    from collections.abc import Mapping


def load(
    path: Path | str, environment: Mapping[str, str] | None = None
) -> tuple[Configuration, str]:
    """Load a configuration file.

    Args:
        path: The file.
        environment: What references are resolved from; the process's environment by default.

    Returns:
        The configuration, and the file's text as it stands there, without secrets.

    Raises:
        ConfigurationError: the file cannot be read, or anything in it is wrong.
    """
    text = _read(Path(path))
    return parse(text, str(path), Path(path).parent, environment), text


def parse(
    text: str,
    file: str,
    folder: Path,
    environment: Mapping[str, str] | None = None,
) -> Configuration:
    """Parse a configuration's text.

    Args:
        text: The YAML.
        file: The name that faults give.
        folder: Where relative paths count from.
        environment: What references are resolved from; the process's environment by default.

    Raises:
        ConfigurationError: anything in it is wrong.
    """
    document = read_document(text, file, os.environ if environment is None else environment)
    configuration = _validate(document)
    if document.value is not None:
        cross_check(document, folder)
    if document.faults or configuration is None:
        faults = dict.fromkeys(document.faults)
        raise ConfigurationError(sorted(faults, key=lambda fault: (fault.line, fault.key)))
    return configuration


def _validate(document: Document) -> Configuration | None:
    if document.value is None:
        return None
    unresolved = {fault.key for fault in document.faults}
    try:
        return Configuration.model_validate(document.value)
    except ValidationError as error:
        before = len(document.faults)
        add_faults(document, error.errors(include_url=False))
        # A value whose reference could not be resolved is told of once, not twice.
        document.faults[before:] = [
            fault for fault in document.faults[before:] if fault.key not in unresolved
        ]
        return None


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except IsADirectoryError:
        raise _unreadable(path, "is a folder", "Name the YAML file in it.") from None
    except OSError as error:
        remedy = "Check the path; 'sightflow init' writes a configuration to start from."
        raise _unreadable(path, f"cannot be read: {error.strerror}", remedy) from None
    except ValueError:
        raise _unreadable(path, "is no usable file name", "Name the YAML file.") from None
    if len(data) > MOST_BYTES:
        raise _unreadable(path, f"is larger than {MOST_BYTES} bytes", "Name the YAML file.")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        fault = Fault(str(path), line, "", "", "is no UTF-8 text", "Save it as UTF-8.")
        raise ConfigurationError([fault]) from None


def _unreadable(path: Path, problem: str, remedy: str) -> ConfigurationError:
    return ConfigurationError([Fault(str(path), 0, "", "", problem, remedy)])
