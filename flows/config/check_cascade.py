"""Checks of the cascade across keys, and of trained cascades on disk."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flows.config.document import mapping
from flows.config.faults import show
from flows.trained import TrainedCascade, load_trained
from models.detectors.settings import AUTO
from records import DetectorError

if TYPE_CHECKING:
    from pathlib import Path

    from flows.config.document import Document
    from flows.config.document import Path as KeyPath

REPLACED = ("difference", "stride", "predicate")
"""What a trained cascade stands for."""


def check_cascade(document: Document, value: dict[str, Any], folder: Path) -> None:
    """Add the faults of the cascade and of what the streams say about theirs.

    Args:
        document: The document; faults are added to it.
        value: Its plain values.
        folder: Where relative paths count from.
    """
    cascade = mapping(value.get("cascade"))
    streams = {name: mapping(one) for name, one in mapping(value.get("streams")).items()}
    _check_trained(document, ("cascade", "trained"), cascade, value, folder)
    if isinstance(cascade.get("trained"), str):
        for key in REPLACED:
            if cascade.get(key) is not None:
                remedy = "Remove it, or remove trained."
                problem = "contradicts cascade.trained, which holds it"
                document.fault(("cascade", key), "", problem, remedy)
    for name, stream in streams.items():
        _check_trained(document, ("streams", name, "trained"), stream, value, folder)
        trained = stream.get("trained") or cascade.get("trained")
        path = ("streams", name, "zone")
        if stream.get("zone") is not None and trained:
            remedy = "Remove it; the zone is part of the question that was trained."
            document.fault(path, "", "contradicts the trained cascade", remedy)
        elif stream.get("zone") is not None and not cascade.get("predicate"):
            document.fault(path, "", "needs a question", "Add cascade.predicate.")
    asked = bool(cascade.get("predicate") or cascade.get("trained"))
    everywhere = streams and all(stream.get("trained") for stream in streams.values())
    if not asked and not everywhere:
        _check_unasked(document, cascade)


def _check_unasked(document: Document, cascade: dict[str, Any]) -> None:
    remedy = "Add cascade.predicate or cascade.trained."
    if cascade.get("contract") is not None:
        document.fault(("cascade", "contract"), "", "needs a question", remedy)
    difference = mapping(cascade.get("difference"))
    if difference.get("against") == "background":
        path = ("cascade", "difference", "against")
        problem = "needs a question, whose no tells which frames are empty"
        document.fault(path, "'background'", problem, remedy)


def _check_trained(
    document: Document, path: KeyPath, section: dict[str, Any], value: dict[str, Any], folder: Path
) -> None:
    name = section.get("trained")
    if not isinstance(name, str) or not name:
        return
    try:
        trained = load_trained(folder / name)
    except DetectorError as error:
        remedy = "Name a folder that 'sightflow evaluate cascade --save' wrote."
        document.fault(path, show(document, path, name), f"cannot be used: {error}", remedy)
        return
    _check_detector(document, path, trained, mapping(value.get("detector")))


def _check_detector(
    document: Document, path: KeyPath, trained: TrainedCascade, detector: dict[str, Any]
) -> None:
    shown = show(document, path, str(path[-1]))
    model = detector.get("model", AUTO)
    if isinstance(model, str) and model not in (AUTO, trained.reference):
        problem = f"was trained on the answers of {trained.reference}, not of {model}"
        document.fault(path, shown, problem, "Name that detector, or train it again.")
    kept = detector.get("classes")
    wanted = trained.predicate.class_name
    if isinstance(kept, list) and kept and wanted not in kept:
        problem = f"asks for {wanted!r}, which the detector does not keep"
        document.fault(path, shown, problem, "Add it to detector.classes.")
