from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.lidar import ScanSettings, read_scans
from connectors.lidar_geometry import KITTI_PROJECTION, Calibration, corners_of
from records import RecordError

if TYPE_CHECKING:
    from pathlib import Path

CAMERA = Calibration(
    width=101,
    height=101,
    projection=((100.0, 0.0, 50.0, 0.0), (0.0, 100.0, 50.0, 0.0), (0.0, 0.0, 1.0, 0.0)),
)


def project(*solid: float) -> list[float]:
    return [round(one, 3) for one in CAMERA.project(np.array([solid])).tolist()[0]]


def test_a_cube_ahead_is_seen_by_its_near_face() -> None:
    # Sides of 2 m, the middle 5 m ahead: its near face at 4 m spans 100 * 1 / 4 pixels each way.
    assert project(2, 2, 2, 0, 1, 5, 0) == [25, 25, 75, 75]


def test_yaw_turns_length_towards_the_camera() -> None:
    # 4 m long: seen from its end it reaches from 3 to 7 m, and is 2 m wide.
    assert project(2, 2, 4, 0, 1, 5, np.pi / 2) == [16.667, 16.667, 83.333, 83.333]


def test_a_box_is_clipped_to_the_image() -> None:
    assert project(2, 2, 2, 3, 1, 5, 0) == [83.333, 25, 100, 75]


def test_a_box_that_reaches_behind_the_camera_is_seen_up_to_the_image_edges() -> None:
    # From 1 m behind to 1 m ahead, on the right: its far edge is at x = 1, the near ones are cut.
    assert project(2, 2, 2, 2, 1, 0, 0) == [100, 0, 100, 100]
    assert project(2, 2, 6, 0, 1, 2, np.pi / 2) == [0, 0, 100, 100]


def test_a_box_behind_the_camera_is_not_seen() -> None:
    assert project(2, 2, 2, 0, 1, -5, 0) == [0, 0, 0, 0]


def test_no_boxes() -> None:
    assert CAMERA.project(np.empty((0, 7))).shape == (0, 4)
    assert corners_of(np.empty((0, 7))).shape == (0, 8, 3)


def test_corners_stand_on_the_bottom_and_turn_about_it() -> None:
    corners = corners_of(np.array([[1.5, 1.6, 4.0, 10, 2, 20, 0.0], [1.5, 1.6, 4.0, 10, 2, 20, 9]]))
    assert corners[0].min(axis=0).round(6).tolist() == [8, 0.5, 19.2]
    assert corners[0].max(axis=0).round(6).tolist() == [12, 2, 20.8]
    assert corners.mean(axis=1).round(6).tolist() == [[10, 1.25, 20]] * 2


def test_known_constants_give_the_projection_that_the_files_hold(assets: Path) -> None:
    given_, made = (
        read_scans(assets / "lidar" / "lidar_car" / "0003.txt", ScanSettings("roof", calibration=c))
        for c in (None, Calibration(projection=KITTI_PROJECTION))
    )
    off = [
        np.abs(a.boxes.boxes - b.boxes.boxes).max()
        for a, b in zip(given_.frames, made.frames, strict=True)
        if len(a)
    ]
    assert len(off) == 144
    assert max(off) < 0.05  # pixels; the files round to four digits


@given(
    st.floats(-30, 30), st.floats(-30, 30), st.floats(-2, 2), st.floats(-3.1, 3.1), st.floats(1, 5)
)
def test_a_box_of_the_sensor_keeps_its_corners(
    ahead: float, left: float, up: float, heading: float, length: float
) -> None:
    # KITTI's axes: the camera's x is the sensor's -y, its y the sensor's -z, its z the sensor's x.
    turned = Calibration(sensor_to_camera=((0, -1, 0, 0.1), (0, 0, -1, -0.2), (1, 0, 0, -0.3)))
    height, width = 1.5, 1.6
    solid = turned.from_sensor(np.array([[height, width, length, ahead, left, up, heading]]))
    cos, sin = np.cos(heading), np.sin(heading)
    want = {
        (
            round(-(left + sin * a + cos * b) + 0.1, 2),
            round(-(up + c) - 0.2, 2),
            round(ahead + cos * a - sin * b - 0.3, 2),
        )
        for a in (-length / 2, length / 2)
        for b in (-width / 2, width / 2)
        for c in (-height / 2, height / 2)
    }
    got = corners_of(solid)[0]
    assert all(np.abs(got - np.array(corner)).max(axis=1).min() < 0.02 for corner in want)


def test_what_is_no_calibration_is_refused() -> None:
    with pytest.raises(RecordError, match="^width must be at least 1 pixel, got 0$"):
        Calibration(width=0)
    with pytest.raises(RecordError, match=r"^projection must be a finite matrix of shape \(3, 4\)"):
        Calibration(projection=((1.0,) * 3,) * 3)
    with pytest.raises(RecordError, match="^boxes in the sensor's coordinates need"):
        Calibration().from_sensor(np.zeros((1, 7)))
