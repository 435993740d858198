from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from models.architecture import Architecture, build_network
from models.specialised import Specialisation, SpecialisedModel
from records import DetectorError, RecordError, Scorer

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

FAMILY = [
    Architecture(layers, filters, 32, size, depthwise=depthwise)
    for layers in (2, 4)
    for filters in (16, 64)
    for size in (50, 65)
    for depthwise in (False, True)
]


def random_model(what: Specialisation) -> SpecialisedModel:
    rng = np.random.default_rng(0)
    network = build_network(what.architecture, what.most_counted)
    tensors = {
        name: (0.2 * rng.normal(size=tuple(parameter.shape))).astype(np.float32)
        for name, parameter in network.named_parameters()
    }
    side = what.architecture.size
    tensors["mean"] = rng.uniform(0, 255, (3, side, side)).astype(np.float32)
    return SpecialisedModel(what, tensors, "cpu")


def random_images(count: int, size: int) -> NDArray[np.uint8]:
    return np.random.default_rng(1).integers(0, 256, (count, size, size, 3), dtype=np.uint8)


COUNTER = Specialisation(
    Architecture(size=50), 5, 2, 30.0, {"validation_accuracy": 0.9}, {"predicate": "car >= 2"}
)


@pytest.mark.parametrize("architecture", FAMILY, ids=lambda a: a.name)
def test_every_architecture_gives_probabilities(architecture: Architecture) -> None:
    model = random_model(Specialisation(architecture, 3, 2, 20.0))
    images = random_images(5, architecture.size)
    counts = model.counts(images)
    assert counts.dtype == np.float32
    assert counts.shape == (5, 4)
    np.testing.assert_allclose(counts.sum(axis=1), 1, atol=1e-5)
    scores = model.score(images)
    assert scores.dtype == np.float32
    np.testing.assert_array_equal(scores, np.minimum(counts[:, 2:].sum(axis=1), 1))
    assert isinstance(model, Scorer)
    assert model.size == architecture.size
    assert model.name == f"specialised-{architecture.name}"


def test_the_folded_network_is_the_plain_formula() -> None:
    model = random_model(COUNTER)
    images = random_images(70, 50)
    network = build_network(COUNTER.architecture, COUNTER.most_counted)
    weights = {name: torch.tensor(value) for name, value in model._tensors.items()}
    mean = weights.pop("mean")
    network.load_state_dict(weights, assign=True)
    with torch.no_grad():
        inputs = (torch.tensor(images).permute(0, 3, 1, 2).float() - mean) / COUNTER.deviation
        expected = torch.softmax(network(inputs), dim=1).numpy()
    np.testing.assert_allclose(model.counts(images), expected, atol=2e-4)


def test_no_image_and_strided_images() -> None:
    model = random_model(COUNTER)
    images = random_images(8, 50)
    assert model.score(images[:0]).shape == (0,)
    np.testing.assert_allclose(model.score(images[::2]), model.score(images)[::2], atol=1e-5)


def test_saved_and_loaded_it_is_the_same_also_in_another_process(tmp_path: Path) -> None:
    path = tmp_path / "gate.safetensors"
    model, images = random_model(COUNTER), random_images(9, 50)
    model.save(path)
    loaded = SpecialisedModel.load(path, "cpu")
    np.testing.assert_array_equal(loaded.counts(images), model.counts(images))
    assert loaded.what == model.what
    program = (
        "import sys, numpy as np; from pathlib import Path\n"
        "from models.specialised import SpecialisedModel\n"
        "images = np.random.default_rng(1).integers(0, 256, (9, 50, 50, 3), dtype=np.uint8)\n"
        "model = SpecialisedModel.load(Path(sys.argv[1]), 'cpu')\n"
        "print(model.score(images).tobytes().hex())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)], check=True, capture_output=True, text=True
    )
    assert done.stdout.strip() == model.score(images).tobytes().hex()


def test_the_manifest_tells_what_the_model_is(tmp_path: Path) -> None:
    random_model(COUNTER).save(tmp_path / "gate.safetensors")
    manifest = json.loads((tmp_path / "gate.json").read_text())
    assert len(manifest.pop("weights_sha256")) == 64
    assert manifest.pop("code_version")
    assert manifest == {
        "format": 1,
        "kind": "specialised",
        "architecture": {
            "layers": 2,
            "filters": 16,
            "dense": 32,
            "size": 50,
            "depthwise": False,
        },
        "most_counted": 5,
        "at_least": 2,
        "deviation": 30.0,
        "metrics": {"validation_accuracy": 0.9},
        "predicate": "car >= 2",
    }


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"most_counted": 10**9}, "most_counted must be in 1..64, got 1000000000"),
        ({"at_least": 6}, "at_least must be in 1..5 (most_counted), got 6"),
        ({"deviation": 0}, "deviation must be above 0, got 0.0"),
        ({"deviation": "wide"}, "could not convert string to float: 'wide'"),
        ({"architecture": {"filters": 10**6}}, "filters must be one of (16, 32, 64), got 1000000"),
        ({"architecture": {"rooms": 3}}, "unexpected keyword argument 'rooms'"),
        ({"architecture": None}, "TypeError"),
        ({"metrics": [1]}, "AttributeError"),
    ],
)
def test_a_manifest_that_describes_no_model_is_refused(
    tmp_path: Path, change: dict[str, object], complaint: str
) -> None:
    path = tmp_path / "gate.safetensors"
    random_model(COUNTER).save(path)
    manifest = tmp_path / "gate.json"
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), **change}))
    with pytest.raises(DetectorError) as caught:
        SpecialisedModel.load(path)
    assert complaint in str(caught.value)
    assert "gate.json does not describe a model" in str(caught.value)


def test_weights_of_another_shape_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "gate.safetensors"
    random_model(COUNTER).save(path)
    manifest = tmp_path / "gate.json"
    fields = json.loads(manifest.read_text())
    fields["architecture"]["dense"] = 64
    manifest.write_text(json.dumps(fields))
    with pytest.raises(DetectorError) as caught:
        SpecialisedModel.load(path)
    assert str(caught.value) == f"{path}: 7.weight must be F32 (64, 576), got F32 (32, 576)"


def test_wrong_images_are_refused() -> None:
    model = random_model(COUNTER)
    for images, got in (
        (np.zeros((2, 50, 50), dtype=np.uint8), "uint8 (2, 50, 50)"),
        (np.zeros((2, 64, 64, 3), dtype=np.uint8), "uint8 (2, 64, 64, 3)"),
        (np.zeros((2, 50, 50, 3)), "float64 (2, 50, 50, 3)"),
        ([1], "list"),
    ):
        with pytest.raises(RecordError) as caught:
            model.score(images)  # type: ignore[arg-type]  # what is tested
        assert str(caught.value) == f"images must be RGB, uint8 (n, 50, 50, 3), got {got}"


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"layers": 3}, "layers must be one of (2, 4), got 3"),
        ({"size": 66}, "size must be in 50..65, got 66"),
        ({"dense": 32.0}, "dense must be one of (32, 64, 128, 256), got 32.0"),
        ({"depthwise": 1}, "depthwise must be one of (False, True), got 1"),
    ],
)
def test_an_architecture_outside_the_family_is_refused(
    fields: dict[str, int], complaint: str
) -> None:
    with pytest.raises(DetectorError) as caught:
        replace(Architecture(), **fields)  # type: ignore[arg-type]  # what is tested
    assert str(caught.value) == complaint


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_a_device_that_is_not_there_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "gate.safetensors"
    random_model(COUNTER).save(path)
    with pytest.raises(DetectorError) as caught:
        SpecialisedModel.load(path, "cuda")
    assert str(caught.value) == "device cuda is not there for torch. Set device to cpu or auto"
