"""Boxes of a LIDAR, projected to a camera's image, and boxes of that camera, from files or Kafka.

Files hold one box a line, parted by commas, as results on KITTI's tracking benchmark are passed
around: a frame's number and its boxes, class numbers as in AB3DMOT (Weng et al., IROS 2020). Over
Kafka a scan is a `Reading` with a row for each box and a channel for each of its fields, so that
topics, logs and replays need nothing of their own.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Generic, TypeVar

import numpy as np

from connectors.lidar_files import (
    MOST_NUMBER,
    FileFaults,
    check_corners,
    frame_of,
    numbers_of,
    read_rows,
)
from records import Detections, Reading, RecordError
from records.checks import check_name, check_time
from records.range_boxes import SOLID_FIELDS, RangeBoxes
from records.units import NANOSECONDS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from connectors.lidar_geometry import Calibration

CLASSES: Mapping[int, str] = MappingProxyType({1: "pedestrian", 2: "car", 3: "cyclist"})
"""The class numbers of AB3DMOT's files."""

CORNERS = ("x1", "y1", "x2", "y2")
"""A box in the image, pixels."""

CAMERA_COLUMNS = ("frame", *CORNERS, "score")
"""The columns of a file of camera boxes; the score lies in 0..1."""

SCAN_COLUMNS = ("frame", "type", *CORNERS, "score", *SOLID_FIELDS, "alpha")
"""The columns of a file of LIDAR boxes; the score is a logit, as PointRCNN gives it."""

LEAST_METRES = 0.001
"""The least height, width or length of a solid box."""

SCAN_CHANNELS = ("type", "score", *SOLID_FIELDS)
"""The channels of a reading that is a scan; the score is a logit."""

_Values = list[float]

Scan = TypeVar("Scan")


@dataclass(frozen=True, slots=True)
class ScanSettings:
    """How boxes become scans.

    Attributes:
        stream: The name of the sensor's stream.
        rate_hz: Scans a second, of files, which hold no times.
        start_ns: Event time of frame 0 of a file, nanoseconds since 1970 UTC.
        calibration: Projects the solid boxes to the image. None takes the projection that a file
            holds; readings hold none.
        sensor_coordinates: Whether solid boxes come in the sensor's coordinates, and not in the
            camera's.
        classes: The class of each number.

    Raises:
        RecordError: a setting is out of its range.
    """

    stream: str
    rate_hz: float = 10.0
    start_ns: int = 0
    calibration: Calibration | None = None
    sensor_coordinates: bool = False
    classes: Mapping[int, str] = field(default_factory=lambda: CLASSES)

    def __post_init__(self) -> None:
        check_name("stream", self.stream)
        check_time("start_ns", self.start_ns)
        if not 0 < self.rate_hz < math.inf:
            raise RecordError(f"rate_hz must be above 0, got {self.rate_hz}")
        if not self.classes:
            raise RecordError("classes must name at least one class")
        if self.sensor_coordinates and self.calibration is None:
            raise RecordError("sensor_coordinates need a calibration, got None")

    def time_of(self, frame: int) -> int:
        """Event time of a frame of a file, nanoseconds since 1970 UTC."""
        return self.start_ns + round(frame * NANOSECONDS / self.rate_hz)


@dataclass(frozen=True, slots=True)
class BoxFile(Generic[Scan]):
    """What a file of boxes holds.

    Attributes:
        frames: What each frame holds, from frame 0 to the last that has a box.
        faults: The lines that were no boxes.
    """

    frames: tuple[Scan, ...]
    faults: FileFaults


def read_scans(path: Path, settings: ScanSettings) -> BoxFile[RangeBoxes]:
    """Read a file of LIDAR boxes; a frame without a line is a scan without a box.

    Raises:
        SourceError: the file cannot be read, or is too large.
    """

    def parse(line: str) -> tuple[int, _Values]:
        row = numbers_of(line.split(","), SCAN_COLUMNS)
        check_corners(*(row[name] for name in CORNERS))
        _check_solid(row, settings)
        return frame_of(row["frame"]), [row[name] for name in (*SCAN_CHANNELS, *CORNERS)]

    rows, faults = read_rows(path, parse)
    channels = len(SCAN_CHANNELS)
    scans = []
    for frame, table in enumerate(_by_frame(rows, channels + len(CORNERS))):
        place = (settings.stream, frame, settings.time_of(frame))
        scans.append(_scan(place, table[:, :channels], table[:, channels:], settings))
    return BoxFile(tuple(scans), faults)


def read_camera_boxes(path: Path, class_name: str = "car") -> BoxFile[Detections]:
    """Read a file of one class's camera boxes; a frame without a line has no box.

    Raises:
        SourceError: the file cannot be read, or is too large.
    """

    def parse(line: str) -> tuple[int, _Values]:
        row = numbers_of(line.split(","), CAMERA_COLUMNS)
        check_corners(*(row[name] for name in CORNERS))
        if not 0 <= row["score"] <= 1:
            raise RecordError(f"score must be in 0..1, got {row['score']:g}")
        return frame_of(row["frame"]), [row[name] for name in CAMERA_COLUMNS[1:]]

    rows, faults = read_rows(path, parse)
    frames = [
        Detections.of(table[:, :4], table[:, 4], [class_name] * len(table))
        for table in _by_frame(rows, len(CAMERA_COLUMNS) - 1)
    ]
    return BoxFile(tuple(frames), faults)


def scan_of(reading: Reading, settings: ScanSettings) -> RangeBoxes:
    """Turn a reading into a scan: a row for each box, all at the reading's time.

    Raises:
        RecordError: a channel of `SCAN_CHANNELS` is missing, a box is none, or the settings have
            no calibration.
    """
    if settings.calibration is None:
        raise RecordError("readings hold no projection: give ScanSettings a calibration, got None")
    missing = [name for name in SCAN_CHANNELS if name not in reading.channels]
    if missing:
        raise RecordError(
            f"{reading.id} must have the channels {', '.join(SCAN_CHANNELS)}; "
            f"missing: {', '.join(missing)}"
        )
    table = reading.samples[:, [reading.channels.index(name) for name in SCAN_CHANNELS]]
    if not (np.abs(table) <= MOST_NUMBER).all():
        raise RecordError(f"{reading.id} must hold numbers within ±{MOST_NUMBER:g}")
    for row in table.tolist():
        _check_solid(dict(zip(SCAN_CHANNELS, row, strict=True)), settings)
    place = (reading.stream, reading.sequence, reading.time_ns)
    return _scan(place, table.astype(np.float64), None, settings)


def _check_solid(row: Mapping[str, float], settings: ScanSettings) -> None:
    if row["type"] not in settings.classes:
        known = ", ".join(map(str, settings.classes))
        raise RecordError(f"type must be one of {known}, got {row['type']:g}")
    for name in ("height", "width", "length"):
        if row[name] < LEAST_METRES:
            raise RecordError(f"{name} must be at least {LEAST_METRES} metres, got {row[name]:g}")


def _by_frame(rows: Sequence[tuple[int, _Values]], width: int) -> list[NDArray[np.float64]]:
    """The rows of each frame, float64 (n, width), from frame 0 to the last."""
    found = defaultdict(list)
    for frame, values in rows:
        found[frame].append(values)
    last = max(found, default=-1)
    return [np.array(found.get(k, [])).reshape(-1, width) for k in range(last + 1)]


def _scan(
    place: tuple[str, int, int],
    table: NDArray[np.float64],
    corners: NDArray[np.float64] | None,
    settings: ScanSettings,
) -> RangeBoxes:
    """Make a scan of rows of `SCAN_CHANNELS` and, where there are, their boxes in the image."""
    calibration = settings.calibration
    solids = table[:, 2:].astype(np.float32)
    if settings.sensor_coordinates and calibration is not None:
        solids = calibration.from_sensor(solids)
    boxes = corners if calibration is None else calibration.project(solids)
    assert boxes is not None
    names = [settings.classes[int(number)] for number in table[:, 0]]
    return RangeBoxes(*place, Detections.of(boxes, logistic(table[:, 1]), names), solids)


def logistic(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Turn logits into scores in 0..1.

    >>> logistic(np.array([-1000.0, 0.0, 1000.0])).tolist()
    [0.0, 0.5, 1.0]
    """
    small = np.exp(-np.abs(logits))
    return np.where(logits >= 0, 1 / (1 + small), small / (1 + small))
