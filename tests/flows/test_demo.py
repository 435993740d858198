from __future__ import annotations

import json
from pathlib import Path

import cv2
import pytest

from connectors.replay import EventLog
from flows.cli import main
from flows.demo import DemoSettings, demo
from records import Alert, SightflowError, Stage, Verdict


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo") / "runs" / "demo"


def test_the_demo_of_a_made_scene(output: Path) -> None:
    report = demo(DemoSettings(output, synthetic=True))
    assert report.good
    summary = report.summary
    assert (summary.frames, summary.model) == (600, "silhouette")
    assert summary.decided[Stage.DIFFERENCE] > 100
    assert sum(summary.decided.values()) == 600
    assert report.verified == summary.delivered >= 2
    assert len(report.baseline.answers) == 80
    assert report.same_alarm > 0.9
    assert report.picture is not None
    picture = cv2.imread(str(report.picture))
    assert picture is not None
    assert picture.shape == (394, 640, 3)
    log = EventLog.open(output)
    kinds = [type(record) for record in log.records()]
    assert (kinds.count(Verdict), kinds.count(Alert)) == (600, report.verified)


def test_the_demo_replaces_its_own_folder_and_no_other(
    output: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (output / "left over").touch()
    with pytest.raises(SystemExit) as caught:
        main(["demo", "--synthetic", "--output", str(output)])
    assert caught.value.code in {0, None}
    out = capsys.readouterr().out
    assert "alerts delivered" in out
    assert "demo.yaml" in out
    assert not (output / "left over").exists()
    other = output.parent / "other"
    other.mkdir()
    (other / "mine").touch()
    with pytest.raises(SightflowError, match="holds something that is not the demo's"):
        demo(DemoSettings(other, synthetic=True))
    assert (other / "mine").exists()


def test_the_demo_of_the_clip(
    assets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert assets.is_dir()
    with pytest.raises(SystemExit) as caught:
        main(["demo", "--json", "--output", str(tmp_path / "demo")])
    assert caught.value.code in {0, None}
    value = json.loads(capsys.readouterr().out)
    assert (value["ok"], value["frames"]) == (True, 795)
    assert value["detector"]["model"] == "yolox_nano"
    assert sum(value["decided"].values()) == 795
    assert value["alerts_verified"] >= 1
    assert value["same_alarm"] > 0.95
    assert Path(value["picture"]).is_file()
