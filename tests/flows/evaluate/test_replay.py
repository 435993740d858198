"""Two configurations on one recording, from the files to the report."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from flows import config
from flows.evaluate.replay import RECORDED, Comparison, ReplayStudy, evaluate_replay
from flows.evaluate.replay_bootstrap import BootstrapSettings
from flows.evaluate.replay_pictures import disagreements
from flows.evaluate.replay_report import report_html, write_report
from flows.evaluate.replay_truth import Question
from flows.replay import OpenOptions, open_recording
from flows.replay.inputs import VideoInput
from records import SightflowError, SourceError
from tests.support.recordings import Town, record_town, write_town

if TYPE_CHECKING:
    from pathlib import Path

    from connectors.video import VideoSettings

EVERY = "{difference: null}"
BOOTSTRAP = BootstrapSettings(0.5, resamples=500)


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Town:
    made = write_town(tmp_path_factory.mktemp("town"))
    record_town(made)
    return made


def write_truth(town: Town, folder: Path) -> dict[str, Path]:
    """What the scene says itself: boxes of one stream, counts of the other."""
    boxes, counts = folder / "gate.txt", folder / "till.txt"
    lines = [
        f"{k + 1},{track},{x1},{y1},{x2 - x1},{y2 - y1},1,-1"
        for k, found in enumerate(town.truth["gate"])
        for (x1, y1, x2, y2), name, track in zip(
            found.boxes.tolist(), found.classes, found.tracks, strict=True
        )
        if name == "person"
    ]
    boxes.write_text("\n".join(lines) + "\n")
    counts.write_text("".join(f"{found.count('person')}\n" for found in town.truth["till"]))
    return {"gate": boxes, "till": counts}


def compare(town: Town, recording: Path, **study: object) -> Comparison:
    a = town.write("a.yaml", cascade=EVERY)
    b = town.write("b.yaml", cascade="{difference: {threshold: 2000}}", at_least=2)
    values = {"bootstrap": BOOTSTRAP} | study
    return evaluate_replay(ReplayStudy(a, b, str(recording), **values), lambda _: None)  # type: ignore[arg-type]  # any field


def test_videos_against_the_truth(town: Town, tmp_path: Path) -> None:
    truth = write_truth(town, tmp_path)
    found = compare(town, town.videos, truth=truth)
    value = found.to_json()
    assert value["frames"] == 100
    assert value["question"] == {"class": "person", "at_least": 1, "score_at_least": 0.0}
    a, b = value["a"], value["b"]
    assert (a["reference_calls"], a["detector_frames"], a["model"]) == (100, 100, "silhouette")
    assert 0 < b["reference_calls"] < 20
    calls = value["differences"]["calls"]
    assert (calls["a"], calls["b"]) == (1.0, b["reference_calls"] / 100)
    assert -1 <= calls["low"] <= calls["difference"] <= calls["high"] < -0.5
    error = value["differences"]["count_error"]
    assert 0 < error["a"] < error["b"]
    # Boxes are compared only where every truth has them.
    assert sorted(value["differences"]) == ["calls", "count_error", "frame_accuracy"]
    assert (value["blocks"], value["block_seconds"]) == (12, 0.5)
    alerts = value["alerts"]
    assert alerts["kept"] + len(alerts["lost"]) == a["alerts"]
    assert alerts["kept"] + len(alerts["gained"]) == b["alerts"]


def test_boxes_of_one_stream(town: Town, tmp_path: Path) -> None:
    truth = {"gate": write_truth(town, tmp_path)["gate"]}
    values = compare(town, town.videos, truth=truth).to_json()["differences"]
    assert sorted(values) == ["calls", "count_error", "f1", "frame_accuracy", "precision", "recall"]
    assert values["f1"]["a"] > 2 * values["f1"]["b"]
    assert values["f1"]["high"] < 0


def test_a_log_against_the_recorded_reference(town: Town) -> None:
    found = compare(town, town.log)
    assert found.truth_from == RECORDED
    # Neither decides anything anew: the verdicts are the recorded ones, and only alerts differ.
    assert (found.agreement, found.differences["calls"].difference) == (1.0, 0.0)
    assert found.differences["f1"].a == found.differences["f1"].b == 1.0
    assert found.a.summary.run.detector_frames == 0
    again = compare(town, town.log, options=OpenOptions(decode=True))
    assert again.a.summary.run.detector_frames == 100
    assert again.differences["f1"].a == pytest.approx(1.0)
    assert again.differences["f1"].b < 1


def test_without_truth_only_calls_alerts_and_agreement_are_told(town: Town) -> None:
    found = compare(town, town.videos, question=Question("car", 1))
    assert (list(found.differences), found.truth_from) == (["calls"], "none")
    assert found.agreement is not None
    assert found.agreement < 1


def test_the_report_holds_everything(town: Town, tmp_path: Path) -> None:
    videos = _videos(town)
    found = compare(town, town.videos, truth=write_truth(town, tmp_path))
    write_report(tmp_path / "report.html", found, videos)
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert text == report_html(found, videos)
    assert text.startswith("<!doctype html>")
    assert "http:" not in re.sub(r"data:[^\"]*", "", text)
    assert "https:" not in text
    assert text.count("data:image/svg+xml") == 3
    chosen = disagreements(found)
    assert 0 < len(chosen) <= 4
    assert text.count("data:image/jpeg") == 2 * len(chosen)
    blocks = found.blocks.of_frame[chosen]
    assert len(np.unique(blocks)) == len(chosen)
    for word in ("frames answered right", "a.yaml", "b.yaml", found.a.summary.sha256):
        assert word in text
    assert text.count("<figure>") == text.count("</figure>") == 3 + len(chosen)
    assert text.count("<img ") == len(re.findall(r'<img [^>]* alt="[^"]+">', text))


def test_names_are_escaped_and_videos_that_are_gone_are_told_of(town: Town) -> None:
    found = compare(town, town.log)
    study = replace(found.study, recording="<script>")
    gone = {name: replace(video, uri="gone.mp4") for name, video in _videos(town).items()}
    text = report_html(replace(found, study=study), gone)
    assert "<script>" not in text
    assert "&lt;script&gt;" in text
    decoded = compare(town, town.videos)
    assert "No frame can be shown: " in report_html(decoded, gone)
    assert "Frames that they count" not in report_html(decoded, {})


def test_a_report_that_cannot_be_written(town: Town, tmp_path: Path) -> None:
    with pytest.raises(SourceError) as error:
        write_report(tmp_path, compare(town, town.log), {})
    assert str(error.value) == f"the report {tmp_path} cannot be written: Is a directory"


def test_what_cannot_be_compared(town: Town, tmp_path: Path) -> None:
    def told(**study: object) -> str:
        with pytest.raises(SightflowError) as error:
            compare(town, town.log, **study)
        return str(error.value)

    path = tmp_path / "x.txt"
    path.write_text("1\n")
    assert told(truth={"": path}) == (
        "truth must name its stream, NAME=PATH: the recording has gate, till"
    )
    assert told(truth={"door": path}) == "there is truth for stream 'door', which was not replayed"
    nothing = tmp_path / "nothing.yaml"
    nothing.write_text("version: 1\nname: n\nstreams: {gate: {uri: 'webcam:0'}}\n")
    with pytest.raises(SightflowError) as error:
        evaluate_replay(ReplayStudy(nothing, nothing, str(town.log)), lambda _: None)
    assert str(error.value) == (
        f"{nothing} asks for no class: it has neither cascade.predicate nor alerts; say which "
        "counts with --class"
    )


def _videos(town: Town) -> dict[str, VideoSettings]:
    configuration, _ = config.load(town.write())
    recording = open_recording(str(town.videos), configuration, town.folder)
    assert isinstance(recording, VideoInput)
    return recording.settings()
