from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from safetensors.numpy import save

from models.model_files import (
    LARGEST_MANIFEST,
    LARGEST_WEIGHTS,
    data_sha256,
    load_model,
    save_model,
)
from records import DetectorError

if TYPE_CHECKING:
    from pathlib import Path

TENSORS = {"weight": np.arange(6, dtype=np.float32).reshape(2, 3), "bias": np.ones(3, np.float32)}


def shapes(manifest: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    return {"weight": (2, manifest["width"]), "bias": (manifest["width"],)}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    save_model(path, "toy", TENSORS, {"width": 3})
    return path


def complaint(path: Path, kind: str = "toy") -> str:
    with pytest.raises(DetectorError) as caught:
        load_model(path, kind, shapes)
    return str(caught.value)


def replace_weights(path: Path, data: bytes) -> None:
    """With a manifest that agrees, so that the weights themselves must be looked at."""
    path.write_bytes(data)
    manifest = path.with_suffix(".json")
    fields = json.loads(manifest.read_text())
    fields["weights_sha256"] = hashlib.sha256(data).hexdigest()
    manifest.write_text(json.dumps(fields))


def test_what_is_saved_is_loaded(path: Path) -> None:
    tensors, manifest = load_model(path, "toy", shapes)
    assert set(tensors) == set(TENSORS)
    for name, value in TENSORS.items():
        np.testing.assert_array_equal(tensors[name], value)
    assert manifest["width"] == 3
    assert sorted(file.name for file in path.parent.iterdir()) == [
        "model.json",
        "model.safetensors",
    ]


def test_damaged_weights_are_refused(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    assert complaint(path) == (
        f"{path} is not the file that its manifest was written for (SHA-256 differs). "
        "It is damaged, or one of the two files was replaced; copy both again"
    )


def test_weights_that_are_not_what_the_manifest_promises_are_refused(path: Path) -> None:
    replace_weights(path, save({"weight": TENSORS["weight"]}))
    assert complaint(path) == f"{path} must hold the arrays bias, weight; got weight"
    replace_weights(path, save({**TENSORS, "bias": np.ones(4, np.float32)}))
    assert complaint(path) == f"{path}: bias must be F32 (3,), got F32 (4,)"
    replace_weights(path, save({**TENSORS, "bias": np.ones(3, np.float64)}))
    assert complaint(path) == f"{path}: bias must be F32 (3,), got F64 (3,)"
    replace_weights(path, save({**TENSORS, "bias": np.full(3, np.nan, np.float32)}))
    assert complaint(path) == f"{path} holds weights that are not finite; it is damaged"


@pytest.mark.parametrize(
    "data",
    [
        b"\xff" * 8,
        b"\x80\x04]q\x00.",
        (2**62).to_bytes(8, "little") + b"{}",
        (40).to_bytes(8, "little") + b'{"a":{"dtype":"F32","shape":[9999999999]'.ljust(40),
    ],
    ids=["ones", "pickle", "huge header", "cut header"],
)
def test_files_that_are_no_safetensors_are_refused(path: Path, data: bytes) -> None:
    replace_weights(path, data)
    assert complaint(path).startswith(f"{path} is no safetensors file (")


def test_oversized_empty_and_missing_files_are_refused(path: Path) -> None:
    manifest = path.with_suffix(".json")
    whole = manifest.read_bytes()
    with path.open("r+b") as file:
        file.truncate(LARGEST_WEIGHTS + 1)
    assert complaint(path) == (
        f"{path} must hold 1..{LARGEST_WEIGHTS} bytes, it holds {LARGEST_WEIGHTS + 1}"
    )
    path.write_bytes(b"")
    assert complaint(path) == f"{path} must hold 1..{LARGEST_WEIGHTS} bytes, it holds 0"
    path.unlink()
    assert complaint(path) == f"a model needs the file {path}, which is not there"
    manifest.write_bytes(b" " * (LARGEST_MANIFEST + 1))
    assert complaint(path) == (
        f"{manifest} must hold 1..{LARGEST_MANIFEST} bytes, it holds {LARGEST_MANIFEST + 1}"
    )
    manifest.unlink()
    assert complaint(path) == f"a model needs the file {manifest}, which is not there"
    manifest.write_bytes(whole)
    assert complaint(path.with_suffix(".pt")) == (
        f"a model's file must end with .safetensors, got {path.with_suffix('.pt')}"
    )


def test_wrong_manifests_are_refused(path: Path) -> None:
    manifest = path.with_suffix(".json")
    assert complaint(path, "other") == (
        f"{manifest} must describe a model of kind other, got 'toy'"
    )
    fields = json.loads(manifest.read_text())
    del fields["width"]
    manifest.write_text(json.dumps(fields))
    assert complaint(path) == (
        f"{manifest} does not describe a model (KeyError: 'width'). Train the model again"
    )
    for text in ("[" * 100_000, "\x00", '{"format": 1'):
        manifest.write_text(text)
        assert complaint(path) == f"{manifest} must be JSON. It is damaged; copy it again"
    for text in ("[]", '{"format": 2}'):
        manifest.write_text(text)
        assert complaint(path) == f"{manifest} must be a manifest of format 1"


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    path = tmp_path / "file" / "model.safetensors"
    with pytest.raises(DetectorError) as caught:
        save_model(path, "toy", TENSORS, {})
    assert str(caught.value).startswith(f"the model cannot be written to {path}: ")


def test_the_hash_of_data_tells_values_shapes_and_dtypes_apart() -> None:
    data = np.arange(6, dtype=np.int32)
    hashes = {
        data_sha256(data),
        data_sha256(data.reshape(2, 3)),
        data_sha256(data.astype(np.uint32)),
        data_sha256(data[::-1]),
        data_sha256(data, data),
    }
    assert len(hashes) == 5
    assert data_sha256(data.copy()) in hashes
