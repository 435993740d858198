"""The section of a configuration about LIDARs, whose boxes a camera's must agree with."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from flows.config.section import Count, Seconds, Section, Share, StartTime, Text


class LidarSection(Section):
    """One LIDAR: boxes of a model of its own, from a file or as readings of Kafka with its key."""

    camera: Text = Field(description="The stream of the camera that looks the same way.")
    path: Text | None = Field(
        None,
        description="A file of boxes (docs/assertions.md); null = readings of kafka.read. A "
        "relative path counts from the configuration file's folder.",
    )
    rate_hz: Annotated[float, Field(gt=0, allow_inf_nan=False)] = Field(
        10.0, description="Scans a second of a file, Hz."
    )
    start: StartTime | None = Field(
        None, description="Event time of a file's first scan; null = 1970, as for video files."
    )
    calibration: Text | None = Field(
        None, description="KITTI's calibration file; null = a file's own projection is taken."
    )
    sensor_coordinates: bool = Field(
        default=False,
        description="Whether boxes are in the LIDAR's coordinates, not the camera's.",
    )
    width: Count = Field(1242, description="Width of the camera's picture, pixels.")
    height: Count = Field(375, description="Height of the camera's picture, pixels.")
    class_name: Text = Field("car", alias="class", description="The class that both find.")
    overlap: Share = Field(
        0.3, description="Two boxes are the same object from this overlap on, 0..1."
    )
    tolerance_seconds: Seconds = Field(
        0.05, description="How far apart in event time a frame and a scan may be, seconds."
    )
    wait_seconds: Seconds = Field(
        1.0,
        description="How long frames wait for scans of Kafka, seconds of event time; for those of "
        "a file as long as it takes.",
    )
    missing_seconds: Seconds = Field(
        1.0, description="A LIDAR that is silent for so long is told, seconds of event time."
    )
