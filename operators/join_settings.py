"""What a join of camera and sensors is told, takes and keeps."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from operators.assertions.api import FRAME
from records import Finding, Reading, RecordError, Verdict
from records.checks import check_name
from records.finding import DETECTIONS
from records.range_boxes import RangeBoxes
from records.units import NANOSECONDS

if TYPE_CHECKING:
    from collections.abc import Mapping

Sensed = RangeBoxes | Reading | Verdict
"""What a sensor may put out."""

LATE = "sensor_late"
"""Why an output was dropped: every verdict that it could serve had left."""

OVERFLOW = "sensor_overflow"
"""Why an output was dropped: too many were held for verdicts to come."""


@dataclass(frozen=True, slots=True)
class JoinSettings:
    """Which sensors belong to which camera, and how long is waited for them.

    Attributes:
        partners: The sensors of each camera, streams' names; a camera without an entry has none.
        tolerance_seconds: How far apart in event time a verdict and an output may be.
        wait_seconds: How far event time, of camera or sensors, may run ahead of a verdict that
            waits.
        most_waiting: The most verdicts of one camera that wait; the oldest then waits no more.
        most_held: The most outputs of one sensor that are held; the oldest is then dropped.

    Raises:
        RecordError: a setting is out of its range.
    """

    partners: Mapping[str, tuple[str, ...]]
    tolerance_seconds: float = 0.05
    wait_seconds: float = 1.0
    most_waiting: int = 1000
    most_held: int = 1000

    def __post_init__(self) -> None:
        for camera, sensors in self.partners.items():
            check_name("camera", camera)
            for sensor in sensors:
                check_name("sensor", sensor)
                if sensor in (DETECTIONS, FRAME):
                    raise RecordError(f"a sensor must not be named {sensor}, as the camera's own")
            if len(set(sensors)) < len(sensors):
                raise RecordError(f"partners of {camera} must be named once, got {sensors}")
        for name in ("tolerance_seconds", "wait_seconds"):
            if not 0 <= getattr(self, name) < math.inf:
                raise RecordError(f"{name} must be at least 0, got {getattr(self, name)}")
        for name in ("most_waiting", "most_held"):
            if getattr(self, name) < 1:
                raise RecordError(f"{name} must be at least 1, got {getattr(self, name)}")

    @property
    def tolerance_ns(self) -> int:
        """The tolerance, nanoseconds."""
        return round(self.tolerance_seconds * NANOSECONDS)

    @property
    def wait_ns(self) -> int:
        """The wait, nanoseconds."""
        return round(self.wait_seconds * NANOSECONDS)


@dataclass(frozen=True, slots=True)
class SensorBatch:
    """Outputs of one sensor for one camera.

    Attributes:
        stream: The camera's stream.
        sensor: The sensor's stream.
        outputs: What it put out, in the order in which it came.
    """

    stream: str
    sensor: str
    outputs: tuple[Sensed, ...]


@dataclass(frozen=True, slots=True)
class JoinState:
    """What survives a restart. Times in nanoseconds since 1970 UTC.

    Attributes:
        waiting: The verdicts that wait, in order.
        held: The outputs of each sensor that may still serve, by time.
        reached_ns: The greatest event time of each sensor.
        now_ns: The greatest event time of all.
        gone_ns: The greatest event time of a verdict that has left; None before the first.
        findings: What was found of the frames of the verdicts that wait.
        ended: Whether the camera's stream has ended.
    """

    waiting: tuple[Verdict, ...] = ()
    held: Mapping[str, tuple[tuple[int, Sensed], ...]] = field(default_factory=dict)
    reached_ns: Mapping[str, int] = field(default_factory=dict)
    now_ns: int = 0
    gone_ns: int | None = None
    findings: tuple[Finding, ...] = ()
    ended: bool = False
