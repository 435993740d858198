"""The settings of detectors."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from models.detectors import DetectorSettings
from records import DetectorError


def test_defaults() -> None:
    assert asdict(DetectorSettings()) == {
        "model": "auto",
        "weights": None,
        "device": "auto",
        "score_at_least": 0.1,
        "iou_at_most": 0.45,
        "batch_size": 8,
        "threads": 0,
        "classes": (),
    }


MODELS = "model must be auto, yolox_nano, ssd_mobilenetv2_oiv4, silhouette or torchvision:<builder>"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "yolo"}, f"{MODELS}, got 'yolo'"),
        ({"model": "torchvision:"}, f"{MODELS}, got 'torchvision:'"),
        ({"model": None}, f"{MODELS}, got None"),
        (
            {"weights": "a.onnx"},
            "weights must be a file for a model that is named, got 'a.onnx' for model 'auto'. "
            "Name the model, or leave the weights out",
        ),
        (
            {"model": "yolox_nano", "weights": ""},
            "weights must be a file for a model that is named, got '' for model 'yolox_nano'. "
            "Name the model, or leave the weights out",
        ),
        ({"device": "gpu"}, "device must be one of auto, cpu, cuda, got 'gpu'"),
        ({"score_at_least": 1.5}, "score_at_least must be a number in 0..1, got 1.5"),
        ({"score_at_least": float("nan")}, "score_at_least must be a number in 0..1, got nan"),
        ({"iou_at_most": True}, "iou_at_most must be a number in 0..1, got True"),
        ({"iou_at_most": "0.5"}, "iou_at_most must be a number in 0..1, got '0.5'"),
        ({"batch_size": 0}, "batch_size must be a whole number in 1..256, got 0"),
        ({"batch_size": 2.0}, "batch_size must be a whole number in 1..256, got 2.0"),
        ({"threads": -1}, "threads must be a whole number in 0..1024, got -1"),
        ({"classes": "person"}, "classes must be a tuple of names, got 'person'"),
        ({"classes": (1,)}, "classes must be a tuple of names, got (1,)"),
    ],
)
def test_wrong_values(changes: dict[str, object], message: str) -> None:
    with pytest.raises(DetectorError) as error:
        DetectorSettings(**changes)  # type: ignore[arg-type]  # wrong on purpose
    assert str(error.value) == message
