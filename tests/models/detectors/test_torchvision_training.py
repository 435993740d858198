"""Fine-tuning torchvision's detectors, from weights that nobody trained."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from models.detectors import DetectorSettings, load_detector
from models.detectors.torchvision_training import (
    BACKBONE,
    TorchvisionTrainSettings,
    train_torchvision,
)
from records import Detections, DetectorError, RecordError
from tests.models.detectors.random_weights import BUILDER, save_random_weights

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from models.detectors.torchvision_training import TrainedTorchvision

SETTINGS = TorchvisionTrainSettings(steps=5, batch_size=2, learning_rate=0.001)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "random.pth"
    save_random_weights(path)
    return path


def pictures(count: int = 2) -> list[tuple[NDArray[np.uint8], Detections]]:
    """Each with a bright square, a cat, and a weak box that is left out."""
    made = []
    for k in range(count):
        picture = np.full((96, 96, 3), 40, dtype=np.uint8)
        x = 8 + 16 * k
        picture[20:60, x : x + 40] = 250
        boxes = [[x, 20, x + 40, 60], [0, 0, 9, 9]]
        made.append((picture, Detections.of(boxes, [1.0, 0.1], ["cat", "dog"])))
    return made


@pytest.fixture(scope="module")
def trained(weights: Path) -> TrainedTorchvision:
    return train_torchvision(BUILDER, weights, pictures(), SETTINGS)


def test_loss_falls_and_only_the_head_changes(weights: Path, trained: TrainedTorchvision) -> None:
    start = torch.load(weights, weights_only=True)
    changed = {
        name for name, value in trained.tensors.items() if (value != start[name].numpy()).any()
    }
    assert trained.tensors.keys() == start.keys()
    assert changed
    assert not any(name.startswith(BACKBONE) or "running" in name for name in changed)
    assert trained.metrics["last_loss"] < trained.metrics["first_loss"]
    assert trained.metrics["pictures"] == trained.metrics["objects"] == 2


def test_same_seed_same_weights(weights: Path, trained: TrainedTorchvision) -> None:
    told: list[tuple[int, float]] = []
    state = torch.random.get_rng_state()
    again = train_torchvision(
        f"torchvision:{BUILDER}", weights, pictures(), SETTINGS, lambda *one: told.append(one)
    )
    assert all(np.array_equal(again.tensors[k], v) for k, v in trained.tensors.items())
    assert [step for step, _ in told] == [1, 2, 3, 4, 5]
    assert told[0][1] == trained.metrics["first_loss"]
    assert torch.equal(torch.random.get_rng_state(), state)


def test_everything_is_trained_from_random_weights() -> None:
    told: list[float] = []
    settings = replace(SETTINGS, train="all", steps=1)
    one, two = (
        train_torchvision(BUILDER, None, pictures(), settings, lambda _, loss: told.append(loss))
        for _ in range(2)
    )
    assert all(np.array_equal(one.tensors[k], v) for k, v in two.tensors.items())
    assert told[0] == told[1]


def test_file_is_one_that_the_detector_loads(trained: TrainedTorchvision, tmp_path: Path) -> None:
    path = tmp_path / "cats.safetensors"
    trained.save(path)
    manifest = json.loads(path.with_suffix(".json").read_text())
    assert (manifest["kind"], manifest["builder"]) == ("torchvision-detector", BUILDER)
    assert manifest["metrics"] == trained.metrics
    settings = DetectorSettings(
        f"torchvision:{BUILDER}", str(path), "cpu", score_at_least=0.02, threads=1
    )
    plain = tmp_path / "cats.pth"
    torch.save({name: torch.tensor(value) for name, value in trained.tensors.items()}, plain)
    picture = pictures()[0][0]
    detectors = [load_detector(replace(settings, weights=str(p))) for p in (path, plain)]
    found = [one.detect([picture])[0] for one in detectors]
    assert len(found[0]) > 0
    assert found[0] == found[1]


def test_damaged_file(tmp_path: Path) -> None:
    path = tmp_path / "bad.safetensors"
    path.write_bytes(b"nothing")
    with pytest.raises(DetectorError) as error:
        load_detector(DetectorSettings(f"torchvision:{BUILDER}", str(path), "cpu", threads=1))
    assert str(error.value).startswith(f"{path} is no safetensors file (")
    assert str(error.value).endswith("). Copy it again")


def test_what_is_refused(weights: Path, tmp_path: Path) -> None:
    picture, labels = pictures(1)[0]
    with pytest.raises(DetectorError, match="^model must be torchvision:<builder>"):
        train_torchvision("resnet18", None, pictures(), SETTINGS)
    with pytest.raises(DetectorError) as error:
        train_torchvision("maskrcnn_resnet50_fpn", None, pictures(), SETTINGS)
    assert str(error.value) == (
        "name must be a detector that boxes alone can train, got maskrcnn_resnet50_fpn"
    )
    unknown = Detections.of(labels.boxes[:1], [1.0], ["gnu"])
    with pytest.raises(DetectorError, match=f"^classes must be names that torchvision:{BUILDER}"):
        train_torchvision(BUILDER, weights, [(picture, unknown)], SETTINGS)
    for given, message in (
        ([], "got none in 0 pictures"),
        ([(picture, labels.select(np.array([1])))], "got none in 1 pictures"),
    ):
        with pytest.raises(RecordError) as wrong:
            train_torchvision(BUILDER, weights, given, SETTINGS)
        assert str(wrong.value) == (
            "pictures must have at least one label with a score of at least 0.4, "
            f"{message}. Label more of them"
        )
    with pytest.raises(DetectorError, match="^weights must be a file, got "):
        train_torchvision(BUILDER, tmp_path / "none.pth", pictures(), SETTINGS)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train": "body"}, "train must be one of head, all, got 'body'"),
        ({"steps": 0}, "steps must be a whole number in 1..100000, got 0"),
        ({"momentum": 1.0}, "momentum must be in 0.0..0.999, got 1.0"),
    ],
)
def test_settings(changes: dict[str, object], message: str) -> None:
    with pytest.raises(RecordError) as error:
        TorchvisionTrainSettings(**changes)  # type: ignore[arg-type]  # the test names real fields
    assert str(error.value) == message
