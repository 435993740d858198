"""Checks of the section about training across keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flows.config.document import mapping
from models.detectors.settings import AUTO, YOLOX_NANO

if TYPE_CHECKING:
    from flows.config.document import Document


def check_training(document: Document, value: dict[str, Any]) -> None:
    """Add the faults of the section about training.

    Args:
        document: The document; faults are added to it.
        value: Its plain values.
    """
    if value.get("training") is None:
        return
    training = mapping(value.get("training"))
    if value.get("models") is None:
        remedy = "Name the registry's folder: models.directory."
        document.fault(("training",), "", "needs a registry", remedy)
    if training.get("queue") is None and mapping(value.get("retraining")).get("queue") is None:
        remedy = "Name its file: retraining.queue, or training.queue."
        document.fault(("training",), "", "needs a retraining queue", remedy)
    known = {**mapping(value.get("streams")), **mapping(value.get("signals"))}
    streams = training.get("streams")
    for place, name in enumerate(streams if isinstance(streams, list) else []):
        if name not in known and not mapping(value.get("kafka")).get("read"):
            remedy = f"Use one of {', '.join(known) or 'those under streams'}."
            document.fault(("training", "streams", place), repr(name), "is no stream", remedy)
    model = mapping(value.get("detector")).get("model", AUTO)
    if training.get("kind") == "detector" and model not in (AUTO, YOLOX_NANO):
        problem = f"can train {YOLOX_NANO} only"
        remedy = f"Set detector.model to {YOLOX_NANO}."
        document.fault(("training", "kind"), "'detector'", problem, remedy)
