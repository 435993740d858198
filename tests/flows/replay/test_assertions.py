"""Assertions in replays: what a run found is found again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from connectors.replay import EventLog
from flows import config
from flows.replay import OpenOptions
from flows.run import RunRequest, run
from records import Alert, Finding
from tests.support.recordings import Town, replay_town

if TYPE_CHECKING:
    from pathlib import Path

ASSERTED = """\
assertions:
  outputs: {flicker: {}, multibox: {}}
  health: {gap: {}, frozen: {hold_seconds: 0.5}}
  alerts: {only: [flicker, multibox, gap, frozen]}
"""


@pytest.fixture
def asserted(town: Town, tmp_path: Path) -> tuple[Path, Path, list[Any]]:
    """A configuration with assertions, the log of a run of it, and what that run found."""
    path = town.write("asserted.yaml", more=ASSERTED)
    configuration, text = config.load(path)
    run(RunRequest(configuration, text, town.folder, tmp_path / "run"))
    records = EventLog.open(tmp_path / "run").records()
    return path, tmp_path / "run", [one for one in records if isinstance(one, Finding | Alert)]


def of(records: list[Any], *, health: bool) -> set[str]:
    """The ids of what was found, with or without the input's checks."""
    checks = ("gap", "frozen")
    return {
        one.id
        for one in records
        if health or getattr(one, "assertion", getattr(one, "rule", "")) not in checks
    }


def test_frames_give_the_findings_and_alerts_of_the_run_again(
    town: Town, asserted: tuple[Path, Path, list[Any]]
) -> None:
    path, log, before = asserted
    assert any(isinstance(one, Finding) for one in before)
    for recording, options in ((log, OpenOptions(decode=True)), (town.videos, OpenOptions())):
        replayed = replay_town(town, path, recording, options)
        after = [one for one in replayed.records if isinstance(one, Finding | Alert)]
        assert of(after, health=True) == of(before, health=True)
        assert "not_asserted" not in replayed.summary.notes


def test_verdicts_give_all_but_what_needs_pixels(
    town: Town, asserted: tuple[Path, Path, list[Any]]
) -> None:
    path, log, before = asserted
    replayed = replay_town(town, path, log)
    after = [one for one in replayed.records if isinstance(one, Finding | Alert)]
    assert of(after, health=True) == of(before, health=False)
    assert replayed.summary.notes["not_asserted"] == ["frozen", "gap"]
