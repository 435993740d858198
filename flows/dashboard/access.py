"""Who may see what: this machine, or who knows a token; each token may be limited to streams.

A token is shown as ``Authorization: Bearer …``, or once to the sign-in page, which gives the
browser a cookie in its place. Secrets are compared in constant time and never logged.
"""

from __future__ import annotations

import hmac
import ipaddress
import secrets
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING

from records import RecordError

if TYPE_CHECKING:
    from collections.abc import Callable

COOKIE = "sightflow_session"
"""The cookie's name."""

SHORTEST_SECRET = 16
"""The fewest characters of a token: too many to be guessed."""

SESSION_SECONDS = 12 * 3600.0
"""How long a sign-in lasts, seconds."""

MOST_SESSIONS = 256
"""The most sign-ins that are remembered; the oldest leave first."""

_SESSION_BYTES = 32
_BEARER = "bearer "
_LOCAL_NAME = "localhost"


@dataclass(frozen=True, slots=True)
class Visitor:
    """Someone who may look.

    Attributes:
        name: The token's name, or that of this machine.
        streams: The streams that may be seen; None for all, and for what concerns the whole run.
    """

    name: str
    streams: frozenset[str] | None = None

    @property
    def sees_all(self) -> bool:
        """Whether everything may be seen."""
        return self.streams is None

    def sees(self, stream: str) -> bool:
        """Whether a stream may be seen."""
        return self.streams is None or stream in self.streams


LOCAL = Visitor("this machine")
"""Whoever comes from this machine, where no tokens are asked for."""


@dataclass(frozen=True, slots=True)
class Token:
    """A secret, and what it opens.

    Attributes:
        visitor: Who has it.
        secret: The secret, at least `SHORTEST_SECRET` characters.

    Raises:
        RecordError: the secret is too short.
    """

    visitor: Visitor
    secret: str = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.secret) < SHORTEST_SECRET:
            raise RecordError(
                f"the token of '{self.visitor.name}' must have at least {SHORTEST_SECRET} "
                f"characters, got {len(self.secret)}; make one with 'openssl rand -hex 32'"
            )


class Access:
    """Decides who may look.

    Args:
        host: The address that is listened on.
        tokens: The tokens; without any only this machine may look.
        names: Host names by which the page is reached besides localhost and plain addresses.
        monotonic: Tells the time, seconds.

    Raises:
        RecordError: the address is not this machine's own and there is no token.

    >>> Access("0.0.0.0")
    Traceback (most recent call last):
    ...
    records.errors.RecordError: the dashboard can be reached from other machines at 0.0.0.0, so it \
must have a token; add ui.tokens to the configuration, or listen on 127.0.0.1
    """

    def __init__(
        self,
        host: str,
        tokens: tuple[Token, ...] = (),
        names: tuple[str, ...] = (),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        if not tokens and not is_loopback(host):
            raise RecordError(
                f"the dashboard can be reached from other machines at {host}, so it must have a "
                "token; add ui.tokens to the configuration, or listen on 127.0.0.1"
            )
        self._tokens = [(_digest(token.secret), token.visitor) for token in tokens]
        self._names = {_LOCAL_NAME, *(name.lower() for name in names)}
        self._now = monotonic
        self._lock = threading.Lock()
        self._sessions: OrderedDict[bytes, tuple[float, Visitor]] = OrderedDict()

    @property
    def asks(self) -> bool:
        """Whether a token is asked for."""
        return bool(self._tokens)

    def knows_host(self, header: str) -> bool:
        """Whether a Host header is one of ours.

        A page of somebody else's whose name suddenly stands for this machine (DNS rebinding) sends
        that name; plain addresses cannot be made to stand for another.
        """
        name = header.rpartition(":")[0] if not header.endswith("]") else header
        name = (name if header.rpartition(":")[2].isdigit() else header).strip("[]").lower()
        return name in self._names or _address(name) is not None

    def visitor(self, authorization: str, cookie: str) -> Visitor | None:
        """Who comes with these; None for a stranger.

        Args:
            authorization: The header of that name; empty without one.
            cookie: The value of our cookie; empty without one.
        """
        if not self._tokens:
            return LOCAL
        if authorization[: len(_BEARER)].lower() == _BEARER:
            return self._with_secret(authorization[len(_BEARER) :].strip())
        with self._lock:
            ends, visitor = self._sessions.get(_digest(cookie), (0.0, None))
        return visitor if self._now() < ends else None

    def sign_in(self, secret: str) -> str | None:
        """Begin a session; what the cookie is to hold, None for a wrong token."""
        visitor = self._with_secret(secret)
        if visitor is None:
            return None
        session = secrets.token_urlsafe(_SESSION_BYTES)
        with self._lock:
            self._sessions[_digest(session)] = (self._now() + SESSION_SECONDS, visitor)
            if len(self._sessions) > MOST_SESSIONS:
                self._sessions.popitem(last=False)
        return session

    def sign_out(self, cookie: str) -> None:
        """End a session."""
        with self._lock:
            self._sessions.pop(_digest(cookie), None)

    def _with_secret(self, secret: str) -> Visitor | None:
        given, found = _digest(secret), None
        for digest, visitor in self._tokens:  # all of them, so that time tells nothing
            if hmac.compare_digest(digest, given):
                found = visitor
        return found


def is_loopback(host: str) -> bool:
    """Whether an address can be reached from this machine only.

    >>> [is_loopback(host) for host in ("127.0.0.1", "::1", "localhost", "0.0.0.0", "gate.local")]
    [True, True, True, False, False]
    """
    address = _address(host)
    return host == _LOCAL_NAME if address is None else address.is_loopback


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _digest(secret: str) -> bytes:
    return sha256(secret.encode("utf-8", "surrogatepass")).digest()
