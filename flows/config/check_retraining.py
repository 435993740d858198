"""Checks of the retraining queue: that there is one, and that it can be written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from connectors.queue import RetrainingQueue
from flows.config.check_paths import check_folder
from flows.config.document import mapping
from flows.config.retraining_section import RetrainingSection
from flows.retraining_settings import queue_settings
from records import RecordError, SightflowError

if TYPE_CHECKING:
    from pathlib import Path

    from flows.config.document import Document


def check_retraining(document: Document, value: dict[str, Any], folder: Path) -> None:
    """Add the faults of the retraining queue.

    Args:
        document: The document; faults are added to it.
        value: Its plain values.
        folder: Where relative paths count from.
    """
    plain = value.get("retraining")
    if plain is None:
        return
    try:
        section = RetrainingSection.model_validate(plain)
    except ValidationError:
        return  # told of already
    if section.queue is None and not section.kafka:
        remedy = "Name a file under retraining.queue, or set retraining.kafka: true."
        document.fault(("retraining",), "", "puts items nowhere", remedy)
    if section.kafka and mapping(value.get("kafka")).get("write") is None:
        remedy = "Add kafka.write, which says how messages are written."
        document.fault(("retraining", "kafka"), "true", "needs kafka.write", remedy)
    try:
        queue_settings(section)
    except RecordError as error:
        document.fault(("retraining",), "", "has values that do not fit", f"The {error}.")
    if section.queue is not None:
        path = folder / section.queue
        check_folder(document, ("retraining", "queue"), section.queue, path.parent)
        _check_queue(document, section.queue, path)


def _check_queue(document: Document, text: str, path: Path) -> None:
    """Check that what is there is a queue."""
    try:
        if path.exists():
            RetrainingQueue(path, mode="ro").close()
    except (OSError, ValueError, SightflowError) as error:
        remedy = "Name a file of your own for the queue."
        document.fault(("retraining", "queue"), repr(text), f"is no queue: {error}", remedy)
