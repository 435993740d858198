"""Fine-tuned heads: training, files, and the detectors that they make."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from models.detectors import DetectorSettings, load_detector
from models.detectors.head import HeadDescription, HeadModel
from models.detectors.head_checkpoint import HeadCheckpoint, HeadProgress
from models.detectors.head_graph import BOXES, CLASSES, OBJECTNESS, HeadGraph, head_shapes
from models.detectors.head_settings import HeadTrainSettings
from models.detectors.head_training import train_head
from models.detectors.labels import COCO_80
from models.detectors.onnx import YoloxDetector
from records import Detections, DetectorError, RecordError
from tests.models.detectors.yolox_file import CHANNELS, write_tiny_yolox
from tests.support.vtest import frames, truth

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

CAT = 15
"""COCO's index of the cat."""

SETTINGS = HeadTrainSettings(steps=30, batch_size=4, learning_rate=0.02, pull=0.01)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("base") / "tiny.onnx"
    write_tiny_yolox(path)
    return path


def pictures(count: int = 6) -> list[tuple[NDArray[np.uint8], Detections]]:
    """Each with a bright square, a cat, in one cell of the finest grid."""
    rng = np.random.default_rng(0)
    made = []
    for _ in range(count):
        picture = np.full((64, 64, 3), 40, dtype=np.uint8)
        x, y = (8 * rng.integers(0, 8, 2)).tolist()
        picture[y : y + 8, x : x + 8] = 250
        made.append((picture, Detections.of([[x, y, x + 8, y + 8]], [1.0], ["cat"])))
    return made


def run(base: Path) -> DetectorSettings:
    return DetectorSettings("yolox_nano", str(base), "cpu", score_at_least=0.01, threads=1)


def test_training_finds_what_was_labelled(base: Path) -> None:
    told: list[HeadProgress] = []
    model = train_head(base, pictures(), replace(SETTINGS, steps=200), told.append)
    what = model.what
    assert [one.step for one in told] == list(range(1, 201))
    assert {one.steps for one in told} == {200}
    assert what.classes == ("cat",)
    assert what.metrics["pictures"] == what.metrics["objects"] == 6
    assert what.metrics["anchors"] >= 6
    assert what.metrics["last_loss"] < what.metrics["first_loss"] / 2
    before, after = YoloxDetector(base, run(base)), model.detector(run(base))
    for picture, labels in pictures():
        (was,), (is_now,) = before.detect([picture]), after.detect([picture])
        assert is_now.classes[0] == "cat"
        assert is_now.scores[0] > was.of_classes(["cat"]).scores.max(initial=0) + 0.1
        assert np.abs(is_now.boxes[0] - labels.boxes[0]).max() < 2


def test_only_labelled_classes_change(base: Path) -> None:
    start = HeadGraph.read(base).tensors
    trained = train_head(base, pictures(), SETTINGS).tensors
    for name, shape in head_shapes(CHANNELS).items():
        differs = (trained[name] != start[name]).reshape(shape[0], -1).any(axis=1)
        if name.startswith(CLASSES):
            assert set(np.flatnonzero(differs).tolist()) <= {CAT}
        elif name.startswith(OBJECTNESS):
            assert differs.all()
    names = [name for name in start if name.startswith(BOXES)]
    assert any((trained[name] != start[name]).any() for name in names)


def test_same_seed_same_head(base: Path) -> None:
    one, two = (train_head(base, pictures(), SETTINGS) for _ in range(2))
    other = train_head(base, pictures(), replace(SETTINGS, seed=1))
    assert one.sha256 == two.sha256 != other.sha256
    known = YoloxDetector(base, run(base))
    assert train_head(known, pictures(), SETTINGS).sha256 == one.sha256


def test_a_strong_pull_keeps_the_weights(base: Path) -> None:
    start = HeadGraph.read(base).tensors

    def moved(pull: float) -> float:
        trained = train_head(base, pictures(), replace(SETTINGS, steps=100, pull=pull)).tensors
        return sum(float(np.square(trained[name] - start[name]).sum()) for name in start)

    assert moved(100.0) < moved(0.0) / 10


def test_uncertain_labels_teach_nothing(base: Path) -> None:
    """A weak box is neither object nor background; the rest of the picture is background."""
    picture, labels = pictures(1)[0]
    weak = Detections.of(labels.boxes, [0.2], ["cat"])
    with pytest.raises(RecordError) as error:
        train_head(base, [(picture, weak)], SETTINGS)
    assert str(error.value) == (
        "pictures must have at least one label of cat with a score of at least 0.4, got none in 1 "
        "pictures. Label more of them"
    )
    with pytest.raises(RecordError) as error:
        train_head(base, [], SETTINGS)
    assert str(error.value) == (
        "pictures must have at least one label of any class with a score of at least 0.4, got "
        "none in 0 pictures. Label more of them"
    )
    with pytest.raises(DetectorError, match="^classes must be names that yolox_nano knows"):
        train_head(base, [(picture, Detections.of(labels.boxes, [1.0], ["gnu"]))], SETTINGS)
    with pytest.raises(RecordError, match="^image 0 must be RGB"):
        train_head(base, [(picture[:, :, 0], labels)], SETTINGS)


class Stopped(Exception):  # noqa: N818 - it is no error
    """What a test stops a training with."""


def test_goes_on_from_a_checkpoint_as_if_it_had_never_stopped(base: Path, tmp_path: Path) -> None:
    path = tmp_path / "half.safetensors"

    def stop(progress: HeadProgress) -> None:
        if progress.step == 13:
            progress.checkpoint().save(path)
            raise Stopped

    whole = train_head(base, pictures(), SETTINGS)
    with pytest.raises(Stopped):
        train_head(base, pictures(), SETTINGS, stop)
    point = HeadCheckpoint.load(path)
    told: list[int] = []
    resumed = train_head(
        base, pictures(), SETTINGS, lambda one: told.append(one.step), resume=point
    )
    assert point.step == 13
    assert told == list(range(14, 31))
    assert resumed.sha256 == whole.sha256
    assert resumed.what.metrics["first_loss"] == whole.what.metrics["first_loss"]
    with pytest.raises(DetectorError) as error:
        train_head(base, pictures(5), SETTINGS, resume=point)
    assert re.fullmatch(
        r"resume must be a checkpoint of this training, [0-9a-f]{12}, got [0-9a-f]{12}\. The "
        r"detector, pictures, settings and parent must be the same; else begin anew",
        str(error.value),
    )


def test_damaged_checkpoint(base: Path, tmp_path: Path) -> None:
    path = tmp_path / "half.safetensors"
    train_head(base, pictures(), replace(SETTINGS, steps=1), lambda p: p.checkpoint().save(path))
    for key, value, reason in (
        ("steps_done", 0, "ValueError: steps_done must be 1 to 100000, got 0"),
        ("channels", 5000, "ValueError: channels must be 1 to 4096, got 5000"),
        ("run", 7, "TypeError: run must be text, got 7"),
    ):
        manifest = json.loads(path.with_suffix(".json").read_text())
        path.with_suffix(".json").write_text(json.dumps(manifest | {key: value}))
        with pytest.raises(DetectorError) as error:
            HeadCheckpoint.load(path)
        path.with_suffix(".json").write_text(json.dumps(manifest))
        assert str(error.value) == (
            f"{path.with_suffix('.json')} does not describe a model ({reason}). "
            "Train the model again"
        )


def test_file_round_trip_and_parent(base: Path, tmp_path: Path) -> None:
    path = tmp_path / "cats.safetensors"
    first = train_head(base, pictures(), SETTINGS)
    first.save(path)
    loaded = HeadModel.load(path)
    assert loaded.what.provenance["settings"]["classes"] == []
    assert replace(loaded.what, provenance={}) == replace(first.what, provenance={})
    assert loaded.sha256 == first.sha256
    picture = pictures()[0][0]
    assert loaded.detector(run(base)).detect([picture]) == first.detector(run(base)).detect(
        [picture]
    )
    second = train_head(base, pictures(), SETTINGS, parent=loaded)
    assert second.what.provenance["parent"] == first.sha256
    assert second.what.metrics["first_loss"] < first.what.metrics["first_loss"]


def test_another_base_is_refused(base: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.onnx"
    write_tiny_yolox(other, seed=1)
    model = train_head(base, pictures(), replace(SETTINGS, steps=1))
    message = (
        f"{other} must be the file that the head was trained for, of SHA-256 "
        f"{HeadGraph.read(base).sha256}, got {HeadGraph.read(other).sha256}. Name that file, or "
        "train a head for this one"
    )
    wide = HeadModel(replace(model.what, channels=7), model.tensors)
    with pytest.raises(DetectorError) as narrow:
        wide.detector(run(base))
    assert str(narrow.value) == (f"the head must have 6 channels for {base}, got 7. Train it again")
    for refused in (
        lambda: model.detector(run(other)),
        lambda: train_head(other, pictures(), SETTINGS, parent=model),
    ):
        with pytest.raises(DetectorError) as error:
            refused()
        assert str(error.value) == message


def test_damaged_head(base: Path, tmp_path: Path) -> None:
    path = tmp_path / "cats.safetensors"
    train_head(base, pictures(), replace(SETTINGS, steps=1)).save(path)
    manifest = json.loads(path.with_suffix(".json").read_text())
    for key, value, reason in (
        ("classes", ["gnu"], "DetectorError: classes must be COCO's, at least one, got ('gnu',)"),
        ("metrics", 1, "AttributeError: 'int' object has no attribute 'items'"),
        ("channels", None, "ValueError: channels must be 1 to 4096, got None"),
    ):
        path.with_suffix(".json").write_text(json.dumps(manifest | {key: value}))
        with pytest.raises(DetectorError) as error:
            HeadModel.load(path)
        assert str(error.value) == (
            f"{path.with_suffix('.json')} does not describe a model ({reason}). "
            "Train the model again"
        )
    with pytest.raises(DetectorError) as error:
        HeadDescription("", 1, ())
    assert str(error.value) == "classes must be COCO's, at least one, got ()"


def test_a_graph_without_a_head(tmp_path: Path) -> None:
    path = tmp_path / "other.onnx"
    write_tiny_yolox(path, skip="head.obj_preds.1.weight")
    with pytest.raises(DetectorError) as error:
        train_head(path, pictures(), SETTINGS)
    assert str(error.value) == (
        f"{path} must have a head of float32, head.cls_preds.0.weight and so on; wrong are "
        "head.obj_preds.1.weight. Export it with YOLOX's own tool, undecoded"
    )


@pytest.mark.parametrize("batch", ["n", 3])
def test_any_batch(tmp_path: Path, batch: int | str) -> None:
    path = tmp_path / "tiny.onnx"
    write_tiny_yolox(path, batch)
    model = train_head(path, pictures(), replace(SETTINGS, steps=2))
    together = model.detector(run(path)).detect([picture for picture, _ in pictures(4)])
    assert len(together) == 4


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": 0}, "steps must be a whole number in 1..100000, got 0"),
        ({"pull": -1.0}, "pull must be in 0.0..1000.0, got -1.0"),
        ({"certain_score": 2.0}, "certain_score must be in 0.0..1.0, got 2.0"),
        ({"classes": "cat"}, "classes must be a tuple of names, got 'cat'"),
    ],
)
def test_settings(changes: dict[str, object], message: str) -> None:
    with pytest.raises(RecordError) as error:
        HeadTrainSettings(**changes)  # type: ignore[arg-type]  # the test names real fields
    assert str(error.value) == message


def test_pedestrians(assets: Path, tmp_path: Path) -> None:
    """The published detector, through its file: labelled people become surer, cars stay."""
    video = frames(assets / "video" / "vtest.avi")
    known = truth(assets / "video" / "vtest.mot.txt")
    few = [(next(video), boxes) for boxes in known[:4]]
    labelled = [
        (picture, Detections.of(boxes, np.ones(len(boxes)), ["person"] * len(boxes)))
        for picture, boxes in few
    ]
    path = tmp_path / "people.safetensors"
    model = train_head(
        assets / "models" / "yolox_nano.onnx", labelled, HeadTrainSettings(steps=40, batch_size=4)
    )
    model.save(path)
    settings = DetectorSettings("yolox_nano", str(path), "cpu", threads=1)
    detector = load_detector(settings)
    (found,) = detector.detect([few[0][0]])
    (direct,) = model.detector(replace(settings, weights=None)).detect([few[0][0]])
    assert detector.class_names == COCO_80
    assert found == direct
    assert found.count("person") >= len(few[0][1]) - 1
    assert model.what.metrics["last_loss"] < model.what.metrics["first_loss"]
