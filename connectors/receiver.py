"""A receiver of webhooks, for demonstrations and tests: it checks signatures and keeps messages."""

from __future__ import annotations

import json
import socket
import time
from dataclasses import dataclass
from threading import Condition, Thread
from typing import TYPE_CHECKING, Any, Self

import uvicorn
from standardwebhooks import Webhook, WebhookVerificationError
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.routing import Route

from records import SourceError

if TYPE_CHECKING:
    from starlette.requests import Request

MOST_BODY_BYTES = 2**20
"""The largest message that is taken, bytes."""

MOST_KEPT = 10_000
"""How many messages are kept; the oldest go first."""

_PATH = "/webhook"
_START_SECONDS = 30.0
_STOP_SECONDS = 1
_POLL_SECONDS = 0.005
_STALE = "Message timestamp"


@dataclass(frozen=True, slots=True)
class Rejection:
    """A message that was refused: the HTTP status that was answered, and why."""

    status: int
    reason: str


class WebhookReceiver:
    """Receives signed messages on this machine, in a thread; use it as a context manager.

    It answers 204 to a message that is right (also when its id came before; it is kept once), 401
    to a wrong signature, 400 to a timestamp more than five minutes away or a body that is no JSON,
    and 413 to a body that is too large.

    Args:
        secret: What messages are signed with.
        port: The TCP port; 0 takes a free one.

    Raises:
        SourceError: the port is taken.
    """

    def __init__(self, secret: str, port: int = 0) -> None:
        self._webhook = Webhook(secret)
        self._changed = Condition()
        self._received: dict[str, Any] = {}
        self._rejected: list[Rejection] = []
        self._duplicates = 0
        try:
            self._socket = socket.create_server(("127.0.0.1", port))
        except OSError as error:
            raise SourceError(
                f"webhooks cannot be received on port {port}: {error.strerror}; take another port"
            ) from error
        application = Starlette(routes=[Route(_PATH, self._receive, methods=["POST"])])
        config = uvicorn.Config(
            application,
            log_config=None,
            access_log=False,
            lifespan="off",
            timeout_graceful_shutdown=_STOP_SECONDS,
        )
        self._server = uvicorn.Server(config)
        self._thread = Thread(
            target=self._server.run, args=([self._socket],), name="webhook receiver", daemon=True
        )

    @property
    def url(self) -> str:
        """Where to send messages."""
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}{_PATH}"

    @property
    def received(self) -> list[Any]:
        """The messages that were right, each once, in the order in which they came."""
        with self._changed:
            return list(self._received.values())

    @property
    def rejected(self) -> list[Rejection]:
        """The messages that were refused, in the order in which they came."""
        with self._changed:
            return list(self._rejected)

    @property
    def duplicates(self) -> int:
        """How many messages came again."""
        with self._changed:
            return self._duplicates

    def wait_for(self, count: int, timeout_seconds: float) -> bool:
        """Wait until `count` messages have been received; False when they do not come in time."""
        with self._changed:
            return self._changed.wait_for(lambda: len(self._received) >= count, timeout_seconds)

    def __enter__(self) -> Self:
        self._thread.start()
        deadline = time.monotonic() + _START_SECONDS
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > deadline:
                self._socket.close()
                raise SourceError("the webhook receiver did not start")
            time.sleep(_POLL_SECONDS)
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join()
        self._socket.close()

    async def _receive(self, request: Request) -> Response:
        body = bytearray()
        try:
            async for chunk in request.stream():
                body += chunk
                if len(body) > MOST_BODY_BYTES:
                    return self._reject(413, f"a message must be at most {MOST_BODY_BYTES} bytes")
        except ClientDisconnect:
            return self._reject(400, "a message must be whole")
        try:
            self._webhook.verify(bytes(body), dict(request.headers), json_parse=False)
        except WebhookVerificationError as error:
            reason = str(error)
            return self._reject(400 if reason.startswith(_STALE) else 401, reason)
        except ValueError:
            # The library stumbles over a signature that is no list of "version,base64".
            return self._reject(401, "Malformed signature")
        try:
            message = json.loads(bytes(body))
        except (ValueError, RecursionError):
            return self._reject(400, "a message must be JSON")
        self._keep(request.headers["webhook-id"], message)
        return Response(status_code=204)

    def _keep(self, identity: str, message: Any) -> None:  # noqa: ANN401 - JSON may be anything
        with self._changed:
            if identity in self._received:
                self._duplicates += 1
                return
            self._received[identity] = message
            if len(self._received) > MOST_KEPT:
                del self._received[next(iter(self._received))]
            self._changed.notify_all()

    def _reject(self, status: int, reason: str) -> Response:
        with self._changed:
            self._rejected.append(Rejection(status, reason))
            del self._rejected[:-MOST_KEPT]
        return Response(reason, status)
