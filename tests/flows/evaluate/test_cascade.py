from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from connectors.scene import SceneSettings, render, write_scene
from connectors.video import VideoSettings
from flows.cli import main
from flows.evaluate.cascade import evaluate_cascade, trained_cascade
from flows.evaluate.driving import Stretch, drive, state_at
from flows.evaluate.fitting import FitSettings
from flows.evaluate.optimise import Targets
from flows.evaluate.tuning import CascadeStudy
from flows.picture import write_picture
from flows.trained import load_trained, save_trained
from models.detectors import DetectorSettings, load_detector
from models.packet_training import PacketSettings
from models.training import TrainSettings
from operators.cascade import Models
from operators.plan import REFERENCE, Plan
from operators.predicate import Predicate
from records import Detector, RecordError, SourceError, Stage

if TYPE_CHECKING:
    from pathlib import Path

SCENE = SceneSettings(width=160, height=90, seconds=80, objects_per_minute=9, noise=1.0, seed=4)
PERSON = Predicate("person")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("evaluate")
    write_scene(folder / "scene.mp4", SCENE)
    empty, _ = next(render(replace(SCENE, objects_per_minute=0, noise=0)))
    write_picture(folder / "empty.png", empty)
    return folder


@pytest.fixture(scope="module")
def detector(folder: Path) -> Detector:
    return load_detector(
        DetectorSettings(model="silhouette", weights=str(folder / "empty.png"), score_at_least=0.2)
    )


def video(folder: Path) -> VideoSettings:
    return VideoSettings(uri=str(folder / "scene.mp4"))


def test_a_stretch_read_from_its_middle_gives_what_the_whole_gives(
    folder: Path, detector: Detector
) -> None:
    models = Models(detector)
    whole = drive(Stretch(video(folder), 0, 800, None), REFERENCE, PERSON, models, 8)
    state = state_at(video(folder), 384)
    half = drive(Stretch(video(folder), 384, 800, state), REFERENCE, PERSON, models, 8)
    assert half.verdicts == [replace(v, stream="evaluate") for v in whole.verdicts[384:]]
    sparse = drive(Stretch(video(folder), 384, 800, state), Plan(stride=5), PERSON, models, 8)
    looked_at = [v for v in sparse.verdicts if v.stage is Stage.REFERENCE]
    assert looked_at == whole.verdicts[384::5]


def test_a_stretch_beyond_the_end_is_told(folder: Path, detector: Detector) -> None:
    with pytest.raises(SourceError, match="held frames up to 800, not to 900"):
        drive(Stretch(video(folder), 0, 900, None), REFERENCE, PERSON, Models(detector), 8)


def test_a_cascade_is_found_and_judged(folder: Path, detector: Detector) -> None:
    fit = FitSettings(2, PacketSettings(seconds=3, steps=60), TrainSettings(epochs=4, seconds=5))
    study = CascadeStudy(video(folder), 800, PERSON, Targets(0.9, 0.9), fit=fit, block_seconds=4)
    steps: list[str] = []
    found = evaluate_cascade(study, detector, steps.append)
    result = found.report
    assert len([step for step in steps if "," not in step]) == 8
    assert any("validation loss" in step for step in steps)
    assert result["frames"] == 416
    assert sum(result["stages"].values()) == 416
    assert result["stages"]["reference"] == result["reference_calls"]
    assert result["frame_accuracy"] > 0.8
    assert 0 <= result["certified"]["recall_low"] <= result["recall"] <= 1
    assert 0 <= result["certified"]["precision_low"] <= result["precision"] <= 1
    assert result["hold_baseline"]["frame_accuracy"] >= result["frame_accuracy"]
    for field in ("fps", "reference_fps", "speedup", "predicted_fps", "optimiser_seconds"):
        assert result[field] > 0
    contract = result["contract"]
    assert not contract["accepted"], "half a minute proves nothing"
    assert contract["plan"]["stages"] == ["reference"]
    assert 0 < contract["blocks"] < contract["blocks_needed"]
    assert not any(rung["passed"] for rung in contract["ladder"])
    assert json.loads(json.dumps(result)) == result
    trained = trained_cascade(study, found, detector.name)
    assert trained.certified.place is None
    assert [plan.stages for plan in trained.plans] == [
        rung["stages"] for rung in contract["ladder"]
    ]
    save_trained(folder / "trained", trained)
    assert load_trained(folder / "trained").plans == trained.plans


def test_without_a_certificate_the_reference_runs_alone_where_one_is_required(
    folder: Path, detector: Detector
) -> None:
    study = CascadeStudy(
        video(folder),
        800,
        PERSON,
        Targets(0.9, 0.9),
        fit=FitSettings(2, None, TrainSettings(epochs=2, seconds=3)),
        require_certificate=True,
    )
    result = evaluate_cascade(study, detector, lambda _: None).report
    assert result["plan"]["stages"] == ["reference"]
    assert (result["frame_accuracy"], result["reference_calls"]) == (1.0, 416)
    assert result["hold_baseline"]["stride"] == 1


def call(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, Any]:
    with pytest.raises(SystemExit) as caught:
        main(["evaluate", "cascade", *words])
    out = capsys.readouterr().out
    return int(caught.value.code or 0), json.loads(out) if out.startswith("{") else out


def test_the_study_of_the_contract(assets: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trace = assets / "traces" / "archie-car.csv.gz"
    code, value = call(capsys, "--trace", str(trace), "--repeats", "4", "--json",
                       "--target-recall", "0.9", "--target-precision", "0.9")  # fmt: skip
    assert code == 0
    assert value["steady"]["repetitions"] == value["drifting"]["repetitions"] == 4
    assert value["drifting"]["sightflow"]["kept_repetitions"]["share"] >= 0.5


def test_wrong_usage_ends_with_2(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(capsys)[0] == 2
    scene = str(folder / "scene.mp4")
    assert call(capsys, "--video", scene, "--zone", "1,2,x")[0] == 2
    assert call(capsys, "--video", scene, "--zone", "1,2,3")[0] == 2
    assert call(capsys, "--video", str(folder / "gone.mp4"))[0] == 1
    with pytest.raises(RecordError, match="must hold at least 256 frames, got 100"):
        CascadeStudy(video(folder), 100, PERSON, Targets(0.9, 0.9))
