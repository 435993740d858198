"""The messages of webhooks: body, signature, and what an endpoint answers about time.

Messages are signed after Standard Webhooks (https://www.standardwebhooks.com).
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import quote

from standardwebhooks import Webhook

from connectors.alertmanager import alertmanager_body
from connectors.codec import iso_time, to_json
from connectors.kafka.json_records import decode_json
from connectors.outbox_delivery import Message
from records import Alert

_NANOSECONDS = 10**9


def message_body(alert: Alert) -> bytes:
    """Write the body of an alert's message: JSON, the same bytes for equal alerts."""
    message = {
        "type": f"alert.{alert.state}",
        "timestamp": iso_time(alert.time_ns),
        "data": to_json(alert),
    }
    return json.dumps(message, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def as_alertmanager(body: bytes) -> bytes:
    """The same message in the shape that Prometheus' Alertmanager posts.

    Args:
        body: What `message_body` gave.
    """
    alert = decode_json(json.dumps(json.loads(body)["data"]).encode(), "alert")
    assert isinstance(alert, Alert), "messages are of alerts"
    shaped = alertmanager_body([alert])
    return json.dumps(shaped, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def message_of(alert: Alert) -> Message:
    """Write an alert as the message that waits in the outbox."""
    return Message(alert.id, alert.time_ns, alert.episode, message_body(alert))


def message_headers(
    alert_id: str, body: bytes, secrets: tuple[str, ...], now_ns: int
) -> dict[str, str]:
    """Sign a message.

    Args:
        alert_id: The alert's id. It is the message's, percent-encoded where a header needs it.
        body: What `message_body` gave.
        secrets: One signature is made with each.
        now_ns: The time of this attempt, nanoseconds since 1970 UTC.
    """
    seconds = now_ns // _NANOSECONDS
    moment = datetime.fromtimestamp(seconds, UTC)
    identity = quote(alert_id, safe=":/")
    signed = [Webhook(secret).sign(identity, moment, body.decode()) for secret in secrets]
    return {
        "content-type": "application/json",
        "user-agent": "sightflow",
        "webhook-id": identity,
        "webhook-timestamp": str(seconds),
        "webhook-signature": " ".join(signed),
    }


def retry_after_seconds(value: str, now_ns: int) -> float:
    """How long a ``Retry-After`` header asks to wait (RFC 9110, section 10.2.3), seconds.

    0 when there is none, or when it is neither whole seconds nor a date.

    >>> retry_after_seconds("120", 0)
    120.0
    >>> retry_after_seconds("Thu, 01 Jan 1970 00:01:00 GMT", 15 * 10**9)
    45.0
    >>> retry_after_seconds("soon", 0)
    0.0
    """
    if value.isascii() and value.isdecimal():
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return 0.0
    return max(moment.replace(tzinfo=moment.tzinfo or UTC).timestamp() - now_ns / _NANOSECONDS, 0.0)
