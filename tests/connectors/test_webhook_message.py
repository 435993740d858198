from __future__ import annotations

import base64
import hmac
import json
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from connectors.alertmanager import alertmanager_body
from connectors.codec import to_json
from connectors.webhook_message import (
    as_alertmanager,
    message_body,
    message_headers,
    retry_after_seconds,
)
from tests.support.records import alert, alerts, repeatable

if TYPE_CHECKING:
    from records import Alert

OLD, NEW, OTHER = (
    "whsec_" + base64.b64encode(letter * 32).decode() for letter in (b"o", b"n", b"x")
)


def test_body() -> None:
    assert json.loads(message_body(alert(sequence=3))) == {
        "type": "alert.opened",
        "timestamp": "2023-11-14T22:13:20.300000000Z",
        "data": to_json(alert(sequence=3)),
    }
    assert message_body(alert()).startswith(
        b'{"data":{"configuration":"ab12","count":1,"id":"gate:crowd:0:op'
    )


def test_the_shape_of_alertmanager() -> None:
    told = json.loads(as_alertmanager(message_body(alert(sequence=3))))
    assert told == alertmanager_body([alert(sequence=3)])
    assert (told["version"], told["status"]) == ("4", "firing")


def signature(key: bytes, text: bytes) -> str:
    return "v1," + base64.b64encode(hmac.digest(key, text, "sha256")).decode()


def test_headers() -> None:
    text = b"gate:crowd:0:opened:0.1700000000.{}"
    assert message_headers(alert().id, b"{}", (OLD, NEW), 1_700_000_000_999_999_999) == {
        "content-type": "application/json",
        "user-agent": "sightflow",
        "webhook-id": "gate:crowd:0:opened:0",
        "webhook-timestamp": "1700000000",
        "webhook-signature": f"{signature(b'o' * 32, text)} {signature(b'n' * 32, text)}",
    }


@repeatable
@given(alerts)
def test_the_library_verifies_with_every_secret(record: Alert) -> None:
    body = message_body(record)
    headers = message_headers(record.id, body, (OLD, NEW), time.time_ns())
    assert all(value.isascii() and value.strip() == value for value in headers.values())
    for secret in (OLD, NEW):
        message = Webhook(secret).verify(body, headers)
        assert message["data"]["id"] == record.id
    changed = headers | {"webhook-id": "other"}
    for wrong, data, sent in (
        (OTHER, body, headers),
        (OLD, body + b" ", headers),
        (OLD, body, changed),
    ):
        with pytest.raises(WebhookVerificationError, match="No matching signature found"):
            Webhook(wrong).verify(data, sent)


def test_an_id_that_no_header_can_hold_is_encoded() -> None:
    record = replace(alert(), stream=" é/1", rule="50 %")
    headers = message_headers(record.id, b"{}", (OLD,), 0)
    assert headers["webhook-id"] == "%20%C3%A9/1:50%20%25:0:opened:0"


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("", 0),
        ("0", 0),
        ("7", 7),
        ("-7", 0),
        ("1.5", 0),
        ("٣", 0),
        ("9" * 400, float("inf")),
        ("Thu, 01 Jan 1970 00:16:45 GMT", 5),
        ("Thu, 01 Jan 1970 00:16:45 -0000", 5),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
        ("Thu, 99 Jan 1970 00:00:00 GMT", 0),
    ],
)
def test_retry_after(value: str, seconds: float) -> None:
    assert retry_after_seconds(value, 1000 * 10**9) == seconds


_dates = st.lists(
    st.sampled_from(["Thu,", "01", "Jan", "0", "9999", "00:00:00", "+9999", "GMT", ":", "-", ","]),
    max_size=8,
).map(" ".join)


@repeatable
@given(st.text(max_size=40) | _dates)
def test_any_retry_after_is_seconds(value: str) -> None:
    assert retry_after_seconds(value, 0) >= 0
