"""The webhook sink: alerts as signed messages to an HTTP endpoint."""

from __future__ import annotations

import time
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING, TypeAlias

from bytewax.outputs import DynamicSink, StatelessSinkPartition

from connectors.webhook_delivery import DELIVERED, Deliverer, DeliveryReport, Tally
from connectors.webhook_settings import WebhookSettings
from records import Alert, Clock, Record

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from random import Random

__all__ = ["DeliveryReport", "WebhookPartition", "WebhookSettings", "WebhookSink"]

_Item: TypeAlias = tuple[str, "Sequence[Record]"]


class WebhookSink(DynamicSink[_Item]):
    """Posts the alerts among ``(stream, records)`` to one endpoint.

    Delivery happens in one thread for all workers of the process, so a slow endpoint holds up
    neither the flow nor other endpoints. Every alert ends as delivered or as failed for a reason:
    ``queue_full``, ``gone`` (410), ``not_drained``, ``address_refused``, ``unresolved``,
    ``unreachable``, ``timeout``, ``status_<code>`` or ``redirect_<code>``. When the flow ends, the
    last worker waits for what is pending, up to `drain_seconds`.

    Args:
        settings: The endpoint's.
        random: The source of chance for the jitter of the waits; for this sink alone.
        on_failure: Called with each alert that failed and the reason. Must not raise; may be called
            from another thread.
        on_delivered: Called with each alert that was delivered, likewise.
        clock: The time for signatures.
    """

    def __init__(
        self,
        settings: WebhookSettings,
        random: Random,
        *,
        on_failure: Callable[[Alert, str], None] | None = None,
        on_delivered: Callable[[Alert], None] | None = None,
        clock: Clock = time.time_ns,
    ) -> None:
        self.settings = settings
        self._random = random
        self._on_failure = on_failure
        self._on_delivered = on_delivered
        self._clock = clock
        self._tally = Tally()
        self._lock = Lock()
        self._users = 0
        self._deliverer: Deliverer | None = None

    @property
    def report(self) -> DeliveryReport:
        """What became of the alerts so far; complete once the flow has ended."""
        return self._tally.report()

    def build(self, step_id: str, worker_index: int, worker_count: int) -> WebhookPartition:
        """Join the deliverer of this process; the first worker starts it."""
        del step_id, worker_index, worker_count
        with self._lock:
            if self._deliverer is None:
                self._deliverer = Deliverer(
                    self.settings, self._tally, self._ended, self._random, self._clock
                )
            self._users += 1
            return WebhookPartition(self._deliverer, partial(self._leave, self._deliverer))

    def close(self) -> None:
        """End delivery as when the flow ends; for flows that were aborted. May be called twice."""
        with self._lock:
            deliverer, self._deliverer, self._users = self._deliverer, None, 0
        if deliverer is not None:
            deliverer.close()

    def _leave(self, deliverer: Deliverer) -> None:
        with self._lock:
            if self._deliverer is not deliverer:
                return  # the sink was closed before, and may serve another flow by now
            self._users -= 1
            if self._users > 0:
                return
        self.close()

    def _ended(self, alert: Alert, reason: str) -> None:
        if reason == DELIVERED:
            if self._on_delivered is not None:
                self._on_delivered(alert)
        elif self._on_failure is not None:
            self._on_failure(alert, reason)


class WebhookPartition(StatelessSinkPartition[_Item]):
    """One worker's access to the deliverer."""

    def __init__(self, deliverer: Deliverer, leave: Callable[[], None]) -> None:
        self._deliverer = deliverer
        self._leave = leave

    def write_batch(self, items: list[_Item]) -> None:
        """Hand the alerts over; other records are not for webhooks."""
        for _, records in items:
            for record in records:
                if isinstance(record, Alert):
                    self._deliverer.submit(record)

    def close(self) -> None:
        """Leave; the last worker waits for what is pending."""
        self._leave()
