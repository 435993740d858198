"""Pictures are made only while somebody looks, at most one a second and stream."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest

from connectors.video import VideoSettings, read_video
from flows.dashboard.thumbnails import (
    CAPTION_PIXELS,
    INTERVAL_SECONDS,
    LARGE_WIDTH,
    PATIENCE_SECONDS,
    WATCH_SECONDS,
    WIDTH,
    Thumbnails,
    draw,
)
from records import Detections, Frame, FrameBatch, SourceError, Stage, Verdict
from tests.support.boards import boxes, frames

if TYPE_CHECKING:
    from tests.support.scenes import Street


class Watch:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


PEOPLE = boxes(0.0)


def decision(sequence: int, answer: Detections = PEOPLE) -> Verdict:
    return Verdict("gate", sequence, sequence, Stage.REFERENCE, 0.9, answer)


def opened(data: bytes | None) -> np.ndarray:
    assert data is not None
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    return np.asarray(image)


def test_a_picture_is_taken_for_who_asks_and_drawn_once_it_is_decided() -> None:
    watch = Watch()
    thumbnails = Thumbnails(watch)
    thumbnails.entered(frames("gate", 0, 4))
    thumbnails.decided("gate", [decision(3)])
    assert thumbnails.look("gate") is None, "nobody had asked"
    thumbnails.entered(frames("gate", 4, 4))
    assert thumbnails.look("gate") is None, "it is not decided yet"
    thumbnails.decided("gate", [decision(one) for one in range(4, 8)])
    first = thumbnails.look("gate")
    assert opened(first).shape == (144 + CAPTION_PIXELS, WIDTH, 3)
    assert thumbnails.look("gate") is first, "it is drawn once"
    thumbnails.entered(frames("gate", 8, 4))
    thumbnails.decided("gate", [decision(11)])
    assert thumbnails.look("gate") is first, "not before a second is over"
    watch.now += INTERVAL_SECONDS
    assert thumbnails.look("gate", LARGE_WIDTH) is first
    thumbnails.entered(frames("gate", 12, 4))
    thumbnails.decided("gate", [decision(15)])
    assert opened(thumbnails.look("gate")).shape == (288 + CAPTION_PIXELS, LARGE_WIDTH, 3)


def test_nothing_is_made_once_nobody_looks() -> None:
    watch = Watch()
    thumbnails = Thumbnails(watch)
    thumbnails.look("gate")
    watch.now += WATCH_SECONDS + 1
    thumbnails.entered(frames("gate", 0, 4))
    thumbnails.decided("gate", [decision(3)])
    assert thumbnails.look("gate") is None


def test_a_frame_whose_decision_never_comes_makes_room_for_another() -> None:
    watch = Watch()
    thumbnails = Thumbnails(watch)
    thumbnails.look("gate")
    thumbnails.entered(frames("gate", 0, 4))
    while watch.now < 100 + PATIENCE_SECONDS:
        watch.now += 1
        thumbnails.look("gate")
    thumbnails.entered(frames("gate", 400, 4))
    thumbnails.decided("gate", [decision(403)])
    assert thumbnails.look("gate") is not None


def test_boxes_are_drawn_in_their_places() -> None:
    plain = np.full((90, 160, 3), 60, np.uint8)
    answer = Detections.of([[40, 20, 120, 140]], [0.8], ["car"])
    image = opened(draw(plain, 0.5, decision(7, answer)))
    bare = opened(draw(plain, 0.5, decision(7, Detections.empty())))
    changed = np.abs(image.astype(int) - bare).max(axis=2) > 40
    rows, columns = np.nonzero(changed)
    assert [columns.min(), columns.max(), rows.max()] == pytest.approx([19, 61, 71], abs=4)
    assert plain.max() == 60, "the frame itself is not drawn on"


def test_frames_that_cannot_be_had_are_counted() -> None:
    class Gone:
        width, height = 320, 180

        def luma(self, *_: object) -> Any:
            raise SourceError("its packets are gone")

        rgb = luma

    thumbnails = Thumbnails(Watch())
    thumbnails.look("gate")
    thumbnails.entered(FrameBatch("gate", (Frame("gate", 0, 0, Gone()),)))
    assert thumbnails.missed == 1
    assert thumbnails.look("gate") is None


def test_of_streams_decoded_on_demand_keyframes_are_taken(street: Street) -> None:
    settings = VideoSettings(str(street.folder / "scene.mp4"), decode="on_demand")
    found = [one for one in read_video("gate", settings) if isinstance(one, Frame)]
    thumbnails = Thumbnails(Watch())
    thumbnails.look("gate")
    thumbnails.entered(FrameBatch("gate", tuple(found[1:8])))
    thumbnails.decided("gate", [decision(one) for one in range(1, 8)])
    assert thumbnails.look("gate") is None
    assert found[0].keyframe
    thumbnails.entered(FrameBatch("gate", tuple(found[:8])))
    thumbnails.decided("gate", [decision(0)])
    assert opened(thumbnails.look("gate")).shape[1] == WIDTH


def test_batches_of_others_verdicts_have_no_frames() -> None:
    thumbnails = Thumbnails(Watch())
    thumbnails.look("gate")
    thumbnails.entered(FrameBatch("gate", ()))
    thumbnails.decided("gate", [decision(0)])
    assert thumbnails.look("gate") is None
