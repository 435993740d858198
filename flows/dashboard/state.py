"""What the page shows: records are folded into a view of bounded size; no clock, no I/O.

Every change has a revision, a number that only grows. A page says which revision it has, and gets
what changed since.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import TYPE_CHECKING, Any

from flows.dashboard.series import NS_PER_MS
from flows.dashboard.stream_state import StreamState, key_of
from records import Alert, AlertState, StreamEvent

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from records import Record

    Allowed = Callable[[str], bool]

MOST_STREAMS = 1024
"""The most streams that are shown; records of further ones are counted."""

MOST_ALERTS = 200
"""The most episodes that are listed; those that changed longest ago leave first."""

MOST_EVENTS = 300
"""The most events that are listed; the oldest leave first."""

MOST_TEXT = 300
"""Characters of a message that are shown."""


def everything(_: str) -> bool:
    """Whether a stream may be seen by one who may see all."""
    return True


class DashboardState:
    """The view of a run, as far as its records have come.

    Args:
        streams: The streams that are known beforehand; others are added as they come.

    Attributes:
        revision: Grows with every change.
        streams: The streams by name.
        unlisted: Records of streams beyond `MOST_STREAMS`, which are not shown.

    >>> from records import EventKind, StreamEvent
    >>> state = DashboardState(["gate"])
    >>> state.take("gate", [StreamEvent("gate", 0, EventKind.OPENED)])
    >>> view = state.view()
    >>> view["revision"], view["streams"][0]["status"]
    (2, 'running')
    """

    def __init__(self, streams: Sequence[str] = ()) -> None:
        self.revision = 1
        self.streams: dict[str, StreamState] = {}
        self.unlisted = 0
        self._names: dict[str, str] = {}
        self._alerts: OrderedDict[str, tuple[int, Alert]] = OrderedDict()
        self._events: deque[tuple[int, StreamEvent]] = deque(maxlen=MOST_EVENTS)
        for name in streams:
            self._stream(name)

    def take(self, stream: str, records: Sequence[Record]) -> None:
        """Take records of one stream, in order."""
        self.revision += 1
        own = self._stream(stream)
        if own is None:
            self.unlisted += len(records)
            return
        for record in records:
            own.take(record, self.revision)
            if isinstance(record, Alert):
                key = alert_key(record)
                self._alerts[key] = (self.revision, record)
                self._alerts.move_to_end(key)
                if len(self._alerts) > MOST_ALERTS:
                    self._alerts.popitem(last=False)
            elif isinstance(record, StreamEvent):
                self._events.append((self.revision, record))

    def stream_named(self, key: str) -> str | None:
        """The name of the stream with a key; None where there is none."""
        return self._names.get(key)

    def alert(self, key: str) -> Alert | None:
        """The latest change of the episode with a key; None where none is listed."""
        found = self._alerts.get(key)
        return None if found is None else found[1]

    def view(self, since: int = 0, allowed: Allowed = everything) -> dict[str, Any]:
        """What changed after a revision, as plain JSON values; all of it after 0.

        Args:
            since: The revision.
            allowed: Says of a stream whether it may be seen.
        """
        seen = [one for one in self.streams.values() if one.revision > since and allowed(one.name)]
        return {
            "revision": self.revision,
            "streams": [one.to_json() for one in seen],
            "series": [series for one in seen for series in one.series_since(since)],
            "alerts": [
                _alert_json(key, alert)
                for key, (revision, alert) in self._alerts.items()
                if revision > since and allowed(alert.stream)
            ],
            "events": [
                _event_json(event)
                for revision, event in self._events
                if revision > since and allowed(event.stream)
            ],
        }

    def _stream(self, name: str) -> StreamState | None:
        own = self.streams.get(name)
        if own is None and len(self.streams) < MOST_STREAMS:
            own = self.streams[name] = StreamState(name)
            own.revision = self.revision
            self._names[own.key] = name
        return own


def alert_key(alert: Alert) -> str:
    """The key of an episode in addresses; live streams number their frames anew in each run."""
    return key_of(f"{alert.episode}:{alert.opened_ns}")


def _alert_json(key: str, alert: Alert) -> dict[str, Any]:
    return {
        "key": key,
        "id": alert.episode,
        "stream": key_of(alert.stream),
        "rule": alert.rule,
        "object": alert.object,
        "state": "closed" if alert.state is AlertState.CLOSED else "open",
        "opened": alert.opened_ns / NS_PER_MS,
        "time": alert.time_ns / NS_PER_MS,
        "severity": alert.severity,
        "value": alert.value,
        "peak": alert.peak,
        "count": alert.count,
        "message": alert.message[:MOST_TEXT],
        "stage": alert.stage,
        "model": alert.model,
    }


def _event_json(event: StreamEvent) -> dict[str, Any]:
    return {
        "stream": key_of(event.stream),
        "time": event.time_ns / NS_PER_MS,
        "kind": str(event.kind),
        "count": event.count,
        "reason": event.reason,
        "detail": event.detail[:MOST_TEXT],
    }
