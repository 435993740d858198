"""Registries of small models for tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.registry import Metric, ModelKind, NewVersion, Registry

if TYPE_CHECKING:
    from pathlib import Path

START_NS = 1_700_000_000_000_000_000
FILES = {"model.safetensors": b"weights", "model.json": b"{}\n"}


class Ticking:
    """A clock that is a second later each time it is asked."""

    def __init__(self) -> None:
        self._seconds = -1

    def __call__(self) -> int:
        self._seconds += 1
        return START_NS + self._seconds * 10**9


def new_version(parent: int | None = None) -> NewVersion:
    metrics = {"accuracy": Metric(0.9, 0.85, 0.94, 400), "loss": Metric(0.25)}
    return NewVersion(ModelKind.ECG, metrics, "ab" * 32, {"seed": 7, "steps": [1, 2]}, parent)


def source_folder(folder: Path) -> Path:
    """A folder with the files of a model."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in FILES.items():
        (folder / name).write_bytes(data)
    return folder


def registry_with(folder: Path, versions: int, name: str = "gate") -> Registry:
    """A registry in `folder`/models with so many versions of one model."""
    registry = Registry(folder / "models", Ticking())
    for number in range(versions):
        registry.add(name, source_folder(folder / "source"), new_version(number or None))
    return registry
