"""Checks of the section about the dashboard."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flows.config.document import REFERENCE, mapping
from flows.config.faults import show
from flows.dashboard.access import SHORTEST_SECRET, is_loopback

if TYPE_CHECKING:
    from flows.config.document import Document
    from flows.config.document import Path as KeyPath


def check_ui(document: Document, value: dict[str, Any]) -> None:
    """Check that strangers need a token, and that tokens are secret and name real streams."""
    section = mapping(value.get("ui"))
    tokens = section.get("tokens")
    given = [mapping(one) for one in tokens] if isinstance(tokens, list) else []
    host = section.get("host", "127.0.0.1")
    if isinstance(host, str) and not given and not is_loopback(host):
        problem = "can be reached from other machines and has no token"
        remedy = "Add ui.tokens, or listen on 127.0.0.1."
        document.fault(("ui", "host"), repr(host), problem, remedy)
    known = {name for kind in ("streams", "signals", "lidars") for name in mapping(value.get(kind))}
    from_kafka = bool(mapping(value.get("kafka")).get("read"))
    for place, token in enumerate(given):
        path: KeyPath = ("ui", "tokens", place)
        _check_secret(document, (*path, "secret"), token.get("secret"))
        streams = token.get("streams")
        for inner, name in enumerate(streams if isinstance(streams, list) else []):
            if isinstance(name, str) and name not in known and not from_kafka:
                remedy = f"Use one of {', '.join(sorted(known)) or 'those under streams'}."
                document.fault((*path, "streams", inner), repr(name), "is no stream", remedy)


def _check_secret(document: Document, path: KeyPath, secret: object) -> None:
    written = document.written.get(path, "")
    if not isinstance(secret, str):
        return
    if not REFERENCE.fullmatch(written):
        document.fault(
            path,
            show(document, path, secret),
            "must not stand in the file",
            "Keep it in the environment and write ${NAME} here.",
        )
    elif 0 < len(secret) < SHORTEST_SECRET:
        remedy = f"It must have at least {SHORTEST_SECRET} characters: openssl rand -hex 32."
        document.fault(path, written, "is too short for a token", remedy)
