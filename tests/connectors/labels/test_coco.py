from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from faster_coco_eval import COCO

from connectors.labels import ImportSettings, Refusal, coco
from records import Label, SightflowError
from tests.support.labels import read_json, write_json
from tests.support.queues import pictured

if TYPE_CHECKING:
    from pathlib import Path

    from connectors.labels import Imported

ENTRIES = [pictured(0), pictured(1)]
KNOWN = [one for one, _ in ENTRIES]
FIRST, SECOND = KNOWN
SETTINGS = ImportSettings(("person", "car"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    coco.write(tmp_path, ENTRIES, ("person", "car"))
    return tmp_path


def box(number: int = 1, **changes: Any) -> dict[str, Any]:
    made = {"id": 1, "image_id": number, "category_id": 1, "bbox": [5.0, 5.0, 10.0, 20.0]}
    return made | changes


def read(folder: Path, *annotations: Any, **settings: Any) -> Imported:
    found = read_json(folder / "annotations.json") | {"annotations": list(annotations)}
    path = write_json(folder / "labelled.json", found)
    return coco.read(path, KNOWN, ImportSettings(("person", "car"), **settings))


def test_the_files_are_read_by_cocos_own_reader(folder: Path) -> None:
    opened = COCO(str(folder / "annotations.json"))
    found = opened.loadRes(str(folder / "predictions.json"))
    assert [one["file_name"] for one in opened.loadImgs([1, 2])] == [
        f"{one.name}.jpg" for one in KNOWN
    ]
    predicted = found.loadAnns(found.getAnnIds(imgIds=[1]))
    assert [one["bbox"] for one in predicted] == [[5.0, 5.0, 10.0, 20.0]]
    assert [round(one["score"], 6) for one in predicted] == [0.9]
    assert opened.loadCats(predicted[0]["category_id"])[0]["name"] == "person"


def test_one_bad_box_refuses_its_picture_and_no_other(folder: Path) -> None:
    bad = box(bbox=[5.0, 5.0, 100.0, 20.0])
    found = read(folder, box(), bad, box(2))
    assert list(found.labels) == [SECOND.id]
    assert found.refused == (
        Refusal(
            "labelled.json: annotations[1]",
            "must lie in the picture of 64 x 48 pixels and have an area, got "
            "[5.0, 5.0, 105.0, 25.0]",
        ),
    )


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"image_id": 9}, "must be of a picture that the file names, got 9"),
        ({"image_id": []}, "must be of a picture that the file names, got []"),
        ({"iscrowd": 1}, "must be one object, got a crowd"),
        ({"bbox": [1, 2, 3]}, "must have a bbox of x, y, width, height, got [1, 2, 3]"),
        ({"bbox": [1, 2, 3, "4"]}, "must have a bbox of x, y, width, height, got [1, 2, 3, '4']"),
        ({"bbox": [1, 2, 3, 10**400]}, "must have a bbox of x, y, width, height, got [1, 2, 3, "),
        ({"bbox": [1, 2, float("nan"), 3]}, "must have a bbox of x, y, width, height, got "),
        ({"bbox": [1, 2, 0, 4]}, "must lie in the picture of 64 x 48 pixels and have an area, "),
        ({"category_id": 7}, "must be one of the classes person, car, got 7"),
        ({"category_id": None}, "must be one of the classes person, car, got None"),
    ],
)
def test_boxes_that_are_refused(folder: Path, change: dict[str, Any], problem: str) -> None:
    found = read(folder, box(**change))
    (refusal,) = found.refused
    assert refusal.place == "labelled.json: annotations[0]"
    assert refusal.problem.startswith(problem)
    assert found.labels == {}


def test_pictures_that_are_refused(folder: Path) -> None:
    found = read_json(folder / "annotations.json")
    first, second = found["images"]
    found["images"] = [
        first | {"width": 640},
        second,
        second | {"id": 3},
        {"id": 4, "file_name": "holiday.jpg"},
        {"file_name": "x"},
    ]
    path = write_json(folder / "labelled.json", found)
    read_back = coco.read(path, KNOWN, SETTINGS)
    assert read_back.labels == {}
    assert read_back.unlabelled == ()
    assert read_back.refused == (
        Refusal("labelled.json: images[0]", "must be 64 x 48 pixels, got 640 x 48"),
        Refusal("labelled.json: images[2]", f"must be labelled once, got {SECOND.id} again"),
        Refusal("labelled.json: images[3]", "must be the picture of an item, got 'holiday.jpg'"),
        Refusal("labelled.json: images[4]", "must be an object with an id, got {'file_name': 'x'}"),
    )


def test_a_corner_just_outside_is_moved_to_the_edge(folder: Path) -> None:
    (label,) = read(folder, box(bbox=[-0.5, 0, 64.9, 48])).labels.values()
    assert label.boxes is not None
    assert label.boxes.boxes.tolist() == [[100.0, 50.0, 228.0, 146.0]]


def test_pictures_without_boxes_are_not_labelled_unless_it_is_said(folder: Path) -> None:
    assert read(folder, box()).unlabelled == (SECOND.id,)
    found = read(folder, box(), empty=True)
    assert found.unlabelled == ()
    empty = found.labels[SECOND.id]
    assert isinstance(empty, Label)
    assert empty.boxes is not None
    assert len(empty.boxes) == 0


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, '{"images": 1}', "[]"])
def test_what_is_no_coco_file_is_refused(folder: Path, text: str) -> None:
    path = folder / "labelled.json"
    path.write_text(text)
    with pytest.raises(SightflowError) as caught:
        coco.read(path, KNOWN, SETTINGS)
    assert str(caught.value).startswith(f"{path} must be ")


def test_files_that_cannot_be_read_are_told(folder: Path) -> None:
    with pytest.raises(SightflowError) as caught:
        coco.read(folder / "gone.json", KNOWN, SETTINGS)
    assert str(caught.value).startswith(f"{folder / 'gone.json'} cannot be read: ")
    large = folder / "large.json"
    with large.open("wb") as file:
        file.truncate(2**28 + 1)
    with pytest.raises(SightflowError) as caught:
        coco.read(large, KNOWN, SETTINGS)
    assert str(caught.value) == f"{large} must be at most 268435456 bytes, got 268435457"


def test_the_predictions_are_no_labels(folder: Path) -> None:
    with pytest.raises(SightflowError) as caught:
        coco.read(folder / "predictions.json", KNOWN, SETTINGS)
    assert str(caught.value).endswith("a file of results holds predictions, no labels")
    assert json.loads((folder / "annotations.json").read_text())["annotations"] == []
