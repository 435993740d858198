"""How a webhook endpoint is called: where, signed with what, and how often it is tried."""

from __future__ import annotations

import base64
import binascii
import math
from dataclasses import dataclass, field
from hashlib import sha256
from secrets import token_bytes
from typing import TYPE_CHECKING

from connectors.outbound import parse_url
from records import RecordError

if TYPE_CHECKING:
    from random import Random

SECRET_PREFIX = "whsec_"  # noqa: S105 - the prefix of secrets, itself none
"""What a secret begins with (Standard Webhooks)."""

FEWEST_SECRET_BYTES = 24
"""The shortest secret that Standard Webhooks allows, bytes before base64."""

MOST_SECRET_BYTES = 64
"""The longest secret that Standard Webhooks allows, bytes before base64."""

_MOST_SECRETS = 8
_NEW_SECRET_BYTES = 32
_DIGEST_CHARACTERS = 12


STANDARD, ALERTMANAGER = "standard", "alertmanager"
BODIES = (STANDARD, ALERTMANAGER)
"""The shapes that a message's body may have."""


@dataclass(frozen=True, slots=True)
class WebhookSettings:
    """One webhook endpoint. Neither its URL nor its secrets show in its repr.

    Attributes:
        url: Where alerts are posted to, http or https.
        secrets: What messages are signed with, ``whsec_`` and base64 of 24 to 64 bytes each.
            Several give as many signatures, so that a receiver can change from one to the next.
        timeout_seconds: How long connecting, and each write or read, may take.
        attempts: How often one alert is sent at most, 1 or more.
        first_retry_seconds: The wait before the second attempt.
        retry_factor: By how much each wait is longer than the one before, 1 or more.
        most_retry_seconds: The longest wait, also when the endpoint asks for a longer one. The
            defaults spread ten attempts over one to two days: 5 s, 20 s, 80 s, 5 min, 21 min,
            85 min, 6 h, 23 h, 24 h. Standard Webhooks recommends several days, and gives as an
            example as many attempts from 5 s to 24 h apart.
        jitter: The share of each wait, 0 to 1, that is left to chance so that senders do not call
            in step.
        allow_private: Whether the endpoint may have an address that is not public.
        queue_at_most: How many alerts may wait; the newest beyond it fail as ``queue_full``.
        body: What is posted: ``standard`` is an alert by itself, ``alertmanager`` the shape that
            Prometheus' Alertmanager posts, for receivers that know it.
        drain_seconds: How long a finished flow waits for alerts that are still to be delivered.
            What is left then goes on at the next start, if the outbox is durable.
    """

    url: str = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False)
    timeout_seconds: float = 10.0
    attempts: int = 10
    first_retry_seconds: float = 5.0
    retry_factor: float = 4.0
    most_retry_seconds: float = 86_400.0
    jitter: float = 0.5
    allow_private: bool = False
    queue_at_most: int = 1000
    drain_seconds: float = 10.0
    body: str = STANDARD

    def __post_init__(self) -> None:
        parse_url(self.url)
        if not 0 < len(self.secrets) <= _MOST_SECRETS:
            raise RecordError(f"secrets must be 1 to {_MOST_SECRETS}, got {len(self.secrets)}")
        for i, secret in enumerate(self.secrets):
            if not is_secret(secret):
                raise RecordError(
                    f"secrets[{i}] must be {SECRET_PREFIX} and base64 of {FEWEST_SECRET_BYTES} to "
                    f"{MOST_SECRET_BYTES} bytes (what was given is not shown)"
                )
        if self.body not in BODIES:
            raise RecordError(f"body must be one of {', '.join(BODIES)}, got {self.body!r}")
        self._check_numbers()

    def _check_numbers(self) -> None:
        for name in ("attempts", "queue_at_most"):
            if getattr(self, name) < 1:
                raise RecordError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("timeout_seconds", "first_retry_seconds"):
            if not 0 < getattr(self, name) < math.inf:
                raise RecordError(f"{name} must be above 0, got {getattr(self, name)}")
        if not 1 <= self.retry_factor < math.inf:
            raise RecordError(f"retry_factor must be at least 1, got {self.retry_factor}")
        if not self.first_retry_seconds <= self.most_retry_seconds < math.inf:
            raise RecordError(
                f"most_retry_seconds must be at least first_retry_seconds, "
                f"{self.first_retry_seconds}, got {self.most_retry_seconds}"
            )
        if not 0 <= self.jitter <= 1:
            raise RecordError(f"jitter must be 0 to 1, got {self.jitter}")
        if not 0 <= self.drain_seconds < math.inf:
            raise RecordError(f"drain_seconds must be at least 0, got {self.drain_seconds}")

    @property
    def host(self) -> str:
        """The host of the URL: all of it that logs and metrics may show."""
        return parse_url(self.url).host

    @property
    def endpoint(self) -> str:
        """What tells the endpoint from others: its host and a digest of its URL.

        >>> WebhookSettings("https://example.com/in?token=1", (new_secret(),)).endpoint
        'example.com#e87ac41c3178'
        """
        return f"{self.host}#{sha256(self.url.encode()).hexdigest()[:_DIGEST_CHARACTERS]}"


def is_secret(text: str) -> bool:
    """Whether a text is a signing secret: ``whsec_`` and base64 of 24 to 64 bytes.

    >>> is_secret(new_secret()), is_secret("hunter2")
    (True, False)
    """
    try:
        size = len(base64.b64decode(text.removeprefix(SECRET_PREFIX), validate=True))
    except (binascii.Error, ValueError):
        return False
    return text.startswith(SECRET_PREFIX) and FEWEST_SECRET_BYTES <= size <= MOST_SECRET_BYTES


def new_secret() -> str:
    """Make a secret that nobody can guess.

    >>> WebhookSettings("https://example.com/in", (new_secret(),)).host
    'example.com'
    """
    return SECRET_PREFIX + base64.b64encode(token_bytes(_NEW_SECRET_BYTES)).decode()


def retry_seconds(
    settings: WebhookSettings, attempt: int, random: Random, asked: float = 0.0
) -> float:
    """How long to wait after a failed attempt.

    Args:
        settings: The endpoint's.
        attempt: The attempt that failed, counted from 1.
        random: The source of chance for the jitter.
        asked: How long the endpoint asks to wait (``Retry-After``), seconds.

    Returns:
        Seconds: ``first * factor ** (attempt - 1)``, at most `most_retry_seconds`, less up to the
        share `jitter` of it; or what the endpoint asks for, if that is longer, within the same
        limit.
    """
    first, factor, most = (
        settings.first_retry_seconds,
        settings.retry_factor,
        settings.most_retry_seconds,
    )
    # Compared as logarithms, since the power itself may be too large for a float.
    limited = (attempt - 1) * math.log(factor) >= math.log(most) - math.log(first)
    wait = most if limited else first * factor ** (attempt - 1)
    return min(max(wait * (1 - settings.jitter * random.random()), asked), most)
