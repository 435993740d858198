"""Alerts gained and lost between two replays: episodes of one rule that overlap are the same."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from connectors.codec import iso_time
from records import Alert, AlertState
from records.units import NANOSECONDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


@dataclass(frozen=True, slots=True)
class Episode:
    """One episode, from its alerts.

    Attributes:
        stream: The stream's name.
        rule: The rule's name.
        opened_ns: When it opened, nanoseconds since 1970 UTC.
        closed_ns: When it closed, or when the replay ended.
        sequence: The frame at which it opened.
        peak: Its highest value.
    """

    stream: str
    rule: str
    opened_ns: int
    closed_ns: int
    sequence: int
    peak: float

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {
            "stream": self.stream,
            "rule": self.rule,
            "opened": iso_time(self.opened_ns),
            "seconds": round((self.closed_ns - self.opened_ns) / NANOSECONDS, 3),
            "sequence": self.sequence,
            "peak": self.peak,
        }


@dataclass(frozen=True, slots=True)
class AlertChanges:
    """What became of the episodes of one replay in another.

    Attributes:
        kept: Pairs of episodes that overlap in event time.
        lost: Episodes of the first alone.
        gained: Episodes of the second alone.
    """

    kept: tuple[tuple[Episode, Episode], ...]
    lost: tuple[Episode, ...]
    gained: tuple[Episode, ...]

    @property
    def later_seconds(self) -> float | None:
        """How much later the second opens those that both have, on average; None without any."""
        if not self.kept:
            return None
        later = sum(b.opened_ns - a.opened_ns for a, b in self.kept)
        return later / len(self.kept) / NANOSECONDS

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        later = self.later_seconds
        return {
            "kept": len(self.kept),
            "lost": [episode.to_json() for episode in self.lost],
            "gained": [episode.to_json() for episode in self.gained],
            "opened_later_seconds": None if later is None else round(later, 3),
        }


def episodes_of(alerts: Iterable[Alert], end_ns: int) -> list[Episode]:
    """The episodes that alerts tell of, by when they opened.

    Args:
        alerts: The alerts, in order.
        end_ns: When the replay ended: open episodes end there, nanoseconds since 1970 UTC.
    """
    latest: dict[str, Alert] = {}
    for alert in alerts:
        latest[alert.episode] = alert
    found = [
        Episode(
            one.stream,
            one.rule,
            one.opened_ns,
            one.time_ns if one.state is AlertState.CLOSED else max(end_ns, one.time_ns),
            one.opened_sequence,
            one.peak,
        )
        for one in latest.values()
    ]
    return sorted(found, key=lambda one: (one.opened_ns, one.stream, one.rule))


def compare_episodes(a: Sequence[Episode], b: Sequence[Episode]) -> AlertChanges:
    """Pair episodes of the same stream and rule, those that overlap longest first."""
    of_rule: dict[tuple[str, str], list[int]] = defaultdict(list)
    for j, other in enumerate(b):
        of_rule[other.stream, other.rule].append(j)
    pairs = [
        (-_overlap_ns(one, b[j]), i, j)
        for i, one in enumerate(a)
        for j in of_rule[one.stream, one.rule]
        if _overlap_ns(one, b[j]) >= 0
    ]
    kept: dict[int, int] = {}
    taken: set[int] = set()
    for _, i, j in sorted(pairs):
        if i not in kept and j not in taken:
            kept[i] = j
            taken.add(j)
    return AlertChanges(
        tuple((a[i], b[j]) for i, j in sorted(kept.items())),
        tuple(one for i, one in enumerate(a) if i not in kept),
        tuple(one for j, one in enumerate(b) if j not in taken),
    )


def _overlap_ns(a: Episode, b: Episode) -> int:
    """How long both are open; below 0 when never, nanoseconds."""
    return min(a.closed_ns, b.closed_ns) - max(a.opened_ns, b.opened_ns)
