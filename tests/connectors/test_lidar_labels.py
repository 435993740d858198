from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from connectors.lidar_calibration import read_calibration
from connectors.lidar_geometry import Calibration
from connectors.lidar_labels import Label, read_labels
from records import SourceError

if TYPE_CHECKING:
    from pathlib import Path

CAR = "2 7 Car 0 1 -1.5 100 160 180 210 1.5 1.6 3.9 -4.5 1.75 13.5 -2.0"


def test_labels_are_read_and_bad_lines_told(tmp_path: Path) -> None:
    path = tmp_path / "0000.txt"
    bad = [
        "2 7 Car 0 1",
        CAR.replace("7", "7.5", 1),
        CAR.replace("180", "90"),
        CAR.replace("2 ", "-1 ", 1),
    ]
    path.write_text("\n".join([CAR, *bad, f"{CAR} 0.9", "", "x" * 9]), encoding="utf-8")
    labels, faults = read_labels(path)
    solid = (1.5, 1.6, 3.9, -4.5, 1.75, 13.5, -2.0)
    assert labels == [Label(2, 7, "Car", 0.0, 1.0, (100.0, 160.0, 180.0, 210.0), solid)] * 2
    assert (faults.count, faults.first) == (
        5,
        (
            "line 2: must have 17 fields, got 5",
            "line 3: track must be a whole number of at least -1, got 7.5",
            "line 4: a box must have x1 <= x2 and y1 <= y2, got 100, 160, 90, 210",
            "line 5: frame must be a whole number from 0 to 199999, got -1",
            "line 8: must have 17 fields, got 1",
        ),
    )


def test_the_real_labels_have_no_faults(assets: Path) -> None:
    labels, faults = read_labels(assets / "lidar" / "truth" / "0003.txt")
    assert faults.count == 0
    kinds = {kind: sum(one.kind == kind for one in labels) for kind in ("Car", "Van", "DontCare")}
    assert kinds == {"Car": 363, "Van": 25, "DontCare": 473}


def calibration_text(rectification: str, sensor: str) -> str:
    p2 = "721.5 0 609.5 44.8 0 721.5 172.8 0.25 0 0 1 0.0025"
    move = "0 -1 0 0 0 0 -1 0 1 0 0 -0.25"
    return f"P0: 1 2 3\nP2: {p2}\n{rectification} 1 0 0 0 1 0 0 0 1\n{sensor} {move}\n"


@pytest.mark.parametrize(
    "names",
    [("R0_rect:", "Tr_velo_to_cam:"), ("R_rect", "Tr_velo_cam")],
    ids=["object", "tracking"],
)
def test_calibrations_of_both_benchmarks(tmp_path: Path, names: tuple[str, str]) -> None:
    path = tmp_path / "calib.txt"
    path.write_text(calibration_text(*names), encoding="utf-8")
    assert read_calibration(path, 1242, 375) == Calibration(
        1242,
        375,
        ((721.5, 0, 609.5, 44.8), (0, 721.5, 172.8, 0.25), (0, 0, 1, 0.0025)),
        ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
        ((0, -1, 0, 0), (0, 0, -1, 0), (1, 0, 0, -0.25)),
    )


def test_damaged_calibrations_are_told(tmp_path: Path) -> None:
    path = tmp_path / "calib.txt"
    path.write_text(calibration_text("R0_rect:", "Tr_velo:"), encoding="utf-8")
    with pytest.raises(SourceError, match=r"a line Tr_velo_to_cam or Tr_velo_cam must be there, g"):
        read_calibration(path, 1242, 375)
    path.write_text("P2: 1 2 3\n", encoding="utf-8")
    with pytest.raises(SourceError, match=r"is no calibration: P2 must be 12 numbers, got 3$"):
        read_calibration(path, 1242, 375)
    path.write_text("P2: 1 two 3\n", encoding="utf-8")
    with pytest.raises(SourceError, match="line 1: P2 must be a number within ±1e\\+09, got 'two'"):
        read_calibration(path, 1242, 375)
