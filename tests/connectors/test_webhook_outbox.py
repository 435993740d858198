"""Webhooks whose outbox is a file: what restarts and people do to them."""

from __future__ import annotations

import base64
import time
from contextlib import ExitStack
from random import Random
from typing import TYPE_CHECKING

import pytest
from bytewax.testing import TestingSource
from standardwebhooks import Webhook, WebhookVerificationError
from structlog.testing import capture_logs

from connectors.outbox import Outbox
from connectors.outbox_inspection import put_back
from connectors.receiver import WebhookReceiver
from connectors.webhook import DeliveryReport, WebhookSink
from records.units import NANOSECONDS
from tests.support.dataflows import run_into
from tests.support.endpoints import Reply, ScriptedServer
from tests.support.records import alert
from tests.support.webhook_outbox import alert_ids, deliver, ids, states
from tests.support.webhooks import LONG, SECRET, Ends, batches, settings_for, sink_for, wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from records import Record

NEW_SECRET = "whsec_" + base64.b64encode(b"b" * 32).decode()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "flow.outbox.sqlite3"


def test_what_comes_again_after_a_restart_is_not_sent_again(path: Path) -> None:
    with ScriptedServer() as server:
        assert deliver(path, server.url, range(3)) == DeliveryReport(delivered=3)
        again = deliver(path, server.url, range(1, 5))
        assert again == DeliveryReport(delivered=2, known=2)
        assert ids(server) == alert_ids(range(5))


def test_another_endpoint_gets_what_the_first_one_has(path: Path) -> None:
    with ScriptedServer() as first, ScriptedServer() as second:
        deliver(path, first.url, [0])
        assert deliver(path, second.url, [0]) == DeliveryReport(delivered=1)
        assert ids(first) == ids(second) == alert_ids([0])


def test_what_is_not_delivered_at_the_end_goes_on_at_the_next_start(path: Path) -> None:
    ends = Ends()
    with ScriptedServer(Reply(500), Reply(500), Reply(500), Reply(200)) as server:
        later = {"first_retry_seconds": 1000.0, "most_retry_seconds": 1000.0}
        with Outbox(path) as outbox, capture_logs() as logs:
            sink = sink_for(server.url, ends, outbox, **later)
            run_into(sink, batches([alert(sequence=k) for k in range(3)]))
            sink.close()
            assert sink.report == DeliveryReport(pending=3)
        assert (ends.failed, ends.delivered) == ([], [])
        assert logs[-1] == {
            "event": "webhooks stay pending",
            "log_level": "warning",
            "endpoint": "127.0.0.1",
            "pending": 3,
        }
        assert states(path) == [(one, "pending", "status_500") for one in alert_ids(range(3))]
        put_back(path, time.time_ns())  # their next attempt is due at once
        report = deliver(path, server.url, [])
        assert report == DeliveryReport(delivered=3, retries=3)
        assert ids(server) == alert_ids(range(3)) * 2


def test_attempts_are_counted_over_restarts(path: Path) -> None:
    with ScriptedServer(Reply(500)) as server:
        slow = {"first_retry_seconds": 1000.0, "most_retry_seconds": 1000.0, "attempts": 3}
        for _ in range(2):
            assert deliver(path, server.url, [0], **slow).pending == 1
            put_back(path, time.time_ns())
        assert deliver(path, server.url, [], **slow) == DeliveryReport(
            failed={"status_500": 1}, retries=1
        )
        assert len(server.requests) == 3


def test_a_flow_that_resumes_sends_each_alert_once(path: Path, tmp_path: Path) -> None:
    records: list[Record] = [alert(sequence=k) for k in range(6)]
    items = batches(records)
    aborted = [*items[:4], TestingSource.ABORT(), *items[4:]]
    with ScriptedServer() as server:
        with Outbox(path) as outbox:
            sink = sink_for(server.url, outbox=outbox)
            run_into(sink, aborted, recovery=tmp_path / "recovery")
            sink.close()
        with Outbox(path) as outbox:
            sink = sink_for(server.url, outbox=outbox)
            run_into(sink, items, recovery=tmp_path / "recovery")
            sink.close()
        assert sorted(ids(server)) == sorted(alert_ids(range(6)))


def test_gone_disables_the_endpoint_until_a_person_enables_it(path: Path) -> None:
    with ScriptedServer(Reply(410), Reply(200)) as server:
        assert deliver(path, server.url, [0, 1]) == DeliveryReport(failed={"gone": 2})
        with capture_logs() as logs:
            assert deliver(path, server.url, [1, 2]) == DeliveryReport(failed={"gone": 1}, known=1)
        assert len(server.requests) == 1
        assert [log["event"] for log in logs if log["log_level"] == "warning"] == [
            "webhook endpoint is disabled since it answered 410; 'sightflow alerts replay' enables "
            "it",
            "webhook failed",
        ]
        assert states(path) == [(one, "disabled", "gone") for one in alert_ids(range(3))]
        done = put_back(path, time.time_ns(), endpoint="127.0.0.1")
        assert (sum(done.deliveries.values()), len(done.enabled)) == (3, 1)
        assert deliver(path, server.url, [3]) == DeliveryReport(delivered=4)
        assert ids(server)[1:] == alert_ids(range(4))


def test_what_a_person_puts_back_goes_on_in_the_running_flow(path: Path) -> None:
    ends = Ends()
    with ScriptedServer(Reply(404), Reply(410), Reply(200)) as server, Outbox(path) as outbox:
        sink = sink_for(server.url, ends, outbox)
        part = sink.build("webhook", 0, 1)
        part.write_batch([("gate", [alert(sequence=k) for k in range(3)])])
        wait_until(lambda: len(ends.failed) == 3)
        put_back(path, time.time_ns())
        wait_until(lambda: len(ends.delivered) == 3)
        part.close()
        sink.close()
        assert sink.report == DeliveryReport(delivered=3, failed={"gone": 2, "status_404": 1})
    assert {state for _, state, _ in states(path)} == {"delivered"}


def test_an_endpoint_keeps_the_quiet_it_asked_for_over_a_restart(path: Path) -> None:
    patient = {"most_retry_seconds": 5000.0}
    with ScriptedServer(Reply(503, {"retry-after": "1000"}), Reply(200)) as server:
        now_ns = time.time_ns()
        assert deliver(path, server.url, [0, 1], **patient).pending == 2
        assert deliver(path, server.url, [2], **patient).pending == 3
        assert ids(server) == alert_ids([0])
        with Outbox(path) as outbox:
            settings = settings_for(server.url)
            due = outbox.next_due(outbox.endpoint(settings.endpoint, settings.host))
        assert due is not None
        assert 999 * NANOSECONDS <= due.due_ns - now_ns <= (1000 + LONG) * NANOSECONDS


def test_a_clock_that_was_set_back_delays_nothing_for_long(path: Path) -> None:
    with ScriptedServer(Reply(500), Reply(200)) as server:
        day_ns = 86_400 * NANOSECONDS
        with Outbox(path) as outbox:
            sink = WebhookSink(
                settings_for(server.url, drain_seconds=0.0, first_retry_seconds=5.0),
                Random(1),
                outbox=outbox,
                clock=lambda: time.time_ns() + day_ns,
            )
            part = sink.build("webhook", 0, 1)
            part.write_batch([("gate", [alert()])])
            wait_until(lambda: states(path)[0][2] == "status_500")
            sink.close()
        assert deliver(path, server.url, []) == DeliveryReport(delivered=1, retries=1)


def test_secrets_that_change_meanwhile_sign_what_waits(path: Path) -> None:
    with ScriptedServer(Reply(500), Reply(200)) as server:
        wait = {"first_retry_seconds": 1000.0, "most_retry_seconds": 1000.0}
        assert deliver(path, server.url, [0], **wait).pending == 1
        put_back(path, time.time_ns())
        both = (NEW_SECRET, SECRET)
        assert deliver(path, server.url, [], secrets=both) == DeliveryReport(delivered=1, retries=1)
        request = server.requests[-1]
        for secret in (NEW_SECRET, SECRET):
            assert Webhook(secret).verify(request.body, request.headers)["data"]["id"]
        with pytest.raises(WebhookVerificationError):
            Webhook("whsec_" + base64.b64encode(b"c" * 32).decode()).verify(
                request.body, request.headers
            )
    assert SECRET.removeprefix("whsec_").encode() not in path.read_bytes()
    assert b"http://" not in path.read_bytes()


def test_one_dead_endpoint_delays_none_of_nine_others(path: Path) -> None:
    count = 20
    with ExitStack() as stack:
        alive = [stack.enter_context(WebhookReceiver(SECRET)) for _ in range(9)]
        dead = stack.enter_context(ScriptedServer(Reply(hang=True)))
        outbox = stack.enter_context(Outbox(path))
        stuck = sink_for(dead.url, outbox=outbox, timeout_seconds=LONG, drain_seconds=0.0)
        sinks = [stuck, *(sink_for(receiver.url, outbox=outbox) for receiver in alive)]
        parts = [sink.build("webhook", 0, 1) for sink in sinks]
        for k in range(count):
            for part in parts:
                part.write_batch([("gate", [alert(sequence=k)])])
        for receiver in alive:
            assert receiver.wait_for(count, LONG)
            assert [one["data"]["id"] for one in receiver.received] == alert_ids(range(count))
        assert len(dead.requests) == 1
        for part in parts:
            part.close()
        for sink in sinks:
            sink.close()
        assert [sink.report for sink in sinks] == [
            DeliveryReport(pending=count),
            *([DeliveryReport(delivered=count)] * 9),
        ]


def test_endpoints_drain_at_the_same_time(path: Path) -> None:
    with ExitStack() as stack:
        dead = [stack.enter_context(ScriptedServer(Reply(hang=True))) for _ in range(8)]
        outbox = stack.enter_context(Outbox(path))
        sinks = [sink_for(one.url, outbox=outbox, drain_seconds=2.0) for one in dead]
        for sink in sinks:
            sink.build("webhook", 0, 1).write_batch([("gate", [alert()])])
        for sink in sinks:
            sink.finish()
        started = time.monotonic()
        for sink in sinks:
            sink.close()
        one_after_the_other = 8 * 2.0
        assert time.monotonic() - started < one_after_the_other
        assert [sink.report.pending for sink in sinks] == [1] * 8
