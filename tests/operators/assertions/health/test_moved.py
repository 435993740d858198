from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from operators.assertions.health.moved import (
    Moved,
    edge_spectrum,
    highest,
    phase_correlation,
)
from tests.support.health import found, grey_frames, moments

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

FRAMES = 400
"""Frames of a clip that are looked at, 40 seconds."""


def views(clip: Path, right: float, down: float = 0.0) -> list[NDArray[np.uint8]]:
    """What a camera with a narrower view sees, turned by these shares of the width and height."""
    shown = []
    for frame in grey_frames(clip, FRAMES, 5):
        height, width = frame.shape
        x, y = round(width * (0.1 + right)), round(height * (0.1 + down))
        view = frame[y : y + height * 8 // 10, x : x + width * 8 // 10]
        small = cv2.resize(view, (64, 36), interpolation=cv2.INTER_AREA)
        shown += [np.asarray(small, np.uint8)] * 5
    return shown


@pytest.mark.parametrize(("right", "down"), [(0.03, 0.0), (-0.05, 0.0), (0.0, 0.05), (0.08, 0.08)])
def test_a_nudged_camera_is_found_within_ten_seconds_and_for_a_while(
    clip: Path, right: float, down: float
) -> None:
    check = Moved().start()
    assert found(check, moments(views(clip, 0.0))) == []
    got = found(check, moments(views(clip, right, down) * 3, start=FRAMES))
    assert got[0].sequence - FRAMES <= 100
    shares = [int(word) for word in got[0].message.split() if word[0] in "+-"]
    assert shares == pytest.approx([-100 * right / 0.8, -100 * down / 0.8], abs=2.5)
    # After a minute the new view is the usual one.
    assert 550 <= got[-1].sequence - FRAMES <= 750


def test_a_camera_that_was_turned_away_shows_another_view(clip: Path) -> None:
    check = Moved().start()
    found(check, moments(views(clip, 0.0)))
    (other,) = {"vtest.avi", "one-by-one-person-detection.mp4"} - {clip.name}
    got = found(check, moments(views(clip.with_name(other), 0.0), start=FRAMES))
    assert got[0].sequence - FRAMES <= 100
    assert "the camera shows another view" in {finding.message for finding in got}


def test_light_and_passing_objects_are_no_move(clip: Path) -> None:
    check = Moved().start()
    found(check, moments(views(clip, 0.0)))
    dim = [(view * 0.5 + 20).astype(np.uint8) for view in views(clip, 0.0)]
    assert found(check, moments(dim, start=FRAMES)) == []
    passing = views(clip, 0.0)
    for k, view in enumerate(passing):
        view[10:36, k % 64 : k % 64 + 14] = 200
    assert found(check, moments(passing, start=2 * FRAMES)) == []


def test_a_view_that_is_lost_is_not_moved(clip: Path) -> None:
    check = Moved().start()
    found(check, moments(views(clip, 0.0)))
    assert found(check, moments([np.full((36, 64), 16, np.uint8)] * 200, start=FRAMES)) == []


@pytest.mark.parametrize("shift", [(0, 0), (5, 0), (-7, 3), (0, -4)])
def test_phase_correlation_finds_a_shift(shift: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    wide = cv2.GaussianBlur(rng.uniform(0, 255, (60, 90)), (0, 0), 1.0).astype(np.uint8)
    here = wide[12:48, 12:76]
    right, down = shift
    there = wide[12 - down : 48 - down, 12 - right : 76 - right]
    surface = phase_correlation(edge_spectrum(there)[0], edge_spectrum(here)[0])
    assert highest(surface)[0] == shift
