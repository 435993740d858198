from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from connectors.scene import SceneSettings, render
from models.detectors import DetectorSettings, load_detector
from records import Detections, DetectorError, RecordError

if TYPE_CHECKING:
    from pathlib import Path

    from records import Detector

SCENE = SceneSettings(seconds=20, objects_per_minute=8, seed=2)
SETTINGS = DetectorSettings(model="silhouette", score_at_least=0.2)


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    path = tmp_path / "empty.png"
    picture, _ = next(render(replace(SCENE, objects_per_minute=0, noise=0)))
    cv2.imwrite(str(path), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    return path


def load(path: Path, settings: DetectorSettings = SETTINGS) -> Detector:
    return load_detector(replace(settings, weights=str(path)))


def test_objects_that_stand_apart_are_found_with_their_class(empty: Path) -> None:
    detector = load(empty)
    right = 0
    pictures, truths = zip(*render(SCENE), strict=True)
    for found, truth in zip(detector.detect(pictures), truths, strict=True):
        right += sorted(found.classes) == sorted(truth.classes)
    assert right / len(truths) > 0.85


def test_boxes_lie_where_the_objects_are(empty: Path) -> None:
    detector = load(empty)
    frames = [(p, t) for p, t in render(SCENE) if len(t) == 1 and 50 < t.boxes[0, 0] < 500]
    for picture, truth in frames[::5]:
        (found,) = detector.detect([picture])
        assert found.classes == truth.classes
        assert np.abs(found.boxes[0] - truth.boxes[0]).max() < 12


def test_the_empty_scene_is_empty(empty: Path) -> None:
    picture, _ = next(render(replace(SCENE, objects_per_minute=0)))
    assert load(empty).detect([picture]) == [Detections.empty()]


def test_only_wanted_classes_are_kept(empty: Path) -> None:
    detector = load(empty, replace(SETTINGS, classes=("car",)))
    found = [one for picture, _ in render(SCENE) for one in detector.detect([picture])]
    assert {name for one in found for name in one.classes} == {"car"}


def test_what_is_wrong_is_said(empty: Path, tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="^images must be 640x360 like the empty"):
        load(empty).detect([np.zeros((10, 20, 3), np.uint8)])
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(DetectorError, match="^weights must be a picture of the empty scene"):
        load(tmp_path / "text.png")
    with pytest.raises(DetectorError, match="weights must be a picture of the empty scene for"):
        load_detector(SETTINGS)
