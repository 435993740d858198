"""Who may look at the dashboard."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from flows.dashboard.access import (
    LOCAL,
    MOST_SESSIONS,
    SESSION_SECONDS,
    Access,
    Token,
    Visitor,
    is_loopback,
)
from flows.dashboard.server import UiSettings
from records import RecordError

ANYWHERE = str(ip_address(0))
SECRET, OTHER = "s" * 32, "o" * 32
GUARD = Visitor("guard", frozenset({"gate"}))
OWNER = Visitor("owner")


class Watch:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def access(watch: Watch | None = None) -> Access:
    tokens = (Token(OWNER, SECRET), Token(GUARD, OTHER))
    return Access(ANYWHERE, tokens, ("cameras.example",), watch or Watch())


def test_without_tokens_only_this_machine_may_look() -> None:
    assert Access("127.0.0.1").visitor("", "") is LOCAL
    assert not Access("::1").asks
    for host in (ANYWHERE, "192.168.1.4", "::", "cameras.example"):
        with pytest.raises(RecordError) as caught:
            Access(host)
        assert str(caught.value) == (
            f"the dashboard can be reached from other machines at {host}, so it must have a token; "
            "add ui.tokens to the configuration, or listen on 127.0.0.1"
        )


def test_a_bearer_is_known_by_the_secret_alone() -> None:
    asked = access()
    assert asked.visitor(f"Bearer {SECRET}", "") == OWNER
    assert asked.visitor(f"bearer {OTHER}", "") == GUARD
    for header in ("", "Bearer ", "Bearer x", f"Basic {SECRET}", SECRET, f"Bearer {SECRET}x"):
        assert asked.visitor(header, "") is None
    assert asked.visitor("", SECRET) is None, "a secret is no session"


def test_sessions_end() -> None:
    watch = Watch()
    asked = access(watch)
    assert asked.sign_in("wrong") is None
    session = asked.sign_in(OTHER)
    assert session is not None
    assert asked.visitor("", session) == GUARD
    watch.now = SESSION_SECONDS - 1
    assert asked.visitor("", session) == GUARD
    watch.now = SESSION_SECONDS
    assert asked.visitor("", session) is None
    again = asked.sign_in(SECRET)
    assert again is not None
    asked.sign_out(again)
    assert asked.visitor("", again) is None
    assert asked.visitor("", "") is None


def test_sessions_are_bounded() -> None:
    asked = access()
    sessions = [asked.sign_in(SECRET) for _ in range(MOST_SESSIONS + 1)]
    known = [asked.visitor("", session or "") is not None for session in sessions]
    assert known == [False] + [True] * MOST_SESSIONS


@pytest.mark.parametrize(
    ("header", "known"),
    [
        ("localhost", True),
        ("LOCALHOST:8787", True),
        ("127.0.0.1:8787", True),
        ("192.168.1.4", True),
        ("[::1]:8787", True),
        ("[::1]", True),
        ("cameras.example:8787", True),
        ("cameras.example", True),
        ("evil.example:8787", False),
        ("127.0.0.1.evil.example", False),
        ("localhost.evil.example", False),
        ("evil.example:localhost", False),
        ("", False),
    ],
)
def test_names_that_could_stand_for_another_machine_are_refused(
    header: str, *, known: bool
) -> None:
    assert access().knows_host(header) is known


def test_short_secrets_are_refused_and_secrets_are_not_shown() -> None:
    with pytest.raises(RecordError) as caught:
        Token(OWNER, "short")
    assert str(caught.value) == (
        "the token of 'owner' must have at least 16 characters, got 5; make one with 'openssl rand "
        "-hex 32'"
    )
    assert SECRET not in repr(Token(OWNER, SECRET))
    assert SECRET not in repr(UiSettings(tokens=(Token(OWNER, SECRET),)))


def test_visitors_see_their_streams() -> None:
    assert (OWNER.sees_all, OWNER.sees("yard")) == (True, True)
    assert (GUARD.sees_all, GUARD.sees("gate"), GUARD.sees("yard")) == (False, True, False)


def test_addresses() -> None:
    assert UiSettings().at("") == UiSettings()
    for text, host, port in (
        ("8080", "127.0.0.1", 8080),
        (":8080", "127.0.0.1", 8080),
        (f"{ANYWHERE}:0", ANYWHERE, 0),
        ("[::]:80", "::", 80),
        ("cameras.example:443", "cameras.example", 443),
    ):
        settings = UiSettings().at(text)
        assert (settings.host, settings.port) == (host, port)
    for text in ("x", "1.2.3.4", "a:b", "host:70000", "ho st:1", "::1:80", "-1"):
        with pytest.raises(RecordError, match="an address must be HOST:PORT or PORT, got"):
            UiSettings().at(text)
    assert not is_loopback("")
