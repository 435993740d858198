from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest

from connectors.kafka.pictures import CodedPixels
from operators.retraining_value import (
    HASH_SIZE,
    box_uncertainty,
    distances,
    fingerprint,
    score_uncertainty,
    wrongness,
)
from records import Detections, Flag, Origin, RecordError
from tests.support.queues import item, picture

if TYPE_CHECKING:
    from pathlib import Path


def print_of(data: bytes) -> int:
    return fingerprint(CodedPixels(data, "image/jpeg").luma(*HASH_SIZE))


def test_other_pictures_differ_in_many_bits_and_the_same_in_few() -> None:
    prints = np.array([print_of(picture(k)) for k in range(8)], np.uint64)
    for k, one in enumerate(prints.tolist()):
        apart = distances(one, prints)
        assert apart[k] == 0
        assert np.delete(apart, k).min() > 12
    # The same scene, coded worse and brighter.
    bgr = CodedPixels(picture(3), "image/jpeg").rgb()[..., ::-1]
    worse = cv2.imencode(".jpg", np.minimum(bgr, 235) + 20, [cv2.IMWRITE_JPEG_QUALITY, 60])[1]
    assert distances(print_of(worse.tobytes()), prints)[3] <= 4


def test_frames_of_a_real_video_that_are_near_in_time_are_alike(assets: Path) -> None:
    capture = cv2.VideoCapture(str(assets / "video" / "vtest.avi"))
    frames = [capture.read()[1] for _ in range(8)]
    capture.release()
    luma = [
        cv2.resize(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY), HASH_SIZE, interpolation=cv2.INTER_AREA)
        for frame in frames
    ]
    prints = np.array([fingerprint(np.asarray(one, np.uint8)) for one in luma], np.uint64)
    assert distances(int(prints[0]), prints).max() <= 4


@pytest.mark.parametrize(
    ("luma", "got"),
    [
        (np.zeros((9, 8), np.uint8), "uint8 (9, 8)"),
        (np.zeros((8, 9), np.float32), "float32 (8, 9)"),
        ([1], "list"),
    ],
)
def test_what_is_no_plane_is_refused(luma: Any, got: str) -> None:
    with pytest.raises(RecordError) as caught:
        fingerprint(luma)
    assert str(caught.value) == f"luma must be a uint8 array of shape (8, 9), got {got}"


def test_wrongness() -> None:
    flagged = item(flags=(Flag("a", 3.0, "e"), Flag("b", 9.0, "e", 0.5)))
    assert wrongness(flagged) == 0.75
    assert wrongness(replace(flagged, origins=(Origin.ASSERTION, Origin.AUDIT))) == 1.0
    assert wrongness(item(origins=(Origin.RANDOM,), flags=())) == 0.0


def test_uncertainty() -> None:
    assert [score_uncertainty(score) for score in (0, 0.5, 1, 7)] == [0, 1, 0, 0]
    assert box_uncertainty(Detections.empty()) == 0.0
