"""Sinks that write records as lines: JSON for programs, readable text for people."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Literal, TextIO, TypeAlias, get_args

from bytewax.outputs import DynamicSink, StatelessSinkPartition
from rich.console import Console
from rich.text import Text

from connectors.codec import KINDS, event_time_ns, iso_time, kind_of, to_json
from connectors.log_format import log_errors
from records import (
    Alert,
    AlertState,
    Classification,
    Estimate,
    Finding,
    Reading,
    Record,
    RecordError,
    StreamEvent,
    Verdict,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

StandardStream = Literal["stderr", "stdout"]
"""Where the console shows its lines."""

STANDARD_OUTPUT = "-"
"""The path that means standard output."""

_MILLISECONDS = len("1970-01-01T00:00:00.000")
_ALERT_STYLES = {
    AlertState.OPENED: "bold white on red",
    AlertState.UPDATED: "bold red",
    AlertState.CLOSED: "bold green",
}
_Item: TypeAlias = tuple[str, "Sequence[Record]"]


def check_kinds(kinds: Collection[str]) -> frozenset[str]:
    """Return the kinds of record that a sink takes.

    Raises:
        RecordError: there is no such kind.

    >>> sorted(check_kinds(["event", "alert"]))
    ['alert', 'event']
    """
    unknown = sorted(set(kinds) - set(KINDS))
    if unknown:
        raise RecordError(f"kinds must be of {', '.join(KINDS)}, got {', '.join(unknown)}")
    return frozenset(kinds)


def json_line(record: Record) -> str:
    """Write a record as one line of JSON, without the line's end; pure ASCII.

    >>> from records import EventKind, StreamEvent
    >>> json_line(StreamEvent("gate", 0, EventKind.LOST))[:44]
    '{"record":"event","id":"gate:lost:0","time":'
    """
    return json.dumps(to_json(record), separators=(",", ":"), allow_nan=False)


class JsonLinesSink(DynamicSink[_Item]):
    """Appends ``(stream, records)`` to a file as JSON lines, flushed batch by batch.

    Args:
        path: The file, made if it is not there; ``-`` is standard output.
        kinds: The kinds of record to write.

    Raises:
        RecordError: a kind is unknown.
    """

    def __init__(self, path: str | Path, kinds: Collection[str] = KINDS) -> None:
        self._path = str(path)
        self._kinds = check_kinds(kinds)
        self._lock = Lock()

    def build(self, step_id: str, worker_index: int, worker_count: int) -> JsonLinesPartition:
        """Open the file for one worker.

        Raises:
            LogError: it cannot be opened.
        """
        del step_id, worker_index, worker_count
        return JsonLinesPartition(self._path, self._kinds, self._lock)


class JsonLinesPartition(StatelessSinkPartition[_Item]):
    """One worker's access to a file of JSON lines; the lock keeps lines of workers apart."""

    def __init__(self, path: str, kinds: frozenset[str], lock: Lock) -> None:
        self._path = Path(path)
        self._kinds = kinds
        self._lock = lock
        self._owned: TextIO | None = None
        if path != STANDARD_OUTPUT:
            with log_errors("opened", self._path):
                self._path.parent.mkdir(parents=True, exist_ok=True)
                self._owned = self._path.open("a", encoding="utf-8")

    def write_batch(self, items: list[_Item]) -> None:
        """Write the records of the wanted kinds, one a line.

        Raises:
            LogError: the file cannot be written.
        """
        lines = [
            json_line(record) + "\n"
            for _, records in items
            for record in records
            if kind_of(record) in self._kinds
        ]
        file = self._owned or sys.stdout
        with self._lock, log_errors("written", self._path):
            file.write("".join(lines))
            file.flush()

    def close(self) -> None:
        """Close the file."""
        if self._owned is not None:
            self._owned.close()


class ConsoleSink(DynamicSink[_Item]):
    """Shows ``(stream, records)`` to people, one line each; in colour on a terminal only.

    Args:
        to: ``stderr`` or ``stdout``.
        kinds: The kinds of record to show.
        console: The console to show them on, in place of a new one: one that also shows a progress
            display keeps the lines above it.

    Raises:
        RecordError: `to` or a kind is unknown.
    """

    def __init__(
        self,
        to: StandardStream = "stderr",
        kinds: Collection[str] = ("alert", "event", "estimate"),
        console: Console | None = None,
    ) -> None:
        if to not in get_args(StandardStream):
            raise RecordError(f"to must be stderr or stdout, got {to!r}")
        self._console = console or Console(stderr=to == "stderr")
        self._kinds = check_kinds(kinds)

    def build(self, step_id: str, worker_index: int, worker_count: int) -> ConsolePartition:
        """Open the console for one worker."""
        del step_id, worker_index, worker_count
        return ConsolePartition(self._console, self._kinds)


class ConsolePartition(StatelessSinkPartition[_Item]):
    """One worker's access to the console."""

    def __init__(self, console: Console, kinds: frozenset[str]) -> None:
        self._console = console
        self._kinds = kinds

    def write_batch(self, items: list[_Item]) -> None:
        """Show the records of the wanted kinds."""
        lines = [
            describe(record)
            for _, records in items
            for record in records
            if kind_of(record) in self._kinds
        ]
        if lines:
            self._console.print(Text("\n").join(lines), soft_wrap=True)


def describe(record: Record) -> Text:
    """Describe a record in one line for people.

    Characters that do not print are replaced: texts from cameras and file names must not steer
    the reader's terminal.

    >>> from records import EventKind
    >>> describe(StreamEvent("gate", 0, EventKind.DROPPED, 3, "flow_behind")).plain
    '1970-01-01T00:00:00.000Z gate dropped 3 (flow_behind)'
    """
    pieces = _pieces(record)
    time = f"{iso_time(event_time_ns(record))[:_MILLISECONDS]}Z "
    head: list[tuple[str, str]] = [(time, "dim"), (f"{record.stream} ", "")]
    return Text.assemble(*((_printable(text), style) for text, style in head + pieces))


def _pieces(record: Record) -> list[tuple[str, str]]:
    """What there is to say about a record, as texts and styles."""
    match record:
        case Alert():
            said = f" {record.rule}: {record.message} (frame {record.sequence})"
            return [(f"ALERT {record.state}", _ALERT_STYLES[record.state]), (said, "")]
        case StreamEvent():
            count = f" {record.count}" if record.count else ""
            reason = f" ({record.reason})" if record.reason else ""
            detail = f": {record.detail}" if record.detail else ""
            return [(f"{record.kind}{count}{reason}{detail}", "yellow")]
        case Estimate():
            interval = f"[{record.low:.4g}, {record.high:.4g}] at {record.confidence:.4g}"
            calls = f"{record.reference_calls} of {record.frames} frames seen by the reference"
            return [(f"{record.name} {record.value:.4g} {interval}; {calls}", "")]
        case Verdict():
            counts = Counter(record.answer.classes)
            found = ", ".join(f"{counts[name]} {name}" for name in sorted(counts)) or "nothing"
            decided = f"frame {record.sequence} {record.stage} {record.score:.4g}"
            return [(f"{decided}: {found}", "")]
        case Finding():
            said = f"{record.assertion} {record.severity:.4g}: {record.message}"
            return [(f"{said} (frame {record.sequence})", "magenta")]
        case Classification():
            sure = f"{record.label} {max(record.probabilities):.2f}"
            return [(f"window {record.sequence}: {sure}", "")]
        case Reading():
            n, channels = record.samples.shape
            return [(f"block {record.sequence}: {n} samples of {channels} channels", "")]


def _printable(text: str) -> str:
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)
