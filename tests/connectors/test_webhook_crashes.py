"""Webhooks whose outbox is a file: what kills, full disks and other writers do to them."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from bytewax.errors import BytewaxRuntimeError
from structlog.testing import capture_logs

from connectors.outbox import Outbox
from connectors.outbox_file import OutboxSettings
from connectors.webhook import DeliveryReport
from records import SightflowError
from tests.support.dataflows import run_into
from tests.support.endpoints import Reply, ScriptedServer
from tests.support.records import alert
from tests.support.webhook_outbox import alert_ids, deliver, ids, states
from tests.support.webhooks import Ends, batches, sink_for, wait_until

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "flow.outbox.sqlite3"


def kill_when(path: Path, server: ScriptedServer, count: int, arrived: int) -> None:
    """Kill a process with `count` alerts when `arrived` requests in all have come."""
    module = "tests.support.webhook_process"
    words = [sys.executable, "-m", module, server.url, str(path), str(count)]
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "in the outbox\n"
            wait_until(lambda: len(server.requests) >= arrived)
        finally:
            process.kill()


def test_a_killed_process_leaves_exactly_what_is_missing(path: Path) -> None:
    with ScriptedServer(Reply(200), Reply(200), Reply(hang=True)) as server:
        kill_when(path, server, 6, arrived=3)
        assert ids(server) == alert_ids(range(3))
        assert [state for _, state, _ in states(path)] == ["delivered"] * 2 + ["pending"] * 4
        server.answer(Reply(200))
        # The third was on its way: whether it arrived cannot be known, so it is sent again.
        assert deliver(path, server.url, range(6)) == DeliveryReport(delivered=4, known=6)
        assert ids(server)[3:] == alert_ids(range(2, 6))
    assert [state for _, state, _ in states(path)] == ["delivered"] * 6


def test_processes_killed_at_any_moment_lose_nothing_and_break_nothing(path: Path) -> None:
    with ScriptedServer() as server:
        for arrived in (0, 7, 23):
            kill_when(path, server, 40, arrived)
        assert deliver(path, server.url, range(40)).known == 40
        assert set(ids(server)) == set(alert_ids(range(40)))
        # At most the one on its way is sent twice for each kill.
        assert len(ids(server)) <= 40 + 3
    assert [state for _, state, _ in states(path)] == ["delivered"] * 40


def test_a_full_disk_stops_the_flow_and_loses_nothing(path: Path) -> None:
    with ScriptedServer(Reply(hang=True)) as server:
        with Outbox(path, OutboxSettings(bytes_at_most=100_000)) as outbox:
            sink = sink_for(server.url, outbox=outbox, drain_seconds=0.0)
            with pytest.raises(BytewaxRuntimeError) as caught:
                run_into(sink, batches([alert(sequence=k) for k in range(200)]))
            sink.close()
            taken = sink.report.pending
        cause: BaseException | None = caught.value
        while cause is not None and not isinstance(cause, SightflowError):
            cause = cause.__cause__
        assert "database or disk is full; free space on its disk" in str(cause)
        assert 0 < taken < 200
        server.answer(Reply(200))
        # With space again, the flow resumes and brings the last epoch's alerts once more.
        report = deliver(path, server.url, range(taken - 1, 200))
        assert report == DeliveryReport(delivered=200, known=1)
        assert ids(server)[1:] == alert_ids(range(200))


def test_an_outbox_that_cannot_be_written_for_a_while_is_tried_until_it_can(path: Path) -> None:
    ends = Ends()
    with (
        ScriptedServer(Reply(hang=True), Reply(200)) as server,
        Outbox(path, OutboxSettings(busy_seconds=0.01)) as outbox,
        capture_logs() as logs,
    ):
        sink = sink_for(server.url, ends, outbox)
        sink.build("webhook", 0, 1).write_batch([("gate", [alert()])])
        wait_until(lambda: len(server.requests) == 1)
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        server.release()
        wait_until(lambda: bool(logs))
        other.execute("ROLLBACK")
        other.close()
        sink.close()
    assert {key: logs[0][key] for key in ("event", "log_level", "endpoint", "error")} == {
        "event": "outbox fails",
        "log_level": "error",
        "endpoint": "127.0.0.1",
        "error": f"the outbox {path} cannot be written: database is locked; another process is "
        "writing to it; try again",
    }
    assert (ends.delivered, ends.failed) == ([alert().id], [])
    assert states(path) == [(alert().id, "delivered", "")]
