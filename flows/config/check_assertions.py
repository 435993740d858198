"""Checks of the assertions: settings, files and names, as the run itself would take them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from flows.assertions import load_assertions
from flows.config.assertions_section import AssertionsSection
from flows.config.check_lidars import check_lidars
from records import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

    from flows.config.document import Document
    from flows.config.document import Path as KeyPath


def check_assertions(document: Document, value: dict[str, Any], folder: Path) -> None:
    """Add the faults of the assertions; Python files that they name are loaded.

    Args:
        document: The document; faults are added to it.
        value: Its plain values.
        folder: Where relative paths count from.
    """
    lidars = check_lidars(document, value, folder)
    plain = value.get("assertions")
    if plain is None:
        return
    try:
        section = AssertionsSection.model_validate(plain)
    except ValidationError:
        return  # told of already
    try:
        load_assertions(section, folder, document.file, lidars)
    except ConfigurationError as error:
        for fault in error.faults:
            if fault.file not in ("", document.file):
                document.faults.append(fault)  # in a file of the user's own, with its line
                continue
            path: KeyPath = tuple(fault.key.split("."))
            document.fault(path, fault.value, fault.problem, fault.remedy)
