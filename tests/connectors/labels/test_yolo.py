from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import supervision

from connectors.labels import ImportSettings, LabelFormat, Refusal, yolo
from records import SightflowError
from tests.support.labels import confirm
from tests.support.queues import pictured, signalled

if TYPE_CHECKING:
    from pathlib import Path

    from connectors.labels import Imported

ENTRIES = [pictured(0), pictured(1)]
FIRST, SECOND = (one for one, _ in ENTRIES)
SIGNAL = signalled(2)[0]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    yolo.write(tmp_path, ENTRIES, ("person", "car"))
    return tmp_path


def read(folder: Path, texts: dict[str, str]) -> Imported:
    for name, text in texts.items():
        (folder / "labels" / "train" / f"{name}.txt").write_text(text)
    return yolo.read(folder, [FIRST, SECOND, SIGNAL], ImportSettings(("person", "car")))


def test_the_folder_is_that_of_yolo(folder: Path) -> None:
    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    names = [FIRST.name, SECOND.name]
    assert files == {
        "data.yaml",
        *(f"images/train/{name}.jpg" for name in names),
        *(f"predictions/train/{name}.txt" for name in names),
    }
    assert (folder / "data.yaml").read_text() == (
        'path: .\ntrain: images/train\nval: images/train\nnames:\n  0: "person"\n  1: "car"\n'
    )
    weak = (folder / "predictions" / "train" / f"{FIRST.name}.txt").read_text()
    assert weak == "0 0.15625000 0.31250000 0.15625000 0.41666667 0.900000\n"


def test_supervision_opens_what_a_person_has_confirmed(folder: Path) -> None:
    confirm(LabelFormat.YOLO, folder)
    found = supervision.DetectionDataset.from_yolo(
        str(folder / "images" / "train"),
        str(folder / "labels" / "train"),
        str(folder / "data.yaml"),
    )
    assert found.classes == ["person", "car"]
    boxes = {path.rpartition("/")[2]: each.xyxy for path, _, each in found}
    assert set(boxes) == {f"{one.name}.jpg" for one in (FIRST, SECOND)}
    assert all(np.allclose(each, [[5, 5, 15, 25]], atol=1e-3) for each in boxes.values())


@pytest.mark.parametrize("where", ["classes.txt", "labels/classes.txt"])
def test_classes_may_stand_in_a_text_file(folder: Path, where: str) -> None:
    (folder / "data.yaml").unlink()
    (folder / where).write_text("car\nperson\n")
    found = read(folder, {FIRST.name: "1 0.5 0.5 1 1\n\n0 0.5 0.5 0.5 0.5"})
    boxes = found.labels[FIRST.id].boxes
    assert boxes is not None
    assert boxes.classes == ("person", "car")
    assert boxes.boxes.tolist() == [[100, 50, 228, 146], [132, 74, 196, 122]]
    assert found.refused == ()


def test_names_may_be_a_list(folder: Path) -> None:
    (folder / "data.yaml").write_text("names: [car, person]\n")
    boxes = read(folder, {FIRST.name: "1 0.5 0.5 1 1"}).labels[FIRST.id].boxes
    assert boxes is not None
    assert boxes.classes == ("person",)


def test_lines_that_are_refused(folder: Path) -> None:
    found = read(
        folder,
        {
            FIRST.name: "0 0.5 0.5 1 1\n0 0.5 0.5 1 1 0.9\n0 x 0.5 1 1\n7 0.5 0.5 1 1\n"
            "0 0.9 0.5 1 1\n0 nan 0.5 1 1\n",
            "holiday": "0 0.5 0.5 1 1",
            SIGNAL.name: "0 0.5 0.5 1 1",
        },
    )
    assert found.labels == {}
    file = f"labels/train/{FIRST.name}.txt"
    want = "must be class, x, y, width and height, got"
    assert set(found.refused) == {
        Refusal(f"{file}:2", f"{want} '0 0.5 0.5 1 1 0.9'"),
        Refusal(f"{file}:3", f"{want} '0 x 0.5 1 1'"),
        Refusal(f"{file}:4", "must be one of the classes person, car, got 7"),
        Refusal(
            f"{file}:5",
            "must lie in the picture of 64 x 48 pixels and have an area, got "
            "[25.6, 0.0, 89.6, 48.0]",
        ),
        Refusal(f"{file}:6", "must have corners in pixels, got [nan, 0.0, nan, 48.0]"),
        Refusal("labels/train/holiday.txt", "must be the picture of an item, got 'holiday.txt'"),
        Refusal(f"labels/train/{SIGNAL.name}.txt:1", "must be of an item with a picture"),
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("names: 7", "must have names, a list or a map from numbers"),
        ("[", "must be YAML: "),
        ("a: &a [*a]\nnames: *b", "must hold no aliases"),
    ],
)
def test_classes_that_are_not_told_are_asked_for(folder: Path, text: str, message: str) -> None:
    (folder / "data.yaml").write_text(text)
    with pytest.raises(SightflowError) as caught:
        read(folder, {FIRST.name: "0 0.5 0.5 1 1"})
    assert str(caught.value).startswith(f"{folder / 'data.yaml'} {message}")
    (folder / "data.yaml").unlink()
    with pytest.raises(SightflowError) as caught:
        read(folder, {})
    assert str(caught.value) == (
        f"{folder} must hold data.yaml or classes.txt, which name the classes"
    )
