from __future__ import annotations

import pytest
from bytewax.testing import TestingSource

from connectors.codec import to_json
from connectors.receiver import WebhookReceiver
from connectors.webhook import DeliveryReport
from records import AlertState, Record
from tests.support.dataflows import run_into
from tests.support.endpoints import Reply, ScriptedServer, refusing_port
from tests.support.records import alert, estimate, event, verdict
from tests.support.webhooks import LONG, SECRET, Ends, batches, deliver, sink_for


@pytest.mark.parametrize("workers", [1, 2])
def test_a_flow_delivers_its_alerts_signed(workers: int) -> None:
    sent = [
        alert(sequence=i, state=state)
        for i, state in enumerate((AlertState.OPENED, AlertState.UPDATED, AlertState.CLOSED))
    ]
    records: list[Record] = [event(), verdict(), sent[0], estimate(), *sent[1:]]
    ends = Ends()
    with WebhookReceiver(SECRET) as receiver:
        sink = sink_for(receiver.url, ends)
        run_into(sink, batches(records), workers=workers)
        received = receiver.received
        assert (receiver.rejected, receiver.duplicates) == ([], 0)
    assert sorted(message["data"]["id"] for message in received) == sorted(a.id for a in sent)
    for message in received:
        record = next(a for a in sent if a.id == message["data"]["id"])
        assert message == {
            "type": f"alert.{record.state}",
            "timestamp": message["data"]["time"],
            "data": to_json(record),
        }
    assert sorted(ends.delivered) == sorted(record.id for record in sent)
    assert ends.failed == []
    assert sink.report == DeliveryReport(delivered=3)


def test_an_aborted_flow_drains_when_the_sink_is_closed() -> None:
    with WebhookReceiver(SECRET) as receiver:
        sink = sink_for(receiver.url)
        run_into(sink, [("gate", [alert()]), TestingSource.ABORT()])
        sink.close()
        sink.close()
        assert sink.report == DeliveryReport(delivered=1)
        deliver(1, sink)
        assert receiver.duplicates == 1
    assert sink.report == DeliveryReport(delivered=2)


def test_a_receiver_of_alertmanager_gets_its_shape_signed_as_ever() -> None:
    with WebhookReceiver(SECRET) as receiver:
        sink = sink_for(receiver.url, body="alertmanager")
        deliver(1, sink)
        assert receiver.rejected == []
        (told,) = receiver.received
    assert (told["version"], told["status"], len(told["alerts"])) == ("4", "firing", 1)


def test_an_alert_for_a_closed_sink_has_failed() -> None:
    with ScriptedServer() as server:
        sink = sink_for(server.url)
        part = sink.build("webhook", 0, 1)
        sink.close()
        part.write_batch([("gate", [alert()])])
        assert server.requests == []
    assert sink.report == DeliveryReport(failed={"not_drained": 1})


def test_a_dead_endpoint_does_not_delay_a_good_one() -> None:
    dead_ends = Ends()
    with (
        WebhookReceiver(SECRET) as receiver,
        ScriptedServer(Reply(hang=True)) as hanging,
        refusing_port() as port,
    ):
        good = sink_for(receiver.url)
        dead = sink_for(hanging.url, dead_ends, timeout_seconds=LONG, drain_seconds=0)
        nobody = sink_for(f"http://127.0.0.1:{port}/in", dead_ends)
        parts = [sink.build("webhook", 0, 1) for sink in (dead, nobody, good)]
        for i in range(20):
            for part in parts:
                part.write_batch([("gate", [alert(sequence=i)])])
        assert receiver.wait_for(20, LONG)
        for part in parts:
            part.close()
    assert good.report == DeliveryReport(delivered=20)
    assert dead.report == DeliveryReport(failed={"not_drained": 20})
    assert nobody.report == DeliveryReport(failed={"unreachable": 20}, retries=60)


def test_a_full_queue_fails_what_does_not_fit_and_never_waits() -> None:
    ends = Ends()
    with ScriptedServer(Reply(hang=True)) as server:
        sink = sink_for(server.url, ends, queue_at_most=3, drain_seconds=0, timeout_seconds=LONG)
        deliver(5, sink)
        assert len(server.requests) <= 1
    assert ends.failed[:2] == [(alert(sequence=i).id, "queue_full") for i in (3, 4)]
    assert sink.report == DeliveryReport(failed={"not_drained": 3, "queue_full": 2})
