from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from connectors.log_manifest import (
    ConfigurationChange,
    Manifest,
    new_run_dir,
    read_manifest,
    write_manifest,
)
from connectors.replay import EventLog, LogFault
from records import LogError
from tests.support.logs import run_dir_of
from tests.support.records import START_NS

if TYPE_CHECKING:
    from pathlib import Path


def test_manifest_round_trip(tmp_path: Path) -> None:
    text = "webhooks:\n  secret: ${SECRET}\n"
    manifest = Manifest("watch", "watch-1", START_NS, text, ("a", "b"), {"sightflow": "0.1.0"})
    path = write_manifest(tmp_path, manifest)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["manifest.json"]
    assert json.loads(path.read_text()) == {
        "schema_version": 1,
        "name": "watch",
        "run": "watch-1",
        "created": "2023-11-14T22:13:20.000000000Z",
        "created_ns": START_NS,
        "configuration": text,
        "configuration_sha256": manifest.sha256_of_configuration(),
        "software": {"sightflow": "0.1.0"},
        "streams": ["a", "b"],
    }
    log = EventLog.open(tmp_path)
    assert (log.manifest, log.streams, list(log.records()), log.faults) == (
        manifest,
        ("a", "b"),
        [],
        (),
    )


def test_a_changed_configuration_is_reported(tmp_path: Path) -> None:
    path = write_manifest(run_dir_of(tmp_path), Manifest("watch", "1", 0, "stride: 1", ("gate",)))
    path.write_text(path.read_text().replace("stride: 1", "stride: 2"))
    assert EventLog.open(tmp_path).faults == (
        LogFault("", "manifest.json", 0, "the configuration does not have its SHA-256"),
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{", "must be JSON: Expecting property name enclosed in double quotes"),
        ("[" * 200_000, "must be JSON: maximum recursion depth exceeded"),
        ("[]", "must have schema_version 1, got None"),
        ('{"schema_version": 2}', "must have schema_version 1, got 2"),
        ('{"schema_version": 1, "name": 3}', "must have name as str, got 3"),
        (
            json.dumps(
                {
                    "schema_version": 1,
                    "name": "watch",
                    "run": "watch-1",
                    "created_ns": 0,
                    "configuration": "",
                    "configuration_sha256": "",
                    "software": {},
                    "streams": ["gate", "\ud800"],
                }
            ),
            "must name its streams: stream must be 1 to 200 printable characters",
        ),
    ],
    ids=["cut", "deep", "list", "newer", "name", "streams"],
)
def test_what_is_no_manifest(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "manifest.json"
    path.write_text(text)
    with pytest.raises(LogError) as caught:
        EventLog.open(tmp_path)
    assert str(caught.value).startswith(f"{path} {problem}")


def test_what_is_no_run_directory(tmp_path: Path) -> None:
    with pytest.raises(LogError) as caught:
        EventLog.open(tmp_path)
    assert str(caught.value) == f"{tmp_path} is no run directory: it has no manifest.json"


def test_run_directories_are_fresh(tmp_path: Path) -> None:
    root = tmp_path / "runs"
    found = [new_run_dir(root, "north/gate", START_NS).name for _ in range(3)]
    stem = "north%2Fgate-20231114T221320Z"
    assert found == [stem, f"{stem}-2", f"{stem}-3"]
    assert new_run_dir(root, "..", START_NS).name == "run-20231114T221320Z"
    (tmp_path / "file").write_text("")
    with pytest.raises(LogError, match="cannot be made: Not a directory; check the free space"):
        new_run_dir(tmp_path / "file" / "runs", "gate", START_NS)


def test_changes_of_the_configuration_are_kept(tmp_path: Path) -> None:
    change = ConfigurationChange(7, "stride: 2", "ab" * 32, {"own.py": "cd" * 32}, {"gate": 5})
    manifest = Manifest("watch", "1", 0, "stride: 1", ("gate",), changes=(change,))
    path = write_manifest(tmp_path, manifest)
    assert read_manifest(tmp_path) == manifest
    assert manifest.text_of("ab" * 32) == "stride: 2"
    assert manifest.text_of(manifest.configuration_sha256) == "stride: 1"
    assert manifest.text_of("ef" * 32) is None
    values = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(values | {"changes": [{"x": 1}]}), encoding="utf-8")
    with pytest.raises(LogError, match="must list the changes of its configuration: "):
        read_manifest(tmp_path)
