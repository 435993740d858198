"""Checks of LIDARs: the camera beside each, its files, what they are needed for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from flows.config.document import mapping
from flows.config.lidar_section import LidarSection
from flows.lidar import load_lidars
from records import RecordError, SightflowError

if TYPE_CHECKING:
    from pathlib import Path

    from flows.config.document import Document
    from flows.config.document import Path as KeyPath


def check_lidars(
    document: Document, value: dict[str, Any], folder: Path
) -> dict[str, LidarSection]:
    """Add the faults of LIDARs, and give the sections that are right.

    Args:
        document: The document; faults are added to it.
        value: Its plain values.
        folder: Where relative paths count from.
    """
    right: dict[str, LidarSection] = {}
    reads = bool(mapping(mapping(value.get("kafka")).get("read")))
    for name, plain in mapping(value.get("lidars")).items():
        path: KeyPath = ("lidars", name)
        try:
            section = LidarSection.model_validate(plain)
        except ValidationError:
            continue  # told of already
        if section.camera not in mapping(value.get("streams")) and not reads:
            remedy = "Name the stream of the camera beside it."
            document.fault((*path, "camera"), repr(section.camera), "is no stream", remedy)
        if section.path is None and not reads:
            remedy = "Name a file, or what is read under kafka.read."
            document.fault((*path, "path"), "", "is missing", remedy)
        elif section.path is not None and not (folder / section.path).is_file():
            remedy = f"Relative paths count from {folder.resolve()}."
            document.fault((*path, "path"), repr(section.path), "is no file", remedy)
        try:
            load_lidars({name: section}, folder)
        except (RecordError, SightflowError) as error:
            remedy = "Name KITTI's calibration file of the camera."
            document.fault((*path, "calibration"), "", f"does not do: {error}", remedy)
        right[name] = section
    if right and value.get("assertions") is None:
        remedy = "Add assertions: {} to let cameras and LIDARs agree."
        document.fault(("lidars",), "", "are of no use without assertions", remedy)
    return right
