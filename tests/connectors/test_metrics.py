from __future__ import annotations

import socket
from dataclasses import replace
from threading import Thread

import httpx
import pytest

from connectors.metrics import DETECTOR_BUCKETS, Metrics
from records import AlertState, EventKind, SightflowError, Stage
from tests.support.records import alert, estimate, event, reading, verdict


def test_records_are_counted() -> None:
    metrics = Metrics()
    metrics.observe(
        "gate",
        [
            verdict(sequence=0),
            verdict(sequence=1, stage=Stage.DIFFERENCE),
            verdict(sequence=2, stage=Stage.DIFFERENCE),
            alert(),
            alert(state=AlertState.CLOSED),
            event(),
            event(kind=EventKind.DROPPED, count=3, reason="flow_behind"),
            event(kind=EventKind.DROPPED, count=2, reason="flow_behind"),
            event(kind=EventKind.CORRUPT, count=1, reason="decode_error"),
            event(kind=EventKind.TRUNCATED, count=1),
            estimate(),
        ],
    )
    metrics.observe("ecg", [reading(), verdict("ecg")])
    reached = 'sightflow_stage_frames_total{stage="%s",stream="%s"}'
    assert metrics.snapshot() == {
        **{reached % (stage, "gate"): 3 for stage in ("packets", "skip", "difference")},
        **{reached % (stage, "gate"): 1 for stage in ("specialised", "reference")},
        **{reached % (stage, "ecg"): 1 for stage in Stage},
        'sightflow_window_estimate{bound="low",name="people",stream="gate"}': 2.25,
        'sightflow_window_estimate{bound="value",name="people",stream="gate"}': 2.5,
        'sightflow_window_estimate{bound="high",name="people",stream="gate"}': 2.75,
        'sightflow_frames_total{stage="reference",stream="gate"}': 1,
        'sightflow_frames_total{stage="difference",stream="gate"}': 2,
        'sightflow_frames_total{stage="reference",stream="ecg"}': 1,
        'sightflow_frames_dropped_total{reason="flow_behind",stream="gate"}': 5,
        'sightflow_packets_corrupt_total{reason="decode_error",stream="gate"}': 1,
        'sightflow_packets_corrupt_total{reason="unknown",stream="gate"}': 1,
        'sightflow_stream_events_total{kind="opened",stream="gate"}': 1,
        'sightflow_stream_up{stream="gate"}': 1,
        'sightflow_stream_events_total{kind="dropped",stream="gate"}': 2,
        'sightflow_stream_events_total{kind="corrupt",stream="gate"}': 1,
        'sightflow_stream_events_total{kind="truncated",stream="gate"}': 1,
        'sightflow_alerts_total{rule="crowd",state="opened",stream="gate"}': 1,
        'sightflow_alerts_total{rule="crowd",state="closed",stream="gate"}': 1,
    }


def test_the_audit_and_the_contract_are_shown() -> None:
    metrics = Metrics()
    metrics.observe("gate", [
        replace(verdict(), audited=True, positive=True, unaudited=False),
        replace(estimate(), name="audit recall", value=0.5, low=0.25, high=0.75),
        event(kind=EventKind.CONTRACT, reason="recall_broken"),
    ])  # fmt: skip
    got = metrics.snapshot()
    assert got['sightflow_frames_audited_total{stream="gate"}'] == 1
    shown = {bound: got[f'sightflow_audit_recall{{bound="{bound}",stream="gate"}}']
             for bound in ("low", "value", "high")}  # fmt: skip
    assert shown == {"low": 0.25, "value": 0.5, "high": 0.75}
    assert got['sightflow_contract_changes_total{reason="recall_broken",stream="gate"}'] == 1


def test_detector_calls_are_counted_and_timed() -> None:
    metrics = Metrics()
    metrics.observe_detector("yolox_nano", 4, 0.03)
    metrics.observe_detector("yolox_nano", 1, 0.25)
    found = metrics.snapshot()
    assert found['sightflow_detector_calls_total{model="yolox_nano"}'] == 5
    assert found['sightflow_detector_seconds_count{model="yolox_nano"}'] == 2
    assert found['sightflow_detector_seconds_sum{model="yolox_nano"}'] == pytest.approx(0.28)
    buckets = [
        found[f'sightflow_detector_seconds_bucket{{le="{le}",model="yolox_nano"}}']
        for le in DETECTOR_BUCKETS
    ]
    assert buckets == [0, 0, 0, 0, 1, 1, 1, 2, 2, 2, 2]


def test_deliveries_are_counted_by_host() -> None:
    metrics = Metrics()
    metrics.observe_delivery("alerts.example.com")
    metrics.observe_delivery("alerts.example.com", "timeout")
    name = 'sightflow_webhook_deliveries_total{endpoint="alerts.example.com",outcome="%s"}'
    assert metrics.snapshot() == {name % "delivered": 1, name % "timeout": 1}


def test_runs_do_not_share_metrics() -> None:
    first, second = Metrics(), Metrics()
    first.observe("gate", [verdict()])
    assert second.snapshot() == {}


def test_threads_lose_no_count() -> None:
    metrics = Metrics()

    def observe() -> None:
        for _ in range(500):
            metrics.observe("gate", [verdict()])

    threads = [Thread(target=observe) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert metrics.snapshot()['sightflow_frames_total{stage="reference",stream="gate"}'] == 2000


def test_metrics_are_served_until_closed() -> None:
    metrics = Metrics()
    metrics.observe("gate", [verdict()])
    with metrics.serve() as server:
        text = httpx.get(server.url).text
    assert 'sightflow_frames_total{stage="reference",stream="gate"} 1.0' in text.splitlines()
    assert "# TYPE sightflow_detector_seconds histogram" in text
    with pytest.raises(httpx.ConnectError):
        httpx.get(server.url)


def test_a_port_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SightflowError) as caught:
            Metrics().serve(port=port)
    assert str(caught.value) == (
        f"metrics cannot be served on 127.0.0.1:{port}: Address already in use; take another port"
    )
