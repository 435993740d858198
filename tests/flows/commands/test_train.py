"""`sightflow train`: one round, its JSON, and an end in order when it is interrupted."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from typing import TYPE_CHECKING

import pytest
import typer
from ruamel.yaml import YAML

from flows.cli import main
from flows.commands.train import parse_time
from tests.support.training import camera

if TYPE_CHECKING:
    from pathlib import Path


def call(*words: str | Path) -> int:
    with pytest.raises(SystemExit) as caught:
        main([str(word) for word in words])
    code = caught.value.code
    return code if isinstance(code, int) else 0


def written(folder: Path, **training: object) -> Path:
    place = camera(folder)
    (folder / "clip.mp4").touch()
    values = place.values(**training) | {
        "streams": {"gate": {"uri": "clip.mp4"}}, "models": {"directory": "registry"},
    }  # fmt: skip
    path = folder / "street.yaml"
    with path.open("w", encoding="utf-8") as file:
        YAML(typ="safe").dump(values, file)
    return path


def test_one_round_and_its_result(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, items=200, block_seconds=2.0)
    assert call("validate", path) == 0
    capsys.readouterr()
    assert call("train", path, "--once", "--json", "--plan", "auto") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["ok"], told["model"], told["stopped"], len(told["rounds"])) == (
        True, "gate", False, 1,
    )  # fmt: skip
    (one,) = told["rounds"]
    assert (one["number"], one["trigger"], one["finished"], one["items"]) == (1, "asked", True, 200)
    assert (one["labels"], one["unused"]) == ({"asked": 200}, {})
    assert set(one["plan"]) == {"asked", "executed", "reason"}
    assert (one["plan"]["asked"], one["plan"]["executed"]) == ("auto", "single")
    assert (one["version"], one["parent"]) == (1, None)
    assert set(one["metrics"]["after"]["spared"]) == {"value", "low", "high", "n"}
    assert one["seconds"] > 0
    assert one["joules"] > 0
    assert call("train", path, "--once") == 0
    out = capsys.readouterr().out
    assert "asked" in out


def test_a_trainer_that_is_interrupted_ends_in_order_and_goes_on_later(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path, items=200, block_seconds=2.0, queue_items=10)
    checkpoint = tmp_path / "registry" / ".training" / "gate" / "round" / "checkpoint"

    def interrupt() -> None:
        while not checkpoint.exists():
            time.sleep(0.005)
        os.kill(os.getpid(), signal.SIGTERM)

    other = threading.Thread(target=interrupt)
    other.start()
    # Without --once it ends by the interrupt alone.
    assert call("train", path, "--json") == 0
    other.join()
    told = json.loads(capsys.readouterr().out)
    assert told["stopped"]
    assert told["rounds"][0]["trigger"] == "queue"
    assert call("train", path, "--once", "--json") == 0
    (one,) = json.loads(capsys.readouterr().out)["rounds"]
    assert one["finished"]


def test_until_is_a_time_with_its_zone() -> None:
    assert parse_time("") is None
    assert parse_time("1970-01-01T00:00:01Z") == 1_000_000_000
    for text in ("tomorrow", "2026-05-01T08:00:00"):
        with pytest.raises(typer.BadParameter) as caught:
            parse_time(text)
        assert str(caught.value) == f"--until must be a time with its zone, got {text!r}"


def test_what_is_missing_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.yaml"
    (tmp_path / "clip.mp4").touch()
    head = "version: 1\nname: n\nstreams: {gate: {uri: clip.mp4}}\n"
    path.write_text(head, encoding="utf-8")
    assert call("train", path) == 3
    assert capsys.readouterr().err == (
        f"error: 1 fault in the configuration:\n  {path}: training: is missing. "
        "Say which model is trained, and when.\n"
    )
    text = f"{head}detector: {{model: ssd_mobilenetv2_oiv4}}\n"
    text += "training: {model: gate, kind: detector, streams: [till]}\n"
    path.write_text(text, encoding="utf-8")
    assert call("train", path) == 3
    assert capsys.readouterr().err.splitlines()[1:] == [
        f"  {path}:5: training: needs a registry. Name the registry's folder: models.directory.",
        f"  {path}:5: training: needs a retraining queue. Name its file: retraining.queue, or "
        "training.queue.",
        f"  {path}:5: training.kind: can train yolox_nano only (got 'detector'). "
        "Set detector.model to yolox_nano.",
        f"  {path}:5: training.streams[0]: is no stream (got 'till'). Use one of gate.",
    ]
