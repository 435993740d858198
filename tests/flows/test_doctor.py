from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from flows.doctor import Check, Status, examine

if TYPE_CHECKING:
    from pathlib import Path


def by_name(folder: Path) -> dict[str, Check]:
    return {check.name: check for check in examine(folder)}


def test_a_machine_that_runs_the_tests_has_no_failure(tmp_path: Path) -> None:
    checks = by_name(tmp_path)
    assert [check for check in checks.values() if check.status is Status.FAIL] == []
    assert list(checks) == [
        "Python", "bytewax engine", "torch", "ONNX Runtime", "LiteRT", "accelerator", "video",
        "detector", "disk", "open files", "clock", "loopback",
    ]  # fmt: skip
    assert all(check.found for check in checks.values())
    assert all(check.cure for check in checks.values() if check.status is not Status.OK)


def test_a_wrong_assets_folder_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGHTFLOW_ASSETS", str(tmp_path / "gone"))
    check = by_name(tmp_path)["detector"]
    assert (check.status, check.cure) == (
        Status.FAIL,
        "Correct SIGHTFLOW_ASSETS or unset it.",
    )


def test_a_machine_without_a_detector_is_told_how_to_get_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SIGHTFLOW_ASSETS", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    check = by_name(tmp_path)["detector"]
    assert check.status is Status.WARN
    assert "sightflow assets fetch yolox_nano" in check.cure


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_found(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    assert by_name(tmp_path)["disk"].status is Status.FAIL
