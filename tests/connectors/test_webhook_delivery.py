from __future__ import annotations

import socket
import time
from typing import NoReturn

import pytest
from standardwebhooks import Webhook
from structlog.testing import capture_logs

from connectors.codec import to_json
from connectors.webhook import DeliveryReport
from tests.support.endpoints import Reply, ScriptedServer
from tests.support.records import alert
from tests.support.webhooks import LONG, SECRET, Ends, deliver, sink_for, wait_until


def ids(server: ScriptedServer) -> list[str]:
    return [request.headers["webhook-id"] for request in server.requests]


def test_the_independent_library_verifies_what_was_sent() -> None:
    with ScriptedServer() as server:
        deliver(1, sink_for(server.url))
        (request,) = server.requests
    message = Webhook(SECRET).verify(request.body, request.headers)
    assert message["data"] == to_json(alert())
    assert request.headers["content-type"] == "application/json"


def test_an_endpoint_that_recovers_gets_every_alert() -> None:
    with ScriptedServer(Reply(500), Reply(503), Reply(429), Reply(204)) as server:
        sink = sink_for(server.url)
        deliver(1, sink)
        assert ids(server) == [alert().id] * 4
        bodies = {request.body for request in server.requests}
    assert len(bodies) == 1
    assert sink.report == DeliveryReport(delivered=1, retries=3)


def test_an_endpoint_that_never_recovers_is_given_up() -> None:
    ends = Ends()
    with ScriptedServer(Reply(500)) as server, capture_logs() as logs:
        sink = sink_for(server.url + "?token=hunter2", ends, attempts=3)
        deliver(1, sink)
        assert len(server.requests) == 3
    assert ends.failed == [(alert().id, "status_500")]
    assert sink.report == DeliveryReport(failed={"status_500": 1}, retries=2)
    assert [log["reason"] for log in logs] == ["status_500"] * 3
    assert logs[-1] == {
        "event": "webhook failed",
        "log_level": "warning",
        "endpoint": "127.0.0.1",
        "alert": alert().id,
        "reason": "status_500",
    }
    assert "hunter2" not in str(logs)


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (Reply(400), "status_400"),
        (Reply(404), "status_404"),
        (Reply(301, {"location": "http://127.0.0.1:9/"}), "redirect_301"),
        (Reply(307, {"location": "/in"}), "redirect_307"),
    ],
)
def test_what_is_not_tried_again(reply: Reply, reason: str) -> None:
    ends = Ends()
    with ScriptedServer(reply, Reply(200)) as server:
        sink = sink_for(server.url, ends)
        deliver(2, sink)
        assert len(server.requests) == 2
    assert ends.failed == [(alert().id, reason)]
    assert sink.report == DeliveryReport(delivered=1, failed={reason: 1})


@pytest.mark.parametrize("status", [408, 425, 429, 502])
def test_what_is_tried_again(status: int) -> None:
    with ScriptedServer(Reply(status), Reply(200)) as server:
        sink = sink_for(server.url)
        deliver(1, sink)
    assert sink.report == DeliveryReport(delivered=1, retries=1)


def test_a_slow_endpoint_times_out_and_is_tried_again() -> None:
    with ScriptedServer(Reply(hang=True), Reply(200)) as server:
        sink = sink_for(server.url, timeout_seconds=0.5, attempts=20)
        deliver(1, sink)
        assert len(server.requests) >= 2
    assert sink.report.delivered == 1
    assert sink.report.retries >= 1
    ends = Ends()
    with ScriptedServer(Reply(hang=True)) as server:
        deliver(1, sink_for(server.url, ends, timeout_seconds=0.2, attempts=1))
    assert ends.failed == [(alert().id, "timeout")]


def test_retry_after_is_honoured_for_every_alert() -> None:
    with ScriptedServer(Reply(429, {"retry-after": "1"}), Reply(200)) as server:
        sink = sink_for(server.url)
        deliver(2, sink)
        first, *later = [request.time for request in server.requests]
    assert all(moment - first >= 0.95 for moment in later)
    assert sink.report == DeliveryReport(delivered=2, retries=1)


def test_retry_after_is_bounded() -> None:
    with ScriptedServer(Reply(503, {"retry-after": "86400"}), Reply(200)) as server:
        sink = sink_for(server.url, most_retry_seconds=0.1)
        deliver(1, sink)
    assert sink.report == DeliveryReport(delivered=1, retries=1)


def test_gone_disables_the_endpoint() -> None:
    ends = Ends()
    with ScriptedServer(Reply(200), Reply(410), Reply(200)) as server:
        sink = sink_for(server.url, ends)
        part = sink.build("webhook", 0, 1)
        part.write_batch([("gate", [alert(sequence=0)])])
        wait_until(lambda: len(ends.delivered) == 1)
        part.write_batch([("gate", [alert(sequence=i) for i in range(1, 6)])])
        wait_until(lambda: len(ends.failed) == 5)
        part.write_batch([("gate", [alert(sequence=6)])])
        part.close()
        assert len(server.requests) == 2
    assert sorted(ends.failed) == [(alert(sequence=i).id, "gone") for i in range(1, 7)]
    assert sink.report == DeliveryReport(delivered=1, failed={"gone": 6})


def test_what_waits_for_its_next_attempt_past_the_end_has_failed_at_once() -> None:
    with ScriptedServer(Reply(500)) as server:
        sink = sink_for(
            server.url, first_retry_seconds=1000, most_retry_seconds=1000, drain_seconds=LONG
        )
        started = time.monotonic()
        deliver(1, sink)
    assert time.monotonic() - started < LONG
    assert sink.report == DeliveryReport(failed={"not_drained": 1})


def test_addresses_that_are_not_public_are_refused() -> None:
    ends = Ends()
    with ScriptedServer() as server:
        sink = sink_for(server.url, ends, allow_private=False)
        deliver(1, sink)
        assert server.requests == []
    assert ends.failed == [(alert().id, "address_refused")]
    assert sink.report == DeliveryReport(failed={"address_refused": 1})


def test_a_host_that_cannot_be_resolved_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_answer(*_: object, **__: object) -> NoReturn:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", no_answer)
    sink = sink_for("http://nowhere.invalid/in", attempts=2)
    deliver(1, sink)
    assert sink.report == DeliveryReport(failed={"unresolved": 1}, retries=1)
