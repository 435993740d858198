from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from connectors.codec import encode
from connectors.labels import ImportSettings, LabelFormat, Refusal, label_studio
from records import Label, SightflowError
from tests.support.labels import confirm, read_json, write_json
from tests.support.queues import pictured, signalled
from tests.support.records import reading

if TYPE_CHECKING:
    from pathlib import Path

    from connectors.labels import Imported


PICTURED, SIGNALLED = pictured(0), signalled(1)
PICTURE, SIGNAL = PICTURED[0], SIGNALLED[0]
SETTINGS = ImportSettings(("person", "car", "N", "A"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    label_studio.write(tmp_path, [PICTURED, SIGNALLED], ("person", "N"))
    return tmp_path


def rectangle(**changes: Any) -> dict[str, Any]:
    value = {"x": 0, "y": 0, "width": 50, "height": 100.0, "rectanglelabels": ["person"]}
    made = {
        "type": "rectanglelabels",
        "original_width": 64,
        "original_height": 48,
        "value": value | changes,
    }
    return made | {key: changes[key] for key in changes if key in made}


def read(folder: Path, *results: Any, item_id: Any = PICTURE.id) -> Imported:
    tasks = [{"data": {"item": item_id}, "annotations": [{"result": list(results)}]}]
    path = write_json(folder / "export.json", tasks)
    return label_studio.read(path, [PICTURE, SIGNAL], SETTINGS)


def test_weak_labels_are_predictions(folder: Path) -> None:
    (task,) = read_json(folder / "tasks.json")
    assert set(task) == {"data", "predictions"}
    assert task["data"] == {
        "image": f"/data/local-files/?d=images/{PICTURE.name}.jpg",
        "item": PICTURE.id,
    }
    (prediction,) = task["predictions"]
    assert (prediction["model_version"], prediction["score"]) == ("flicker", 0.75)
    (result,) = prediction["result"]
    assert result["value"] == {
        "x": 7.8125,
        "y": pytest.approx(10.416667),
        "width": 15.625,
        "height": pytest.approx(41.666667),
        "rotation": 0,
        "rectanglelabels": ["person"],
    }
    assert (folder / "config.xml").read_text() == (
        '<View><Image name="image" value="$image" /><RectangleLabels name="label" toName="image">'
        '<Label value="person" /><Label value="N" /></RectangleLabels></View>'
    )


def test_signals_are_time_series_with_a_choice(folder: Path) -> None:
    (task,) = read_json(folder / "signals.json")
    assert task["data"] == {
        "csv": f"/data/local-files/?d=signals/{SIGNAL.name}.csv",
        "item": SIGNAL.id,
    }
    assert task["predictions"] == [
        {
            "model_version": "class_change",
            "score": 0.5,
            "result": [
                {
                    "from_name": "class",
                    "to_name": "signal",
                    "type": "choices",
                    "value": {"choices": ["N"]},
                }
            ],
        }
    ]
    assert (folder / "signals" / f"{SIGNAL.name}.csv").read_text() == (
        "seconds,channel0\n0.000000,0.5\n0.003333,\n0.006667,-0.25\n"
    )
    assert (folder / "signals.xml").read_text() == (
        '<View><TimeSeries name="signal" value="$csv" valueType="url" timeColumn="seconds" sep=",">'
        '<Channel column="channel0" displayName="lead I" units="mV" /></TimeSeries>'
        '<Choices name="class" toName="signal" choice="single"><Choice value="person" />'
        '<Choice value="N" /></Choices></View>'
    )


def test_pictures_and_signals_go_out_and_come_back(folder: Path) -> None:
    path = confirm(LabelFormat.LABEL_STUDIO, folder)
    found = label_studio.read(path, [PICTURE, SIGNAL], SETTINGS)
    assert (found.unlabelled, found.refused) == ((), ())
    assert found.labels[SIGNAL.id] == Label("human", class_name="N")
    boxes, weak = found.labels[PICTURE.id].boxes, PICTURE.label
    assert weak is not None
    assert weak.boxes is not None
    assert boxes is not None
    assert np.allclose(boxes.boxes, weak.boxes.boxes, atol=1e-3)


def test_signals_of_other_channels_are_skipped(tmp_path: Path) -> None:
    other, _ = signalled(2)
    data = encode(replace(reading(), channels=("lead II",)))
    done = label_studio.write(tmp_path, [SIGNALLED, (other, data)], ("N",))
    assert (done.written, done.skipped) == (
        (SIGNAL.id,),
        {other.id: "other channels than the first"},
    )


def test_the_latest_annotation_counts_and_cancelled_ones_do_not(folder: Path) -> None:
    def annotation(name: str, time: str, **more: Any) -> dict[str, Any]:
        result = [{"type": "choices", "value": {"choices": [name]}}]
        return {"result": result, "updated_at": time} | more

    tasks = [
        {
            "data": {"item": SIGNAL.id},
            "annotations": [
                annotation("A", "2026-01-02T00:00:00Z"),
                annotation("N", "2026-01-01T00:00:00Z"),
                annotation("N", "2026-01-03T00:00:00Z", was_cancelled=True),
            ],
        },
        {"data": {"item": PICTURE.id}, "annotations": []},
    ]
    path = write_json(folder / "export.json", tasks)
    found = label_studio.read(path, [PICTURE, SIGNAL], SETTINGS)
    assert found.labels == {SIGNAL.id: Label("human", class_name="A")}
    assert found.unlabelled == (PICTURE.id,)


def test_an_annotation_without_boxes_says_that_nothing_is_there(folder: Path) -> None:
    (label,) = read(folder).labels.values()
    assert label.boxes is not None
    assert len(label.boxes) == 0
    assert read(folder, item_id=SIGNAL.id).unlabelled == (SIGNAL.id,)


@pytest.mark.parametrize(
    ("result", "problem"),
    [
        (7, "must be a rectangle or a choice of one class, got None"),
        (
            {"type": "brushlabels", "value": {}},
            "must be a rectangle or a choice of one class, got ",
        ),
        (rectangle(rectanglelabels=["person", "car"]), "must be a rectangle or a choice of one"),
        (rectangle(rotation=30), "must be an upright rectangle, got {"),
        (rectangle(x="1"), "must be an upright rectangle, got {"),
        (rectangle(x=10**400), "must be an upright rectangle, got {"),
        (rectangle(x=60), "must lie in the picture of 64 x 48 pixels and have an area, got "),
        (rectangle(original_width=640), "must be 64 x 48 pixels, got 640 x 48"),
        (rectangle(rectanglelabels=["dog"]), "must be one of the classes person, car, N, A, got "),
        (
            {"type": "choices", "value": {"choices": ["N"]}},
            "must be one of the classes person, car, N, A for a signal, got 'N'",
        ),
    ],
)
def test_results_that_are_refused(folder: Path, result: Any, problem: str) -> None:
    found = read(folder, rectangle(), result)
    (refusal,) = found.refused
    assert refusal.place == "export.json: [0].result[1]"
    assert refusal.problem.startswith(problem)
    assert found.labels == {}


def test_a_rectangle_on_a_signal_is_refused(folder: Path) -> None:
    found = read(folder, rectangle(), item_id=SIGNAL.id)
    assert found.refused == (
        Refusal("export.json: [0].result[0]", "must be a class, as the item has no picture"),
    )


def test_two_classes_of_one_signal_are_refused(folder: Path) -> None:
    choices = [{"type": "choices", "value": {"choices": [name]}} for name in ("N", "A")]
    found = read(folder, *choices, item_id=SIGNAL.id)
    assert found.labels == {}
    assert found.refused == (
        Refusal("export.json: [0].result[1]", "must be one class, got 'A' as well"),
    )


def test_tasks_that_are_refused(folder: Path) -> None:
    tasks = [7, {"data": {"item": "x"}}, {"data": {"item": PICTURE.id}, "annotations": [{}]}]
    path = write_json(folder / "export.json", tasks)
    found = label_studio.read(path, [PICTURE], SETTINGS)
    assert found.refused == (
        Refusal("export.json: [0]", "must be the id of an item, got None"),
        Refusal("export.json: [1]", "must be the id of an item, got 'x'"),
        Refusal("export.json: [2]", "must have a list as result, got None"),
    )
    write_json(path, {})
    with pytest.raises(SightflowError) as caught:
        label_studio.read(path, [PICTURE], SETTINGS)
    assert str(caught.value) == (
        f"{path} must be a list of tasks: export it as JSON, not as JSON-MIN"
    )
