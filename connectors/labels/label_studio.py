"""Label Studio: tasks with weak labels as predictions; pictures, and windows of signals.

``tasks.json`` with ``config.xml`` is a project of the pictures in ``images``, ``signals.json`` with
``signals.xml`` one of the signals in ``signals``. Label Studio serves the files itself when it is
started with ``LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED=true`` and
``LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT`` set to the folder. What is read is its JSON export: of
each task the annotation that was changed last, and never a prediction.

Format: https://labelstud.io/guide/predictions
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

from connectors.codec_fields import shown
from connectors.labels.exchange import (
    IMAGES,
    Exported,
    read_json,
    weak_boxes,
    write_file,
    write_json,
    write_pictures,
)
from connectors.labels.reader import Imported, ImportSettings, Reader, is_coordinate
from connectors.labels.signals import SIGNALS, write_signals
from records import SightflowError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from connectors.queue_items import Entry
    from records import Crop, Label, RetrainingItem

TASKS, CONFIG = "tasks.json", "config.xml"
"""The tasks of the pictures, and the labelling interface of their project."""

LOCAL_FILES = "/data/local-files/?d="
"""Where Label Studio serves the files of its document root."""

_PERCENT = 100.0
_SHARES = ("x", "y", "width", "height")


def write(folder: Path, entries: Sequence[Entry], classes: Sequence[str]) -> Exported:
    """Write tasks with weak labels, pictures and signals, and the interface of each project.

    Args:
        folder: Where to; the document root of Label Studio.
        entries: The items with their pictures and signals.
        classes: The names of the classes that are to be labelled.

    Raises:
        SightflowError: a file cannot be written.
    """
    pictures, exported = write_pictures(folder / IMAGES, entries)
    tasks = [
        {
            "data": {"image": f"{LOCAL_FILES}{IMAGES}/{item.name}.jpg", "item": item.id},
            "predictions": _predictions(item.label, _rectangles(item, crop, classes)),
        }
        for item, crop in pictures
    ]
    write_json(folder / TASKS, tasks)
    view = ET.Element("View")
    ET.SubElement(view, "Image", {"name": "image", "value": "$image"})
    labels = ET.SubElement(view, "RectangleLabels", {"name": "label", "toName": "image"})
    for name in classes:
        ET.SubElement(labels, "Label", {"value": name})
    write_file(folder / CONFIG, ET.tostring(view))
    signals = write_signals(folder, [one for one in entries if one[0].id in exported.skipped])
    tasks = [
        {
            "data": {"csv": f"{LOCAL_FILES}{SIGNALS}/{item.name}.csv", "item": item.id},
            "predictions": _predictions(item.label, _choices(item)),
        }
        for item in signals.items
    ]
    if tasks:
        write_json(folder / f"{SIGNALS}.json", tasks)
        write_file(folder / f"{SIGNALS}.xml", ET.tostring(signals.view(classes)))
    written = (*exported.written, *(item.id for item in signals.items))
    return Exported(written, signals.skipped)


def _predictions(label: Label | None, result: list[dict[str, Any]]) -> list[dict[str, Any]]:
    if label is None:
        return []
    prediction: dict[str, Any] = {"model_version": label.source, "result": result}
    if label.probability is not None:
        prediction["score"] = label.probability
    return [prediction]


def _rectangles(item: RetrainingItem, crop: Crop, classes: Sequence[str]) -> list[dict[str, Any]]:
    return [
        {
            "id": f"box{number}",
            "from_name": "label",
            "to_name": "image",
            "type": "rectanglelabels",
            "original_width": crop.width,
            "original_height": crop.height,
            "image_rotation": 0,
            "score": score,
            "value": {
                "x": _PERCENT * x1 / crop.width,
                "y": _PERCENT * y1 / crop.height,
                "width": _PERCENT * (x2 - x1) / crop.width,
                "height": _PERCENT * (y2 - y1) / crop.height,
                "rotation": 0,
                "rectanglelabels": [name],
            },
        }
        for number, (name, (x1, y1, x2, y2), score) in enumerate(weak_boxes(item, crop, classes))
    ]


def _choices(item: RetrainingItem) -> list[dict[str, Any]]:
    if item.label is None or not item.label.class_name:
        return []
    value = {"choices": [item.label.class_name]}
    return [{"from_name": "class", "to_name": "signal", "type": "choices", "value": value}]


def read(path: Path, known: Sequence[RetrainingItem], settings: ImportSettings) -> Imported:
    """Read a JSON export.

    Args:
        path: The file.
        known: The items that labels may be for.
        settings: How labels are read.

    Raises:
        SightflowError: the file cannot be read, or is no list of tasks.
    """
    tasks = read_json(path)
    if not isinstance(tasks, list):
        raise SightflowError(f"{path} must be a list of tasks: export it as JSON, not as JSON-MIN")
    reader = Reader(known, settings)
    for number, task in enumerate(tasks):
        place = f"{path.name}: [{number}]"
        data = task.get("data") if isinstance(task, dict) else None
        item = reader.identified(place, data.get("item") if isinstance(data, dict) else None)
        if item is not None:
            _read_task(place, item, task, reader)
    return reader.finish()


def _read_task(place: str, item: RetrainingItem, task: dict[str, Any], reader: Reader) -> None:
    found = task.get("annotations")
    done = [
        one
        for one in (found if isinstance(found, list) else [])
        if isinstance(one, dict) and not one.get("was_cancelled")
    ]
    if not done:
        return
    latest = max(done, key=lambda one: str(one.get("updated_at", "")))
    result = latest.get("result")
    if not isinstance(result, list):
        reader.refuse(place, f"must have a list as result, got {shown(result)}", item)
        return
    if not result and item.crop is not None and item.crop.region is not None:
        reader.labelled_empty(item)
    for number, one in enumerate(result):
        _read_result(f"{place}.result[{number}]", item, one, reader)


def _read_result(
    place: str,
    item: RetrainingItem,
    result: Any,  # noqa: ANN401 - whatever is in the file
    reader: Reader,
) -> None:
    kind = result.get("type") if isinstance(result, dict) else None
    value = result.get("value") if isinstance(result, dict) else None
    names = value.get(kind) if isinstance(value, dict) and isinstance(kind, str) else None
    if kind not in ("rectanglelabels", "choices") or not isinstance(names, list) or len(names) != 1:
        reader.refuse(
            place, f"must be a rectangle or a choice of one class, got {shown(kind)}", item
        )
        return
    assert isinstance(value, dict)
    if kind == "choices":
        reader.window(place, item, names[0])
        return
    width, height = result.get("original_width"), result.get("original_height")
    shares = [value.get(name) for name in _SHARES]
    if value.get("rotation") or not all(map(is_coordinate, shares)):
        reader.refuse(place, f"must be an upright rectangle, got {shown(value)}", item)
        return
    reader.size(place, item, width, height)
    crop = item.crop
    if crop is not None:
        x, y, across, down = (float(one) / _PERCENT for one in shares if one is not None)
        corners = (
            x * crop.width, y * crop.height, (x + across) * crop.width, (y + down) * crop.height
        )  # fmt: skip
        reader.box(place, item, names[0], corners)
