"""Torchvision's detectors, with weights that nobody trained."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from torchvision.models import get_model_builder

from models.detectors.labels import COCO_80
from models.detectors.settings import DetectorSettings
from models.detectors.torchvision import TorchvisionDetector, vocabulary
from records import AssetError, DetectorError
from tests.models.detectors.random_weights import BUILDER, save_random_weights

if TYPE_CHECKING:
    from pathlib import Path

OLDEST = "fasterrcnn_mobilenet_v3_large_320_fpn"
"""The builder that ``auto`` falls back to; its thresholds lie elsewhere than the SSD's."""


def load(builder: str, weights: Path | None, **changes: object) -> TorchvisionDetector:
    values = {
        "model": f"torchvision:{builder}",
        "weights": None if weights is None else str(weights),
        "device": "cpu",
    }
    settings = DetectorSettings(**(values | changes))  # type: ignore[arg-type]
    return TorchvisionDetector(builder, settings)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "random.pth"
    save_random_weights(path)
    return path


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_vocabulary() -> None:
    assert vocabulary(BUILDER) == COCO_80
    assert vocabulary("keypointrcnn_resnet50_fpn") == ("person",)


def test_same_answer_as_torchvision_itself(weights: Path) -> None:
    """Boxes, scores and classes are those of the model as torchvision builds it."""
    detector = load(BUILDER, weights, score_at_least=0.3, iou_at_most=0.55)
    image = noise(120, 200)
    model = get_model_builder(BUILDER)(
        weights=None, weights_backbone=None, score_thresh=0.3, nms_thresh=0.55
    ).eval()
    model.load_state_dict(torch.load(weights, weights_only=True))
    with torch.inference_mode():
        (want,) = model([torch.from_numpy(image).permute(2, 0, 1) / 255])
    (found,) = detector.detect([image])
    names = dict(zip(coco_ids(), COCO_80, strict=True))
    real = [i for i, label in enumerate(want["labels"].tolist()) if label in names]
    assert detector.name == f"torchvision:{BUILDER}"
    assert len(found) > 20
    np.testing.assert_allclose(found.boxes, want["boxes"][real], atol=1e-3)
    np.testing.assert_allclose(found.scores, want["scores"][real], atol=1e-5)
    assert list(found.classes) == [names[label] for label in want["labels"][real].tolist()]


def coco_ids() -> list[int]:
    """COCO's category ids, 1..90; ten of them are of no class."""
    absent = {12, 26, 29, 30, 45, 66, 68, 69, 71, 83}
    return [i for i in range(1, 91) if i not in absent]


def test_thresholds_reach_a_two_stage_model(tmp_path: Path) -> None:
    torch.manual_seed(0)
    path = tmp_path / "rcnn.pth"
    model = get_model_builder(OLDEST)(weights=None, weights_backbone=None)
    torch.save(model.state_dict(), path)
    image = noise(90, 160)
    found = load(OLDEST, path, score_at_least=0.001).detect([image, image[:50], image])
    assert len(found[0]) > 0
    assert found[0] == found[2]
    assert found[0].class_names == COCO_80
    assert [len(f) for f in load(OLDEST, path, score_at_least=0.9).detect([image])] == [0]


def test_order_of_mixed_sizes_is_kept(weights: Path) -> None:
    detector = load(BUILDER, weights, score_at_least=0.3, batch_size=2)
    images = [noise(60, 80, 0), noise(90, 50, 1), noise(60, 80, 2), noise(60, 80, 3)]
    together = detector.detect(images)
    assert [len(f) > 0 for f in together] == [True] * 4
    for detections, image in zip(together, images, strict=True):
        (alone,) = detector.detect([image])
        assert detections.classes == alone.classes
        np.testing.assert_allclose(detections.boxes, alone.boxes, atol=1e-3)


def test_weights_that_are_not_this_model(weights: Path, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.pth"
    remedy = "Save it with torch.save(model.state_dict(), path)"
    unreadable = f"{wrong} cannot be read by torch.load with weights_only=True"

    def refused(builder: str = BUILDER) -> str:
        with pytest.raises(DetectorError) as error:
            load(builder, wrong)
        return str(error.value)

    wrong.write_bytes(b"hello" * 100)
    assert refused() == f"{unreadable} (KeyError). {remedy}"
    wrong.write_bytes(weights.read_bytes()[:1000])
    assert re.fullmatch(re.escape(unreadable) + r" \(\w+\)\. " + re.escape(remedy), refused())
    torch.save(torch.nn.Linear(1, 1), wrong)
    assert refused() == f"{unreadable} (UnpicklingError). {remedy}"
    torch.save([1, 2], wrong)
    assert refused() == f"{wrong} must hold a dictionary of tensors. {remedy}"
    torch.save({"weight": torch.tensor([1.0, float("nan")])}, wrong)
    assert refused() == f"{wrong} holds weights that are not finite; it is damaged"
    torch.save({"weight": torch.zeros(1)}, wrong)
    assert refused().startswith(
        f"{wrong} must hold the weights of {BUILDER}: Error(s) in loading state_dict for SSD: "
        "Missing key(s) in state_dict: "
    )


def test_unknown_builder() -> None:
    with pytest.raises(DetectorError) as error:
        vocabulary("resnet18")
    text = str(error.value)
    assert text.startswith("model must be torchvision:<builder> with a builder of torchvision: ")
    assert BUILDER in text
    assert text.endswith("; got 'resnet18'")


@pytest.mark.skipif(torch.cuda.is_available(), reason="CUDA is there")
def test_device_that_is_not_there(weights: Path) -> None:
    with pytest.raises(DetectorError) as error:
        load(BUILDER, weights, device="cuda")
    assert str(error.value) == "device cuda is not there for torch. Set device to cpu or auto"


def test_download_that_fails(offline: Path) -> None:
    with pytest.raises(AssetError) as error:
        load(BUILDER, None)
    file = "ssdlite320_mobilenet_v3_large_coco-a79551df.pth"
    assert str(error.value) == (
        f"asset 'torchvision:{BUILDER}' cannot be had; tried:\n"
        f"  1. {offline}/torch/hub/checkpoints/{file}: is not there or not whole; put it there by "
        "hand, or set weights to a file\n"
        f"  2. https://download.pytorch.org/models/{file}: ConnectError: [Errno 111] Connection "
        "refused"
    )
    assert [p for p in offline.rglob("*") if p.is_file()] == []
