"""`alerts why` and `alerts why-not` on runs of a synthetic street, and on a real clip."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import cv2
import pytest

from connectors.replay import EventLog
from flows import config
from flows.cli import main
from flows.run import RunRequest, run
from records import Alert, Stage, Verdict
from tests.support.scenes import write_configuration, write_street

if TYPE_CHECKING:
    from pathlib import Path

GHOST = '''
from operators.assertions import Moment
from records import Correction, CorrectionKind, Finding, Place

class Ghost:
    """Boxes at the left edge are no objects."""

    name = "ghost"
    window_seconds = 0.0

    def start(self, state=None):
        return self

    def snapshot(self):
        return None

    def observe(self, moment):
        boxes = moment.outputs["detections"].boxes.tolist()
        return [
            Finding(moment.stream, "ghost", moment.sequence, moment.time_ns, moment.sequence,
                    moment.time_ns, 1.0, "a ghost", str(place), correction=Correction(
                        CorrectionKind.DROP, (Place(moment.sequence, moment.time_ns, tuple(box)),)))
            for place, box in enumerate(boxes) if box[0] < 60
        ]

ghost = Ghost()
'''

MORE = """\
assertions: {files: [ghost.py], alerts: {only: [ghost], clear_seconds: 1.5}, correct: {ghost: 0}}
"""


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run over the street, with corrections; tests only read it."""
    street = write_street(tmp_path_factory.mktemp("street"))
    (street.folder / "ghost.py").write_text(GHOST, encoding="utf-8")
    write_configuration(street, at_least=4, more=MORE)
    configuration, text = config.load(street.configuration)
    target = street.folder / "runs" / "one"
    run(RunRequest(configuration, text, street.folder, target))
    return target


def call(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as caught:
        main([str(word) for word in words])
    out, err = capsys.readouterr()
    code = caught.value.code
    return (code if isinstance(code, int) else 0), out, err


def call_json(capsys: pytest.CaptureFixture[str], *words: object) -> dict[str, Any]:
    code, out, _ = call(capsys, *words, "--json")
    assert code == 0, out
    value: dict[str, Any] = json.loads(out)
    assert value["ok"] is True
    return value


def alerts_of(run_dir: Path, rule: str) -> list[Alert]:
    found = EventLog.open(run_dir).records("gate")
    return [one for one in found if isinstance(one, Alert) and one.rule == rule]


def verdicts_of(run_dir: Path) -> list[Verdict]:
    return [one for one in EventLog.open(run_dir).records("gate") if isinstance(one, Verdict)]


def test_why_a_rule_alerted(
    run_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    alert = alerts_of(run_dir, "people")[0]
    words = ("alerts", "why", alert.id, "--log", run_dir, "--out", tmp_path / "pictures")
    value = call_json(capsys, *words)
    assert value["id"] == alert.episode
    assert (value["kind"], value["rule"], value["model"]) == ("rule", "people", "silhouette")
    assert value["configuration"] == EventLog.open(run_dir).manifest.configuration_sha256
    assert value["settings"]["at_least"] == 4
    assert value["changes"][0]["id"] == alert.id
    decided = {one.sequence: one for one in verdicts_of(run_dir)}
    assert 5 <= len(value["frames"]) <= 7
    for frame in value["frames"]:
        verdict = decided[frame["sequence"]]
        assert frame["value"] == verdict.answer.count("person")
        assert (frame["stage"], frame["copied_from"]) == (verdict.stage, verdict.copied_from)
        counted = [box for box in frame["boxes"] if box["look"] == "counted"]
        assert len(counted) == frame["value"]
    (opened,) = (one for one in value["frames"] if "opened" in one["moments"])
    assert (opened["sequence"], opened["value"]) == (alert.sequence, 4)
    assert value["notes"] == []
    assert value["picture"] == str(
        tmp_path / "pictures" / f"gate-people-{alert.opened_sequence}.png"
    )
    picture = cv2.imread(value["picture"])
    assert picture is not None
    assert picture.shape[1] > 1000
    code, out, err = call(capsys, *words)
    assert (code, err) == (0, "")
    assert out.startswith(f"people on gate: {alert.message}\nopened 1970-01-01T00:00:0")
    assert out.endswith(f"picture: {value['picture']}\n")
    assert f"{alert.sequence}" in out


def test_why_an_assertion_alerted_shows_what_was_dropped(
    run_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    alert = alerts_of(run_dir, "ghost")[0]
    value = call_json(capsys, "alerts", "why", alert.episode, "--log", run_dir)
    assert (value["kind"], value["object"]) == ("assertion", alert.object)
    own = [one for one in value["findings"] if one["assertion"] == "ghost"]
    assert own[0]["message"] == "a ghost"
    assert own[0]["correction"]["kind"] == "drop"
    (opened,) = (one for one in value["frames"] if "opened" in one["moments"])
    assert "dropped" in {box["look"] for box in opened["boxes"]}
    assert value["picture"] == str(run_dir / "why" / value["picture"].rpartition("/")[2])
    code, out, _ = call(capsys, "alerts", "why", alert.episode, "--log", run_dir)
    assert code == 0
    assert "found: a ghost, severity 1; correction: drop at 1 place, not calibrated" in out


def test_without_its_video_the_boxes_are_shown_alone(
    run_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    alert = alerts_of(run_dir, "people")[0]
    scene = run_dir.parent.parent / "scene.mp4"
    moved = scene.rename(tmp_path / "moved.mp4")
    words = ("alerts", "why", alert.id, "--log", run_dir, "--out", tmp_path)
    try:
        plain = call_json(capsys, *words)
        named = call_json(capsys, *words, "--video", moved)
    finally:
        moved.rename(scene)
    assert plain["notes"] == [
        "boxes without frames: the video scene.mp4 is not there any more; name a recording with "
        "--video FILE"
    ]
    assert named["notes"] == []
    assert plain["frames"] == named["frames"]
    code, _, err = call(capsys, *words, "--video", tmp_path / "gone.mp4")
    assert (code, err) == (1, f"error: the video {tmp_path / 'gone.mp4'} is not there\n")


def test_ids_that_there_are_not_end_with_1(
    run_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = call(capsys, "alerts", "why", "gate:nobody:1", "--log", run_dir)
    assert (code, out) == (1, "")
    assert err.startswith(f"error: {run_dir} has no alert 'gate:nobody:1'; 'sightflow alerts list")


def test_why_not_agrees_with_the_log_at_every_frame(
    run_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    verdicts = verdicts_of(run_dir)
    opened = {one.sequence for one in alerts_of(run_dir, "people") if one.state == "opened"}
    for verdict in verdicts[::7] + [verdicts[one] for one in sorted(opened)]:
        words = ("--stream", "gate", "--at", verdict.time_ns / 10**9, "--log", run_dir)
        value = call_json(capsys, "alerts", "why-not", *words, "--rule", "people")
        (answer,) = value["rules"]
        assert value["notes"] == []
        assert value["frame"]["sequence"] == verdict.sequence
        assert answer["measured"]["count"] == verdict.answer.count("person")
        assert (answer["reason"] == "told") == (verdict.sequence in opened)
        if answer["reason"] == "count":
            assert answer["measured"]["count"] < answer["needed"]["at_least"] == 4
            copied = f"copied the answer of frame {verdict.copied_from}"
            assert (copied in answer["words"]) == (verdict.stage is Stage.DIFFERENCE)


def test_why_not_for_people_and_wrong_times(
    run_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("alerts", "why-not", "--stream", "gate", "--log", run_dir)
    code, out, err = call(capsys, *words, "--at", "1970-01-01T00:01:00Z")
    assert (code, err) == (0, "")
    first, *rest = out.splitlines()
    assert first == (
        "gate at 1970-01-01T00:01:00.000Z: there is no frame at that time; the last before it is "
        "frame 119 at 1970-01-01T00:00:11.900Z; ended 120 at 1970-01-01T00:00:11.900Z"
    )
    assert rest[0] == "people: there is no frame at that time"
    code, _, err = call(capsys, *words, "--at", "noon")
    assert code == 2
    assert "a time must be RFC 3339" in err
    code, _, err = call(capsys, *words, "--at", "3", "--rule", "nobody")
    assert code == 1
    assert "error: the run has no rule or assertion 'nobody'; it has people, " in err


def test_a_real_clip(assets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "street.yaml"
    path.write_text(
        f"""\
version: 1
name: street
streams: {{gate: {{uri: "{assets / "video" / "vtest.avi"}", frames_at_most: 30}}}}
detector: {{model: yolox_nano, threads: 1}}
cascade: {{difference: null}}
alerts: [{{name: crowd, class: person, at_least: 5, score_at_least: 0.5}}]
""",
        encoding="utf-8",
    )
    configuration, text = config.load(path)
    run_dir = tmp_path / "runs" / "one"
    run(RunRequest(configuration, text, tmp_path, run_dir))
    first = alerts_of(run_dir, "crowd")[0]
    value = call_json(capsys, "alerts", "why", first.id, "--log", run_dir)
    assert value["notes"] == []
    assert cv2.imread(value["picture"]) is not None
    at = (first.sequence - 1) / 10
    words = ("--stream", "gate", "--at", at, "--log", run_dir)
    answer = call_json(capsys, "alerts", "why-not", *words)["rules"][0]
    assert answer["reason"] in {"count", "score"}
