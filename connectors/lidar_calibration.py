"""Calibration files as KITTI writes them: a name, then a matrix row by row, one matrix a line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from connectors.lidar_files import number_of, read_rows
from connectors.lidar_geometry import Calibration, Matrix
from records import RecordError, SourceError

if TYPE_CHECKING:
    from pathlib import Path

PROJECTION = ("P2",)
"""The name of the left colour camera's projection."""

RECTIFICATION = ("R0_rect", "R_rect")
"""The names of the rectification: in the object and in the tracking benchmark."""

SENSOR_TO_CAMERA = ("Tr_velo_to_cam", "Tr_velo_cam")
"""The names of the move from the ranging sensor to the camera, in the same two benchmarks."""


def read_calibration(path: Path, width: int, height: int) -> Calibration:
    """Read a calibration file.

    Args:
        path: The file; lines ``P2: …``, ``R0_rect: …``, ``Tr_velo_to_cam: …``, and others.
        width: Width of the camera's images, pixels.
        height: Height of the camera's images, pixels.

    Raises:
        SourceError: the file cannot be read, or a line that is needed is missing or damaged.
    """
    rows, faults = read_rows(path, _parse)
    named = dict(rows)
    if faults.count:
        raise SourceError(f"{path} must hold a name and numbers on each line; {faults.first[0]}")
    try:
        return Calibration(
            width,
            height,
            _matrix(named, PROJECTION, 3, 4),
            _matrix(named, RECTIFICATION, 3, 3),
            _matrix(named, SENSOR_TO_CAMERA, 3, 4),
        )
    except RecordError as error:
        raise SourceError(f"{path} is no calibration: {error}") from error


def _parse(line: str) -> tuple[str, tuple[float, ...]]:
    name, *words = line.replace(":", " ", 1).split() or [""]
    if not name:
        raise RecordError("a line must begin with the name of a matrix")
    return name, tuple(number_of(name, word) for word in words)


def _matrix(
    named: dict[str, tuple[float, ...]], names: tuple[str, ...], rows: int, columns: int
) -> Matrix:
    found = next((named[name] for name in names if name in named), None)
    if found is None:
        raise RecordError(f"a line {' or '.join(names)} must be there, got {', '.join(named)}")
    if len(found) != rows * columns:
        raise RecordError(f"{names[0]} must be {rows * columns} numbers, got {len(found)}")
    return tuple(found[k * columns : (k + 1) * columns] for k in range(rows))
