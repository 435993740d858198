"""CVAT: ``annotations.xml`` in the format "CVAT for images 1.1", with the pictures in ``images``.

Weak labels are boxes whose source is ``auto``. In CVAT make a task of the pictures with the labels
in ``labels.json`` (the raw view of the constructor), then upload ``annotations.xml``. A box that a
person has moved comes back as another source; one that is still ``auto`` was touched by nobody and
is refused, unless it is said that it counts as confirmed.

Format: https://docs.cvat.ai/docs/dataset_management/formats/format-cvat/
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET
from xml.parsers import expat

from connectors.codec_fields import shown
from connectors.labels.exchange import (
    IMAGES,
    Exported,
    read_file,
    weak_boxes,
    write_file,
    write_json,
    write_pictures,
)
from connectors.labels.reader import Imported, ImportSettings, Reader
from records import SightflowError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from connectors.queue_items import Entry
    from records import Crop, RetrainingItem

ANNOTATIONS = "annotations.xml"
"""The file of pictures and boxes."""

LABELS = "labels.json"
"""The classes, for the constructor of a task."""

AUTO = "auto"
"""The source of boxes that no person has made or moved."""

_CORNERS = ("xtl", "ytl", "xbr", "ybr")
_WHOLE = re.compile(r"[0-9]{1,9}")
_SHAPE_DEPTH = 3
"""Shapes stand in an image, in the root."""


def write(folder: Path, entries: Sequence[Entry], classes: Sequence[str]) -> Exported:
    """Write pictures, classes and weak labels.

    Args:
        folder: Where to.
        entries: The items with their pictures.
        classes: The names of the classes that are to be labelled.

    Raises:
        SightflowError: a file cannot be written.
    """
    pictures, exported = write_pictures(folder / IMAGES, entries)
    root = ET.Element("annotations")
    _text(root, "version", "1.1")
    task = ET.SubElement(ET.SubElement(root, "meta"), "task")
    _text(task, "name", "Sightflow retraining queue")
    _text(task, "size", str(len(pictures)))
    _text(task, "mode", "annotation")
    labels = ET.SubElement(task, "labels")
    for name in classes:
        label = ET.SubElement(labels, "label")
        _text(label, "name", name)
        _text(label, "type", "rectangle")
    for number, (item, crop) in enumerate(pictures):
        _add_image(root, number, item, crop, classes)
    ET.indent(root)
    data = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    write_file(folder / ANNOTATIONS, data)
    constructor = [{"name": name, "type": "rectangle", "attributes": []} for name in classes]
    write_json(folder / LABELS, constructor)
    return exported


def _text(parent: ET.Element, tag: str, text: str) -> None:
    ET.SubElement(parent, tag).text = text


def _add_image(
    root: ET.Element, number: int, item: RetrainingItem, crop: Crop, classes: Sequence[str]
) -> None:
    image = ET.SubElement(
        root,
        "image",
        {
            "id": str(number),
            "name": f"{item.name}.jpg",
            "width": str(crop.width),
            "height": str(crop.height),
        },
    )
    for name, box, _ in weak_boxes(item, crop, classes):
        corners = {key: f"{one:.4f}" for key, one in zip(_CORNERS, box, strict=True)}
        ET.SubElement(
            image,
            "box",
            {"label": name, "source": AUTO, "occluded": "0", **corners, "z_order": "0"},
        )


def read(path: Path, known: Sequence[RetrainingItem], settings: ImportSettings) -> Imported:
    """Read an annotations file, or the one in a folder.

    Args:
        path: The file or folder.
        known: The items that labels may be for.
        settings: How labels are read.

    Raises:
        SightflowError: the file cannot be read, or is no XML of that format.
    """
    path = path / ANNOTATIONS if path.is_dir() else path
    data = read_file(path)
    reading = _Reading(path, Reader(known, settings))
    try:
        reading.parser.Parse(data, True)  # noqa: FBT003 - expat takes it by position
    except (expat.ExpatError, LookupError) as error:  # LookupError: an unknown encoding
        raise SightflowError(f"{path} must be XML: {error}; export it again") from error
    return reading.reader.finish()


class _Reading:
    """Follows the elements of a file; a document type is refused, since entities can explode."""

    def __init__(self, path: Path, reader: Reader) -> None:
        self.reader = reader
        self.parser = expat.ParserCreate()
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.StartDoctypeDeclHandler = self._document_type
        self._path = path
        self._depth = 0
        self._item: RetrainingItem | None = None

    def _document_type(self, *_: object) -> None:
        raise SightflowError(f"{self._path} must have no document type; export it again")

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        place = f"{self._path.name}:{self.parser.CurrentLineNumber}"
        if self._depth == 1 and tag != "annotations":
            raise SightflowError(
                f"{self._path} must be annotations of CVAT for images 1.1, got <{tag}>"
            )
        if self._depth == _SHAPE_DEPTH - 1:
            self._item = None
            if tag == "image":
                self._image(place, attributes)
            elif tag == "track":
                self.reader.refuse(place, "must be images: export as 'CVAT for images 1.1'")
        elif self._depth == _SHAPE_DEPTH and self._item is not None:
            self._shape(place, self._item, tag, attributes)

    def _end(self, _: str) -> None:
        self._depth -= 1

    def _image(self, place: str, attributes: dict[str, str]) -> None:
        self._item = self.reader.named(place, attributes.get("name"))
        if self._item is not None:
            width, height = (_whole(attributes.get(name)) for name in ("width", "height"))
            self.reader.size(place, self._item, width, height)

    def _shape(
        self, place: str, item: RetrainingItem, tag: str, attributes: dict[str, str]
    ) -> None:
        if tag != "box" or _number(attributes.get("rotation", "0")) != 0:
            self.reader.refuse(place, f"must be an upright box, got {shown(tag)}", item)
        elif attributes.get("source") == AUTO and not self.reader.settings.accept_auto:
            self.reader.refuse(
                place,
                "must be confirmed by a person, got the source auto; accept such boxes if they "
                "were looked at",
                item,
            )
        else:
            corners = [_number(attributes.get(name)) for name in _CORNERS]
            self.reader.box(place, item, attributes.get("label"), corners)


def _number(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None


def _whole(text: str | None) -> int | str | None:
    return int(text) if text is not None and _WHOLE.fullmatch(text) else text
