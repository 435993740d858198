"""Files of trained models: weights as safetensors, and a manifest in JSON beside them.

``gate.safetensors`` holds the numbers, ``gate.json`` says what they are: kind, shape, settings,
figures, where they come from, and the SHA-256 of the weights. Nothing in either file is ever run.
"""

from __future__ import annotations

import hashlib
import json
import os
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError, deserialize
from safetensors.numpy import save

from records import DetectorError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    Tensors = dict[str, NDArray[np.float32]]
    Manifest = dict[str, Any]
    Shapes = dict[str, tuple[int, ...]]

SUFFIX = ".safetensors"
"""How the name of a file of weights must end."""

FORMAT_VERSION = 1
"""The version of the manifest that this code writes and reads."""

LARGEST_WEIGHTS = 64 * 2**20
"""The largest file of weights of a small model, bytes."""

LARGEST_MANIFEST = 2**20
"""The largest manifest, bytes."""


def save_model(path: Path, kind: str, tensors: Tensors, fields: Mapping[str, Any]) -> None:
    """Write a model: first its weights, then its manifest, each whole or not at all.

    Args:
        path: The file of weights; must end with ``.safetensors``. Folders are made as needed.
        kind: What sort of model it is; the loader asks for the same kind.
        tensors: float32 arrays by name.
        fields: What the manifest says of the model; must fit JSON.

    Raises:
        DetectorError: the name is wrong or the files cannot be written.
    """
    _check_suffix(path)
    data = save({name: np.ascontiguousarray(value) for name, value in tensors.items()})
    manifest = {
        "format": FORMAT_VERSION,
        "kind": kind,
        "code_version": _code_version(),
        "weights_sha256": hashlib.sha256(data).hexdigest(),
        **fields,
    }
    text = json.dumps(manifest, indent=2, allow_nan=False) + "\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _replace(path, data)
        _replace(manifest_path(path), text.encode())
    except OSError as error:
        raise DetectorError(f"the model cannot be written to {path}: {error.strerror}") from error


def load_model(
    path: Path, kind: str, shapes: Callable[[Manifest], Shapes]
) -> tuple[Tensors, Manifest]:
    """Read a model; sizes, hash and shapes are checked before any array is made.

    Args:
        path: The file of weights; its manifest lies beside it.
        kind: The kind that it must be.
        shapes: From the manifest to the name and shape of every array that must be there; may
            raise KeyError, TypeError or ValueError where the manifest is wrong.

    Raises:
        DetectorError: a file is missing, too large, damaged, or of another kind or shape.
    """
    _check_suffix(path)
    manifest = _read_manifest(manifest_path(path), kind)
    data = _read(path, LARGEST_WEIGHTS)
    if hashlib.sha256(data).hexdigest() != manifest.get("weights_sha256"):
        raise DetectorError(
            f"{path} is not the file that its manifest was written for (SHA-256 differs). "
            "It is damaged, or one of the two files was replaced; copy both again"
        )
    try:
        wanted = shapes(manifest)
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
        raise damaged_manifest(path, error) from error
    return _read_tensors(path, data, wanted), manifest


def damaged_manifest(path: Path, error: Exception) -> DetectorError:
    """The error for a manifest whose fields are not what they must be."""
    reason = f"{type(error).__name__}: {error}"
    return DetectorError(
        f"{manifest_path(path)} does not describe a model ({reason}). Train the model again"
    )


def manifest_path(path: Path) -> Path:
    """Where the manifest of a file of weights lies.

    >>> from pathlib import Path
    >>> manifest_path(Path("models/gate.safetensors")).as_posix()
    'models/gate.json'
    """
    return path.with_suffix(".json")


def data_sha256(*arrays: NDArray[Any]) -> str:
    """SHA-256 over shapes, dtypes and values: which data a model was trained on."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def training_key(settings: object, data: str, *weights: NDArray[Any]) -> str:
    """What tells one training from another: its settings, its data, and where it begins.

    Args:
        settings: A dataclass.
        data: The SHA-256 of the data, from `data_sha256`.
        weights: The arrays that it begins with.
    """
    text = f"{settings!r} {data} {data_sha256(*weights)}"
    return hashlib.sha256(text.encode()).hexdigest()


def _check_suffix(path: Path) -> None:
    if path.suffix != SUFFIX:
        raise DetectorError(f"a model's file must end with {SUFFIX}, got {path}")


def _code_version() -> str:
    try:
        return version("sightflow")
    except PackageNotFoundError:  # run from a bare checkout
        return "unknown"


def _replace(path: Path, data: bytes) -> None:
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        partial.write_bytes(data)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _read(path: Path, at_most: int) -> bytes:
    if not path.is_file():
        raise DetectorError(f"a model needs the file {path}, which is not there")
    try:
        with path.open("rb") as file:
            data = file.read(at_most + 1)
    except OSError as error:
        raise DetectorError(f"{path} cannot be read: {error.strerror}") from error
    if not 0 < len(data) <= at_most:
        size = path.stat().st_size
        raise DetectorError(f"{path} must hold 1..{at_most} bytes, it holds {size}")
    return data


def _read_manifest(path: Path, kind: str) -> Manifest:
    data = _read(path, LARGEST_MANIFEST)
    try:
        manifest = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise DetectorError(f"{path} must be JSON. It is damaged; copy it again") from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT_VERSION:
        raise DetectorError(f"{path} must be a manifest of format {FORMAT_VERSION}")
    if manifest.get("kind") != kind:
        raise DetectorError(
            f"{path} must describe a model of kind {kind}, got {manifest.get('kind')!r}"
        )
    return manifest


def _read_tensors(path: Path, data: bytes, wanted: Shapes) -> Tensors:
    try:
        parts = dict(deserialize(data))
    except SafetensorError as error:
        raise DetectorError(f"{path} is no safetensors file ({error}). Copy it again") from error
    if set(parts) != set(wanted):
        raise DetectorError(
            f"{path} must hold the arrays {', '.join(sorted(wanted))}; "
            f"got {', '.join(sorted(parts))}"
        )
    for name, shape in wanted.items():
        got = (parts[name]["dtype"], tuple(parts[name]["shape"]))
        if got != ("F32", shape):
            raise DetectorError(f"{path}: {name} must be F32 {shape}, got {got[0]} {got[1]}")
    tensors = {
        name: np.frombuffer(parts[name]["data"], dtype="<f4").reshape(shape)
        for name, shape in wanted.items()
    }
    if not all(np.isfinite(value).all() for value in tensors.values()):
        raise DetectorError(f"{path} holds weights that are not finite; it is damaged")
    return tensors
