"""The server of the dashboard, in a thread of its own."""

from __future__ import annotations

import re
import socket
import threading
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

import uvicorn

from flows.config.ui_section import UI_PORT
from flows.dashboard.access import Access, Token, Visitor
from flows.dashboard.app import Dashboard
from records import RecordError, SightflowError

if TYPE_CHECKING:
    from flows.config.ui_section import UiSection
    from flows.dashboard.board import Board

LARGEST_PORT = 65535
"""The largest TCP port."""

_ADDRESS = re.compile(r"(?:(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)?:)?(?P<port>\d{1,5})")
_START_SECONDS = 30.0
_STOP_SECONDS = 3
_POLL_SECONDS = 0.005
_BACKLOG = 128


@dataclass(frozen=True, slots=True)
class UiSettings:
    """Where the dashboard listens, and to whom.

    Attributes:
        host: The address to listen on.
        port: The TCP port; 0 takes a free one.
        names: Host names by which it is reached besides localhost and plain addresses.
        tokens: Who may look; anyone on this machine when empty.
    """

    host: str = "127.0.0.1"
    port: int = UI_PORT
    names: tuple[str, ...] = ()
    tokens: tuple[Token, ...] = ()

    @classmethod
    def of(cls, section: UiSection) -> UiSettings:
        """The settings of a configuration's section.

        Raises:
            RecordError: a token is too short.
        """
        tokens = tuple(
            Token(
                Visitor(one.name, frozenset(one.streams) if one.streams else None),
                one.secret.get_secret_value(),
            )
            for one in section.tokens
        )
        return cls(section.host, section.port, tuple(section.names), tokens)

    def at(self, address: str) -> UiSettings:
        """The same at another address, ``HOST:PORT`` or ``PORT``; empty text changes nothing.

        Raises:
            RecordError: the address is none.

        >>> UiSettings().at("[::1]:9000").host, UiSettings().at("9000").port
        ('::1', 9000)
        """
        if not address:
            return self
        found = _ADDRESS.fullmatch(address)
        if found is None or int(found["port"]) > LARGEST_PORT:
            raise RecordError(f"an address must be HOST:PORT or PORT, got {address!r}")
        host = (found["host"] or self.host).strip("[]")
        return replace(self, host=host, port=int(found["port"]))


class DashboardServer:
    """Serves a board; close it, or use it as a context manager.

    Args:
        board: What is shown.
        settings: Where, and to whom.

    Raises:
        SightflowError: the address cannot be listened on, or is open to strangers.
    """

    def __init__(self, board: Board, settings: UiSettings) -> None:
        access = Access(settings.host, settings.tokens, settings.names)
        self._closing = threading.Event()
        self._socket = _listening(settings)
        self._host = settings.host
        config = uvicorn.Config(
            Dashboard(board, access, self._closing).app,
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            timeout_graceful_shutdown=_STOP_SECONDS,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, args=([self._socket],), name="dashboard", daemon=True
        )

    @property
    def url(self) -> str:
        """Where the page is."""
        name = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{name}:{self._socket.getsockname()[1]}/"

    def __enter__(self) -> Self:
        self._thread.start()
        deadline = time.monotonic() + _START_SECONDS
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > deadline:
                self._socket.close()
                raise SightflowError("the dashboard did not start")
            time.sleep(_POLL_SECONDS)
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Tell the pages that it is over, and stop serving."""
        self._closing.set()
        self._server.should_exit = True
        self._thread.join()
        self._socket.close()


def _listening(settings: UiSettings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        return socket.create_server(
            (settings.host, settings.port), family=family, backlog=_BACKLOG, reuse_port=False
        )
    except OSError as error:
        problem = str(error.strerror or error).partition(" (while")[0]
        raise SightflowError(
            f"the dashboard cannot be served on {settings.host}:{settings.port}: {problem}; take "
            "another port, or 0 for any free one"
        ) from error
