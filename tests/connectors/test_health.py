from __future__ import annotations

import socket

import httpx
import pytest

from connectors.health import NOTHING_YET, Health
from connectors.metrics import Metrics
from records import EventKind
from tests.support.records import event, verdict


def test_a_run_is_ready_once_a_source_gives_something() -> None:
    health = Health()
    assert health.troubles() == [NOTHING_YET]
    health.observe("gate", [verdict()])
    assert health.troubles() == []


def test_lost_streams_are_told_until_they_are_back() -> None:
    health = Health()
    health.observe("gate", [event(kind=EventKind.LOST, reason="stalled")])
    health.observe("door", [event("door", kind=EventKind.UNREADABLE)])
    health.observe("gate", [verdict()])  # of a frame from before the outage
    assert health.troubles() == [
        "stream door is unreadable: no reason told",
        "stream gate is lost: stalled",
    ]
    health.observe("gate", [event(kind=EventKind.RECONNECTED)])
    health.observe("door", [event("door", kind=EventKind.ENDED)])
    assert health.troubles() == ["stream door is unreadable: no reason told"]


def test_kafka_that_answers_makes_a_run_ready() -> None:
    metrics = Metrics()
    metrics.observe_lag("sightflow.frames", 0, 12)
    assert metrics.health.troubles() == []


def test_a_stream_is_up_until_it_is_lost_or_ends() -> None:
    metrics = Metrics()

    def up(kind: EventKind) -> float | None:
        metrics.observe("gate", [event(kind=kind)])
        return metrics.registry.get_sample_value("sightflow_stream_up", {"stream": "gate"})

    kinds = [EventKind.OPENED, EventKind.LOST, EventKind.RECONNECTED, EventKind.UNREADABLE]
    assert [up(kind) for kind in kinds] == [1, 0, 1, 0]
    assert up(EventKind.ENDED) is None
    assert up(EventKind.ENDED) is None


def test_probes_are_answered() -> None:
    metrics = Metrics()
    with metrics.serve() as server:
        base = server.url.removesuffix("/metrics")

        def get(path: str) -> tuple[int, str]:
            answer = httpx.get(base + path)
            return answer.status_code, answer.text

        assert get("/healthz") == (200, "ok\n")
        assert get("/readyz") == (503, "no source has been opened yet\n")
        metrics.observe("gate", [verdict()])
        assert get("/readyz") == (200, "ok\n")
        metrics.observe("gate", [event(kind=EventKind.LOST, reason="stalled")])
        assert get("/readyz") == (503, "stream gate is lost: stalled\n")
        assert get("/healthz") == (200, "ok\n")
        assert get("/") == (404, "try /metrics, /healthz, /readyz\n")
        assert "sightflow_stream_up" in get("/metrics")[1]


def test_the_server_speaks_the_newer_protocol(capsys: pytest.CaptureFixture[str]) -> None:
    if not socket.has_ipv6:
        pytest.skip("needs IPv6")
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("needs the address ::1")
    with Metrics().serve("::1") as server:
        assert server.url.startswith("http://[::1]:")
        assert httpx.get(server.url).status_code == 200
    assert capsys.readouterr().err == ""
