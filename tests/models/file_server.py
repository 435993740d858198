"""A real HTTP server on this machine that gives files well or badly."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import unquote

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator


@dataclass
class Answer:
    """What the server says to one path.

    Attributes:
        body: The bytes it sends.
        status: The HTTP status.
        headers: Further headers; a Content-Length here replaces the true one.
        gate: Waited for before the body is sent.
    """

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    gate: threading.Event | None = None


class FileServer(ThreadingHTTPServer):
    """Serves `answers`, keyed by path, and remembers the paths asked for in `asked`."""

    daemon_threads = True

    def __init__(self, answers: dict[str, Answer]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers = answers
        self.asked: list[str] = []
        self.scheme = "http"

    @property
    def url(self) -> str:
        """The address without a path."""
        return f"{self.scheme}://127.0.0.1:{self.server_address[1]}"

    def encrypt(self, context: ssl.SSLContext) -> None:
        """From now on speak TLS."""
        self.socket = context.wrap_socket(self.socket, server_side=True)
        self.scheme = "https"


class _Handler(BaseHTTPRequestHandler):
    server: FileServer

    def do_GET(self) -> None:
        path = unquote(self.path)
        self.server.asked.append(path)
        answer = self.server.answers.get(path, Answer(status=404))
        self.send_response(answer.status)
        for name, value in ({"Content-Length": str(len(answer.body))} | answer.headers).items():
            self.send_header(name, value)
        self.end_headers()
        if answer.gate is not None:
            answer.gate.wait(10)
        self.wfile.write(answer.body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as inherited
        """Keep quiet."""


@contextmanager
def serving(answers: dict[str, Answer]) -> Iterator[FileServer]:
    """A running server, closed at the end."""
    with FileServer(answers) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
