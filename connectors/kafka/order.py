"""The order of each stream: what comes twice, what is missing, and what comes too late."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from connectors.codec import event_time_ns, kind_of
from connectors.kafka.messages import DeadLetter, Message, Reason
from records import EventKind, Frame, Reading, Record, StreamEvent, Verdict
from records.units import NANOSECONDS

if TYPE_CHECKING:
    from collections.abc import Iterable

MOST_GAPS = 16
"""How many gaps of a stream are remembered, to tell latecomers from duplicates."""


@dataclass(slots=True)
class _Stream:
    """What is known of one stream; plain values only, because snapshots hold it."""

    following: int = 0
    latest_ns: int = -1
    gaps: list[tuple[int, int]] = field(default_factory=list)
    duplicates: int = 0
    accepted: int = 0
    told_ns: dict[str, int] = field(default_factory=dict)


class StreamOrder:
    """Checks the numbers and times of the streams of one reader.

    Frames, readings and verdicts are numbered; the producer's numbers are kept. A number that was
    seen already, at a time that was too, is a duplicate: it is dropped and counted. A number that
    is skipped is reported when the next one comes. Other numbers below the next one are dead
    letters, and so is what lies further back than the latest event time of its stream allows;
    frames must always be later than the one before.

    Reports are events of the stream. Which ones come depends on the messages and their order only.

    Args:
        late_seconds: How far a record may lie behind the latest of its stream, seconds.
        most_streams: How many streams there may be; messages of further ones are dead letters.
    """

    def __init__(self, late_seconds: float, most_streams: int) -> None:
        self._late_seconds = late_seconds
        self._most_streams = most_streams
        self._streams: dict[tuple[str, str], _Stream] = {}

    def admit(
        self, item: Frame | Record, message: Message
    ) -> tuple[list[StreamEvent], Frame | Record | DeadLetter | None]:
        """Take one item: what is to be reported before it, and the item.

        Returns:
            The events, and the item itself, or the dead letter that it becomes, or None for a
            duplicate.
        """
        kind = "frame" if isinstance(item, Frame) else kind_of(item)
        key = kind, item.stream
        stream = self._streams.get(key)
        if stream is None:
            if len(self._streams) >= self._most_streams:
                detail = f"there may be at most {self._most_streams} streams in one reader"
                return [], DeadLetter(message, Reason.KEY, detail)
            stream = self._streams[key] = _Stream()
            if isinstance(item, Frame | Reading | Verdict):
                stream.following = item.sequence
        return _admit(stream, item, message, self._late_seconds)

    def end(self, reason: str = "") -> list[tuple[bool, StreamEvent]]:
        """What is left to be reported when reading ends; frames of a stream end with ENDED.

        Args:
            reason: Why reading ends, when it is not the end that was asked for.

        Returns:
            The events, each with whether it is one of a stream of frames.
        """
        events = []
        for (kind, name), stream in self._streams.items():
            frames, latest_ns = kind == "frame", max(stream.latest_ns, 0)
            events += [(frames, event) for event in _duplicates(stream, name, latest_ns)]
            if frames and stream.accepted:
                ended = _event(stream, name, latest_ns, EventKind.ENDED, stream.accepted, reason)
                events.append((True, ended))
        return events

    def snapshot(self) -> list[tuple[Any, ...]]:
        """The streams as plain values."""
        return [
            (*key, each.following, each.latest_ns, list(each.gaps), each.duplicates, each.accepted,
             dict(each.told_ns))
            for key, each in self._streams.items()
        ]  # fmt: skip

    def restore(self, snapshot: Iterable[tuple[Any, ...]]) -> None:
        """Go on where the snapshot was made."""
        for kind, name, following, latest_ns, gaps, duplicates, accepted, told_ns in snapshot:
            self._streams[kind, name] = _Stream(
                following, latest_ns, list(gaps), duplicates, accepted, dict(told_ns)
            )


def _admit(
    stream: _Stream, item: Frame | Record, message: Message, late_seconds: float
) -> tuple[list[StreamEvent], Frame | Record | DeadLetter | None]:
    time_ns = item.time_ns if isinstance(item, Frame) else event_time_ns(item)
    events: list[StreamEvent] = []
    if isinstance(item, Frame | Reading | Verdict):
        if item.sequence < stream.following:
            detail = _why_behind(stream, item.sequence, time_ns, message)
            stream.duplicates += detail is None
            return [], None if detail is None else DeadLetter(message, Reason.SEQUENCE, detail)
        skipped = item.sequence - stream.following
        if skipped:
            stream.gaps = [*stream.gaps, (stream.following, item.sequence)][-MOST_GAPS:]
            detail = f"{stream.following} to {item.sequence - 1} did not come"
            events.append(
                _event(stream, item.stream, time_ns, EventKind.DROPPED, skipped, "missing", detail)
            )
        stream.following = item.sequence + 1
    detail = _why_late(stream, item, time_ns, late_seconds)
    if detail is not None:
        return events, DeadLetter(message, Reason.LATE, detail)
    events += _duplicates(stream, item.stream, time_ns)
    if isinstance(item, Frame) and not stream.accepted:
        place = f"topic {message.topic}, partition {message.partition}, from {message.offset}"
        opened = _event(stream, item.stream, time_ns, EventKind.OPENED, detail=place)
        events = [opened, *events]
    stream.latest_ns = max(stream.latest_ns, time_ns)
    stream.accepted += 1
    return events, item


def _why_behind(stream: _Stream, sequence: int, time_ns: int, message: Message) -> str | None:
    """Why a number below the next one is a dead letter; None for a duplicate."""
    for i, (first, end) in enumerate(stream.gaps):
        if first <= sequence < end:
            rest = [(first, sequence), (sequence + 1, end)]
            stream.gaps[i : i + 1] = [gap for gap in rest if gap[0] < gap[1]]
            return f"number {sequence} must come before {stream.following - 1}, it came after it"
    if message.replays:
        return f"number {sequence} came again by replay; the stream is at {stream.following}"
    if time_ns > stream.latest_ns:
        return (
            f"numbers must go on after {stream.following - 1}, got {sequence} at a later time; "
            "a producer that starts again must go on numbering, or be another stream"
        )
    return None


def _why_late(
    stream: _Stream, item: Frame | Record, time_ns: int, late_seconds: float
) -> str | None:
    behind = stream.latest_ns - time_ns
    if stream.latest_ns < 0:
        return None
    if isinstance(item, Frame) and behind >= 0:
        return f"a frame must be later than the one before, got {behind / NANOSECONDS} s earlier"
    if behind > late_seconds * NANOSECONDS:
        return (
            f"a record must be at most {late_seconds} s behind the latest of its stream, "
            f"got {behind / NANOSECONDS} s"
        )
    return None


def _duplicates(stream: _Stream, name: str, time_ns: int) -> list[StreamEvent]:
    if not stream.duplicates:
        return []
    count, stream.duplicates = stream.duplicates, 0
    return [_event(stream, name, time_ns, EventKind.DROPPED, count, "duplicate")]


def _event(
    stream: _Stream,
    name: str,
    time_ns: int,
    kind: EventKind,
    count: int = 0,
    reason: str = "",
    detail: str = "",
) -> StreamEvent:
    """An event, later than any before it of its kind: its id is made of kind and time."""
    told_ns = max(time_ns, stream.told_ns.get(str(kind), -1) + 1)
    stream.told_ns[str(kind)] = told_ns
    return StreamEvent(name, told_ns, kind, count, reason, detail)
