"""Runs that are stopped or killed go on, and end as if nothing had happened."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from connectors.replay import EventLog
from flows import config, recovery
from flows.member import ALONE
from flows.recovery import RecoverySettings, begun, locked
from flows.run import RunRequest, run
from records import Alert, Estimate, SightflowError, Verdict
from tests.support.scenes import write_configuration

if TYPE_CHECKING:
    from pathlib import Path

    from flows.counts import RunCounts
    from records import Record
    from tests.support.scenes import Street

MORE = """\
windows:
  - {name: people, classes: [person], size_seconds: 4, calls_per_hour: 18000}
shards: 2
"""
LIVENESS_SECONDS = 60


def request_of(street: Street, run_dir: str, recovery: str | None = None) -> RunRequest:
    configuration, text = config.load(street.configuration)
    settings = None if recovery is None else RecoverySettings(street.folder / recovery, 0.0)
    return RunRequest(
        configuration, text, street.folder, street.folder / run_dir, recovery=settings
    )


def records_of(run_dir: Path) -> list[Record]:
    log = EventLog.open(run_dir)
    found = list(log.records())
    assert log.faults == ()
    return sorted(found, key=lambda record: (record.stream, type(record).__name__, record.id))


@pytest.fixture
def two(street: Street) -> Street:
    """Two cameras on the same street, with windows, in two shards."""
    write_configuration(street, more=MORE)
    text = street.configuration.read_text(encoding="utf-8")
    text = text.replace(
        "gate: {uri: scene.mp4}", "gate: {uri: scene.mp4}\n  yard: {uri: scene.mp4}"
    )
    street.configuration.write_text(text, encoding="utf-8")
    return street


def test_a_stopped_run_goes_on_and_logs_every_record_once(two: Street) -> None:
    run(request_of(two, "plain"))
    stop = threading.Event()

    def stop_soon(counts: RunCounts) -> None:
        if sum(counts.streams["gate"].decided.values()) >= 30:
            stop.set()

    first = run(replace(request_of(two, "parts", "recovery"), watch=stop_soon), stop)
    assert first.stopped
    assert not first.resumed
    second = run(request_of(two, "parts", "recovery"))
    assert (second.stopped, second.resumed) == (False, True)
    assert 0 < second.frames < 240
    plain, parts = records_of(two.folder / "plain"), records_of(two.folder / "parts")
    assert decisions(parts) == decisions(plain)
    assert latest(parts) == latest(plain)


def decisions(records: list[Record]) -> list[Record]:
    return [record for record in records if isinstance(record, Verdict | Alert)]


def latest(records: list[Record]) -> dict[tuple[str, str, int], tuple[float, float, float, int]]:
    """The last word on each window: a stop told of the open ones early."""
    found = sorted((one for one in records if isinstance(one, Estimate)), key=lambda e: e.revision)
    return {
        (one.stream, one.name, one.start_ns): (one.value, one.low, one.high, one.frames)
        for one in found
    }


@pytest.mark.parametrize("processes", [1, 2])
def test_a_killed_run_ends_like_one_that_was_not(two: Street, processes: int) -> None:
    run(request_of(two, "plain"))
    words = [
        str(two.configuration), "--run-dir", str(two.folder / "killed"), "--recover",
        str(two.folder / "recovery"), "--epoch-seconds", "0", "--json",
        "--processes", str(processes),
    ]  # fmt: skip
    command = [sys.executable, "-m", "flows.cli", "run", *words]
    victim = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for_bytes(two.folder / "killed" / "log", victim)
    finally:
        victim.send_signal(signal.SIGKILL)
        victim.wait()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert json.loads(done.stdout)["resumed"] is True
    assert records_of(two.folder / "killed") == records_of(two.folder / "plain")


def wait_for_bytes(folder: Path, process: subprocess.Popen[bytes]) -> None:
    """Wait until a run has logged something."""
    deadline = time.monotonic() + LIVENESS_SECONDS
    while not any(path.stat().st_size > 2000 for path in folder.rglob("*.seg")):
        assert time.monotonic() < deadline, "the run wrote nothing"
        if process.poll() is not None:
            return  # a quick machine: it has ended, and is resumed at its end
        time.sleep(0.005)


def test_a_folder_belongs_to_one_flow_and_configuration(street: Street) -> None:
    run(request_of(street, "run", "recovery"))
    folder = street.folder / "recovery"
    assert begun(RecoverySettings(folder)) is not None
    write_configuration(street, at_least=3)
    with pytest.raises(SightflowError, match="^the configuration must be as it was when the run "):
        run(request_of(street, "again", "recovery"))
    text = street.configuration.read_text(encoding="utf-8").replace("name: street", "name: road")
    street.configuration.write_text(text, encoding="utf-8")
    with pytest.raises(SightflowError, match="is that of flow 'street', not of 'road'; name ano"):
        run(request_of(street, "again", "recovery"))


def test_a_folder_that_holds_something_else_is_refused(
    street: Street, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "letter.txt").write_text("dear", encoding="utf-8")
    with pytest.raises(SightflowError, match="must be empty or that of a run, it holds letter.txt"):
        run(request_of(street, "run", "mine"))
    shutil.rmtree(folder)
    settings = RecoverySettings(folder)
    monkeypatch.setattr(recovery, "LOCK_SECONDS", 0.2)
    with (
        locked(settings, ALONE),
        pytest.raises(SightflowError, match="^another run works with recovery"),
    ):
        run(request_of(street, "run", "mine"))


def test_there_are_never_more_processes_than_shards(street: Street) -> None:
    run(request_of(street, "run", "recovery"))
    words = ["run", str(street.configuration), "--recover", str(street.folder / "recovery")]
    done = subprocess.run(
        [sys.executable, "-m", "flows.cli", *words, "--processes", "2", "--json"],
        capture_output=True, text=True, check=False, env=os.environ,
    )  # fmt: skip
    assert done.returncode == 1
    assert json.loads(done.stdout)["message"].endswith(
        "a run of 1 shards can be shared by at most as many processes, got 2; set shards in the "
        "configuration and begin anew"
    )
