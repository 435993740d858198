from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from typer.main import get_command

from flows.cli import app, main
from tests.support.configurations import ENVIRONMENT, SECRET, broken
from tests.support.ecg import random_model, write_record

if TYPE_CHECKING:
    from tests.support.scenes import Street

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
CONFIGS = ROOT / "configs"


def call(*words: str | Path) -> int:
    """Run a command in this process and give its exit code."""
    with pytest.raises(SystemExit) as caught:
        main([str(word) for word in words])
    code = caught.value.code
    return code if isinstance(code, int) else 0


def commands() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, command in get_command(app).commands.items():  # type: ignore[attr-defined]
        inner = getattr(command, "commands", None)
        if inner is None:
            found[name] = command
        else:
            found |= {f"{name} {word}": one for word, one in inner.items()}
    return found


def test_every_command_has_help_takes_json_and_is_in_the_readme() -> None:
    readme = README.read_text(encoding="utf-8")
    assert len(commands()) == 33
    for name, command in commands().items():
        assert command.help, name
        assert any("--json" in parameter.opts for parameter in command.params), name
        parameters = [one for one in command.params if one.name != "help"]
        assert all(getattr(one, "help", None) for one in parameters), name
        assert f"sightflow {name}" in readme, name


def test_the_module_is_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "flows.cli", "version", "--json"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert json.loads(done.stdout)["bytewax"] == "0.21.1"


def test_exit_codes(tmp_path: Path, street: Street, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("validate", street.configuration) == 0
    assert call("validate", tmp_path / "missing.yaml") == 3
    assert call("validate") == 2
    assert call("nonsense") == 2
    assert call("assets", "fetch", "nonsense") == 2
    assert "no asset named nonsense" in capsys.readouterr().err


def test_validate_tells_faults_as_text_and_as_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("version: 2\nname: n\nstreams: {gate: {uri: webcam:0}}\n", encoding="utf-8")
    assert call("validate", path) == 3
    out, err = capsys.readouterr()
    assert out == ""
    assert err == (
        f"error: 1 fault in the configuration:\n  {path}:1: version: must be 1 (got 2). "
        "Use one of these.\n"
    )
    assert call("validate", path, "--json") == 3
    value = json.loads(capsys.readouterr().out)
    assert (value["ok"], value["error"]) == (False, "ConfigurationError")
    assert value["faults"] == [
        {
            "file": str(path),
            "line": 1,
            "key": "version",
            "value": "2",
            "problem": "must be 1",
            "remedy": "Use one of these.",
        }
    ]


def test_two_hundred_broken_configurations_end_with_3_and_no_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "clip.mp4").touch()
    path = tmp_path / "a.yaml"
    told = 0
    for text in list(broken())[:260]:
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
        code = call("validate", path)
        out, err = capsys.readouterr()
        assert code in {0, 3}, text
        told += code == 3
        assert "Traceback" not in out + err
        assert SECRET not in out + err
    assert told >= 200


def test_init_writes_what_validate_takes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / 'it\'s a "clip".mp4').touch()
    path = tmp_path / "sightflow.yaml"
    words: list[str | Path] = [
        "init",
        path,
        "--source",
        'it\'s a "clip".mp4',
        "--detect",
        "car",
        "--at-least",
        "2",
    ]
    assert call(*words) == 0
    assert "to mend" not in capsys.readouterr().out
    assert call("validate", path, "--json") == 0
    assert json.loads(capsys.readouterr().out)["streams"] == ["camera"]
    before = path.read_bytes()
    assert call("init", path) == 1
    assert path.read_bytes() == before
    assert "is there already" in capsys.readouterr().err
    assert call("init", path, "--force", "--source", "gone.mp4") == 0
    assert "to mend: " in capsys.readouterr().out


def test_schema_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("schema") == 0
    assert json.loads(capsys.readouterr().out)["title"] == "Sightflow configuration"


def test_run_prints_a_summary(street: Street, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("run", street.configuration, "--json") == 0
    value = json.loads(capsys.readouterr().out)
    assert (value["ok"], value["frames"], value["streams"]["gate"]["entered"]) == (True, 120, 120)
    assert Path(value["run_dir"]).parent == street.folder / "runs"
    assert call("run", street.configuration) == 0
    out = capsys.readouterr().out
    assert "what became of the frames" in out
    assert "silhouette saw" in out


def test_run_of_an_unreadable_video_ends_with_1_and_a_line(
    street: Street, capsys: pytest.CaptureFixture[str]
) -> None:
    (street.folder / "scene.mp4").write_bytes(b"")
    assert call("run", street.configuration) == 1
    out, err = capsys.readouterr()
    assert "scene.mp4" in out
    assert "Traceback" not in out + err


def test_assets_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("assets", "list", "--json") == 0
    assets = json.loads(capsys.readouterr().out)["assets"]
    assert {"vtest", "yolox_nano", "ssd_mobilenetv2_oiv4"} <= {asset["name"] for asset in assets}
    assert all(asset["licence"] == "Apache-2.0" for asset in assets)
    assert call("assets", "list") == 0
    assert "yolox_nano" in capsys.readouterr().out


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.name)
def test_the_configurations_that_ship_are_right(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIGHTFLOW_VIDEO", str(tmp_path))
    for name in ("A00003", "A00005", "A00018", "A00019"):
        write_record(tmp_path, name, np.zeros(300, np.float32))
    random_model().save(tmp_path / "ecg.safetensors")
    (tmp_path / "scans.txt").write_text("", encoding="utf-8")
    monkeypatch.setenv("SIGHTFLOW_LIDAR", str(tmp_path / "scans.txt"))
    monkeypatch.setenv("SIGHTFLOW_ECG", str(tmp_path))
    monkeypatch.setenv("SIGHTFLOW_ECG_MODEL", str(tmp_path / "ecg.safetensors"))
    monkeypatch.setenv("SIGHTFLOW_WEBHOOK_URL", "https://example.com/hook")
    monkeypatch.setenv("SIGHTFLOW_WEBHOOK_SECRET", SECRET)
    assert call("validate", path) == 0
