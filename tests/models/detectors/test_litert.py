"""The SSD on LiteRT."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest

from models.detectors import litert
from models.detectors.labels import OPEN_IMAGES_23
from models.detectors.settings import DetectorSettings
from records import Detections, DetectorError
from tests.support.ap import average_precision_50
from tests.support.vtest import frames, truth

if TYPE_CHECKING:
    from pathlib import Path

MODEL = "object_detection_ssd_mobilenetv2_oidv4_fp16.tflite"

STRIDE = 8
"""Every how many frames of the clip the average precision is taken."""


def load(path: Path, **changes: object) -> litert.SsdDetector:
    pytest.importorskip("ai_edge_litert")
    values = {"model": "ssd_mobilenetv2_oiv4"} | changes
    return litert.SsdDetector(path, DetectorSettings(**values))  # type: ignore[arg-type]


def test_vocabulary_is_the_label_map(assets: Path) -> None:
    lines = (assets / "models" / "object_detection_oidv4_labelmap.txt").read_text().splitlines()
    assert lines[0] == "???"
    assert tuple(line.lower() for line in lines[1:]) == OPEN_IMAGES_23


def test_anchors() -> None:
    anchors = litert.anchors()
    assert anchors.shape == (1917, 4)
    assert anchors.dtype == np.float32
    cell = 300 / 19
    root = np.sqrt(2)
    lowest = [[30, 30], [60 * root, 60 / root], [60 / root, 60 * root]]
    np.testing.assert_allclose(anchors[:3, 2:], lowest, rtol=1e-5)
    np.testing.assert_allclose(anchors[:3, :2], cell / 2, rtol=1e-5)
    np.testing.assert_allclose(anchors[3, :2], [1.5 * cell, 0.5 * cell], rtol=1e-5)
    last = 285 * np.array([[1, 1], [root, 1 / root], [1 / root, root], [3**0.5, 3**-0.5]])
    np.testing.assert_allclose(anchors[-6:-2, 2:], last, rtol=1e-5)
    np.testing.assert_allclose(anchors[-2:, 2:].prod(axis=1), [285**2, 285 * 300], rtol=1e-5)
    np.testing.assert_allclose(anchors[-6:, :2], 150, rtol=1e-5)


def test_decode() -> None:
    anchors = np.array([[100, 50, 20, 10]] * 3, np.float32)
    size = 5 * np.log(2)
    encodings = np.array([[0, 0, 0, 0], [10, -10, size, 2 * size], [0, 0, 1e30, 1e30]], np.float32)
    np.testing.assert_allclose(
        litert.decode(encodings, anchors),
        [[90, 45, 110, 55], [40, 50, 120, 70], [-2900, -1450, 3100, 1550]],
        rtol=1e-5,
    )


def test_sigmoid_never_overflows() -> None:
    logits = np.array([-1e30, 0, np.log(3), 1e30], np.float32)
    np.testing.assert_allclose(litert.sigmoid(logits), [0, 0.5, 0.75, 1], atol=1e-6)


def test_average_precision_on_pedestrians(assets: Path) -> None:
    detector = load(assets / "models" / MODEL, score_at_least=0.01, classes=("person",))
    found: list[Detections] = []
    for number, image in enumerate(frames(assets / "video" / "vtest.avi")):
        if number % STRIDE == 0:
            found += detector.detect([image])
    known = truth(assets / "video" / "vtest.mot.txt")[::STRIDE]
    assert average_precision_50(known, found, "person") >= 0.70


def test_file_that_is_no_model(assets: Path, tmp_path: Path) -> None:
    for wrong, message in (
        (tmp_path, f"weights must be a file, got {tmp_path}, which is none"),
        (
            assets / "README.md",
            f"{assets / 'README.md'} must be a LiteRT model: The model is not a valid Flatbuffer",
        ),
    ):
        with pytest.raises(DetectorError, match=f"^{re.escape(message)}"):
            load(wrong)


def test_file_that_is_another_model(assets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ai_edge_litert")
    path = assets / "models" / MODEL
    monkeypatch.setattr(litert, "SIDE", 320)  # as if the adapter were for another model
    with pytest.raises(DetectorError) as error:
        load(path)
    assert str(error.value) == (
        f"{path} must be ssd_mobilenetv2_oiv4 with input (1, 320, 320, 3) and outputs "
        "(1, 2034, 4) and (1, 2034, 24), got (1, 300, 300, 3) and (1, 1917, 4), (1, 1917, 24)"
    )


def test_missing_package(assets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ai_edge_litert", None)
    monkeypatch.delitem(sys.modules, "ai_edge_litert.interpreter", raising=False)
    with pytest.raises(DetectorError) as error:
        litert.SsdDetector(assets / "models" / MODEL, DetectorSettings("ssd_mobilenetv2_oiv4"))
    assert str(error.value) == (
        "ssd_mobilenetv2_oiv4 needs the package ai-edge-litert. "
        "Install it with: pip install 'sightflow[litert]'"
    )


def test_cuda_is_refused(assets: Path) -> None:
    with pytest.raises(DetectorError) as error:
        load(assets / "models" / MODEL, device="cuda")
    assert str(error.value) == (
        "ssd_mobilenetv2_oiv4 runs on the CPU only. Set device to cpu or auto"
    )
