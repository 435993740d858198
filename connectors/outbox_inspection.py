"""Looking into an outbox, and putting deliveries back, also while a run delivers from it."""

from __future__ import annotations

from collections import defaultdict
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from connectors.outbox_delivery import DeliveryState
from connectors.outbox_file import (
    OutboxSettings,
    lock_file,
    open_file,
    outbox_errors,
)
from connectors.sqlite_file import transaction
from records import SightflowError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping
    from pathlib import Path

_ENDPOINTS = "SELECT number, name, host, disabled_ns FROM endpoints ORDER BY number"
_DELIVERIES = """SELECT message, endpoint, state, attempts, due_ns, changed_ns, reason
    FROM deliveries ORDER BY message, endpoint"""
_MESSAGES = "SELECT number, id, time_ns, episode, body, created_ns FROM messages ORDER BY number"
_SELECTED = """SELECT d.message, d.state, d.due_ns
    FROM deliveries AS d JOIN messages AS m ON m.number = d.message
    WHERE d.endpoint = :endpoint AND (:alert IS NULL OR m.id = :alert OR m.episode = :alert)"""
_PUT_BACK = """UPDATE deliveries SET state = 'pending', attempts = 0, reason = '',
    due_ns = :now, changed_ns = :now WHERE message = :message AND endpoint = :endpoint"""
_HASTEN = "UPDATE deliveries SET due_ns = :now WHERE message = :message AND endpoint = :endpoint"
_ENABLE = "UPDATE endpoints SET disabled_ns = NULL WHERE number = ?"


@dataclass(frozen=True, slots=True)
class StoredDelivery:
    """A delivery as it stands in the outbox.

    Attributes:
        endpoint: The endpoint's name.
        state: Where it stands.
        attempts: How often it was tried.
        due_ns: When it may be tried next, if it is pending; nanoseconds since 1970 UTC.
        changed_ns: When it last changed, nanoseconds since 1970 UTC.
        reason: Why it failed, or why its last attempt did; empty for none.
    """

    endpoint: str
    state: DeliveryState
    attempts: int
    due_ns: int
    changed_ns: int
    reason: str


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """A message in the outbox.

    Attributes:
        id: The alert's identity.
        time_ns: Its event time, nanoseconds since 1970 UTC.
        episode: The identity of its episode.
        body: What is posted.
        created_ns: When it came into the outbox, nanoseconds since 1970 UTC.
        deliveries: Its deliveries, one for each endpoint.
    """

    id: str
    time_ns: int
    episode: str
    body: bytes
    created_ns: int
    deliveries: tuple[StoredDelivery, ...]


@dataclass(frozen=True, slots=True)
class StoredEndpoint:
    """An endpoint that the outbox knows.

    Attributes:
        name: What tells it from others, ``host#digest``.
        host: Its host.
        disabled_ns: Since when it is disabled, nanoseconds since 1970 UTC; None when it is not.
    """

    name: str
    host: str
    disabled_ns: int | None


@dataclass(frozen=True, slots=True)
class OutboxContents:
    """All that is in an outbox, messages in the order in which they came."""

    messages: tuple[StoredMessage, ...]
    endpoints: tuple[StoredEndpoint, ...]


@dataclass(frozen=True, slots=True)
class PutBack:
    """What `put_back` did.

    Attributes:
        deliveries: Failed and disabled deliveries that are pending again, by endpoint.
        hastened: Pending deliveries that waited for their next attempt and are due now.
        enabled: The endpoints that were disabled and are not any more.
    """

    deliveries: Mapping[str, int]
    hastened: int
    enabled: tuple[str, ...]


def read_outbox(path: Path) -> OutboxContents:
    """Read all of an outbox, as it is at one moment.

    Raises:
        SightflowError: there is none, or it cannot be read.
    """
    _check_there(path)
    with (
        closing(open_file(path, OutboxSettings(), "ro")) as connection,
        outbox_errors("read", path),
    ):
        connection.execute("BEGIN")
        endpoints = _endpoints(connection)
        deliveries = defaultdict(list)
        for message, endpoint, state, *rest in connection.execute(_DELIVERIES):
            stored = StoredDelivery(endpoints[endpoint].name, DeliveryState(state), *rest)
            deliveries[message].append(stored)
        messages = tuple(
            StoredMessage(alert_id, time_ns, episode, body, created_ns, tuple(deliveries[number]))
            for number, alert_id, time_ns, episode, body, created_ns in connection.execute(
                _MESSAGES
            )
        )
    return OutboxContents(messages, tuple(endpoints.values()))


def put_back(
    path: Path, now_ns: int, *, alert: str | None = None, endpoint: str | None = None
) -> PutBack:
    """Make failed and disabled deliveries pending again, with all their attempts.

    Those that wait for their next attempt are due at once, and endpoints that were disabled are
    enabled. A run that delivers from the outbox goes on with them within seconds.

    Args:
        path: The outbox.
        now_ns: The present time of the wall clock.
        alert: The id of an alert, or of an episode for all its alerts; None for every one.
        endpoint: An endpoint's name, or a host for all endpoints there; None for every one.

    Raises:
        SightflowError: there is no such outbox, alert or endpoint, or it cannot be written.
    """
    _check_there(path)
    with (
        closing(open_file(path, OutboxSettings(), "rw")) as connection,
        outbox_errors("written", path),
        transaction(connection),
    ):
        there = _endpoints(connection)
        chosen = [number for number, one in there.items() if endpoint in {None, one.name, one.host}]
        if endpoint is not None and not chosen:
            names = ", ".join(one.name for one in there.values()) or "none"
            raise SightflowError(f"{path} has no endpoint '{endpoint}'; it has {names}")
        deliveries: dict[str, int] = {}
        hastened, enabled, found = 0, [], False
        for number in chosen:
            back, early, known = _put_back(connection, number, alert, now_ns)
            if back:
                deliveries[there[number].name] = back
            hastened += early
            found = found or known
            if there[number].disabled_ns is not None and (known or alert is None):
                connection.execute(_ENABLE, (number,))
                enabled.append(there[number].name)
        if alert is not None and not found:
            raise SightflowError(
                f"{path} has no alert '{alert}'; 'sightflow alerts list' tells which there are"
            )
    return PutBack(deliveries, hastened, tuple(enabled))


def _put_back(
    connection: sqlite3.Connection, endpoint: int, alert: str | None, now_ns: int
) -> tuple[int, int, bool]:
    """Put back what one endpoint did not take: how many, how many hastened, and if any is known."""
    rows = connection.execute(_SELECTED, {"endpoint": endpoint, "alert": alert}).fetchall()
    ended = {DeliveryState.FAILED, DeliveryState.DISABLED}
    back = [message for message, state, _ in rows if state in ended]
    early = [
        message
        for message, state, due_ns in rows
        if state == DeliveryState.PENDING and due_ns > now_ns
    ]
    for update, messages in ((_PUT_BACK, back), (_HASTEN, early)):
        values = [{"now": now_ns, "message": one, "endpoint": endpoint} for one in messages]
        connection.executemany(update, values)
    return len(back), len(early), bool(rows)


def _endpoints(connection: sqlite3.Connection) -> dict[int, StoredEndpoint]:
    return {
        number: StoredEndpoint(name, host, disabled_ns)
        for number, name, host, disabled_ns in connection.execute(_ENDPOINTS)
    }


def _check_there(path: Path) -> None:
    if not path.is_file():
        raise SightflowError(
            f"there is no outbox {path}; a run with webhooks makes one in its event log's directory"
        )


def in_use(path: Path) -> bool:
    """Whether some process, usually a run, delivers from an outbox now.

    Raises:
        SightflowError: the outbox's lock cannot be looked at.
    """
    held = lock_file(path)
    if held is None:
        return True
    held.close()
    return False
