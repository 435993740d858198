"""A disk that fills up ends a run with an error; with space again it goes on."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from connectors.codec import encode
from connectors.replay import EventLog
from flows import config
from flows.recovery import RecoverySettings
from flows.run import RunRequest, run
from records import EventKind, StreamEvent

if TYPE_CHECKING:
    from flows.summary import RunSummary
    from tests.support.scenes import Street

ROOT = Path(__file__).resolve().parents[2]

LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))
from flows.cli import main
del sys.argv[1]
main()
"""
"""The program, in a process that can make no file larger than so many bytes: its disk is full."""


def run_limited(street: Street, run_dir: str, most_bytes: int, *words: str) -> tuple[int, str]:
    """Run the street on a disk that is full; the exit code, and what was printed."""
    command = ["run", str(street.configuration), "--run-dir", str(street.folder / run_dir)]
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(most_bytes), *command, *words, "--json"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout


def run_here(street: Street, run_dir: str, recovery: RecoverySettings | None) -> RunSummary:
    """Run the street with space on the disk."""
    configuration, text = config.load(street.configuration)
    folder = street.folder
    return run(RunRequest(configuration, text, folder, folder / run_dir, recovery=recovery))


def records_of(street: Street, run_dir: str) -> list[bytes]:
    """Every record but that of the file's opening, which a run that goes on tells again."""
    log = EventLog.open(street.folder / run_dir)
    records = sorted(
        encode(one)
        for one in log.records()
        if not (isinstance(one, StreamEvent) and one.kind is EventKind.OPENED)
    )
    assert log.faults == ()
    return records


def test_a_full_event_log_ends_the_run_with_its_name(street: Street) -> None:
    code, out = run_limited(street, "full", 4_000)
    path = street.folder / "full" / "log" / "gate" / "00000000.seg"
    assert code == 1
    assert json.loads(out[out.index("{") :]) == {
        "ok": False,
        "error": "LogError",
        "message": f"{path} cannot be written: File too large; check the free space and the "
        "permissions there",
    }
    log = EventLog.open(street.folder / "full")
    assert len(list(log.records())) > 10
    assert all(fault.torn for fault in log.faults)


def test_a_run_whose_disk_was_full_goes_on(street: Street) -> None:
    recovery = RecoverySettings(street.folder / "recovery", 0.0)
    words = ("--recover", str(recovery.folder), "--epoch-seconds", "0")
    # The store of snapshots grows faster than the log, and is what is full here.
    code, out = run_limited(street, "parts", 150_000, *words)
    told = json.loads(out[out.index("{") :])
    assert (code, told["error"]) == (1, "SightflowError")
    assert told["message"].startswith(f"the engine failed with recovery folder {recovery.folder}: ")
    assert told["message"].endswith("The run goes on from there once there is room")
    summary = run_here(street, "parts", recovery)
    assert summary.resumed
    assert 0 < summary.frames < len(street.truth)
    run_here(street, "plain", None)
    assert records_of(street, "parts") == records_of(street, "plain")
