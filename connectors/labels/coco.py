"""COCO: ``annotations.json`` with the pictures in ``images``, weak labels in ``predictions.json``.

``annotations.json`` has no annotations yet. ``predictions.json`` is in COCO's results format, a
list of boxes with scores, which tools load as predictions. What is read is an annotations file.

Formats: https://cocodataset.org/#format-data and https://cocodataset.org/#format-results
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from connectors.codec_fields import shown
from connectors.labels.exchange import (
    IMAGES,
    Exported,
    read_json,
    weak_boxes,
    write_json,
    write_pictures,
)
from connectors.labels.reader import Imported, ImportSettings, Reader, is_coordinate
from records import SightflowError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from connectors.queue_items import Entry
    from records import RetrainingItem

ANNOTATIONS = "annotations.json"
"""The file of pictures, classes and annotations."""

PREDICTIONS = "predictions.json"
"""The file of weak labels."""

_CORNERS = 4


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
    numbers = {name: number for number, name in enumerate(classes, 1)}
    images, predictions = [], []
    for number, (item, crop) in enumerate(pictures, 1):
        images.append(
            {
                "id": number,
                "file_name": f"{item.name}.jpg",
                "width": crop.width,
                "height": crop.height,
                "sightflow_id": item.id,
            }
        )
        predictions += [
            {
                "image_id": number,
                "category_id": numbers[name],
                "bbox": [x1, y1, x2 - x1, y2 - y1],
                "score": score,
            }
            for name, (x1, y1, x2, y2), score in weak_boxes(item, crop, classes)
        ]
    categories = [{"id": number, "name": name} for name, number in numbers.items()]
    write_json(
        folder / ANNOTATIONS,
        {
            "info": {"description": "Items of Sightflow's retraining queue"},
            "licenses": [],
            "images": images,
            "annotations": [],
            "categories": categories,
        },
    )
    write_json(folder / PREDICTIONS, predictions)
    return exported


def read(path: Path, known: Sequence[RetrainingItem], settings: ImportSettings) -> Imported:
    """Read an annotations file, or the one in a folder.

    Args:
        path: The file or folder.
        known: The items that labels may be for.
        settings: How labels are read.

    Raises:
        SightflowError: the file cannot be read, or is no COCO file.
    """
    path = path / ANNOTATIONS if path.is_dir() else path
    found = read_json(path)
    parts = ("images", "annotations", "categories")
    if not isinstance(found, dict) or not all(isinstance(found.get(one), list) for one in parts):
        raise SightflowError(
            f"{path} must be an object with the lists {', '.join(parts)}, as COCO has it; a file "
            "of results holds predictions, no labels"
        )
    reader = Reader(known, settings)
    names = {
        one["id"]: one.get("name")
        for one in found["categories"]
        if isinstance(one, dict) and isinstance(one.get("id"), int)
    }
    items: dict[int, RetrainingItem] = {}
    for number, image in enumerate(found["images"]):
        place = f"{path.name}: images[{number}]"
        if not isinstance(image, dict) or not isinstance(image.get("id"), int):
            reader.refuse(place, f"must be an object with an id, got {shown(image)}")
            continue
        item = reader.named(place, image.get("file_name"))
        if item is not None:
            items[image["id"]] = item
            reader.size(place, item, image.get("width"), image.get("height"))
    for number, annotation in enumerate(found["annotations"]):
        _read_annotation(f"{path.name}: annotations[{number}]", annotation, items, names, reader)
    return reader.finish()


def _read_annotation(
    place: str,
    annotation: Any,  # noqa: ANN401 - whatever is in the file
    items: dict[int, RetrainingItem],
    names: dict[int, Any],
    reader: Reader,
) -> None:
    fields = annotation if isinstance(annotation, dict) else {}
    image, box, category = (fields.get(name) for name in ("image_id", "bbox", "category_id"))
    item = items.get(image) if isinstance(image, int) else None
    if item is None:
        reader.refuse(place, f"must be of a picture that the file names, got {shown(image)}")
    elif fields.get("iscrowd"):
        reader.refuse(place, "must be one object, got a crowd", item)
    elif not isinstance(box, list) or len(box) != _CORNERS or not all(map(is_coordinate, box)):
        reader.refuse(place, f"must have a bbox of x, y, width, height, got {shown(box)}", item)
    else:
        x, y, width, height = box
        name = names.get(category) if isinstance(category, int) else None
        reader.box(place, item, name or category, (x, y, x + width, y + height))
