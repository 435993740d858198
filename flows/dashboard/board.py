"""What the server shows: a run that goes on, or one that was recorded, under one interface."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from flows.dashboard.state import DashboardState, everything
from flows.dashboard.stream_state import StreamStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from flows.dashboard.background import Background
    from flows.dashboard.explanations import Explanation, Explanations
    from flows.dashboard.state import Allowed
    from flows.dashboard.thumbnails import Thumbnails
    from records import Alert, Record


_NOT_READY = (StreamStatus.LOST, StreamStatus.UNREADABLE)


class Board(Protocol):
    """What can be asked; every method may be called from several threads."""

    def about(self) -> dict[str, Any]:
        """What the run is, plain JSON values: name, mode, model, targets, what it costs."""

    def view(
        self, since: int = 0, allowed: Allowed = everything, at_ms: float | None = None
    ) -> dict[str, Any]:
        """What changed after a revision; or how all stood at an event time, milliseconds."""

    def stream_named(self, key: str) -> str | None:
        """The name of the stream with a key; None where there is none."""

    def alert(self, key: str) -> Alert | None:
        """The episode with a key; None where there is none."""

    def thumbnail(self, stream: str, width: int, at_ms: float | None = None) -> bytes | None:
        """The latest picture of a stream, a JPEG; None where there is none yet."""

    def explanation(self, alert: Alert) -> Explanation:
        """Why an alert was told; SightflowError where that cannot be said."""

    def background(self) -> dict[str, Any]:
        """What happens beside the flow."""

    def metrics(self) -> bytes | None:
        """What Prometheus scrapes; None where there is nothing to scrape."""

    def troubles(self) -> list[str]:
        """Why it is not ready; empty when it is."""


@dataclass
class LiveBoard:
    """A run that goes on.

    Attributes:
        description: What is known of the run beforehand, plain JSON values.
        state: Its view; only used under the lock.
        thumbnails: Its pictures.
        explanations: Explains its alerts.
        beside: What happens beside it.
        figures: What the detector has done so far, plain JSON values.
        scrape: Gives what Prometheus scrapes.
        ended: Whether the run has ended.
    """

    description: dict[str, Any]
    state: DashboardState
    thumbnails: Thumbnails
    explanations: Explanations
    beside: Background
    figures: Callable[[], dict[str, Any]]
    scrape: Callable[[], bytes]
    ended: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def observe(self, stream: str, records: Sequence[Record]) -> None:
        """Take records on their way to the sinks."""
        with self._lock:
            self.state.take(stream, records)
        self.thumbnails.decided(stream, records)

    def about(self) -> dict[str, Any]:
        """What the run is, and what its detector has done."""
        return {
            **self.description,
            "mode": "ended" if self.ended else "live",
            "detector": self.figures(),
            "unlisted": self.state.unlisted,
            "pictures_missed": self.thumbnails.missed,
        }

    def view(
        self, since: int = 0, allowed: Allowed = everything, at_ms: float | None = None
    ) -> dict[str, Any]:
        """What changed after a revision; the past is not kept."""
        del at_ms
        with self._lock:
            return self.state.view(since, allowed)

    def stream_named(self, key: str) -> str | None:
        """The name of the stream with a key."""
        return self.state.stream_named(key)

    def alert(self, key: str) -> Alert | None:
        """The episode with a key."""
        return self.state.alert(key)

    def thumbnail(self, stream: str, width: int, at_ms: float | None = None) -> bytes | None:
        """The latest picture of a stream."""
        del at_ms
        return self.thumbnails.look(stream, width)

    def explanation(self, alert: Alert) -> Explanation:
        """Why an alert was told."""
        return self.explanations.of(alert)

    def background(self) -> dict[str, Any]:
        """What happens beside the flow."""
        return self.beside.read()

    def metrics(self) -> bytes | None:
        """What Prometheus scrapes."""
        return self.scrape()

    def troubles(self) -> list[str]:
        """Why the run is not ready."""
        if self.ended:
            return ["the run has ended"]
        with self._lock:
            streams = list(self.state.streams.values())
            waiting = [one.name for one in streams if one.status in _NOT_READY]
        return [f"stream {name} is not running" for name in waiting]
