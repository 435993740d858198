"""Flows whose webhooks wait in an outbox on disk, and what became of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from connectors.outbox import Outbox
from connectors.outbox_inspection import read_outbox
from tests.support.dataflows import run_into
from tests.support.records import alert
from tests.support.webhooks import batches, sink_for

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from connectors.webhook import DeliveryReport
    from tests.support.endpoints import ScriptedServer


def ids(server: ScriptedServer) -> list[str]:
    return [request.headers["webhook-id"] for request in server.requests]


def alert_ids(numbers: Sequence[int]) -> list[str]:
    return [alert(sequence=k).id for k in numbers]


def deliver(path: Path, url: str, numbers: Sequence[int], **changes: Any) -> DeliveryReport:
    """Run a flow with some alerts against the outbox, as one start of a process would."""
    with Outbox(path) as outbox:
        sink = sink_for(url, outbox=outbox, **changes)
        run_into(sink, batches([alert(sequence=k) for k in numbers]))
        sink.close()
        return sink.report


def states(path: Path) -> list[tuple[str, str, str]]:
    return [
        (message.id, delivery.state.value, delivery.reason)
        for message in read_outbox(path).messages
        for delivery in message.deliveries
    ]
