"""Label files: items out to the tools that people label with, and their labels back in.

Every format writes a folder that the tool opens as it is, with the pictures. Weak labels are
written as predictions, never as annotations: a label that comes back is what a person said. Files
that come back are matched to items by name or id, and whatever is wrong in one is refused with its
place; a picture of which one box is refused is refused as a whole, since a label that lacks a box
is a wrong label.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from connectors.labels import coco, cvat, label_studio, yolo
from connectors.labels.exchange import Exported
from connectors.labels.reader import Imported, ImportSettings, Refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from connectors.queue_items import Entry
    from records import RetrainingItem


class LabelFormat(StrEnum):
    """The formats."""

    COCO = "coco"
    YOLO = "yolo"
    CVAT = "cvat"
    LABEL_STUDIO = "label-studio"


@dataclass(frozen=True, slots=True)
class LabelFiles:
    """How one format is written and read.

    Attributes:
        write: Writes entries into a folder, with the names of the classes.
        read: Reads the labels of items from a file or folder.
    """

    write: Callable[[Path, Sequence[Entry], Sequence[str]], Exported]
    read: Callable[[Path, Sequence[RetrainingItem], ImportSettings], Imported]


LABEL_FILES = {
    LabelFormat.COCO: LabelFiles(coco.write, coco.read),
    LabelFormat.YOLO: LabelFiles(yolo.write, yolo.read),
    LabelFormat.CVAT: LabelFiles(cvat.write, cvat.read),
    LabelFormat.LABEL_STUDIO: LabelFiles(label_studio.write, label_studio.read),
}
"""Each format's functions."""

__all__ = [
    "LABEL_FILES",
    "Exported",
    "ImportSettings",
    "Imported",
    "LabelFiles",
    "LabelFormat",
    "Refusal",
]
