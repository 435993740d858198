"""What every detector must do merely by being one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from models.detectors import class_names_of
from records import Detections, Detector, DetectorError, RecordError
from tests.support.vtest import frames

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    Load = Callable[..., Detector]

TOLERANCE = 1e-3
"""How far scores, and boxes as a share of the image, may differ between batches."""


@pytest.fixture(scope="module")
def street(assets: Path) -> NDArray[np.uint8]:
    return next(frames(assets / "video" / "vtest.avi"))


@pytest.fixture(scope="module")
def mixed(street: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """Images of several sizes, one of them not contiguous and one read-only."""
    frozen = street[100:400, 200:600].copy()
    frozen.flags.writeable = False
    return [street, street[::-1, ::2], frozen, street[:, :80], street]


def assert_close(a: Detections, b: Detections, image: NDArray[np.uint8]) -> None:
    assert a.classes == b.classes
    np.testing.assert_allclose(a.scores, b.scores, atol=TOLERANCE)
    np.testing.assert_allclose(a.boxes, b.boxes, atol=TOLERANCE * max(image.shape))


def test_is_a_detector(detector: Detector) -> None:
    assert isinstance(detector, Detector)
    assert detector.class_names == class_names_of(detector.name)
    assert "person" in detector.class_names
    assert [n for n in detector.class_names if n != n.lower()] == []


def test_nothing_in_nothing_out(detector: Detector) -> None:
    assert detector.detect([]) == []


def test_boxes_are_in_the_image_and_sorted(
    detector: Detector, mixed: list[NDArray[np.uint8]]
) -> None:
    found = detector.detect(mixed)
    assert len(found) == len(mixed)
    assert len(found[0]) > 0
    for detections, image in zip(found, mixed, strict=True):
        height, width = image.shape[:2]
        assert detections.class_names == detector.class_names
        assert (detections.boxes >= 0).all()
        assert (detections.boxes <= [width, height, width, height]).all()
        assert (detections.boxes[:, :2] < detections.boxes[:, 2:]).all()
        assert (np.diff(detections.scores) <= 0).all()
        assert (detections.scores >= 0.1).all()
        assert (detections.tracks == -1).all()


def test_alone_and_in_a_batch(detector: Detector, mixed: list[NDArray[np.uint8]]) -> None:
    together = detector.detect(mixed)
    for detections, image in zip(together, mixed, strict=True):
        (alone,) = detector.detect([image])
        assert_close(detections, alone, image)
    assert_close(together[0], together[-1], mixed[0])


def test_same_answer_each_time(detector: Detector, mixed: list[NDArray[np.uint8]]) -> None:
    assert detector.detect(mixed) == detector.detect(mixed)


def test_images_are_left_as_they_are(detector: Detector, street: NDArray[np.uint8]) -> None:
    before = street.copy()
    detector.detect([street])
    np.testing.assert_array_equal(street, before)


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 100, 3), (100, 1, 3), (50, 60, 3)])
def test_tiny_and_flat_images(detector: Detector, shape: tuple[int, int, int]) -> None:
    for value in (0, 127, 255):
        (found,) = detector.detect([np.full(shape, value, np.uint8)])
        assert found.class_names == detector.class_names


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((8, 8, 3), np.float32), "image 1 must be RGB, uint8 (height, width, 3), got "
         "float32 (8, 8, 3)"),
        (np.zeros((8, 8), np.uint8), "image 1 must be RGB, uint8 (height, width, 3), got uint8 "
         "(8, 8)"),
        (np.zeros((8, 8, 4), np.uint8), "image 1 must be RGB, uint8 (height, width, 3), got uint8 "
         "(8, 8, 4)"),
        ([[0]], "image 1 must be RGB, uint8 (height, width, 3), got list"),
        (np.zeros((0, 8, 3), np.uint8), "image 1 must have sides of 1..16384 pixels, one at most "
         "100 times the other, got 8x0"),
        (np.zeros((1, 101, 3), np.uint8), "image 1 must have sides of 1..16384 pixels, one at "
         "most 100 times the other, got 101x1"),
        (np.zeros((200, 16385, 3), np.uint8), "image 1 must have sides of 1..16384 pixels, one at "
         "most 100 times the other, got 16385x200"),
    ],
)  # fmt: skip
def test_wrong_images(detector: Detector, image: object, message: str) -> None:
    with pytest.raises(RecordError) as error:
        detector.detect([np.zeros((8, 8, 3), np.uint8), image])  # type: ignore[list-item]
    assert str(error.value) == message


def test_classes_are_filtered(load: Load, detector: Detector, street: NDArray[np.uint8]) -> None:
    (everything,) = detector.detect([street])
    wanted = everything.classes[0]
    (some,) = load(classes=(wanted,)).detect([street])
    assert some.class_names == detector.class_names
    assert some == everything.of_classes([wanted])
    with pytest.raises(DetectorError) as error:
        load(classes=("persom",))
    count = len(detector.class_names)
    assert str(error.value) == (
        f"classes must be names that {detector.name} knows ({count} of them, lower case), got "
        "'persom'. Did you mean person?"
    )


def test_score_threshold_cuts_the_tail(
    load: Load, detector: Detector, street: NDArray[np.uint8]
) -> None:
    (everything,) = detector.detect([street])
    threshold = float(np.median(everything.scores))
    (best,) = load(score_at_least=threshold).detect([street])
    assert_close(best, everything.select(everything.scores >= threshold), street)


def test_threads_do_not_change_the_answer(
    load: Load, detector: Detector, street: NDArray[np.uint8]
) -> None:
    before = torch.get_num_threads()
    (found,) = load(threads=1).detect([street])
    torch.set_num_threads(before)  # torch has one setting for the process
    assert_close(found, detector.detect([street])[0], street)
