"""Targets: what comes over the network: requests to our servers, answers of webhook endpoints."""

from __future__ import annotations

import base64
import functools
import socket
import threading
from contextlib import contextmanager
from datetime import UTC, datetime
from random import Random
from typing import TYPE_CHECKING

import httpx
from standardwebhooks import Webhook

from connectors.health import Health
from connectors.metrics import Metrics
from connectors.metrics_server import MetricsServer
from connectors.outbound import new_client, parse_url, post
from connectors.receiver import WebhookReceiver
from connectors.webhook_message import retry_after_seconds
from connectors.webhook_settings import WebhookSettings, retry_seconds
from flows.dashboard.access import Token, Visitor
from flows.dashboard.server import DashboardServer, UiSettings
from records import RecordError
from tests.fuzz.mutation import Form
from tests.fuzz.target import Target
from tests.support.boards import board
from tests.support.configurations import SECRET as WEBHOOK_SECRET

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from tests.fuzz.target import Read

SECRET = "whsec_" + base64.b64encode(b"a" * 32).decode()
TOKEN = "t" * 32
_WAIT_SECONDS = 30.0
_ANSWER_BYTES = 65_536
_END = b"\r\n\r\n"
_WORDS = (
    b"\r\n", b"\n", b"GET ", b"HEAD ", b"POST ", b"OPTIONS * HTTP/1.1", b"HTTP/0.9", b"HTTP/1.0",
    b"Transfer-Encoding: chunked\r\n", b"Content-Length: -1\r\n", b"Content-Length: 99999999\r\n",
    b"Expect: 100-continue\r\n", b"Host: evil.example\r\n", b"/../", b"//", b"%2e%2e%2f",
    b"?a=1&a=2",
    b"Accept: text/plain;q=x;version=9\r\n", b"Accept-Encoding: gzip;q=nan\r\n", b"\x80", b"nan",
    b"inf",
    b"Retry-After: 1e9\r\n", b"Set-Cookie: a=b\r\n", b"Location: http://127.0.0.1/\r\n",
)  # fmt: skip


class ServerFaultError(Exception):
    """A server of ours answered 500 or 502: something in it raised."""


def exchange(port: int, data: bytes) -> bytes:
    """Send bytes to a server on this machine and read what it answers, until it closes or waits."""
    with socket.create_connection(("127.0.0.1", port), _WAIT_SECONDS) as connection:
        try:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            answer = bytearray()
            while len(answer) < _ANSWER_BYTES and (part := connection.recv(_ANSWER_BYTES)):
                answer += part
        except TimeoutError:
            raise
        except OSError:  # it has closed the connection already
            return b""
    return bytes(answer)


def _asked(port: int, data: bytes) -> None:
    status = exchange(port, data).partition(b" ")[2][:3]
    if status in (b"500", b"502"):
        raise ServerFaultError(f"status {status.decode()}")
    if status[:1] in (b"3", b"4", b""):
        raise RecordError("refused")


def _request(path: str, *lines: str, method: str = "GET", body: bytes = b"") -> bytes:
    head = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", "Connection: close", *lines]
    if body:
        head.append(f"Content-Length: {len(body)}")
    return "\r\n".join(head).encode() + _END + body


def _hook() -> bytes:
    now, body = datetime.now(UTC), '{"n": 1}'
    return _request(
        "/webhook", "webhook-id: msg-1", f"webhook-timestamp: {int(now.timestamp())}",
        f"webhook-signature: {Webhook(SECRET).sign('msg-1', now, body)}",
        method="POST", body=body.encode(),
    )  # fmt: skip


@contextmanager
def _receiver(_: Path) -> Iterator[Read]:
    with WebhookReceiver(SECRET) as receiver:
        port = httpx.URL(receiver.url).port
        assert port is not None
        yield functools.partial(_asked, port)
        assert exchange(port, _request("/healthz")).startswith(b"HTTP/1."), "it lives on"


@contextmanager
def _metrics(_: Path) -> Iterator[Read]:
    metrics = Metrics()
    with MetricsServer(metrics.registry, Health(), "127.0.0.1", 0) as server:
        port = httpx.URL(server.url).port
        assert port is not None
        yield functools.partial(_asked, port)
        assert exchange(port, _request("/healthz")).startswith(b"HTTP/1."), "it lives on"


@contextmanager
def _dashboard(_: Path) -> Iterator[Read]:
    tokens = (Token(Visitor("owner"), TOKEN),)
    with DashboardServer(board(["gate"]), UiSettings(port=0, tokens=tokens)) as server:
        port = httpx.URL(server.url).port
        assert port is not None
        yield functools.partial(_asked, port)
        assert exchange(port, _request("/healthz")).startswith(b"HTTP/1."), "it lives on"


@contextmanager
def _endpoint(_: Path) -> Iterator[Read]:
    """An endpoint whose answer is the input, and our client that calls it."""
    answers: list[bytes] = [b""]
    with (
        socket.create_server(("127.0.0.1", 0)) as listening,
        new_client(_WAIT_SECONDS) as client,
    ):
        port = listening.getsockname()[1]
        thread = threading.Thread(target=_answering, args=(listening, answers), daemon=True)
        thread.start()
        endpoint = parse_url(f"http://127.0.0.1:{port}/hook")
        settings = WebhookSettings(f"http://127.0.0.1:{port}/hook", (WEBHOOK_SECRET,))

        def read(data: bytes) -> None:
            answers[0] = data
            response = post(client, endpoint, b"{}", {}, allow_private=True)
            asked = retry_after_seconds(response.headers.get("retry-after", ""), 0)
            retry_seconds(settings, 1, Random(0), asked)

        yield read
        listening.shutdown(socket.SHUT_RDWR)
        thread.join()


def _answering(listening: socket.socket, answers: list[bytes]) -> None:
    while True:
        try:
            connection, _ = listening.accept()
        except OSError:
            return
        with connection:
            try:
                connection.recv(_ANSWER_BYTES)
                connection.sendall(answers[0])
                connection.shutdown(socket.SHUT_WR)
            except OSError:
                continue


_ANSWERS = [
    b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n",
    b"HTTP/1.1 503 Busy\r\nRetry-After: 120\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno",
    b"HTTP/1.1 429 Slow\r\nRetry-After: Thu, 01 Jan 2970 00:01:00 GMT\r\nConnection: close\r\n\r\n",
    b"HTTP/1.1 302 Found\r\nLocation: http://10.0.0.1/\r\nConnection: close\r\n\r\n",
]
_PAGES = [
    _request(path, f"Authorization: Bearer {TOKEN}", "Origin: http://127.0.0.1")
    for path in ("/api/state?at=1.5", "/api/streams/gate/thumbnail?large&at=9", "/api/alerts/x",
                 "/readyz", "/static/sign-in.html")
]  # fmt: skip
_PAGES.append(_request("/sign-in", "Origin: http://127.0.0.1", method="POST", body=b"token=abc"))
_SCRAPES = [
    _request("/metrics", "Accept: application/openmetrics-text;version=1.0.0;q=0.5,*/*;q=0.1"),
    _request("/metrics?name[]=sightflow_frames_total", "Accept-Encoding: gzip;q=0.5"),
    _request("/healthz"),
]


def _target(
    name: str,
    samples: list[bytes],
    opened: Callable[[Path], AbstractContextManager[Read]],
    errors: tuple[type[Exception], ...] = (RecordError,),
) -> Target:
    return Target(name, samples, opened, Form.TEXT, _WORDS, errors, strict=False)


TARGETS = (
    _target("requests to the receiver", [_hook()], _receiver),
    _target("requests to the metrics server", _SCRAPES, _metrics),
    _target("requests to the dashboard", _PAGES, _dashboard),
    _target("answers of webhook endpoints", _ANSWERS, _endpoint, (httpx.TransportError,)),
)
"""The targets of this module."""
