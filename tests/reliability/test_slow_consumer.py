"""What is slow holds up what it must, and nothing else: memory is bounded, losses are counted."""

from __future__ import annotations

import time
from dataclasses import replace
from threading import Event
from typing import TYPE_CHECKING

import bytewax.operators as op
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingSink, run_main

from connectors.codec import encode
from connectors.kafka import KafkaSource, KafkaSourceSettings, kafka_input
from connectors.outbox import Outbox
from connectors.video import VideoSettings
from connectors.webhook import DeliveryReport
from records import EventKind
from tests.support.cameras import Camera
from tests.support.dataflows import run_into
from tests.support.endpoints import Reply, ScriptedServer
from tests.support.kafka_broker import create, send
from tests.support.records import alert, reading
from tests.support.videos import DEADLINE_SECONDS, run_flow
from tests.support.webhook_outbox import states
from tests.support.webhooks import Ends, sink_for
from tests.support.webhooks import batches as batches_of

if TYPE_CHECKING:
    from pathlib import Path

    from connectors.kafka import Records
    from records import FrameBatch
    from tests.support.kafka_broker import Broker

BATCH = 5


def test_kafka_is_read_no_faster_than_it_is_used(broker: Broker) -> None:
    settings = broker.settings()
    (topic,) = create(settings, "readings")
    readings = [replace(reading("pump"), sequence=number) for number in range(60)]
    send(settings, topic, [("pump", encode(one), {}) for one in readings])
    wanted = KafkaSourceSettings({topic: None}, end="latest", readers=1, batch_messages=BATCH)
    read, ahead = 0, []

    def come(records: Records) -> Records:
        nonlocal read
        read += len(records)
        return records

    used: list[tuple[str, Records]] = []

    def use(records: Records) -> Records:
        time.sleep(0.005)
        ahead.append(read - sum(len(each) for _, each in used))
        return records

    flow = Dataflow("slow")
    received = kafka_input("kafka", flow, KafkaSource(settings, wanted)).records
    slow = op.map_value("use", op.map_value("come", received, come), use)
    op.output("out", slow, TestingSink(used))
    run_main(flow)
    assert [one for _, records in used for one in records] == readings
    assert max(ahead) <= 2 * BATCH


def test_a_live_camera_drops_frames_and_counts_them() -> None:
    stop, deadline = Event(), time.monotonic() + DEADLINE_SECONDS

    def slowly(batch: FrameBatch) -> None:
        assert time.monotonic() < deadline, "no frame was dropped"
        time.sleep(0.1)
        if any(event.kind is EventKind.DROPPED for event in batch.events):
            stop.set()

    with Camera(rate_hz=50) as camera:
        settings = VideoSettings(camera.url, frames_in_memory=2, batch_frames=1)
        batches = run_flow({"gate": settings}, stop=stop, each=slowly)
    events = [event for batch in batches for event in batch.events]
    frames = [frame for batch in batches for frame in batch.frames]
    dropped = [event for event in events if event.kind is EventKind.DROPPED]
    assert {event.reason for event in dropped} == {"flow_behind"}
    assert all(event.count > 0 for event in dropped)
    assert [frame.sequence for frame in frames] == list(range(len(frames)))
    assert (events[-1].kind, events[-1].count) == (EventKind.ENDED, len(frames))


def test_a_slow_webhook_keeps_the_newest_alerts_as_failed(tmp_path: Path) -> None:
    path = tmp_path / "flow.outbox.sqlite3"
    ends = Ends()
    with ScriptedServer(Reply(hang=True)) as server, Outbox(path) as outbox:
        sink = sink_for(server.url, ends, outbox, queue_at_most=3, drain_seconds=0.0)
        # The flow ends at once: it does not wait for the endpoint.
        run_into(sink, batches_of([alert(sequence=k) for k in range(5)]))
        sink.close()
        assert sink.report == DeliveryReport(failed={"queue_full": 2}, pending=3)
    refused = [(alert(sequence=k).id, "queue_full") for k in (3, 4)]
    assert ends.failed == refused
    kept = [(name, state, reason) for name, state, reason in states(path) if state == "failed"]
    assert kept == [(name, "failed", reason) for name, reason in refused]
