"""An HTTP server that answers after a script, to see how senders bear it."""

from __future__ import annotations

import socket
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator


@dataclass(frozen=True)
class Reply:
    """One answer: its status and headers; `hang` makes it wait, unanswered."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    hang: bool = False


@dataclass(frozen=True)
class Request:
    """One request as it came in, with the (monotonic) time of its arrival, seconds."""

    path: str
    headers: dict[str, str]
    body: bytes
    time: float


class ScriptedServer:
    """Answers request after request with `replies`; the last one is repeated."""

    def __init__(self, *replies: Reply, tls: ssl.SSLContext | None = None) -> None:
        self._replies = list(replies) or [Reply()]
        self._lock = Lock()
        self._requests: list[Request] = []
        self._released = Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                outer._answer(self)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - inherited
                del format, args

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self._scheme = "http" if tls is None else "https"
        self._thread = Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    @property
    def port(self) -> int:
        return self._server.server_port

    @property
    def url(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self.port}/in"

    @property
    def requests(self) -> list[Request]:
        with self._lock:
            return list(self._requests)

    def answer(self, *replies: Reply) -> None:
        """Go on with these replies; requests that hang still do."""
        with self._lock:
            self._replies = list(replies)

    def release(self) -> None:
        """Close the connections of requests that hang, now and from now on."""
        self._released.set()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers["content-length"]))
        headers = {name.lower(): value for name, value in handler.headers.items()}
        with self._lock:
            reply = self._replies[0] if len(self._replies) == 1 else self._replies.pop(0)
            self._requests.append(Request(handler.path, headers, body, time.monotonic()))
        if reply.hang:
            self._released.wait()
            return
        handler.send_response(reply.status)
        for name, value in ({"content-length": "0"} | reply.headers).items():
            handler.send_header(name, value)
        handler.end_headers()


@contextmanager
def refusing_port() -> Iterator[int]:
    """A TCP port of this machine that refuses connections: taken, but nothing listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]
