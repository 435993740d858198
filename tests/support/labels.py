"""What labelling tools write, made from what was exported for them."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

from connectors.labels import LabelFormat

if TYPE_CHECKING:
    from pathlib import Path


def read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def write_json(path: Path, value: object) -> Path:
    path.write_text(json.dumps(value), encoding="utf-8")
    return path


def confirm(form: LabelFormat, folder: Path) -> Path:
    """Confirm all weak labels of a folder as a person would in the tool; what to import."""
    return {
        LabelFormat.COCO: _coco,
        LabelFormat.YOLO: _yolo,
        LabelFormat.CVAT: _cvat,
        LabelFormat.LABEL_STUDIO: _label_studio,
    }[form](folder)


def _coco(folder: Path) -> Path:
    found = read_json(folder / "annotations.json")
    found["annotations"] = [
        {key: value for key, value in one.items() if key != "score"}
        | {"id": number, "iscrowd": 0, "area": one["bbox"][2] * one["bbox"][3]}
        for number, one in enumerate(read_json(folder / "predictions.json"), 1)
    ]
    return write_json(folder / "labelled.json", found)


def _yolo(folder: Path) -> Path:
    for path in (folder / "predictions" / "train").iterdir():
        lines = [line.rpartition(" ")[0] for line in path.read_text().splitlines()]
        (folder / "labels" / "train" / path.name).write_text("\n".join(lines) + "\n")
    shutil.rmtree(folder / "predictions")
    return folder


def _cvat(folder: Path) -> Path:
    text = (folder / "annotations.xml").read_text(encoding="utf-8")
    path = folder / "labelled.xml"
    path.write_text(text.replace('source="auto"', 'source="manual"'), encoding="utf-8")
    return path


def _label_studio(folder: Path) -> Path:
    tasks = []
    for name in ("tasks.json", "signals.json"):
        if (folder / name).exists():
            tasks += read_json(folder / name)
    for number, task in enumerate(tasks, 1):
        task["id"] = number
        if task["predictions"]:
            result = task["predictions"][0]["result"]
            task["annotations"] = [{"id": number, "was_cancelled": False, "result": result}]
    return write_json(folder / "export.json", tasks)
