"""Webhook sinks for tests, and what becomes of their alerts."""

from __future__ import annotations

import base64
import time
from random import Random
from threading import Lock
from typing import TYPE_CHECKING, Any

from connectors.webhook import WebhookSettings, WebhookSink
from tests.support.dataflows import run_into
from tests.support.records import alert

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from connectors.outbox import Outbox
    from records import Record

SECRET = "whsec_" + base64.b64encode(b"a" * 32).decode()

LONG = 60.0
"""Longer than any test takes: for waits that the test ends otherwise."""


def settings_for(url: str, **changes: Any) -> WebhookSettings:
    quick: dict[str, Any] = {
        "allow_private": True,
        "first_retry_seconds": 0.01,
        "most_retry_seconds": 5.0,
        "attempts": 4,
        "drain_seconds": LONG,
        "secrets": (SECRET,),
    }
    return WebhookSettings(url, **(quick | changes))


class Ends:
    """Collects what the sink reports of each alert."""

    def __init__(self) -> None:
        self._lock = Lock()
        self.failed: list[tuple[str, str]] = []
        self.delivered: list[str] = []

    def failure(self, alert_id: str, reason: str) -> None:
        with self._lock:
            self.failed.append((alert_id, reason))

    def delivery(self, alert_id: str) -> None:
        with self._lock:
            self.delivered.append(alert_id)


def sink_for(
    url: str, ends: Ends | None = None, outbox: Outbox | None = None, **changes: Any
) -> WebhookSink:
    ends = ends or Ends()
    return WebhookSink(
        settings_for(url, **changes),
        Random(1),
        outbox=outbox,
        on_failure=ends.failure,
        on_delivered=ends.delivery,
    )


def batches(records: Sequence[Record]) -> list[tuple[str, list[Record]]]:
    return [(record.stream, [record]) for record in records]


def deliver(count: int, sink: WebhookSink) -> None:
    run_into(sink, batches([alert(sequence=i) for i in range(count)]))


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LONG
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.005)
