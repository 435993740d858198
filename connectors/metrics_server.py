"""The HTTP server of a run's metrics and probes: /metrics, /healthz, /readyz."""

from __future__ import annotations

import socket
import threading
from http import HTTPStatus
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Any, Self
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import make_wsgi_app
from typing_extensions import override

from records import SightflowError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from prometheus_client import CollectorRegistry

    from connectors.health import Health

METRICS = "/metrics"
"""Where Prometheus scrapes."""

HEALTH = "/healthz"
"""Answers 200 while the process lives."""

READINESS = "/readyz"
"""Answers 200 while the run is ready, else 503 with a line for each reason."""


SILENCE_SECONDS = 10.0
"""A client that sends nothing for so long is let go, since each holds a thread, seconds."""


class MetricsServer:
    """Serves metrics and probes from a daemon thread; close it, or use it as a context manager.

    Args:
        registry: The metrics.
        health: What the probes tell of.
        host: The address to listen on.
        port: The TCP port; 0 takes a free one.

    Raises:
        SightflowError: the address cannot be listened on.
    """

    def __init__(self, registry: CollectorRegistry, health: Health, host: str, port: int) -> None:
        family = _Server6 if ":" in host else _Server
        try:
            self._server = make_server(host, port, _application(registry, health), family, _Handler)
        except OSError as error:
            raise SightflowError(
                f"metrics cannot be served on {host}:{port}: {error.strerror or error}; "
                "take another port"
            ) from error
        self._thread = threading.Thread(
            target=self._server.serve_forever, name="metrics", daemon=True
        )
        self._thread.start()

    @property
    def url(self) -> str:
        """Where Prometheus can scrape."""
        host, port = self._server.server_address[:2]
        name = host.decode() if isinstance(host, bytes) else str(host)
        return f"http://{f'[{name}]' if ':' in name else name}:{port}{METRICS}"

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Server6(_Server):
    address_family = socket.AF_INET6


class _Handler(WSGIRequestHandler):
    timeout = SILENCE_SECONDS

    @override
    def log_message(self, format: str, *args: Any) -> None:
        """Probes come every few seconds; they are not worth a line each."""


def _application(registry: CollectorRegistry, health: Health) -> WSGIApplication:
    metrics: WSGIApplication = make_wsgi_app(registry)
    probes: dict[str, Callable[[], list[str]]] = {HEALTH: list, READINESS: health.troubles}

    def application(environment: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        path = environment.get("PATH_INFO", "")
        if path == METRICS:
            try:
                return metrics(environment, start)
            except (TypeError, ValueError):  # of an Accept header that the library stumbles over
                return _answer(start, HTTPStatus.BAD_REQUEST, ["the Accept header is broken"])
        if path not in probes:
            return _answer(start, HTTPStatus.NOT_FOUND, [f"try {METRICS}, {HEALTH}, {READINESS}"])
        troubles = probes[path]()
        status = HTTPStatus.SERVICE_UNAVAILABLE if troubles else HTTPStatus.OK
        return _answer(start, status, troubles or ["ok"])

    return application


def _answer(start: StartResponse, status: HTTPStatus, lines: list[str]) -> list[bytes]:
    start(f"{status.value} {status.phrase}", [("Content-Type", "text/plain; charset=utf-8")])
    return ["".join(f"{line}\n" for line in lines).encode()]
