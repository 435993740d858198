from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.codec import decode, encode
from connectors.lidar import (
    SCAN_CHANNELS,
    BoxFile,
    ScanSettings,
    logistic,
    read_camera_boxes,
    read_scans,
    scan_of,
)
from connectors.lidar_files import LARGEST_FILE, FileFaults
from connectors.lidar_geometry import Calibration
from records import Detections, Reading, RecordError, SourceError
from records.range_boxes import RangeBoxes

if TYPE_CHECKING:
    from pathlib import Path

CAR = "2,2,100,150,200,250,0.0,1.5,1.6,4.0,-4.5,1.5,13.5,0.25,-1.7"
SOLID = [1.5, 1.6, 4.0, -4.5, 1.5, 13.5, 0.25]
BAD_SCANS = {
    "0,2,1,2": (
        "must have 15 fields (frame, type, x1, y1, x2, y2, score, height, width, length, x, y, z, "
        "yaw, alpha), got 4"
    ),
    CAR.replace("2,2,", "0.5,2,"): "frame must be a whole number from 0 to 199999, got 0.5",
    CAR.replace("2,2,", "1e8,2,"): "frame must be a whole number from 0 to 199999, got 1e+08",
    CAR.replace("2,2,", "2,9,"): "type must be one of 1, 2, 3, got 9",
    CAR.replace("0.0,1.5", "nan,1.5"): "score must be a number within ±1e+09, got 'nan'",
    CAR.replace("0.0,1.5", "?,1.5"): "score must be a number within ±1e+09, got '?'",
    CAR.replace("0.0,1.5", "0.0,1e-9"): "height must be at least 0.001 metres, got 1e-09",
    CAR.replace("200,250", "99,250"): (
        "a box must have x1 <= x2 and y1 <= y2, got 100, 150, 99, 250"
    ),
}


def scan(frame: int, *, seen: bool) -> RangeBoxes:
    boxes = [[100, 150, 200, 250]] if seen else []
    found = Detections.of(np.array(boxes), [0.5] * len(boxes), ["car"] * len(boxes))
    solids = np.array([SOLID] * len(boxes), np.float32).reshape(-1, 7)
    return RangeBoxes("roof", frame, 1000 + frame * 100_000_000, found, solids)


def test_frames_without_a_line_are_scans_without_a_box(tmp_path: Path) -> None:
    path = tmp_path / "0000.txt"
    path.write_text(f"{CAR.replace('2,2,', '0,2,')}\n\n{CAR}\n", encoding="utf-8")
    found = read_scans(path, ScanSettings("roof", start_ns=1000))
    want = (scan(0, seen=True), scan(1, seen=False), scan(2, seen=True))
    assert found == BoxFile(want, FileFaults(str(path), 0, ()))
    assert [one.depths.tolist() for one in found.frames] == [[13.5], [], [13.5]]


def test_bad_lines_are_counted_and_told_and_the_rest_is_read(tmp_path: Path) -> None:
    path = tmp_path / "0000.txt"
    path.write_text("\n".join([*BAD_SCANS, CAR]), encoding="utf-8")
    found = read_scans(path, ScanSettings("roof", start_ns=1000))
    assert found.frames == (scan(0, seen=False), scan(1, seen=False), scan(2, seen=True))
    told = tuple(
        f"line {number}: {problem}" for number, problem in enumerate(BAD_SCANS.values(), 1)
    )
    assert found.faults == FileFaults(str(path), len(BAD_SCANS), told)
    assert str(found.faults).startswith(f"{path}: 8 lines are no boxes; line 1: must have 15")


def test_camera_boxes(tmp_path: Path) -> None:
    path = tmp_path / "0000.txt"
    path.write_text("1,10,20,30,40,0.5\n1,1,2,3,4,1.5\n1,50,20,90,40,0.75", encoding="utf-8")
    found = read_camera_boxes(path, "van")
    boxes = Detections.of([[10, 20, 30, 40], [50, 20, 90, 40]], [0.5, 0.75], ["van", "van"])
    assert found.frames == (Detections.empty(), boxes)
    assert found.faults.first == ("line 2: score must be in 0..1, got 1.5",)


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_told(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.txt"
    path.write_bytes(data)
    text = data.decode("utf-8", "replace")
    lines = sum(1 for line in text.splitlines() if line.strip())
    assert read_scans(path, ScanSettings("roof")).faults.count == lines
    assert read_camera_boxes(path).faults.count == lines


def test_files_that_cannot_be_read_are_errors(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"none\.txt cannot be read: No such file or directory$"):
        read_camera_boxes(tmp_path / "none.txt")
    path = tmp_path / "large.txt"
    with path.open("wb") as file:
        file.truncate(LARGEST_FILE + 1)
    with pytest.raises(SourceError, match=r"large\.txt must be at most 16777216 bytes; give a sh"):
        read_scans(path, ScanSettings("roof"))


def reading(rows: list[list[float]], channels: tuple[str, ...] = SCAN_CHANNELS) -> Reading:
    samples = np.array(rows, np.float32).reshape(-1, len(channels))
    return Reading("roof", 7, 5, 10.0, samples, channels, ("",) * len(channels))


def test_a_scan_travels_as_a_reading_through_the_codec() -> None:
    settings = ScanSettings("roof", calibration=Calibration())
    sent = reading([[2, 1.0, *SOLID]])
    got = decode(encode(sent))
    assert isinstance(got, Reading)
    found = scan_of(got, settings)
    assert (found.id, found.time_ns, found.boxes.classes) == ("roof:7", 5, ("car",))
    assert found.solids.tolist() == np.array([SOLID], np.float32).tolist()
    assert found.boxes.scores.tolist() == pytest.approx([1 / (1 + np.exp(-1.0))])
    want = Calibration().project(np.array([SOLID], np.float32))
    assert found.boxes.boxes.tolist() == want.tolist()
    assert len(scan_of(reading([]), settings)) == 0


def test_boxes_in_the_sensors_coordinates_are_moved_to_the_camera() -> None:
    moved = Calibration(sensor_to_camera=((0, -1, 0, 0), (0, 0, -1, 0), (1, 0, 0, 0)))
    settings = ScanSettings("roof", calibration=moved, sensor_coordinates=True)
    found = scan_of(reading([[2, 0.0, 1.5, 1.6, 4.0, 20.0, 3.0, -0.75, 0.0]]), settings)
    assert found.solids.round(4).tolist() == np.array(
        [[1.5, 1.6, 4.0, -3.0, 1.5, 20.0, -np.pi / 2]], np.float32
    ).round(4).tolist()  # fmt: skip


def test_readings_that_are_no_scans_are_refused() -> None:
    settings = ScanSettings("roof", calibration=Calibration())
    with pytest.raises(RecordError, match="missing: type, score, height, width, length, x, y, yaw"):
        scan_of(reading([], ("z", "intensity")), settings)
    with pytest.raises(RecordError, match="^roof:7 must hold numbers within ±1e\\+09$"):
        scan_of(reading([[2, float("nan"), *SOLID]]), settings)
    with pytest.raises(RecordError, match="^type must be one of 1, 2, 3, got 8$"):
        scan_of(reading([[8, 1.0, *SOLID]]), settings)
    with pytest.raises(RecordError, match="^readings hold no projection"):
        scan_of(reading([]), ScanSettings("roof"))


def test_settings_are_checked() -> None:
    with pytest.raises(RecordError, match="^rate_hz must be above 0, got 0$"):
        ScanSettings("roof", rate_hz=0)
    with pytest.raises(RecordError, match="^sensor_coordinates need a calibration, got None$"):
        ScanSettings("roof", sensor_coordinates=True)
    with pytest.raises(RecordError, match="^classes must name at least one class$"):
        ScanSettings("roof", classes={})


def test_the_real_files_have_no_faults(assets: Path) -> None:
    counts = {}
    for number in (0, 4):
        cars = read_camera_boxes(assets / "lidar" / "camera_car" / f"{number:04d}.txt")
        scans = read_scans(assets / "lidar" / "lidar_car" / f"{number:04d}.txt", ScanSettings("r"))
        assert (cars.faults.count, scans.faults.count) == (0, 0)
        counts[number] = (sum(map(len, cars.frames)), sum(map(len, scans.frames)))
    assert counts == {0: (513, 1054), 4: (840, 2330)}


def test_logits_become_scores_in_order() -> None:
    scores = logistic(np.array([-800.0, -1.0, 0.0, 1.0, 800.0]))
    assert scores.tolist() == [0.0, pytest.approx(0.26894142), 0.5, pytest.approx(0.73105858), 1.0]
