"""Checks of references to models of the registry, and of the version in force of each."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from flows.config.check_paths import check_folder
from flows.config.document import mapping
from flows.config.faults import show
from flows.config.models_section import ModelsSection
from flows.model_reference import REGISTRY, registry_name
from models.registry import ModelKind, Registry
from records import DetectorError

if TYPE_CHECKING:
    from pathlib import Path

    from flows.config.document import Document
    from flows.config.document import Path as KeyPath
    from models.registry import ModelVersion


def check_models(document: Document, value: dict[str, Any], folder: Path) -> None:
    """Add the faults of references to the registry.

    Args:
        document: The document; faults are added to it.
        value: Its plain values.
        folder: Where relative paths count from.
    """
    section = value.get("models")
    if isinstance(section, dict):
        text = section.get("directory", ModelsSection.model_fields["directory"].default)
        if isinstance(text, str) and text:
            check_folder(document, ("models", "directory"), text, folder / text)
    detector, classifier = mapping(value.get("detector")), mapping(value.get("classifier"))
    _check_kind(document, ("detector", "weights"), detector, value, folder, ModelKind.DETECTOR)
    _check_kind(document, ("classifier", "model"), classifier, value, folder, ModelKind.ECG)
    named = registry_name(_text(detector, "weights")) is not None
    if named and detector.get("model", "auto") == "auto":
        problem = "must name the detector whose weights the registry holds"
        document.fault(("detector", "model"), "", problem, "Write the model, say yolox_nano.")


def check_cascade_reference(
    document: Document,
    path: KeyPath,
    section: dict[str, Any],
    value: dict[str, Any],
    folder: Path,
) -> tuple[bool, Path | None]:
    """Check a cascade that follows a model of the registry.

    Returns:
        Whether the key is such a reference, and the folder of the version in force; None where
        there is none or it cannot be used.
    """
    name = registry_name(_text(section, str(path[-1])))
    if name is None:
        return False, None
    cascade = mapping(value.get("cascade"))
    shadow = mapping(value.get("models")).get("shadow")
    if shadow is not None and cascade.get("contract") is None:
        problem = "needs an accuracy contract, whose audit judges candidates"
        document.fault(("models", "shadow"), "", problem, "Add cascade.contract.")
    found = _opened(document, path, name, value, folder, ModelKind.CASCADE)
    if found is None:
        return True, None
    registry, version = found
    if version is None:
        _check_cold(document, path, name, cascade, registry)
        return True, None
    return True, _files(document, path, name, registry, version)


def _check_cold(
    document: Document, path: KeyPath, name: str, cascade: dict[str, Any], registry: Registry
) -> None:
    """Check that a cascade may begin with the reference detector alone."""
    if cascade.get("contract") is not None and cascade.get("predicate") is not None:
        return
    known = ", ".join(registry.names()) or "none"
    document.fault(
        path,
        _shown(document, path, name),
        f"has no version in force in the registry, which has: {known}",
        "Promote one with 'sightflow models promote', or give cascade.predicate and "
        "cascade.contract to begin with the reference detector alone.",
    )


def _check_kind(
    document: Document,
    path: KeyPath,
    section: dict[str, Any],
    value: dict[str, Any],
    folder: Path,
    kind: ModelKind,
) -> None:
    name = registry_name(_text(section, str(path[-1])))
    if name is None:
        return
    found = _opened(document, path, name, value, folder, kind)
    if found is None:
        return
    registry, version = found
    if version is not None:
        _files(document, path, name, registry, version)
        return
    known = ", ".join(registry.names()) or "none"
    problem = f"has no version in force in the registry, which has: {known}"
    remedy = "Promote one with 'sightflow models promote'."
    document.fault(path, _shown(document, path, name), problem, remedy)


def _opened(
    document: Document,
    path: KeyPath,
    name: str,
    value: dict[str, Any],
    folder: Path,
    kind: ModelKind,
) -> tuple[Registry, ModelVersion | None] | None:
    """The registry and the version in force; None where something is wrong, which is told."""
    shown = _shown(document, path, name)
    section = value.get("models")
    if not isinstance(section, dict):
        document.fault(path, shown, "needs the registry's folder", "Add models.directory.")
        return None
    directory = section.get("directory", ModelsSection.model_fields["directory"].default)
    if not isinstance(directory, str) or not directory:
        return None  # told of at models.directory
    registry = Registry(folder / directory, time.time_ns)
    try:
        current = registry.pointers(name).current
        version = None if current is None else registry.version(name, current)
    except (DetectorError, ValueError) as error:  # the folder may be no usable path
        remedy = "'sightflow models list' says what there is."
        document.fault(path, shown, f"cannot be used: {error}", remedy)
        return None
    if version is not None and version.kind is not kind:
        problem = f"must be of kind {kind}, and {version.id} is of kind {version.kind}"
        document.fault(path, shown, problem, "Name a model of that kind.")
        return None
    return registry, version


def _files(
    document: Document, path: KeyPath, name: str, registry: Registry, version: ModelVersion
) -> Path | None:
    try:
        return registry.folder(name, version.number)
    except DetectorError as error:
        remedy = "Promote another version, or restore this one."
        document.fault(path, _shown(document, path, name), f"cannot be used: {error}", remedy)
        return None


def _shown(document: Document, path: KeyPath, name: str) -> str:
    return show(document, path, f"{REGISTRY}{name}")


def _text(section: dict[str, Any], key: str) -> str | None:
    value = section.get(key)
    return value if isinstance(value, str) else None
