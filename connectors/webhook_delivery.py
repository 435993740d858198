"""The delivery of alerts to one webhook endpoint, in a thread of its own.

What is pending is held in memory only.
"""

from __future__ import annotations

import heapq
import time
from collections import Counter
from dataclasses import dataclass, field
from http import HTTPStatus
from threading import Condition, Lock, Thread
from typing import TYPE_CHECKING, NamedTuple

import httpx
import structlog

from connectors.outbound import new_client, parse_url, post
from connectors.webhook_message import message_body, message_headers, retry_after_seconds
from connectors.webhook_settings import retry_seconds
from records import RecordError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from random import Random

    from connectors.webhook_settings import WebhookSettings
    from records import Alert, Clock

DELIVERED = ""
"""The reason of an alert that was delivered: none."""

GONE = "gone"
"""The endpoint answered 410: it wants nothing more."""

QUEUE_FULL = "queue_full"
"""Too many alerts were waiting."""

NOT_DRAINED = "not_drained"
"""The flow finished, and the alert was not delivered within `drain_seconds`."""

_RETRIED_4XX = {
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.TOO_EARLY,
    HTTPStatus.TOO_MANY_REQUESTS,
}
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class DeliveryReport:
    """What became of the alerts given to one endpoint.

    Attributes:
        delivered: Alerts that the endpoint accepted.
        failed: Alerts that were given up, by reason.
        retries: Attempts beyond the first of each alert.
        pending: Alerts that still wait or are on their way.
    """

    delivered: int = 0
    failed: Mapping[str, int] = field(default_factory=dict)
    retries: int = 0
    pending: int = 0


class Tally:
    """Counts outcomes; safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._outcomes: Counter[str] = Counter()
        self._given = 0
        self._retries = 0

    def given(self) -> None:
        """Count an alert that was given to the endpoint."""
        with self._lock:
            self._given += 1

    def retried(self) -> None:
        """Count a further attempt."""
        with self._lock:
            self._retries += 1

    def ended(self, reason: str) -> None:
        """Count an alert that was delivered, or failed for a reason."""
        with self._lock:
            self._outcomes[reason] += 1

    def report(self) -> DeliveryReport:
        """What was counted so far."""
        with self._lock:
            failed = {reason: n for reason, n in sorted(self._outcomes.items()) if reason}
            pending = self._given - self._outcomes.total()
            return DeliveryReport(self._outcomes[DELIVERED], failed, self._retries, pending)


class _Outcome(NamedTuple):
    """What one attempt came to: why it failed, if so, and whether another one may help."""

    reason: str
    retry: bool = False
    asked: float = 0.0


@dataclass(order=True, slots=True)
class _Pending:
    due: float
    number: int
    alert: Alert = field(compare=False)
    body: bytes = field(compare=False)
    attempts: int = field(default=0, compare=False)


class Deliverer:
    """Delivers alerts to one endpoint from a daemon thread; `submit` never waits for it.

    Alerts are tried in the order in which they are due; one that waits for its next attempt does
    not hold up the others. Each ends exactly once: delivered, or failed for a reason.

    Args:
        settings: The endpoint's.
        tally: Where outcomes are counted.
        on_end: Called with each alert that ended and its reason; must not raise. It is called in
            the deliverer's thread, or in that of `submit` and `close`.
        random: The source of chance for the jitter of the waits.
        clock: The time for signatures.
    """

    def __init__(
        self,
        settings: WebhookSettings,
        tally: Tally,
        on_end: Callable[[Alert, str], None],
        random: Random,
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._endpoint = parse_url(settings.url)
        self._tally = tally
        self._on_end = on_end
        self._random = random
        self._clock = clock
        self._wake = Condition()
        self._due: list[_Pending] = []
        self._open: dict[int, _Pending] = {}
        self._numbers = 0
        self._pause_until = 0.0
        self._deadline: float | None = None
        self._refusal = ""
        self._thread = Thread(target=self._run, name=f"webhook {settings.host}", daemon=True)
        self._thread.start()

    def submit(self, alert: Alert) -> None:
        """Give an alert to the endpoint."""
        self._tally.given()
        body = message_body(alert)
        with self._wake:
            full = len(self._open) >= self._settings.queue_at_most
            reason = self._refusal or (QUEUE_FULL if full else "")
            if not reason:
                self._numbers += 1
                pending = _Pending(time.monotonic(), self._numbers, alert, body)
                self._open[pending.number] = pending
                heapq.heappush(self._due, pending)
                self._wake.notify()
        if reason:
            self._end(alert, reason)

    def close(self) -> None:
        """Deliver what is pending for up to `drain_seconds`; what is left then has failed."""
        with self._wake:
            self._refusal = self._refusal or NOT_DRAINED
            self._deadline = time.monotonic() + self._settings.drain_seconds
            self._wake.notify()
        self._thread.join(self._settings.drain_seconds)
        self._end_all(NOT_DRAINED)

    def _run(self) -> None:
        with new_client(self._settings.timeout_seconds) as client:
            while (pending := self._next()) is not None:
                self._attempt(client, pending)

    def _next(self) -> _Pending | None:
        """Wait for the next attempt that is due; None when no more will be before the end."""
        with self._wake:
            while True:
                wait = None
                if self._due:
                    due = max(self._due[0].due, self._pause_until)
                    now = time.monotonic()
                    if self._deadline is not None and max(due, now) > self._deadline:
                        return None
                    if due <= now:
                        return heapq.heappop(self._due)
                    wait = due - now
                elif self._deadline is not None:
                    return None
                self._wake.wait(wait)

    def _attempt(self, client: httpx.Client, pending: _Pending) -> None:
        if pending.attempts:
            self._tally.retried()
        pending.attempts += 1
        outcome = self._send(client, pending)
        if outcome.reason == GONE:
            with self._wake:
                self._refusal = GONE
                self._due.clear()
            self._end_all(GONE)
        elif outcome.retry and pending.attempts < self._settings.attempts:
            self._postpone(pending, outcome)
        else:
            with self._wake:
                still_open = self._open.pop(pending.number, None)
            if still_open:
                self._end(pending.alert, outcome.reason)

    def _postpone(self, pending: _Pending, outcome: _Outcome) -> None:
        wait = retry_seconds(self._settings, pending.attempts, self._random, outcome.asked)
        now = time.monotonic()
        with self._wake:
            if pending.number not in self._open:
                return  # it has failed meanwhile, at the end of the flow
            pending.due = now + wait
            if outcome.asked:
                # The endpoint asked for quiet: no other alert may call it before, either.
                self._pause_until = max(self._pause_until, pending.due)
            heapq.heappush(self._due, pending)
        _log.info(
            "webhook will be tried again",
            endpoint=self._endpoint.host,
            alert=pending.alert.id,
            reason=outcome.reason,
            attempt=pending.attempts,
            wait_seconds=round(wait, 3),
        )

    def _send(self, client: httpx.Client, pending: _Pending) -> _Outcome:
        now_ns = self._clock()
        headers = message_headers(pending.alert, pending.body, self._settings.secrets, now_ns)
        private = self._settings.allow_private
        try:
            response = post(client, self._endpoint, pending.body, headers, allow_private=private)
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

    def _end_all(self, reason: str) -> None:
        with self._wake:
            left, self._open = self._open, {}
        for pending in left.values():
            self._end(pending.alert, reason)

    def _end(self, alert: Alert, reason: str) -> None:
        self._tally.ended(reason)
        if reason:
            _log.warning(
                "webhook failed", endpoint=self._endpoint.host, alert=alert.id, reason=reason
            )
        self._on_end(alert, reason)


def _outcome(status: int, asked: float) -> _Outcome:
    if httpx.codes.is_success(status):
        return _Outcome(DELIVERED)
    if status == HTTPStatus.GONE:
        return _Outcome(GONE)
    if httpx.codes.is_redirect(status):
        return _Outcome(f"redirect_{status}")
    retry = not httpx.codes.is_client_error(status) or status in _RETRIED_4XX
    return _Outcome(f"status_{status}", retry, asked)
