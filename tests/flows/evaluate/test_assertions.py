from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from flows.assertions import read_calibration
from flows.cli import main
from flows.evaluate.assertions import (
    AssertionStudy,
    calibration_of,
    evaluate_assertions,
    find,
    save_calibration,
)
from flows.evaluate.assertions_builtin import ASSERTIONS, View, make_assertions
from flows.evaluate.assertions_recording import Inputs, read_recordings
from operators.assertions.agree import Agree
from records import RecordError, SightflowError
from tests.support.labelled import recording, truth_of
from tests.support.sensors import cars

if TYPE_CHECKING:
    from pathlib import Path

A, B, GHOST = (0.0, 100.0, 90.0, 190.0), (300.0, 100.0, 390.0, 190.0), (600.0, 100.0, 690.0, 190.0)


def with_ghosts(name: str, frames: int) -> Any:
    """The LIDAR sees an object that is not there in every second frame; the camera is right."""
    truth = [truth_of([A, B])] * frames
    lidar = [cars([A, B, GHOST][: 2 + k % 2], [0.9, 0.9, 0.25][: 2 + k % 2]) for k in range(frames)]
    return recording([cars([A, B])] * frames, truth, lidar, name)


@pytest.mark.parametrize("split", ["halves", "others"])
def test_sure_corrections_are_applied_where_they_were_not_learned(split: str) -> None:
    study = AssertionStudy((Agree(),), split)
    recordings = [with_ghosts("gate", 80), with_ghosts("door", 80)]
    found = evaluate_assertions(recordings, study)
    n = 80 if split == "others" else 40
    assert found["assertions"]["agree"].pop("microseconds_per_frame") > 0
    assert found == {
        "frames": 2 * n,
        "assertions": {
            "agree": {
                "fires": n, "judged": n, "precision": 1.0, "box_false": 1.0,
                "corrections": n, "correction_right": 1.0,
                "applied": n, "applied_right": 1.0, "faults": n, "recall": 1.0,
            }
        },
        "accuracy_before": round(8 * n / (8 * n + n / 2), 4),
        "accuracy_after": 1.0,
        "outputs": {
            "detections": {"accuracy_before": 1.0, "accuracy_after": 1.0},
            "lidar": {"accuracy_before": round(8 / 9, 4), "accuracy_after": 1.0},
        },
        "recordings": {
            name: {"accuracy_before": round(16 / 17, 4), "accuracy_after": 1.0}
            for name in ("gate", "door")
        },
    }  # fmt: skip


def test_what_was_not_calibrated_is_not_applied() -> None:
    found = evaluate_assertions([with_ghosts("gate", 40)], AssertionStudy((Agree(),)))
    assert found["assertions"]["agree"]["applied"] == 0
    assert found["accuracy_after"] == found["accuracy_before"]


def test_the_saved_calibration_is_of_all_recordings(tmp_path: Path) -> None:
    study = AssertionStudy((Agree(),))
    calibration = calibration_of(find([with_ghosts("gate", 60), with_ghosts("door", 40)], study))
    save_calibration(calibration, tmp_path / "new" / "known.json")
    assert read_calibration(tmp_path / "new" / "known.json") == calibration
    assert calibration.apart == {"agree"}
    assert {key: curves.model_wrong.n for key, curves in calibration.curves.items()} == {
        ("agree", ""): 50, ("agree", "lidar/drop"): 50,
    }  # fmt: skip
    with pytest.raises(SightflowError, match="new cannot be written: Is a directory$"):
        save_calibration(calibration, tmp_path / "new")


def test_studies_are_checked() -> None:
    with pytest.raises(RecordError, match="^split must be halves or others, got 'thirds'$"):
        AssertionStudy((Agree(),), "thirds")
    with pytest.raises(RecordError, match="^assertions must name at least one assertion$"):
        AssertionStudy(())
    with pytest.raises(RecordError, match="^split others needs more recordings, got 1$"):
        evaluate_assertions([with_ghosts("gate", 4)], AssertionStudy((Agree(),), "others"))
    with pytest.raises(
        RecordError, match="^assertions must be of agree, flicker, .*, got flikker$"
    ):
        make_assertions(["flikker"], View("car"))


def test_lidar_and_camera_of_kitti(assets: Path) -> None:
    names = ("0000", "0003", "0006", "0010")
    folder = assets / "lidar"
    inputs = Inputs(
        folder / "truth", "car", folder / "camera_car", folder / "lidar_car", names=names
    )
    recordings = read_recordings(inputs)
    assert not any(faults.count for one in recordings for faults in one.faults)
    study = AssertionStudy(make_assertions(tuple(ASSERTIONS), View("car")), "others")
    found = evaluate_assertions(recordings, study)
    agree = found["assertions"]["agree"]
    assert agree["contexts"]["lidar/drop"]["box_false"] >= 0.85
    assert agree["precision"] >= 0.95
    assert agree["outputs"]["lidar"]["recall"] >= 0.7
    for each in (*found["recordings"].values(), *found["outputs"].values()):
        assert each["accuracy_after"] >= each["accuracy_before"]
    assert found["accuracy_after"] > found["accuracy_before"] + 0.1


def run(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as caught:
        main(["evaluate", "assertions", *map(str, words)])
    out, err = capsys.readouterr()
    code = caught.value.code
    return (code if isinstance(code, int) else 0), out, err


def test_the_command(assets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = assets / "lidar"
    words = ["--detections", folder, "--truth", folder / "truth", "--recording", "0003"]
    code, out, _ = run(capsys, *words, "--json")
    value = json.loads(out)
    assert (code, value["ok"], value["class"], value["frames"]) == (0, True, "car", 72)
    assert set(value["assertions"]) == set(ASSERTIONS)
    fields = {"fires", "precision", "recall", "correction_right", "microseconds_per_frame"}
    assert all(fields <= set(one) for one in value["assertions"].values())
    assert {"accuracy_before", "accuracy_after"} <= set(value)
    saved = tmp_path / "known.json"
    some = ["--assertion", "agree", "--assertion", "flicker", "--save", saved]
    code, out, _ = run(capsys, *words, *some)
    assert code == 0
    assert read_calibration(saved).curves["agree", "lidar/drop"].model_wrong.n > 30
    code, out, _ = run(capsys, *words, *some, "--json")
    told = {"file": str(saved), "fitted_on": "all recordings"}
    assert (code, json.loads(out)["calibration"]) == (0, told)
    code, out, _ = run(capsys, *words, *some[:-2])
    assert "agree" in out
    assert "appear" not in out


def test_the_command_tells_bad_lines_and_wrong_usage(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "gt.txt"
    path.write_text("1,1,0,0,10,20,1\nnonsense\n", encoding="utf-8")
    code, out, err = run(capsys, "--detections", path, "--truth", path, "--json")
    value = json.loads(out)
    assert (code, value["class"], value["faulty_lines"]) == (0, "person", 2)
    assert "agree" not in value["assertions"]
    assert "1 lines are no boxes; line 2: must have at least 7 fields" in err.replace("\n", " ")
    assert run(capsys, "--truth", path)[0] == 2
    agree = ["--detections", path, "--truth", path, "--assertion", "agree"]
    code, _, err = run(capsys, *agree)
    assert (code, "agree needs --lidar" in err) == (2, True)
    code, out, _ = run(capsys, "--detections", path, "--truth", tmp_path / "none.txt", "--json")
    assert (code, json.loads(out)["error"]) == (1, "SourceError")
