from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from flows.cli import main
from tests.support.recordings import Town, record_town, write_town

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Town:
    made = write_town(tmp_path_factory.mktemp("town"))
    record_town(made)
    return made


def call(*words: str | Path) -> int:
    with pytest.raises(SystemExit) as caught:
        main([str(word) for word in words])
    code = caught.value.code
    return code if isinstance(code, int) else 0


def test_replay_prints_what_it_did(
    town: Town, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = town.write()
    assert call("replay", town.log, path, "--run-dir", tmp_path / "a", "--json") == 0
    value: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert (value["ok"], value["holds"], value["speed"], value["frames"]) == (
        True, "verdicts", "max", 100,
    )  # fmt: skip
    assert value["run_dir"] == str(tmp_path / "a")
    assert call("replay", town.log, path, "--run-dir", tmp_path / "b", "--speed", "1000") == 0
    out = capsys.readouterr().out
    assert "recorded verdicts replayed at speed 1000: 5.9 s of event time" in out
    assert f"SHA-256 of all that was decided: {value['sha256']}" in out
    assert "not taken from the recording, but told anew: " in out


def test_replay_of_what_is_damaged_ends_with_1(
    town: Town, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_dir = tmp_path / "run"
    assert call("replay", town.log, town.write(), "--run-dir", run_dir) == 0
    segment = run_dir / "log" / "gate" / "00000000.seg"
    segment.write_bytes(segment.read_bytes()[:-5])
    capsys.readouterr()
    assert call("replay", run_dir, town.write(), "--run-dir", tmp_path / "again") == 1
    assert "damaged: gate/00000000.seg at byte" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--speed", "fast"], 2, "--speed must be a number or max, got 'fast'"),
        (["--stream", "gate"], 2, "--stream must be NAME=PATH, once for each, got 'gate'"),
        (["--stream", "gate=x"], 1, "holds no videos; leave out --stream and --decode"),
    ],
)
def test_wrong_usage(
    town: Town, capsys: pytest.CaptureFixture[str], words: list[str], code: int, message: str
) -> None:
    assert call("replay", town.log, town.write(), *words) == code
    assert message in " ".join(capsys.readouterr().err.replace("│", " ").split())


def test_a_recording_that_is_not_there(town: Town, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("replay", town.folder / "x", town.write()) == 1
    assert "which is not there" in capsys.readouterr().err
    assert call("replay", town.log, town.folder / "x.yaml") == 3


def test_evaluate_replay(town: Town, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a = town.write("a.yaml")
    b = town.write("b.yaml", at_least=3)
    report = tmp_path / "report.html"
    words: list[str | Path] = ["evaluate", "replay", a, b, "--log", town.log, "--report", report]
    assert call(*words, "--block-seconds", "0.5", "--json") == 0
    value = json.loads(capsys.readouterr().out)
    assert (value["ok"], value["frames"], value["report"]) == (True, 100, str(report))
    assert value["alerts"]["kept"] <= value["a"]["alerts"]
    assert "data:image/svg+xml" in report.read_text(encoding="utf-8")
    assert call(*words, "--class", "car") == 0
    out = capsys.readouterr().out
    assert "100 frames: A a.yaml, B b.yaml" in out
    assert "too few blocks" in out
    assert "alerts: " in out
    assert call(*words, "--truth", "=x") == 2
    assert "--truth must be PATH or NAME=PATH" in capsys.readouterr().err
