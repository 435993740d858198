"""A producer that knows what was delivered: every message is confirmed, or an error is raised."""

from __future__ import annotations

from threading import Thread
from typing import TYPE_CHECKING, Any

from kafka import KafkaProducer
from kafka.errors import KafkaError, MessageSizeTooLargeError

from connectors.kafka.cluster import told
from connectors.kafka.settings import MILLISECONDS
from records import SightflowError

if TYPE_CHECKING:
    from collections.abc import Callable

    from connectors.kafka.cluster import Place
    from connectors.kafka.headers import Header
    from connectors.kafka.settings import KafkaSettings

MOST_OPEN_BYTES = 32 * 2**20
"""How much may be on its way without being confirmed, bytes: the client itself sets no bound."""

_CLOSE_SECONDS = 2.0
_AGAIN = "The run stops; resumed, it sends again what its last epoch did not finish"


class MessageTooLargeError(SightflowError):
    """A message is larger than `max_message_bytes`; it was not sent."""


class ConfirmedProducer:
    """Sends messages, each acknowledged by all replicas in sync, without doubles by retries.

    Args:
        settings: How the cluster is reached.
        transactional_id: Names this producer across restarts: a new one ends what is left of the
            transactions of the one before, and the one before can send no more. None sends
            without transactions.
        transaction_seconds: How long a transaction may stay open until the brokers abort it.

    Raises:
        SightflowError: the cluster does not answer, or does not allow transactions.
    """

    def __init__(
        self, settings: KafkaSettings, transactional_id: str | None, transaction_seconds: float
    ) -> None:
        self._settings = settings
        self._transactional = transactional_id is not None
        self._open: list[Any] = []
        self._open_bytes = 0
        self._in_transaction = self._failed = False
        options = settings.producer_options()
        if transactional_id is not None:
            options |= {
                "transactional_id": transactional_id,
                "transaction_timeout_ms": int(transaction_seconds * MILLISECONDS),
            }
        self._producer: Any = None
        try:
            self._producer = KafkaProducer(**options)
            if self._transactional:
                self._producer.init_transactions()
        except KafkaError as error:
            if self._producer is not None:
                self.close()
            raise SightflowError(
                f"cannot send to Kafka at {settings.servers}: {told(error)}"
                + (f" (transactional id {transactional_id})" if transactional_id else "")
            ) from error

    def send(self, topic: str, key: bytes | None, headers: list[Header], value: bytes) -> None:
        """Send one message; waits only when too much is on its way.

        Raises:
            MessageTooLargeError: it is too large, and was not sent.
            SightflowError: it, or one before it, cannot be delivered.
        """
        self._check()
        try:
            if self._transactional and not self._in_transaction:
                self._producer.begin_transaction()
                self._in_transaction = True
            future = self._producer.send(topic, value, key, headers)
        except MessageSizeTooLargeError as error:
            raise MessageTooLargeError(
                f"a message must be at most {self._settings.max_message_bytes} bytes with its "
                f"headers, got a value of {len(value)}"
            ) from error
        except KafkaError as error:
            raise self._failure(f"topic {topic}: {told(error)}") from error
        self._open.append(future)
        self._open_bytes += len(value)

    @property
    def is_full(self) -> bool:
        """Whether so much is on its way that it should be confirmed before more is sent."""
        return self._open_bytes > MOST_OPEN_BYTES

    def confirm(self) -> dict[Place, int]:
        """Wait until everything sent is delivered.

        Returns:
            The offset behind the last message in each partition.

        Raises:
            SightflowError: a message was not delivered.
        """
        self._check()
        sent, self._open, self._open_bytes = self._open, [], 0
        try:
            self._producer.flush(self._settings.delivery_timeout_seconds)
        except KafkaError as error:
            raise self._failure(told(error)) from error
        behind: dict[Place, int] = {}
        for future in sent:
            if not future.succeeded():
                cause = future.exception
                why = "no answer" if cause is None else told(cause)
                failed = sum(not each.succeeded() for each in sent)
                raise self._failure(f"{failed} of {len(sent)} messages: {why}") from cause
            at = future.value
            place = (at.topic, at.partition)
            behind[place] = max(behind.get(place, 0), at.offset + 1)
        return behind

    def commit(self) -> None:
        """Make what was sent since the last call visible, all at once.

        Raises:
            SightflowError: it cannot be told whether it is visible now.
        """
        self._check()
        if self._in_transaction:
            self._bounded(self._producer.commit_transaction)
            self._in_transaction = False

    def close(self) -> None:
        """Abort what was not committed, as far as the cluster answers, and end."""
        if self._in_transaction and not self._failed:
            try:
                self._bounded(self._producer.abort_transaction)
            except SightflowError:
                # The next producer of the same name, or the brokers' time-out, aborts it.
                self._failed = True
        # What counts was confirmed. To flush what is left would raise and leave its thread behind.
        self._producer.flush = lambda _: None
        self._producer.close(_CLOSE_SECONDS)

    def _check(self) -> None:
        if self._failed:
            raise SightflowError("this producer failed before; it must be made anew")

    def _failure(self, detail: str) -> SightflowError:
        """An error after which nothing can be sent or committed."""
        self._failed = True
        return SightflowError(
            f"not delivered to Kafka at {self._settings.servers}: {detail}. {_AGAIN}"
        )

    def _bounded(self, call: Callable[[], None]) -> None:
        """Call what may wait forever when the brokers are away, for as long as is allowed."""
        errors: list[KafkaError] = []

        def run() -> None:
            try:
                call()
            except KafkaError as error:
                errors.append(error)

        thread = Thread(target=run, name="kafka-transaction", daemon=True)
        thread.start()
        thread.join(self._settings.delivery_timeout_seconds)
        if thread.is_alive() or errors:
            why = told(errors[0]) if errors else "no answer"
            raise self._failure(f"transaction: {why}") from (errors[0] if errors else None)
