"""The outbox: messages that wait for their endpoints, safe from the moment `add` returns.

A flow writes its alerts here before its epoch closes, so each is either in the outbox or comes
again when the flow resumes; one that comes again is recognised and not sent twice. A process that
is killed at any point leaves a whole file: what it had not recorded as sent is sent again.

The pattern is known as the transactional outbox:
https://microservices.io/patterns/data/transactional-outbox.html
"""

from __future__ import annotations

from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING, Self

from connectors.outbox_delivery import (
    GONE,
    MOST_BODY_BYTES,
    QUEUE_FULL,
    TOO_LARGE,
    Added,
    Delivery,
    DeliveryState,
)
from connectors.outbox_file import OutboxSettings, lock_file, open_file, outbox_errors
from connectors.sqlite_file import transaction
from records import SightflowError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from connectors.outbox_delivery import Message

_INSERT_MESSAGE = """INSERT OR IGNORE INTO messages (id, time_ns, episode, body, created_ns)
    VALUES (?, ?, ?, ?, ?)"""
_INSERT_DELIVERY = """INSERT OR IGNORE INTO deliveries
    (message, endpoint, state, due_ns, changed_ns, reason)
    SELECT number, ?, ?, ?, ?, ? FROM messages WHERE id = ? AND time_ns = ?"""
_PURGE = """DELETE FROM messages WHERE number IN (
    SELECT number FROM messages WHERE NOT EXISTS (
        SELECT 1 FROM deliveries WHERE message = number AND state = 'pending')
    ORDER BY number LIMIT ?)"""
_PENDING = "SELECT COUNT(*) FROM deliveries WHERE endpoint = ? AND state = 'pending'"
_WAITING = """SELECT e.name, COUNT(*) FROM deliveries AS d
    JOIN endpoints AS e ON e.number = d.endpoint
    WHERE d.state = 'pending' GROUP BY e.number ORDER BY e.number"""
_NEXT_DUE = """SELECT m.number, m.id, m.body, d.attempts, MAX(d.due_ns, e.paused_until_ns)
    FROM deliveries AS d
    JOIN messages AS m ON m.number = d.message
    JOIN endpoints AS e ON e.number = d.endpoint
    WHERE d.endpoint = ? AND d.state = 'pending' ORDER BY d.due_ns, d.message LIMIT 1"""
_SETTLE = """UPDATE deliveries SET state = ?, reason = ?, attempts = attempts + 1, changed_ns = ?
    WHERE message = ? AND endpoint = ? AND state = 'pending'"""
_POSTPONE = """UPDATE deliveries SET reason = ?, due_ns = ?, attempts = attempts + 1, changed_ns = ?
    WHERE message = ? AND endpoint = ? AND state = 'pending'"""
_PENDING_IDS = """SELECT m.id FROM deliveries AS d JOIN messages AS m ON m.number = d.message
    WHERE d.endpoint = ? AND d.state = 'pending' ORDER BY d.message"""
_END_PENDING = """UPDATE deliveries SET state = ?, reason = ?, changed_ns = ?
    WHERE endpoint = ? AND state = 'pending'"""
_REFUSED = {
    "": DeliveryState.PENDING,
    GONE: DeliveryState.DISABLED,
    QUEUE_FULL: DeliveryState.FAILED,
}


class Outbox:
    """An outbox, open for delivery; safe to use from several threads.

    One process at a time may have it open; others may read it, and put deliveries back
    (`connectors.outbox_inspection`).

    Args:
        path: The file, made if it is not there. None keeps everything in memory, until `close`.
        settings: How large it may grow.

    Attributes:
        path: The file; None when it is in memory.
        closed: Whether it was closed.

    Raises:
        SightflowError: it cannot be opened, is none, or another process has it open.

    >>> from connectors.outbox_delivery import Message
    >>> with Outbox() as outbox:
    ...     endpoint = outbox.endpoint("example.com#1", "example.com")
    ...     message = Message("gate:crowd:7:opened:7", 0, "gate:crowd:7", b"{}")
    ...     first = outbox.add(endpoint, [message], now_ns=0)
    ...     again = outbox.add(endpoint, [message], now_ns=0)
    ...     first.queued, again.known, outbox.pending(endpoint)
    (1, 1, 1)
    """

    def __init__(self, path: Path | None = None, settings: OutboxSettings | None = None) -> None:
        self.path = path
        self.closed = False
        self._settings = settings or OutboxSettings()
        self._lock = Lock()
        self._held = None if path is None else lock_file(path)
        if path is not None and self._held is None:
            raise SightflowError(
                f"the outbox {path} is in use: one run at a time delivers from it; wait until that "
                "one has ended, or stop it"
            )
        try:
            self._connection = open_file(path, self._settings)
            self._messages = self._count()
        except BaseException:
            if self._held is not None:
                self._held.close()
            raise

    @property
    def durable(self) -> bool:
        """Whether what waits in it outlives this process."""
        return self.path is not None

    def endpoint(self, name: str, host: str) -> int:
        """The number of an endpoint, which is made known if it is not.

        Args:
            name: What tells it from every other endpoint, also after a restart.
            host: Its host, for people.
        """
        with self._lock, self._writing() as connection:
            insert = "INSERT OR IGNORE INTO endpoints (name, host) VALUES (?, ?)"
            connection.execute(insert, (name, host))
            select = "SELECT number FROM endpoints WHERE name = ?"
            (number,) = connection.execute(select, (name,)).fetchone()
        return int(number)

    def disabled_ns(self, endpoint: int) -> int | None:
        """Since when an endpoint is disabled, nanoseconds since 1970 UTC; None when it is not."""
        with self._lock, outbox_errors("read", self.path):
            return self._disabled_ns(endpoint)

    def add(
        self,
        endpoint: int,
        messages: Sequence[Message],
        now_ns: int,
        queue_at_most: int | None = None,
    ) -> Added:
        """Give messages to an endpoint; once this returns they outlive this process.

        Args:
            endpoint: Its number.
            messages: What to send, in order.
            now_ns: The present time of the wall clock.
            queue_at_most: How many may be pending for the endpoint. The newest beyond it are
                refused, so that an episode's beginning is not lost to its end; they are kept as
                failed and can be put back. None for no limit.

        Raises:
            SightflowError: the outbox cannot be written; none of the messages was taken.
        """
        refused = [(one.id, TOO_LARGE) for one in messages if len(one.body) > MOST_BODY_BYTES]
        taken = [one for one in messages if len(one.body) <= MOST_BODY_BYTES]
        queued = known = 0
        with self._lock:
            with self._writing() as connection:
                (waiting,) = connection.execute(_PENDING, (endpoint,)).fetchone()
                disabled = self._disabled_ns(endpoint) is not None
                inserted = purged = 0
                for one in taken:
                    full = queue_at_most is not None and waiting + queued >= queue_at_most
                    reason = GONE if disabled else QUEUE_FULL if full else ""
                    inserted += connection.execute(_INSERT_MESSAGE, (*one, now_ns)).rowcount
                    values = (endpoint, _REFUSED[reason], now_ns, now_ns, reason, *one[:2])
                    if not connection.execute(_INSERT_DELIVERY, values).rowcount:
                        known += 1
                    elif reason:
                        refused.append((one.id, reason))
                    else:
                        queued += 1
                excess = self._messages + inserted - self._settings.keep_at_most
                if excess > 0:
                    purged = connection.execute(_PURGE, (excess,)).rowcount
            self._messages += inserted - purged
        return Added(queued, known, tuple(refused))

    def next_due(self, endpoint: int) -> Delivery | None:
        """The pending delivery that may be tried first; None when nothing is pending."""
        with self._lock, outbox_errors("read", self.path):
            row = self._connection.execute(_NEXT_DUE, (endpoint,)).fetchone()
        return None if row is None else Delivery(*row)

    def pending(self, endpoint: int) -> int:
        """How many deliveries to an endpoint are pending."""
        with self._lock, outbox_errors("read", self.path):
            (count,) = self._connection.execute(_PENDING, (endpoint,)).fetchone()
        return int(count)

    def waiting(self) -> dict[str, int]:
        """How many deliveries are pending, by the endpoint's name, for those that have any."""
        with self._lock, outbox_errors("read", self.path):
            return dict(self._connection.execute(_WAITING).fetchall())

    def settle(
        self, endpoint: int, message: int, state: DeliveryState, reason: str, now_ns: int
    ) -> None:
        """Record that a delivery ended with an attempt.

        Args:
            endpoint: The endpoint's number.
            message: The message's number.
            state: DELIVERED or FAILED.
            reason: Why it failed; empty when it was delivered.
            now_ns: The present time of the wall clock.
        """
        with self._lock, self._writing() as connection:
            connection.execute(_SETTLE, (state, reason, now_ns, message, endpoint))

    def postpone(
        self,
        endpoint: int,
        message: int,
        reason: str,
        now_ns: int,
        due_ns: int,
        *,
        pause: bool = False,
    ) -> None:
        """Record that an attempt failed and when the next one is due.

        Args:
            endpoint: The endpoint's number.
            message: The message's number.
            reason: Why the attempt failed.
            now_ns: The present time of the wall clock.
            due_ns: When the next attempt is due.
            pause: Whether no other message may go to the endpoint before then either.
        """
        with self._lock, self._writing() as connection:
            connection.execute(_POSTPONE, (reason, due_ns, now_ns, message, endpoint))
            if pause:
                update = "UPDATE endpoints SET paused_until_ns = ? WHERE number = ?"
                connection.execute(update, (due_ns, endpoint))

    def disable(self, endpoint: int, message: int, now_ns: int) -> list[str]:
        """Disable an endpoint that answered 410, and give the ids that were pending for it.

        Args:
            endpoint: The endpoint's number.
            message: The number of the message that it answered.
            now_ns: The present time of the wall clock.
        """
        with self._lock, self._writing() as connection:
            since = "UPDATE endpoints SET disabled_ns = ? WHERE number = ?"
            connection.execute(since, (now_ns, endpoint))
            ids = self._pending_ids(endpoint)
            connection.execute(_SETTLE, (DeliveryState.DISABLED, GONE, now_ns, message, endpoint))
            connection.execute(_END_PENDING, (DeliveryState.DISABLED, GONE, now_ns, endpoint))
        return ids

    def fail_pending(self, endpoint: int, reason: str, now_ns: int) -> list[str]:
        """Fail everything that is pending for an endpoint, and give its ids."""
        with self._lock, self._writing() as connection:
            ids = self._pending_ids(endpoint)
            connection.execute(_END_PENDING, (DeliveryState.FAILED, reason, now_ns, endpoint))
        return ids

    def close(self) -> None:
        """Close the file. May be called twice."""
        with self._lock, outbox_errors("closed", self.path):
            self.closed = True
            self._connection.close()
            if self._held is not None:
                self._held.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with outbox_errors("written", self.path), transaction(self._connection):
            yield self._connection

    def _count(self) -> int:
        with outbox_errors("read", self.path):
            (count,) = self._connection.execute("SELECT COUNT(*) FROM messages").fetchone()
        return int(count)

    def _disabled_ns(self, endpoint: int) -> int | None:
        select = "SELECT disabled_ns FROM endpoints WHERE number = ?"
        row: tuple[int | None] = self._connection.execute(select, (endpoint,)).fetchone()
        return row[0]

    def _pending_ids(self, endpoint: int) -> list[str]:
        return [row[0] for row in self._connection.execute(_PENDING_IDS, (endpoint,))]
