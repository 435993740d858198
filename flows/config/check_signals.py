"""Checks of signals and of who classifies them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flows.config.document import mapping
from flows.model_reference import registry_name
from models.ecg import EcgModel
from records import DetectorError

if TYPE_CHECKING:
    from pathlib import Path

    from flows.config.document import Document
    from flows.config.document import Path as KeyPath


def check_signals(document: Document, value: dict[str, Any], folder: Path) -> None:
    """Add the faults of signals: names, files, and the model.

    Args:
        document: The document; faults are added to it.
        value: Its plain values.
        folder: Where relative paths count from.
    """
    streams = mapping(value.get("streams"))
    for name, signal in mapping(value.get("signals")).items():
        path: KeyPath = ("signals", name)
        if name in streams:
            document.fault(path, repr(name), "names a stream too", "Give each its own name.")
        records = mapping(signal).get("records")
        for place, text in enumerate(records if isinstance(records, list) else []):
            if isinstance(text, str):
                _check_record(document, (*path, "records", place), text, folder)
    model = mapping(value.get("classifier")).get("model")
    if isinstance(model, str) and registry_name(model) is None:
        try:
            EcgModel.load(folder / model)
        except DetectorError as error:
            remedy = "Name a file that 'evaluate ecg --save' wrote."
            document.fault(("classifier", "model"), repr(model), f"is no model: {error}", remedy)


def _check_record(document: Document, path: KeyPath, text: str, folder: Path) -> None:
    where = folder / text
    if where.is_dir():
        if not any(where.glob("*.hea")):
            document.fault(path, repr(text), "holds no header", "Name a folder with .hea files.")
    elif not where.is_file() and not where.with_name(f"{where.name}.hea").is_file():
        remedy = f"Relative paths count from {folder.resolve()}."
        document.fault(path, repr(text), "is no header of a record", remedy)
