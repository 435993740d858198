"""What all label files share: files, pictures and coordinates."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from records import SightflowError
from records.retraining import PICTURE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from connectors.queue_items import Entry
    from records import Crop, RetrainingItem
    from records.finding import Box

IMAGES = "images"
"""The folder of the pictures."""

MOST_FILE_BYTES = 256 * 2**20
"""The largest file of labels, bytes."""

NO_PICTURE = "no picture"
"""Why an item is not written: the format holds pictures only, and it has none."""


@dataclass(frozen=True, slots=True)
class Exported:
    """What became of items that were to be written.

    Attributes:
        written: Their ids.
        skipped: Why others were not, by id.
    """

    written: tuple[str, ...]
    skipped: Mapping[str, str] = field(default_factory=dict)


def picture_crop(item: RetrainingItem) -> Crop | None:
    """The crop of an item if it is a picture."""
    crop = item.crop
    return crop if crop is not None and crop.content_type == PICTURE else None


def write_pictures(
    folder: Path, entries: Sequence[Entry]
) -> tuple[list[tuple[RetrainingItem, Crop]], Exported]:
    """Write the pictures of entries into a folder, each by its item's name.

    Raises:
        SightflowError: a file cannot be written.
    """
    written, skipped = [], {}
    for item, data in entries:
        crop = picture_crop(item)
        if crop is None or data is None:
            skipped[item.id] = NO_PICTURE
            continue
        write_file(folder / f"{item.name}.jpg", data)
        written.append((item, crop))
    return written, Exported(tuple(item.id for item, _ in written), skipped)


def weak_boxes(
    item: RetrainingItem, crop: Crop, classes: Sequence[str]
) -> list[tuple[str, Box, float]]:
    """Class, corners in pixels of the picture and score of each box of an item's weak label.

    Boxes of other classes than `classes` and outside the picture are left out, those at its edge
    are cut.
    """
    if item.label is None or item.label.boxes is None or crop.region is None:
        return []
    left, top, right, bottom = crop.region
    across, down = crop.width / (right - left), crop.height / (bottom - top)
    found = []
    boxes = item.label.boxes
    for name, corners, score in zip(
        boxes.classes, boxes.boxes.tolist(), boxes.scores.tolist(), strict=True
    ):
        moved = [
            (one - (left, top)[k % 2]) * (across, down)[k % 2] for k, one in enumerate(corners)
        ]
        x1, y1, x2, y2 = clipped(crop, moved)
        if name in classes and x1 < x2 and y1 < y2:
            found.append((name, (x1, y1, x2, y2), score))
    return found


def write_file(path: Path, data: bytes) -> None:
    """Write a file and the folders above it.

    Raises:
        SightflowError: it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    except OSError as error:
        raise SightflowError(
            f"{path} cannot be written: {error}; check the free space and the permissions there"
        ) from error


def write_json(path: Path, value: object) -> None:
    """Write a JSON file."""
    write_file(path, (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode())


def read_file(path: Path, most: int = MOST_FILE_BYTES) -> bytes:
    """Read a file of labels.

    Raises:
        SightflowError: it cannot be read, or is larger than `most` bytes.
    """
    try:
        # A pipe would block, and a device never end.
        if path.exists() and not path.is_file():
            raise SightflowError(f"{path} must be a file; name a file of labels")
        with path.open("rb") as file:
            data = file.read(most + 1)
        if len(data) > most:
            raise SightflowError(f"{path} must be at most {most} bytes, got {path.stat().st_size}")
    except OSError as error:
        raise SightflowError(f"{path} cannot be read: {error}; name a file of labels") from error
    return data


def read_json(path: Path) -> Any:  # noqa: ANN401 - whatever is in the file
    """Read a JSON file.

    Raises:
        SightflowError: it cannot be read, or is no JSON.
    """
    try:
        return json.loads(read_file(path))
    except (ValueError, RecursionError) as error:
        raise SightflowError(f"{path} must be JSON: {error}; export it again") from error


def to_frame(crop: Crop, corners: Sequence[float]) -> Box:
    """Corners in pixels of the full frame, from corners in pixels of the picture."""
    assert crop.region is not None
    left, top, right, bottom = crop.region
    across, down = (right - left) / crop.width, (bottom - top) / crop.height
    x1, y1, x2, y2 = clipped(crop, corners)
    return (left + x1 * across, top + y1 * down, left + x2 * across, top + y2 * down)


def clipped(crop: Crop, corners: Sequence[float]) -> Box:
    """Corners moved into the picture."""
    x1, y1, x2, y2 = corners
    return (
        min(max(float(x1), 0.0), float(crop.width)),
        min(max(float(y1), 0.0), float(crop.height)),
        min(max(float(x2), 0.0), float(crop.width)),
        min(max(float(y2), 0.0), float(crop.height)),
    )
