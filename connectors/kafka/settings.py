"""How a Kafka cluster is reached: brokers, security, limits."""

from __future__ import annotations

import math
import re
import ssl
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from records import RecordError

if TYPE_CHECKING:
    from collections.abc import Sequence

PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
"""The security protocols of Kafka."""

MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
"""The SASL mechanisms that take a user's name and password."""

COMPRESSIONS = ("none", "gzip", "lz4", "zstd")
"""How batches may be compressed."""

LARGEST_MESSAGE_BYTES = 64 * 2**20
"""The largest `max_message_bytes`, bytes."""

MILLISECONDS = 1000
"""Milliseconds in a second, as Kafka's clients want times."""

BATCH_BYTES = 65_536
"""How much of one partition a producer gathers into one batch, bytes."""

_NAME = re.compile(r"[A-Za-z0-9._-]{1,200}")
_SERVER = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):(\d{1,5})")
_LAST_PORT = 65_535


class _Secret(str):
    """Text that is not shown: kafka-python logs its whole configuration at the level DEBUG."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"


@dataclass(frozen=True, slots=True)
class KafkaSettings:
    """One Kafka cluster. Neither the user's name nor the password shows in its repr.

    Attributes:
        bootstrap_servers: ``host:port`` of one or more brokers.
        security_protocol: PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL.
        ca_file: PEM file of the authorities that sign the brokers' certificates; None for the
            system's.
        certificate_file: PEM file of this client's certificate; None for none.
        key_file: PEM file of that certificate's private key.
        sasl_mechanism: PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512; None without SASL.
        username: The user's name for SASL.
        password: The password for SASL.
        client_id: What the brokers call this client in their logs and quotas.
        compression: none, gzip, lz4 or zstd.
        request_timeout_seconds: How long one request, and the first connection, may take.
        delivery_timeout_seconds: How long a message may take until it is confirmed, retries and
            all; at least `request_timeout_seconds`.
        max_message_bytes: The largest message that is sent, and the largest that is understood;
            at most what the topics allow (``max.message.bytes``).
        topic_prefix: What the names of the topics begin with.

    Raises:
        RecordError: a value is out of range, or two do not go together.

    >>> KafkaSettings(("broker:9092",), password="hunter2", username="me",
    ...     security_protocol="SASL_SSL", sasl_mechanism="PLAIN").sasl_mechanism
    'PLAIN'
    """

    bootstrap_servers: Sequence[str]
    security_protocol: str = "PLAINTEXT"
    ca_file: str | None = None
    certificate_file: str | None = None
    key_file: str | None = None
    sasl_mechanism: str | None = None
    username: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    client_id: str = "sightflow"
    compression: str = "zstd"
    request_timeout_seconds: float = 30.0
    delivery_timeout_seconds: float = 120.0
    max_message_bytes: int = 1_000_000
    topic_prefix: str = "sightflow"

    def __post_init__(self) -> None:
        if isinstance(self.bootstrap_servers, str) or not self.bootstrap_servers:
            raise RecordError(
                f"bootstrap_servers must be a list of host:port, got {self.bootstrap_servers!r}"
            )
        object.__setattr__(self, "bootstrap_servers", tuple(self.bootstrap_servers))
        for server in self.bootstrap_servers:
            match = _SERVER.fullmatch(server)
            if match is None or not 0 < int(match[2]) <= _LAST_PORT:
                raise RecordError(f"bootstrap_servers must be host:port each, got {server!r}")
        for name, choice in (("security_protocol", PROTOCOLS), ("compression", COMPRESSIONS)):
            if getattr(self, name) not in choice:
                raise RecordError(
                    f"{name} must be one of {', '.join(choice)}, got {getattr(self, name)!r}"
                )
        for name in ("client_id", "topic_prefix"):
            if not _NAME.fullmatch(getattr(self, name)):
                raise RecordError(
                    f"{name} must be 1 to 200 of the characters A-Z a-z 0-9 . _ -, "
                    f"got {getattr(self, name)!r}"
                )
        self._check_security()
        self._check_numbers()

    def _check_security(self) -> None:
        sasl = self.security_protocol.startswith("SASL_")
        if sasl and self.sasl_mechanism not in MECHANISMS:
            raise RecordError(
                f"sasl_mechanism must be one of {', '.join(MECHANISMS)} with "
                f"{self.security_protocol}, got {self.sasl_mechanism!r}"
            )
        if sasl and not (self.username and self.password):
            raise RecordError(f"{self.security_protocol} needs username and password")
        if not sasl and (self.sasl_mechanism or self.username or self.password):
            raise RecordError(
                "sasl_mechanism, username and password need security_protocol SASL_PLAINTEXT or "
                f"SASL_SSL, got {self.security_protocol}"
            )
        files = (self.ca_file, self.certificate_file, self.key_file)
        if not self.security_protocol.endswith("SSL") and any(files):
            raise RecordError(
                "ca_file, certificate_file and key_file need security_protocol SSL or SASL_SSL, "
                f"got {self.security_protocol}"
            )
        if bool(self.certificate_file) != bool(self.key_file):
            raise RecordError("certificate_file and key_file must be given together")

    def _check_numbers(self) -> None:
        if not 0 < self.request_timeout_seconds < math.inf:
            raise RecordError(
                f"request_timeout_seconds must be above 0, got {self.request_timeout_seconds}"
            )
        if not self.request_timeout_seconds <= self.delivery_timeout_seconds < math.inf:
            raise RecordError(
                "delivery_timeout_seconds must be at least request_timeout_seconds, "
                f"{self.request_timeout_seconds}, got {self.delivery_timeout_seconds}"
            )
        if not 0 < self.max_message_bytes <= LARGEST_MESSAGE_BYTES:
            raise RecordError(
                f"max_message_bytes must be 1 to {LARGEST_MESSAGE_BYTES}, "
                f"got {self.max_message_bytes}"
            )

    @property
    def servers(self) -> str:
        """The brokers as messages show them."""
        return ", ".join(self.bootstrap_servers)

    def topic(self, kind: str) -> str:
        """The name of the topic of this kind.

        >>> KafkaSettings(["broker:9092"]).topic("frames")
        'sightflow.frames'
        """
        return f"{self.topic_prefix}.{kind}"

    def _ssl_context(self) -> ssl.SSLContext | None:
        """How brokers are verified; made here, since clients take a bad file for a dead broker."""
        if not self.security_protocol.endswith("SSL"):
            return None
        names = "ca_file"
        try:
            context = ssl.create_default_context(cafile=self.ca_file)
            if self.certificate_file is not None:
                names = "certificate_file and key_file"
                context.load_cert_chain(self.certificate_file, self.key_file)
        except OSError as error:
            raise RecordError(f"{names} must be PEM files that fit: {error}") from error
        return context

    def client_options(self) -> dict[str, Any]:
        """What every client of kafka-python is configured with; holds the secrets.

        Raises:
            RecordError: a file of a certificate or key cannot be used.
        """
        timeout = int(self.request_timeout_seconds * MILLISECONDS)
        return {
            "bootstrap_servers": list(self.bootstrap_servers),
            "client_id": self.client_id,
            "security_protocol": self.security_protocol,
            "ssl_context": self._ssl_context(),
            "sasl_mechanism": self.sasl_mechanism,
            "sasl_plain_username": None if self.username is None else _Secret(self.username),
            "sasl_plain_password": None if self.password is None else _Secret(self.password),
            "request_timeout_ms": timeout,
            "bootstrap_timeout_ms": timeout,
        }

    def producer_options(self) -> dict[str, Any]:
        """What a producer is configured with: idempotent, confirmed by all replicas in sync."""
        delivery = int(self.delivery_timeout_seconds * MILLISECONDS)
        return self.client_options() | {
            "acks": "all",
            "enable_idempotence": True,
            "compression_type": None if self.compression == "none" else self.compression,
            "delivery_timeout_ms": delivery,
            "max_block_ms": delivery,
            "max_request_size": self.max_message_bytes,
            "batch_size": min(BATCH_BYTES, self.max_message_bytes),
            "allow_auto_create_topics": False,
        }
