from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from connectors.codec import iso_time
from flows.cli import main
from models.registry import Pointers, Registry
from models.registry_versions import code_version
from tests.support.registries import FILES, START_NS, Ticking, registry_with

if TYPE_CHECKING:
    from pathlib import Path


def call(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as caught:
        main([str(word) for word in words])
    out, err = capsys.readouterr()
    code = caught.value.code
    return (code if isinstance(code, int) else 0), out, err


def call_json(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, dict[str, Any]]:
    code, out, _ = call(capsys, *words, "--json")
    return code, json.loads(out)


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A registry where gate@2 is current, gate@3 a candidate and door has one version."""
    registry = registry_with(tmp_path, 3)
    registry.promote("gate", 1, "the first")
    registry.promote("gate", 2)
    registry.propose("gate", 3)
    registry_with(tmp_path, 1, "door")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("SIGHTFLOW_MODELS", str(tmp_path / "models"))
    return tmp_path / "models"


def test_list(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, value = call_json(capsys, "models", "list", "--models", models)
    assert (code, value["ok"], value["faults"]) == (0, True, [])
    door, gate = value["models"]
    assert door["name"] == "door"
    versions = gate.pop("versions")
    assert gate == {
        "name": "gate",
        "current": 2,
        "candidate": 3,
        "revision": 3,
        "previous": 1,
    }
    assert [(one["id"], one["state"], one["parent"]) for one in versions] == [
        ("gate@1", "previous", None),
        ("gate@2", "current", 1),
        ("gate@3", "candidate", 2),
    ]
    first = versions[0]
    assert sorted(first.pop("files")) == sorted(FILES)
    assert first == {
        "id": "gate@1",
        "number": 1,
        "kind": "ecg",
        "state": "previous",
        "created": iso_time(START_NS),
        "parent": None,
        "data_sha256": "ab" * 32,
        "metrics": {
            "accuracy": {"value": 0.9, "low": 0.85, "high": 0.94, "n": 400},
            "loss": {"value": 0.25, "low": None, "high": None, "n": None},
        },
        "configuration": {"seed": 7, "steps": [1, 2]},
        "code_version": code_version(),
    }


def test_list_of_one_model_with_its_history(
    models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, value = call_json(capsys, "models", "list", "gate", "--history")
    (gate,) = value["models"]
    assert code == 0
    assert [(one["what"], one["number"], one["previous"], one["reason"])
            for one in gate["history"][3:]] == [
        ("promoted", 1, None, "the first"),
        ("promoted", 2, 1, ""),
        ("proposed", 3, None, ""),
    ]  # fmt: skip
    code, out, err = call(capsys, "models", "list", "door", "--history")
    assert (code, err) == (0, "")
    lines = [line.rstrip() for line in out.splitlines()]
    assert lines == [
        "Version  Kind  State  Created               Parent  Figures",
        "door@1   ecg   added  2023-11-14T22:13:20Z          accuracy 0.9 [0.85, 0.94], loss 0.25",
        "",
        "When                  Version  What   Before  Reason",
        "2023-11-14T22:13:21Z  door@1   added",
    ]


def test_list_tells_what_is_damaged_beside_what_is_not(
    models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (models / "gate/versions/2/version.json").write_text("{}")
    (models / "door/history.jsonl").write_text("{}\n")
    code, value = call_json(capsys, "models", "list")
    (gate,) = value["models"]
    assert (code, value["ok"]) == (1, False)
    assert [one["id"] for one in gate["versions"]] == ["gate@1", "gate@3"]
    assert [fault.split(" ")[0] for fault in value["faults"]] == [
        f"{models}/door/history.jsonl:1",
        f"{models}/gate/versions/2/version.json",
    ]
    code, out, err = call(capsys, "models", "list")
    assert (code, len(out.splitlines()), len(err.splitlines())) == (1, 3, 2)


def test_promote_and_rollback(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    registry = Registry(models, Ticking())
    words = ("models", "promote", "gate", 3)
    code, value = call_json(capsys, *words, "--reason", "better in the shadow")
    assert (code, value) == (
        0,
        {"ok": True, "name": "gate", "current": 3, "candidate": None, "revision": 4, "before": 2},
    )
    assert registry.history("gate")[-1].reason == "better in the shadow"
    assert call(capsys, *words) == (0, "gate@3 is current already\n", "")
    back = ("models", "rollback", "gate", "--reason", "recall fell")
    assert call(capsys, *back) == (0, "gate@2 is current; gate@3 was before\n", "")
    assert registry.history("gate")[-1].reason == "recall fell"
    code, value = call_json(capsys, *back)
    assert (code, value) == (
        0,
        {"ok": True, "name": "gate", "current": 1, "candidate": None, "revision": 6, "before": 2},
    )
    assert call(capsys, "models", "promote", "door", 1) == (
        0,
        "door@1 is current; there was none before\n",
        "",
    )
    assert registry.pointers("door") == Pointers(1, None, 1)


def test_what_cannot_be_done_is_told(
    models: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for code, message, *words in (
        (1, f"error: {models} has no model cat; it has: door, gate", "list", "cat"),
        (1, f"error: {models} has no gate@9; versions: 1, 2, 3", "promote", "gate", 9),
        (2, "Invalid value for 'N'", "promote", "gate", 0),
        (1, "error: door has no earlier version to roll back to", "rollback", "door"),
        (1, f"error: {models} has no model cat; there is nothing to roll back", "rollback", "cat"),
        (1, "error: a model's name must be 1 to 200 of A-Z", "rollback", "../gate"),
        (1, f"error: there is no registry {models}-2; name its folder with --models, or in "
            "SIGHTFLOW_MODELS", "list", "--models", f"{models}-2"),
    ):  # fmt: skip
        got, out, err = call(capsys, "models", *words)
        assert (got, message in err, "Traceback" in out + err) == (code, True, False), err
    monkeypatch.delenv("SIGHTFLOW_MODELS")
    code, _, err = call(capsys, "models", "list")
    assert (code, "Missing option '--models'" in err) == (2, True)
