"""YOLOX on ONNX Runtime."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import onnxruntime
import pytest

from models.detectors.labels import COCO_80
from models.detectors.onnx import YoloxDetector
from models.detectors.settings import DetectorSettings
from records import Detections, DetectorError
from tests.models.detectors.onnx_file import write_linear_model
from tests.support.ap import average_precision_50
from tests.support.vtest import FRAMES, frames, truth

if TYPE_CHECKING:
    from pathlib import Path

ANCHORS = 64 + 16 + 4
"""Cells of the three grids of a 64x64 input."""

DOG = 16
"""COCO's index of the dog."""


def settings(**changes: object) -> DetectorSettings:
    values = {"model": "yolox_nano", "device": "cpu"} | changes
    return DetectorSettings(**values)  # type: ignore[arg-type]  # the test names real fields


def dog_detector(path: Path, batch: int | str, **changes: object) -> YoloxDetector:
    """Finds a dog at (4, 4, 20, 20) of a 64x64 image: score 0.5 and 0.001 for each mean red."""
    weight = np.zeros((3, ANCHORS, 85), np.float32)
    bias = np.zeros((ANCHORS, 85), np.float32)
    cell_1_1 = 8 + 1
    bias[cell_1_1, :5] = [0.5, 0.5, np.log(2), np.log(2), 0.5]
    bias[cell_1_1, 5 + DOG] = 1
    weight[2, cell_1_1, 4] = 0.001
    write_linear_model(path, weight, bias, (batch, 3, 64, 64))
    return YoloxDetector(path, settings(**changes))


def plain(red: int, green: int = 200, blue: int = 100) -> np.ndarray:
    return np.full((64, 64, 3), (red, green, blue), dtype=np.uint8)


@pytest.mark.parametrize("batch", ["n", 1, 2, 4])
def test_decodes_grid_colour_and_batch(tmp_path: Path, batch: int | str) -> None:
    detector = dog_detector(tmp_path / "dog.onnx", batch, batch_size=2)
    found = detector.detect([plain(0), plain(100), plain(200)])
    assert [f.class_names for f in found] == [COCO_80] * 3
    assert [f.classes for f in found] == [("dog",)] * 3
    for detections, score in zip(found, (0.5, 0.6, 0.7), strict=True):
        np.testing.assert_allclose(detections.boxes, [[4, 4, 20, 20]], atol=1e-4)
        np.testing.assert_allclose(detections.scores, [score], atol=1e-4)


def test_boxes_are_scaled_to_the_image_and_cut_at_its_edge(tmp_path: Path) -> None:
    detector = dog_detector(tmp_path / "dog.onnx", 1)
    wide = np.zeros((10, 128, 3), np.uint8)  # half its size in the input, 5 rows of 64
    (found,) = detector.detect([wide])
    np.testing.assert_allclose(found.boxes, [[8, 8, 40, 10]], atol=1e-3)


def test_file_that_is_not_yolox(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    text, empty, absent = tmp_path / "a.txt", tmp_path / "b.onnx", tmp_path / "c.onnx"
    text.write_text("no model")
    empty.touch()
    for wrong, message in (
        (text, f"{text} must be an ONNX model: [ONNXRuntimeError] : 7 : INVALID_PROTOBUF"),
        (empty, f"weights must hold 1..4294967296 bytes, {empty} holds 0"),
        (absent, f"weights must be a file, got {absent}, which is none"),
    ):
        with pytest.raises(DetectorError, match=f"^{re.escape(message)}"):
            YoloxDetector(wrong, settings())

    def written(planes: int, anchors: int, fields: int, shape: tuple[int | str, ...]) -> Path:
        zeros = np.zeros((planes, anchors, fields), np.float32)
        write_linear_model(path, zeros, zeros[0], shape)
        return path

    with pytest.raises(DetectorError) as error:
        YoloxDetector(written(3, 10, 6, ("n", 3, 64, 64)), settings())
    assert str(error.value) == (
        f"{path} must be YOLOX for COCO with one output (1, 84, 85), got (1, 10, 6). "
        "Export it with YOLOX's own tool, undecoded"
    )
    for shape in ((1, 1, 64, 64), (1, 3, 60, 64), (1, 3, "h", "w"), (1, 3, 4096, 4096)):
        with pytest.raises(DetectorError) as error:
            YoloxDetector(written(shape[1], 84, 85, shape), settings())
        assert str(error.value) == (
            f"{path} must have one input (batch, 3, height, width) with sides that are multiples "
            f"of 32 up to 2048, got {[list(shape)]}. Is it YOLOX, exported with its own tool?"
        )
    with pytest.raises(DetectorError) as error:
        YoloxDetector(written(3, 84, 85, (257, 3, 64, 64)), settings())
    assert str(error.value) == f"{path} must have a batch of at most 256, got 257"


def test_damaged_weights_are_named(tmp_path: Path) -> None:
    path = tmp_path / "nan.onnx"
    for field, what in ((4, "scores"), (2, "boxes")):
        bias = np.ones((ANCHORS, 85), np.float32)
        bias[0, field] = np.nan
        write_linear_model(path, np.zeros((3, ANCHORS, 85), np.float32), bias, (1, 3, 64, 64))
        detector = YoloxDetector(path, settings())
        with pytest.raises(DetectorError) as error:
            detector.detect([plain(0)])
        assert str(error.value) == (
            f"yolox_nano gave {what} that are not finite; its weights are damaged. Fetch or "
            "export them again"
        )


def test_huge_boxes_stay_finite(tmp_path: Path) -> None:
    bias = np.zeros((ANCHORS, 85), np.float32)
    bias[0, :6] = [0, 0, 1e30, 1e30, 1, 1]
    write_linear_model(
        tmp_path / "m.onnx", np.zeros((3, ANCHORS, 85), np.float32), bias, (1, 3, 64, 64)
    )
    (found,) = YoloxDetector(tmp_path / "m.onnx", settings()).detect([plain(0)])
    assert found == Detections.of([[0, 0, 64, 64]], [1], ["person"])


@pytest.mark.skipif(
    "CUDAExecutionProvider" in onnxruntime.get_available_providers(), reason="CUDA is there"
)
def test_device_that_is_not_there(assets: Path) -> None:
    with pytest.raises(DetectorError) as error:
        YoloxDetector(assets / "models" / "yolox_nano.onnx", settings(device="cuda"))
    assert str(error.value) == (
        "device cuda needs ONNX Runtime's CUDA provider, which this installation lacks. "
        "Install it with: pip install onnxruntime-gpu, or set device to cpu"
    )


def test_average_precision_on_pedestrians(assets: Path) -> None:
    """The published model reaches 0.896 here at YOLOX's own test settings."""
    detector = YoloxDetector(
        assets / "models" / "yolox_nano.onnx",
        settings(score_at_least=0.01, iou_at_most=0.65, classes=("person",)),
    )
    found: list[Detections] = []
    for image in frames(assets / "video" / "vtest.avi"):
        found += detector.detect([image])
    assert len(found) == FRAMES
    known = truth(assets / "video" / "vtest.mot.txt")
    assert average_precision_50(known, found, "person") >= 0.88
