"""Choosing a detector."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from models.detectors import DetectorSettings, class_names_of, load_detector
from models.detectors.labels import COCO_80, OPEN_IMAGES_23
from records import AssetError, DetectorError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.usefixtures("assets")
def test_auto_takes_the_first() -> None:
    assert load_detector(DetectorSettings()).name == "yolox_nano"


def test_auto_takes_the_next_when_the_first_cannot_be_had(assets: Path, offline: Path) -> None:
    pytest.importorskip("ai_edge_litert")
    models = offline / "cache" / "sightflow" / "models"
    models.mkdir(parents=True)
    name = "object_detection_ssd_mobilenetv2_oidv4_fp16.tflite"
    (models / name).symlink_to(assets / "models" / name)
    assert load_detector(DetectorSettings()).name == "ssd_mobilenetv2_oiv4"


@pytest.mark.usefixtures("assets")
def test_auto_takes_the_first_that_knows_the_classes() -> None:
    pytest.importorskip("ai_edge_litert")
    settings = DetectorSettings(classes=("person", "high heels"))
    assert load_detector(settings).name == "ssd_mobilenetv2_oiv4"


def test_auto_lists_everything_tried_when_nothing_can_be_had(offline: Path) -> None:
    pytest.importorskip("ai_edge_litert")
    cache = offline / "cache" / "sightflow" / "models"
    ssd = "object_detection_ssd_mobilenetv2_oidv4_fp16.tflite"
    rcnn = "fasterrcnn_mobilenet_v3_large_320_fpn"
    refused = "ConnectError: [Errno 111] Connection refused"
    there = "No such file or directory; put it there by hand if no source below can be reached"
    with pytest.raises(DetectorError) as error:
        load_detector(DetectorSettings())
    assert str(error.value).splitlines() == [
        "no detector can be had; tried:",
        "- yolox_nano: asset 'yolox_nano' cannot be had; tried:",
        "    1. SIGHTFLOW_ASSETS: not set; it may name a folder that holds models/yolox_nano.onnx",
        f"    2. cache {cache}/yolox_nano.onnx: {there}",
        "    3. https://github.com/Megvii-BaseDetection/YOLOX/releases/download/0.1.1rc0/"
        f"yolox_nano.onnx: {refused}",
        "- ssd_mobilenetv2_oiv4: asset 'ssd_mobilenetv2_oiv4' cannot be had; tried:",
        f"    1. SIGHTFLOW_ASSETS: not set; it may name a folder that holds models/{ssd}",
        f"    2. cache {cache}/{ssd}: {there}",
        "    3. npm package @mediapipe/objectron@0.4.1675468480: npm is not installed, or not on "
        "the PATH",
        f"- torchvision:{rcnn}: asset 'torchvision:{rcnn}' cannot be had; tried:",
        f"    1. {offline}/torch/hub/checkpoints/{rcnn}-907ea3f9.pth: is not there or not whole; "
        "put it there by hand, or set weights to a file",
        f"    2. https://download.pytorch.org/models/{rcnn}-907ea3f9.pth: {refused}",
    ]


@pytest.mark.usefixtures("offline")
def test_named_model_that_cannot_be_had() -> None:
    with pytest.raises(AssetError, match="^asset 'yolox_nano' cannot be had; tried:\n"):
        load_detector(DetectorSettings("yolox_nano"))


@pytest.mark.usefixtures("offline")
def test_nothing_is_downloaded_for_a_class_that_the_model_does_not_know() -> None:
    for model in ("yolox_nano", "torchvision:ssd300_vgg16"):
        with pytest.raises(DetectorError) as error:
            load_detector(DetectorSettings(model, classes=("0000",)))
        assert str(error.value) == (
            f"classes must be names that {model} knows (80 of them, lower case), got '0000'. "
            "See its class_names"
        )


def test_class_names() -> None:
    assert class_names_of("auto") is None
    assert class_names_of("yolox_nano") == COCO_80
    assert class_names_of("ssd_mobilenetv2_oiv4") == OPEN_IMAGES_23
    assert class_names_of("torchvision:ssd300_vgg16") == COCO_80
    for model in ("yolo", "torchvision:resnet18"):
        with pytest.raises(DetectorError, match="^model must be "):
            class_names_of(model)


def test_importing_loads_no_runtime() -> None:
    program = (
        "import sys, models.detectors\n"
        "heavy = {'torch', 'torchvision', 'onnxruntime', 'ai_edge_litert', 'cv2'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=60
    )
    assert done.stdout == "[]\n"
