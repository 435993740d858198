"""A run that is killed while it puts frames aside goes on, and puts none aside twice."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from connectors.queue import RetrainingQueue
from flows.recovery import RecoverySettings
from tests.support.put_aside import put_aside, queued

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.scenes import Street

SECTION = "queue: q.sqlite3, random_seconds: 1, clear_seconds: 0.5, near_bits: -1, hold_seconds: 2"
LIVENESS_SECONDS = 60


def wait_for_items(path: Path, process: subprocess.Popen[bytes], count: int) -> None:
    deadline = time.monotonic() + LIVENESS_SECONDS
    while True:
        if path.exists() and path.stat().st_size:
            with RetrainingQueue(path) as queue:
                if queue.waiting() >= count:
                    return
        assert time.monotonic() < deadline, "the run put nothing aside"
        if process.poll() is not None:
            return  # a quick machine: it has ended, and is resumed at its end
        time.sleep(0.005)


def test_items_of_a_killed_run_come_once_and_none_is_lost(street: Street) -> None:
    put_aside(street, SECTION)
    path = street.folder / "q.sqlite3"
    plain = queued(path)
    assert len(plain.items) > 15
    path.unlink()
    words = ["--recover", str(street.folder / "recovery"), "--epoch-seconds", "0"]
    command = [sys.executable, "-m", "flows.cli", "run", str(street.configuration), *words]
    victim = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for_items(path, victim, 4)
    finally:
        victim.send_signal(signal.SIGKILL)
        victim.wait()
    before = {one.id for one in queued(path).items}
    settings = RecoverySettings(street.folder / "recovery", 0.0)
    summary = put_aside(street, SECTION, recovery=settings)
    assert summary.resumed
    found = queued(path)
    assert [one.id for one in found.items] == [one.id for one in plain.items]
    told = summary.streams["gate"].not_put_aside
    # What waited for its findings has no picture any more: it is counted, and comes without.
    lost = sum(data is None for data in found.crops)
    assert told["no_picture"] >= lost
    assert told["known"] <= len(before)
    crops = dict(zip(plain.sequences, plain.crops, strict=True))
    assert all(
        data is None or data == crops[one.sequence]
        for one, data in zip(found.items, found.crops, strict=True)
    )
