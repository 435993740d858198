from __future__ import annotations

import base64
import socket
from datetime import UTC, datetime, timedelta
from threading import enumerate as enumerate_threads
from typing import TYPE_CHECKING

import httpx
import pytest
from standardwebhooks import Webhook

from connectors.receiver import MOST_BODY_BYTES, Rejection, WebhookReceiver
from records import SourceError

if TYPE_CHECKING:
    from collections.abc import Callable

SECRET = "whsec_" + base64.b64encode(b"a" * 32).decode()
OTHER = "whsec_" + base64.b64encode(b"b" * 32).decode()


def signed(
    body: str, *, identity: str = "msg:1", secret: str = SECRET, age: float = 0
) -> dict[str, str]:
    moment = datetime.now(UTC) - timedelta(seconds=age)
    return {
        "webhook-id": identity,
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": Webhook(secret).sign(identity, moment, body),
    }


def test_right_messages_are_kept_once() -> None:
    with WebhookReceiver(SECRET) as receiver, httpx.Client() as client:
        for identity, body in [("a", '{"n": 1}'), ("b", '{"n": 2}'), ("a", '{"n": 1}')]:
            headers = signed(body, identity=identity)
            assert client.post(receiver.url, content=body, headers=headers).status_code == 204
        assert receiver.received == [{"n": 1}, {"n": 2}]
        assert (receiver.rejected, receiver.duplicates) == ([], 1)


def test_one_of_several_signatures_is_enough() -> None:
    with WebhookReceiver(SECRET) as receiver:
        headers = signed("{}")
        wrong = signed("{}", secret=OTHER)["webhook-signature"]
        headers["webhook-signature"] = f"{wrong} {headers['webhook-signature']}"
        assert httpx.post(receiver.url, content="{}", headers=headers).status_code == 204


@pytest.mark.parametrize(
    ("body", "headers", "rejection"),
    [
        ("{}", dict, Rejection(401, "Missing required headers")),
        ("{}", lambda: signed("{}", secret=OTHER), Rejection(401, "No matching signature found")),
        ("{}", lambda: signed("{ }"), Rejection(401, "No matching signature found")),
        ("{}", lambda: signed("{}", age=3600), Rejection(400, "Message timestamp too old")),
        ("{}", lambda: signed("{}", age=-3600), Rejection(400, "Message timestamp too new")),
        (
            "{}",
            lambda: signed("{}") | {"webhook-timestamp": "soon"},
            Rejection(401, "Invalid Signature Headers"),
        ),
        (
            "{}",
            lambda: signed("{}") | {"webhook-signature": "v1"},
            Rejection(401, "Malformed signature"),
        ),
        (
            "{}",
            lambda: signed("{}") | {"webhook-signature": "v1,a"},
            Rejection(401, "Malformed signature"),
        ),
        ("{", lambda: signed("{"), Rejection(400, "a message must be JSON")),
        ("[" * 200_000, lambda: signed("[" * 200_000), Rejection(400, "a message must be JSON")),
        (
            " " * (MOST_BODY_BYTES + 1),
            dict,
            Rejection(413, "a message must be at most 1048576 bytes"),
        ),
    ],
    ids=["none", "secret", "body", "old", "new", "time", "form", "base64", "json", "deep", "large"],
)
def test_wrong_messages_are_refused(
    body: str, headers: Callable[[], dict[str, str]], rejection: Rejection
) -> None:
    with WebhookReceiver(SECRET) as receiver:
        response = httpx.post(receiver.url, content=body, headers=headers())
        assert (response.status_code, response.text) == (rejection.status, rejection.reason)
        assert (receiver.received, receiver.rejected) == ([], [rejection])


def test_a_body_that_is_no_utf8_is_refused() -> None:
    with WebhookReceiver(SECRET) as receiver:
        assert httpx.post(receiver.url, content=b"\xff", headers=signed("x")).status_code == 401


def test_other_paths_and_methods_are_not_served() -> None:
    with WebhookReceiver(SECRET) as receiver:
        assert httpx.get(receiver.url).status_code == 405
        assert httpx.post(receiver.url + "/other").status_code == 404


def test_waiting_tells_whether_enough_came() -> None:
    with WebhookReceiver(SECRET) as receiver:
        assert not receiver.wait_for(1, 0.01)
        httpx.post(receiver.url, content="{}", headers=signed("{}"))
        assert receiver.wait_for(1, 60)


def test_it_stops_cleanly_with_connections_open() -> None:
    with WebhookReceiver(SECRET) as receiver, httpx.Client() as client:
        client.post(receiver.url, content="{}", headers=signed("{}"))
        port = int(receiver.url.split(":")[2].split("/")[0])
        idle = socket.create_connection(("127.0.0.1", port))
    idle.close()
    assert "webhook receiver" not in [thread.name for thread in enumerate_threads()]
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", port))
    with WebhookReceiver(SECRET, port) as receiver:
        assert receiver.url == f"http://127.0.0.1:{port}/webhook"


def test_a_port_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SourceError) as caught:
            WebhookReceiver(SECRET, port)
    assert str(caught.value) == (
        f"webhooks cannot be received on port {port}: Address already in use (while attempting to "
        f"bind on address ('127.0.0.1', {port})); take another port"
    )
