"""Checks of the cascade across keys, and of trained cascades on disk."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flows.config.check_models import check_cascade_reference
from flows.config.document import mapping
from flows.config.faults import show
from flows.model_reference import registry_name
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
    if isinstance(text := cascade.get("trained"), str):
        for key in REPLACED:
            # What follows the registry may have no version yet, and then asks this.
            asked = key == "predicate" and registry_name(text) is not None
            if cascade.get(key) is not None and not asked:
                remedy = "Remove it, or remove trained."
                problem = "contradicts cascade.trained, which holds it"
                document.fault(("cascade", key), "", problem, remedy)
    for name, stream in streams.items():
        _check_trained(document, ("streams", name, "trained"), stream, value, folder)
        trained = stream.get("trained") or cascade.get("trained")
        path = ("streams", name, "zone")
        follows = isinstance(trained, str) and registry_name(trained) is not None
        asks = follows and cascade.get("predicate") is not None
        if stream.get("zone") is not None and trained and not asks:
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
    follows, place = check_cascade_reference(document, path, section, value, folder)
    if follows and place is None:
        return
    try:
        trained = load_trained(place or folder / name)
    except DetectorError as error:
        remedy = "Name a folder that 'sightflow evaluate cascade --save' wrote."
        document.fault(path, show(document, path, name), f"cannot be used: {error}", remedy)
        return
    _check_detector(document, path, trained, mapping(value.get("detector")))
    predicate = mapping(mapping(value.get("cascade")).get("predicate"))
    asked = (predicate.get("class"), predicate.get("at_least", 1))
    if (
        follows
        and predicate
        and asked != (trained.predicate.class_name, trained.predicate.at_least)
    ):
        problem = f"asks another question than the flow: {trained.predicate}"
        remedy = "Name another model, or change cascade.predicate."
        document.fault(path, show(document, path, name), problem, remedy)


def _check_detector(
    document: Document, path: KeyPath, trained: TrainedCascade, detector: dict[str, Any]
) -> None:
    shown = show(document, path, str(path[-1]))
    model = detector.get("model", AUTO)
    reference = trained.reference.partition(" ")[0]  # without the version of its weights
    if isinstance(model, str) and model not in (AUTO, reference):
        problem = f"was trained on the answers of {trained.reference}, not of {model}"
        document.fault(path, shown, problem, "Name that detector, or train it again.")
    kept = detector.get("classes")
    wanted = trained.predicate.class_name
    if isinstance(kept, list) and kept and wanted not in kept:
        problem = f"asks for {wanted!r}, which the detector does not keep"
        document.fault(path, shown, problem, "Add it to detector.classes.")
