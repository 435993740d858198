from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from connectors.video import VideoSettings
from flows.picture import BANNER_PIXELS, annotate, picture_of, write_picture
from records import Detections, SourceError, Stage, Verdict

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.scenes import Street

BOX = Detections.of([[40, 60, 80, 120]], [0.9], ["person"], tracks=[3])


def test_boxes_and_a_banner_are_drawn() -> None:
    plain = np.full((180, 320, 3), 128, np.uint8)
    drawn = annotate(plain, BOX, "ALERT")
    assert drawn.shape == (180 + BANNER_PIXELS, 320, 3)
    changed = np.argwhere((drawn[BANNER_PIXELS:] != plain).any(axis=2))
    assert changed[:, 1].min() in range(38, 42)
    assert changed[:, 0].max() in range(118, 123)
    assert (plain == 128).all()
    assert (drawn[:BANNER_PIXELS] > 200).any()


def test_a_frame_without_boxes_stays_as_it_is() -> None:
    plain = np.full((180, 320, 3), 128, np.uint8)
    assert (annotate(plain, Detections.empty(), "")[BANNER_PIXELS:] == 128).all()


def test_pictures_are_written_and_refused(tmp_path: Path) -> None:
    rgb = np.zeros((20, 30, 3), np.uint8)
    rgb[:, :, 0] = 250
    write_picture(tmp_path / "a.png", rgb)
    read = cv2.imread(str(tmp_path / "a.png"))
    assert read is not None
    assert (read[:, :, 2] == 250).all()
    with pytest.raises(SourceError, match="cannot be written: No such file or directory"):
        write_picture(tmp_path / "gone" / "a.png", rgb)


def test_the_picture_of_a_verdict_is_its_frame(scene: Street) -> None:
    video = VideoSettings(uri=str(scene.folder / "scene.mp4"))
    verdict = Verdict("gate", 50, 5 * 10**9, Stage.REFERENCE, 0.9, scene.truth[50])
    assert picture_of(video, verdict, "x").shape == (180 + BANNER_PIXELS, 320, 3)
    with pytest.raises(SourceError, match="holds no frame 5000"):
        picture_of(video, Verdict("gate", 5000, 0, Stage.REFERENCE, 0.9, BOX), "x")
