from __future__ import annotations

import math
import pickle
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from connectors.kafka.messages import DeadLetter, Message, Reason
from connectors.kafka.order import StreamOrder
from connectors.video import ArrayPixels
from records import EventKind, Frame, StreamEvent
from tests.support.records import FRAME_NS, START_NS, alert, reading, verdict

if TYPE_CHECKING:
    from records import Record

PIXELS = ArrayPixels(np.zeros((1, 1, 3), np.uint8))
MESSAGE = Message("t", 1, 7, 0, b"gate", (), b"")
REPLAYED = replace(MESSAGE, headers=(("sightflow.replays", b"1"),))


def frame(sequence: int, ticks: int | None = None, stream: str = "gate") -> Frame:
    at = sequence if ticks is None else ticks
    return Frame(stream, sequence, START_NS + at * FRAME_NS, PIXELS)


def dropped(ticks: int, count: int, reason: str, detail: str = "") -> StreamEvent:
    time_ns = START_NS + ticks * FRAME_NS
    return StreamEvent("gate", time_ns, EventKind.DROPPED, count, reason, detail)


def opened(ticks: int) -> StreamEvent:
    where = "topic t, partition 1, from 7"
    return StreamEvent("gate", START_NS + ticks * FRAME_NS, EventKind.OPENED, detail=where)


def order(late_seconds: float = math.inf, most_streams: int = 10) -> StreamOrder:
    return StreamOrder(late_seconds, most_streams)


def test_frames_in_order() -> None:
    numbers = order()
    frames = [frame(i) for i in range(40, 44)]
    assert [numbers.admit(each, MESSAGE) for each in frames] == [
        ([opened(40)], frames[0]),
        ([], frames[1]),
        ([], frames[2]),
        ([], frames[3]),
    ]
    ended = StreamEvent("gate", frames[-1].time_ns, EventKind.ENDED, 4, "stopped")
    assert numbers.end("stopped") == [(True, ended)]


def test_duplicates_are_dropped_and_counted_with_the_next() -> None:
    numbers = order()
    frames = [frame(i) for i in range(3)]
    for each in frames[:2]:
        numbers.admit(each, MESSAGE)
    assert numbers.admit(frames[1], MESSAGE) == ([], None)
    assert numbers.admit(frames[0], MESSAGE) == ([], None)
    assert numbers.admit(frames[2], MESSAGE) == ([dropped(2, 2, "duplicate")], frames[2])
    assert numbers.admit(frames[2], MESSAGE) == ([], None)
    ended = StreamEvent("gate", frames[-1].time_ns, EventKind.ENDED, 3)
    # The second event of its kind at one time is told a nanosecond later.
    last = replace(dropped(2, 1, "duplicate"), time_ns=frames[2].time_ns + 1)
    assert numbers.end() == [(True, last), (True, ended)]


def test_gaps_are_reported_and_their_latecomers_are_dead() -> None:
    numbers = order()
    numbers.admit(frame(0), MESSAGE)
    assert numbers.admit(frame(5), MESSAGE) == (
        [dropped(5, 4, "missing", "1 to 4 did not come")],
        frame(5),
    )
    late = "number 3 must come before 5, it came after it"
    assert numbers.admit(frame(3), MESSAGE) == ([], DeadLetter(MESSAGE, Reason.SEQUENCE, late))
    # Now it was seen, so a second one is a duplicate; the others are missing still.
    assert numbers.admit(frame(3), MESSAGE) == ([], None)
    for number in (1, 2, 4):
        found = numbers.admit(frame(number), MESSAGE)[1]
        assert isinstance(found, DeadLetter)


def test_a_producer_that_began_again_is_not_mistaken_for_duplicates() -> None:
    numbers = order()
    for number in range(3):
        numbers.admit(frame(number), MESSAGE)
    detail = (
        "numbers must go on after 2, got 0 at a later time; a producer that starts again must go "
        "on numbering, or be another stream"
    )
    assert numbers.admit(frame(0, 3), MESSAGE) == (
        [],
        DeadLetter(MESSAGE, Reason.SEQUENCE, detail),
    )


def test_what_comes_again_by_replay_is_dead_again() -> None:
    numbers = order()
    for number in range(3):
        numbers.admit(frame(number), MESSAGE)
    detail = "number 1 came again by replay; the stream is at 3"
    assert numbers.admit(frame(1), REPLAYED) == (
        [],
        DeadLetter(REPLAYED, Reason.SEQUENCE, detail),
    )


def test_frames_must_be_later_than_the_one_before() -> None:
    numbers = order()
    numbers.admit(frame(0, 5), MESSAGE)
    detail = "a frame must be later than the one before, got 0.1 s earlier"
    assert numbers.admit(frame(1, 4), MESSAGE) == ([], DeadLetter(MESSAGE, Reason.LATE, detail))
    # It did come, so nothing is missing.
    assert numbers.admit(frame(2, 6), MESSAGE) == ([], frame(2, 6))


def test_records_may_be_late_within_the_limit() -> None:
    numbers = order(late_seconds=0.5)
    first, near, far = (replace(alert(), time_ns=START_NS + t * FRAME_NS) for t in (10, 5, 4))
    assert numbers.admit(first, MESSAGE) == ([], first)
    assert numbers.admit(near, MESSAGE) == ([], near)
    detail = "a record must be at most 0.5 s behind the latest of its stream, got 0.6 s"
    assert numbers.admit(far, MESSAGE) == ([], DeadLetter(MESSAGE, Reason.LATE, detail))
    assert numbers.end() == []


def test_kinds_and_streams_are_apart() -> None:
    numbers = order()
    items: list[Frame | Record] = [
        frame(3), verdict("gate", 9), replace(reading("gate"), sequence=5), frame(0, stream="yard"),
    ]  # fmt: skip
    assert [numbers.admit(each, MESSAGE)[1] for each in items] == items


def test_there_may_be_only_so_many_streams() -> None:
    numbers = order(most_streams=1)
    numbers.admit(frame(0), MESSAGE)
    detail = "there may be at most 1 streams in one reader"
    assert numbers.admit(frame(0, stream="yard"), MESSAGE) == (
        [],
        DeadLetter(MESSAGE, Reason.KEY, detail),
    )


def test_a_snapshot_goes_on_alike() -> None:
    script = [0, 1, 1, 5, 3, 6, 6, 8, 2, 7, 9, 9]
    whole = order()
    expected = [whole.admit(frame(number), MESSAGE) for number in script]
    for cut in range(len(script)):
        first, second = order(), order()
        found = [first.admit(frame(number), MESSAGE) for number in script[:cut]]
        second.restore(pickle.loads(pickle.dumps(first.snapshot())))
        found += [second.admit(frame(number), MESSAGE) for number in script[cut:]]
        assert found == expected
        assert second.end() == whole_end(script)


def whole_end(script: list[int]) -> list[tuple[bool, StreamEvent]]:
    whole = order()
    for number in script:
        whole.admit(frame(number), MESSAGE)
    return whole.end()
