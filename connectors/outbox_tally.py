"""Counts of what became of the alerts given to one endpoint."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from threading import Lock

DELIVERED = ""
"""The reason of an alert that was delivered: none."""


@dataclass(frozen=True, slots=True)
class DeliveryReport:
    """What became of the alerts of one endpoint in this process.

    Attributes:
        delivered: Alerts that the endpoint accepted, among them those of earlier runs.
        failed: Alerts that were given up, by reason.
        retries: Attempts beyond the first of each alert.
        pending: Alerts that still wait or are on their way; those in a durable outbox go on at the
            next start.
        known: Alerts that came again, as they do when a flow resumes, and were not taken twice.
    """

    delivered: int = 0
    failed: dict[str, int] = field(default_factory=dict)
    retries: int = 0
    pending: int = 0
    known: int = 0


class Tally:
    """Counts outcomes; safe to use from several threads.

    >>> tally = Tally()
    >>> for reason in (DELIVERED, "status_404", DELIVERED):
    ...     tally.ended(reason)
    >>> tally.report(pending=3)
    DeliveryReport(delivered=2, failed={'status_404': 1}, retries=0, pending=3, known=0)
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._outcomes: Counter[str] = Counter()
        self._retries = 0
        self._known = 0

    def retried(self) -> None:
        """Count a further attempt."""
        with self._lock:
            self._retries += 1

    def known(self, count: int) -> None:
        """Count alerts that came again."""
        with self._lock:
            self._known += count

    def ended(self, reason: str) -> None:
        """Count an alert that was delivered, or failed for a reason."""
        with self._lock:
            self._outcomes[reason] += 1

    def report(self, pending: int) -> DeliveryReport:
        """What was counted so far.

        Args:
            pending: How many alerts still wait.
        """
        with self._lock:
            failed = {reason: n for reason, n in sorted(self._outcomes.items()) if reason}
            delivered = self._outcomes[DELIVERED]
            return DeliveryReport(delivered, failed, self._retries, pending, self._known)
