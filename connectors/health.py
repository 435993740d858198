"""Whether a run works, as probes of orchestrators ask it: by what befell its streams."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from records import EventKind, StreamEvent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from records import Record

BEGINS = (EventKind.OPENED, EventKind.RECONNECTED)
"""The events with which a stream begins to give records, again or for the first time."""

FAILS = (EventKind.LOST, EventKind.UNREADABLE)
"""The events after which a stream gives none until it begins again."""

NOTHING_YET = "no source has been opened yet"
"""What is told until the first record comes, or Kafka answers."""


class Health:
    """What keeps a run from being ready; safe to use from several threads.

    A run loads its models and makes its sinks before it opens its sources, and ends with an error
    when a sink cannot be written. So where sources are open, models are loaded and sinks writable.

    >>> from records import StreamEvent
    >>> health = Health()
    >>> health.troubles()
    ['no source has been opened yet']
    >>> health.observe("gate", [StreamEvent("gate", 0, EventKind.LOST, reason="stalled")])
    >>> health.troubles()
    ['stream gate is lost: stalled']
    >>> health.observe("gate", [StreamEvent("gate", 5, EventKind.RECONNECTED)])
    >>> health.troubles()
    []
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._failed: dict[str, StreamEvent] = {}
        self._begun = False

    def begun(self) -> None:
        """Note that a source answers, though it may have nothing to give yet."""
        self._begun = True

    def observe(self, stream: str, records: Sequence[Record]) -> None:
        """Take records of a stream.

        Verdicts of frames from before an outage still come after it, so only an event says that a
        stream is back.
        """
        self._begun = True
        for record in records:
            if isinstance(record, StreamEvent) and record.kind in (*BEGINS, *FAILS):
                with self._lock:
                    if record.kind in FAILS:
                        self._failed[stream] = record
                    else:
                        self._failed.pop(stream, None)

    def troubles(self) -> list[str]:
        """Why the run is not ready, a line each, by stream; empty when it is."""
        if not self._begun:
            return [NOTHING_YET]
        with self._lock:
            return [
                f"stream {name} is {event.kind}: {event.reason or 'no reason told'}"
                for name, event in sorted(self._failed.items())
            ]
