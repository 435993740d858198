"""Finds what a sink had already written when it was stopped, so that nothing is written twice."""

from __future__ import annotations

from typing import TYPE_CHECKING

from connectors.kafka.dead_letters import ERROR_PREFIX
from connectors.kafka.headers import event_source
from connectors.kafka.scan import scan

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from connectors.kafka.cluster import Place
    from connectors.kafka.settings import KafkaSettings

Identity = tuple[str, str]
"""The topic of a message, and the id that its headers give it."""

SENDER = f"{ERROR_PREFIX}source"
"""The header that names the flow that sent a dead letter."""


def identity(topic: str, headers: Iterable[tuple[str, bytes | None]], flow: str) -> Identity | None:
    """What identifies a message that `flow` sent; None for those of others.

    >>> identity("t", [("ce_source", b"/sightflow/f/alert"), ("ce_id", b"gate:5")], "f")
    ('t', 'gate:5')
    """
    found = {name: (value or b"").decode(errors="replace") for name, value in headers}
    if SENDER in found:
        own = found[SENDER] == event_source(flow, "deadletter")
        return (topic, found.get(f"{ERROR_PREFIX}id", "")) if own else None
    own = found.get("ce_source", "").startswith(event_source(flow, ""))
    return (topic, found.get("ce_id", "")) if own else None


def written_since(
    settings: KafkaSettings,
    flow: str,
    spans: Mapping[Place, tuple[int, int]],
    patience_seconds: float,
) -> set[Identity]:
    """The identities of what `flow` wrote, and committed, within these offsets.

    Args:
        settings: How the cluster is reached.
        flow: The name of the flow.
        spans: For each partition the first offset to look at, and the one to stop before.
        patience_seconds: How long to wait for transactions that are still open.

    Raises:
        SourceError: the cluster does not answer in time.
    """
    messages = scan(settings, spans, patience_seconds)
    found = (identity(each.topic, each.headers, flow) for each in messages)
    return {each for each in found if each is not None}
