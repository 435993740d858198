"""The delivery of messages to one webhook endpoint, from the outbox, in a thread of its own."""

from __future__ import annotations

import time
from functools import partial
from http import HTTPStatus
from threading import Condition, Thread
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import httpx
import structlog

from connectors.codec import iso_time
from connectors.outbound import new_client, parse_url, post
from connectors.outbox_delivery import GONE, Delivery, DeliveryState
from connectors.outbox_tally import DELIVERED, DeliveryReport, Tally
from connectors.webhook_message import (
    as_alertmanager,
    message_headers,
    message_of,
    retry_after_seconds,
)
from connectors.webhook_settings import ALERTMANAGER, retry_seconds
from records import RecordError, SightflowError
from records.units import NANOSECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from random import Random

    from connectors.outbox import Outbox
    from connectors.webhook_settings import WebhookSettings
    from records import Alert, Clock

NOT_DRAINED = "not_drained"
"""The flow finished, and the alert was not delivered within `drain_seconds`."""

POLL_SECONDS = 2.0
"""How soon what another process puts back into the outbox is seen, seconds."""

REPAIR_SECONDS = 1.0
"""The wait before an outbox that could not be read or written is tried again, seconds."""

_CLOCK_SLACK = 2
_RETRIED_4XX = {
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.TOO_EARLY,
    HTTPStatus.TOO_MANY_REQUESTS,
}
_T = TypeVar("_T")
_log = structlog.get_logger(__name__)


class _Outcome(NamedTuple):
    """What one attempt came to: why it failed, if so, and whether another one may help."""

    reason: str
    retry: bool = False
    asked: float = 0.0


class Deliverer:
    """Delivers what the outbox holds for one endpoint, from a daemon thread.

    Messages are tried in the order in which they are due; one that waits for its next attempt does
    not hold up the others. What is pending when it starts, from an earlier run, goes on.

    Args:
        settings: The endpoint's.
        outbox: Where messages wait.
        tally: Where outcomes are counted.
        on_end: Called with the id of each alert that ended and the reason; must not raise. It is
            called in the deliverer's thread, or in that of `submit` and `close`.
        random: The source of chance for the jitter of the waits.
        clock: The wall clock, for signatures and for when attempts are due.

    Raises:
        SightflowError: the outbox cannot be written.
    """

    def __init__(
        self,
        settings: WebhookSettings,
        outbox: Outbox,
        tally: Tally,
        on_end: Callable[[str, str], None],
        random: Random,
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._outbox = outbox
        self._url = parse_url(settings.url)
        self._endpoint = outbox.endpoint(settings.endpoint, settings.host)
        self._tally = tally
        self._on_end = on_end
        self._random = random
        self._clock = clock
        self._wake = Condition()
        self._deadline: float | None = None
        self._left: int | None = None
        self._tell_what_is_there()
        self._thread = Thread(target=self._run, name=f"webhook {settings.host}", daemon=True)
        self._thread.start()

    @property
    def report(self) -> DeliveryReport:
        """What became of the alerts so far."""
        with self._wake:
            pending = self._outbox.pending(self._endpoint) if self._left is None else self._left
        return self._tally.report(pending)

    def submit(self, alerts: Sequence[Alert]) -> None:
        """Put alerts into the outbox; once this returns, a durable one has them.

        Raises:
            SightflowError: the outbox cannot be written.
        """
        messages = [message_of(alert) for alert in alerts]
        with self._wake:
            if self._left is not None and not self._outbox.durable:
                refused = tuple((message.id, NOT_DRAINED) for message in messages)
            else:
                most = self._settings.queue_at_most
                added = self._outbox.add(self._endpoint, messages, self._clock(), most)
                self._tally.known(added.known)
                refused = added.refused
                self._wake.notify()
            self._count(refused)
        self._tell(refused)

    def finish(self) -> float:
        """Begin to drain: what is pending is delivered for up to `drain_seconds` from now.

        Returns:
            When that ends, monotonic seconds.
        """
        with self._wake:
            if self._deadline is None:
                self._deadline = time.monotonic() + self._settings.drain_seconds
                self._wake.notify()
            return self._deadline

    def close(self) -> None:
        """Drain, then stop: what is left stays pending in a durable outbox, else it has failed.

        May be called twice.
        """
        deadline = self.finish()
        self._thread.join(max(deadline - time.monotonic(), 0.0))
        ended: list[tuple[str, str]] = []
        with self._wake:
            if self._left is not None:
                return
            if not self._outbox.durable:
                ids = self._outbox.fail_pending(self._endpoint, NOT_DRAINED, self._clock())
                ended = [(one, NOT_DRAINED) for one in ids]
            self._count(ended)
            self._left = self._outbox.pending(self._endpoint)
            self._wake.notify()
        self._tell(ended)
        if self._left:
            _log.warning("webhooks stay pending", endpoint=self._url.host, pending=self._left)

    def _tell_what_is_there(self) -> None:
        disabled_ns = self._outbox.disabled_ns(self._endpoint)
        pending = self._outbox.pending(self._endpoint)
        if disabled_ns is not None:
            _log.warning(
                "webhook endpoint is disabled since it answered 410; 'sightflow alerts replay' "
                "enables it",
                endpoint=self._url.host,
                since=iso_time(disabled_ns),
            )
        if pending:
            _log.info("webhooks go on from the outbox", endpoint=self._url.host, pending=pending)

    def _run(self) -> None:
        with new_client(self._settings.timeout_seconds) as client:
            while (delivery := self._persist(self._next)) is not None:
                if delivery.attempts:
                    self._tally.retried()
                outcome = self._send(client, delivery)
                self._tell(self._persist(partial(self._record, delivery, outcome)) or ())

    def _persist(self, action: Callable[[], _T | None]) -> _T | None:
        """Do something with the outbox, again until that works, or until delivery has ended."""
        while True:
            try:
                return action()
            except SightflowError as error:
                if self._outbox.closed:
                    return None
                _log.error("outbox fails", endpoint=self._url.host, error=str(error))
            with self._wake:
                if self._wake.wait_for(lambda: self._left is not None, REPAIR_SECONDS):
                    return None

    def _next(self) -> Delivery | None:
        """Wait for the next attempt that is due; None when no more will be before the end."""
        with self._wake:
            while self._left is None:
                delivery = self._outbox.next_due(self._endpoint)
                wait = None if delivery is None else self._wait_seconds(delivery)
                if self._deadline is not None and (
                    wait is None or time.monotonic() + wait > self._deadline
                ):
                    return None
                if wait == 0:
                    return delivery
                self._wake.wait(POLL_SECONDS if wait is None else min(wait, POLL_SECONDS))
        return None

    def _wait_seconds(self, delivery: Delivery) -> float:
        wait = max(delivery.due_ns - self._clock(), 0) / NANOSECONDS
        # None waits this long unless the clock was set back, or the settings were changed.
        return 0.0 if wait > _CLOCK_SLACK * self._settings.most_retry_seconds else wait

    def _record(self, delivery: Delivery, outcome: _Outcome) -> list[tuple[str, str]]:
        """Record an attempt in the outbox: what has ended with it, and why."""
        now_ns, message = self._clock(), delivery.message
        with self._wake:
            if self._left is not None:
                return []  # too late: it stays pending, or has failed
            if outcome.retry and delivery.attempts + 1 < self._settings.attempts:
                self._postpone(delivery, outcome, now_ns)
                return []
            if outcome.reason == GONE:
                ids = self._outbox.disable(self._endpoint, message, now_ns)
            else:
                state = DeliveryState.FAILED if outcome.reason else DeliveryState.DELIVERED
                self._outbox.settle(self._endpoint, message, state, outcome.reason, now_ns)
                ids = [delivery.id]
            ended = [(one, outcome.reason) for one in ids]
            self._count(ended)
        return ended

    def _postpone(self, delivery: Delivery, outcome: _Outcome, now_ns: int) -> None:
        attempt = delivery.attempts + 1
        wait = retry_seconds(self._settings, attempt, self._random, outcome.asked)
        due_ns = now_ns + round(wait * NANOSECONDS)
        # An endpoint that asks for quiet is called with no other alert before, either.
        pause = outcome.asked > 0
        self._outbox.postpone(
            self._endpoint, delivery.message, outcome.reason, now_ns, due_ns, pause=pause
        )
        _log.info(
            "webhook will be tried again",
            endpoint=self._url.host,
            alert=delivery.id,
            reason=outcome.reason,
            attempt=attempt,
            wait_seconds=round(wait, 3),
        )

    def _send(self, client: httpx.Client, delivery: Delivery) -> _Outcome:
        now_ns = self._clock()
        body = delivery.body
        if self._settings.body == ALERTMANAGER:
            body = as_alertmanager(body)
        headers = message_headers(delivery.id, body, self._settings.secrets, now_ns)
        private = self._settings.allow_private
        try:
            response = post(client, self._url, body, headers, allow_private=private)
        except RecordError:
            return _Outcome("address_refused")
        except OSError:
            return _Outcome("unresolved", retry=True)
        except httpx.TimeoutException:
            return _Outcome("timeout", retry=True)
        except httpx.TransportError:
            return _Outcome("unreachable", retry=True)
        asked = retry_after_seconds(response.headers.get("retry-after", ""), now_ns)
        return _outcome(response.status_code, asked)

    def _count(self, ended: Sequence[tuple[str, str]]) -> None:
        """Count what ended; with the lock held, so that `close` misses none of it."""
        for _, reason in ended:
            self._tally.ended(reason)

    def _tell(self, ended: Sequence[tuple[str, str]]) -> None:
        host = self._url.host
        for alert_id, reason in ended:
            if reason != DELIVERED:
                _log.warning("webhook failed", endpoint=host, alert=alert_id, reason=reason)
            self._on_end(alert_id, reason)


def _outcome(status: int, asked: float) -> _Outcome:
    if httpx.codes.is_success(status):
        return _Outcome(DELIVERED)
    if status == HTTPStatus.GONE:
        return _Outcome(GONE)
    if httpx.codes.is_redirect(status):
        return _Outcome(f"redirect_{status}")
    retry = not httpx.codes.is_client_error(status) or status in _RETRIED_4XX
    return _Outcome(f"status_{status}", retry, asked)
