"""The webhook sink: alerts as signed messages to an HTTP endpoint."""

from __future__ import annotations

import time
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING, TypeAlias

from bytewax.outputs import DynamicSink, StatelessSinkPartition

from connectors.outbox import Outbox
from connectors.outbox_tally import DELIVERED, DeliveryReport, Tally
from connectors.webhook_delivery import Deliverer
from connectors.webhook_settings import WebhookSettings
from records import Alert, Clock, Record

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from random import Random

__all__ = ["DeliveryReport", "WebhookPartition", "WebhookSettings", "WebhookSink"]

_Item: TypeAlias = tuple[str, "Sequence[Record]"]


class WebhookSink(DynamicSink[_Item]):
    """Posts the alerts among ``(stream, records)`` to one endpoint.

    Alerts are written to an outbox before the epoch closes, and delivered from there by one thread
    for all workers of the process, so a slow endpoint holds up neither the flow nor other
    endpoints. Every alert ends as delivered or as failed for a reason: ``queue_full``,
    ``too_large``, ``gone`` (410), ``address_refused``, ``unresolved``, ``unreachable``,
    ``timeout``, ``status_<code>`` or ``redirect_<code>``.

    When the flow ends, what is pending is delivered for up to `drain_seconds`. What is left then
    goes on at the next start if the outbox is a file; without one it has failed as ``not_drained``.

    Args:
        settings: The endpoint's.
        random: The source of chance for the jitter of the waits; for this sink alone.
        outbox: Where alerts wait, shared with the sinks of other endpoints. The flow's end then
            only begins the drain, so that endpoints drain at the same time; `close` waits for it,
            and the outbox is the caller's to close. None makes one in memory, and the flow's end
            waits.
        on_failure: Called with the id of each alert that failed and the reason. Must not raise; may
            be called from another thread.
        on_delivered: Called with the id of each alert that was delivered, likewise.
        clock: The wall clock, for signatures and for when attempts are due.
    """

    def __init__(
        self,
        settings: WebhookSettings,
        random: Random,
        *,
        outbox: Outbox | None = None,
        on_failure: Callable[[str, str], None] | None = None,
        on_delivered: Callable[[str], None] | None = None,
        clock: Clock = time.time_ns,
    ) -> None:
        self.settings = settings
        self._random = random
        self._shared = outbox
        self._own: Outbox | None = None
        self._on_failure = on_failure
        self._on_delivered = on_delivered
        self._clock = clock
        self._tally = Tally()
        self._lock = Lock()
        self._users = 0
        self._pending = 0
        self._deliverer: Deliverer | None = None

    @property
    def report(self) -> DeliveryReport:
        """What became of the alerts so far; complete once `close` has returned."""
        with self._lock:
            if self._deliverer is not None:
                return self._deliverer.report
            return self._tally.report(self._pending)

    def start(self) -> None:
        """Begin to deliver what the outbox holds; the flow does so, too.

        Raises:
            SightflowError: the outbox cannot be written.
        """
        with self._lock:
            self._started()

    def build(self, step_id: str, worker_index: int, worker_count: int) -> WebhookPartition:
        """Join the deliverer of this process; the first worker starts it."""
        del step_id, worker_index, worker_count
        with self._lock:
            deliverer = self._started()
            self._users += 1
            return WebhookPartition(deliverer, partial(self._leave, deliverer))

    def finish(self) -> None:
        """Begin the drain, without waiting for it."""
        with self._lock:
            if self._deliverer is not None:
                self._deliverer.finish()

    def close(self) -> None:
        """Drain and end delivery, also of a flow that was aborted. May be called twice."""
        with self._lock:
            deliverer, outbox = self._deliverer, self._own
        if deliverer is None:
            return
        deliverer.close()
        with self._lock:
            if self._deliverer is deliverer:
                self._pending = deliverer.report.pending
                self._deliverer, self._own, self._users = None, None, 0
        if outbox is not None:
            outbox.close()

    def _started(self) -> Deliverer:
        if self._deliverer is None:
            if self._shared is None:
                self._own = Outbox()
            outbox = self._shared or self._own
            assert outbox is not None
            self._deliverer = Deliverer(
                self.settings, outbox, self._tally, self._ended, self._random, self._clock
            )
        return self._deliverer

    def _leave(self, deliverer: Deliverer) -> None:
        with self._lock:
            if self._deliverer is not deliverer:
                return  # the sink was closed before, and may serve another flow by now
            self._users -= 1
            if self._users > 0:
                return
        if self._shared is None:
            self.close()
        else:
            self.finish()

    def _ended(self, alert_id: str, reason: str) -> None:
        if reason == DELIVERED:
            if self._on_delivered is not None:
                self._on_delivered(alert_id)
        elif self._on_failure is not None:
            self._on_failure(alert_id, reason)


class WebhookPartition(StatelessSinkPartition[_Item]):
    """One worker's access to the deliverer."""

    def __init__(self, deliverer: Deliverer, leave: Callable[[], None]) -> None:
        self._deliverer = deliverer
        self._leave = leave

    def write_batch(self, items: list[_Item]) -> None:
        """Put the alerts into the outbox; other records are not for webhooks.

        Raises:
            SightflowError: the outbox cannot be written; the flow stops, and its recovery brings
                the alerts again.
        """
        alerts = [record for _, records in items for record in records if isinstance(record, Alert)]
        if alerts:
            self._deliverer.submit(alerts)

    def close(self) -> None:
        """Leave; with the last worker the drain begins."""
        self._leave()
