from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.event_order import EventOrder, GroupSettings, frame_batches, verdict_batches
from connectors.lanes import Lane, RecordedLane, Timed
from records import (
    Detections,
    Estimate,
    EventKind,
    Frame,
    FrameBatch,
    RecordError,
    Stage,
    StreamEvent,
    Verdict,
    VerdictBatch,
)
from records.units import NANOSECONDS
from tests.support.pictures import Flat

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from connectors.lanes import Item

NOTHING = Detections.empty()


def verdict(stream: str, sequence: int, seconds: float) -> Verdict:
    time_ns = round(seconds * NANOSECONDS)
    return Verdict(stream, sequence, time_ns, Stage.REFERENCE, 0.0, NOTHING)


def event(stream: str, kind: EventKind, seconds: float) -> StreamEvent:
    return StreamEvent(stream, round(seconds * NANOSECONDS), kind)


class Chunked(Lane):
    """A lane whose items come in pieces, some of them late."""

    def __init__(self, stream: str, items: Sequence[Item], chance: random.Random) -> None:
        super().__init__(stream)
        self._left = list(items)
        self._chance = chance

    def _read(self) -> Iterable[Item]:
        if not self._left:
            raise StopIteration
        count = self._chance.randrange(4)
        taken, self._left = self._left[:count], self._left[count:]
        return taken


def drained(order: EventOrder) -> list[list[tuple[str, Any]]]:
    groups: list[list[tuple[str, Any]]] = []
    while True:
        try:
            group = order.next_group()
        except StopIteration:
            return groups
        if group:
            groups.append([(stream, timed.item) for stream, timed in group])


def test_streams_come_in_event_time_order_and_ties_by_name() -> None:
    gate = [verdict("gate", k, k / 10) for k in range(4)]
    till = [verdict("till", k, k / 10) for k in range(3)]
    order = EventOrder([RecordedLane("till", iter(till)), RecordedLane("gate", iter(gate))])
    assert drained(order) == [
        [("gate", gate[0])], [("till", till[0])], [("gate", gate[1])], [("till", till[1])],
        [("gate", gate[2])], [("till", till[2])], [("gate", gate[3])],
    ]  # fmt: skip


def test_a_mixed_group_holds_several_streams() -> None:
    gate = [verdict("gate", k, k / 10) for k in range(3)]
    till = [verdict("till", k, k / 10) for k in range(2)]
    lanes = [RecordedLane("till", iter(till)), RecordedLane("gate", iter(gate))]
    assert drained(EventOrder(lanes, GroupSettings(mixed=True))) == [
        [("gate", gate[0]), ("gate", gate[1]), ("gate", gate[2]), ("till", till[0]),
         ("till", till[1])]
    ]  # fmt: skip


def test_an_item_that_is_older_comes_right_after_the_one_before_it() -> None:
    late = [verdict("gate", 0, 0.3), verdict("gate", 1, 0.1)]
    other = [verdict("till", 0, 0.2), verdict("till", 1, 0.4)]
    lanes = [RecordedLane("gate", iter(late)), RecordedLane("till", iter(other))]
    items = [item for group in drained(EventOrder(lanes)) for _, item in group]
    assert items == [other[0], *late, other[1]]


def test_groups_end_with_their_cell_with_enough_items_and_before_the_end_of_a_stream() -> None:
    items: list[Item] = [verdict("gate", k, k / 10) for k in range(8)]
    items.append(event("gate", EventKind.ENDED, 0.7))
    order = EventOrder([RecordedLane("gate", iter(items))], GroupSettings(0.5, 3))
    assert [[item for _, item in group] for group in drained(order)] == [
        items[:3], items[3:5], items[5:8], items[8:]
    ]  # fmt: skip


@given(
    times=st.dictionaries(
        st.sampled_from("abcd"), st.lists(st.integers(0, 40), max_size=20), min_size=1
    ),
    seed=st.integers(0, 2**32),
    most=st.integers(1, 5),
    mixed=st.booleans(),
)
def test_groups_depend_neither_on_pieces_nor_on_waiting(
    times: dict[str, list[int]], seed: int, most: int, *, mixed: bool
) -> None:
    lanes = {
        stream: [verdict(stream, k, tenths / 10) for k, tenths in enumerate(of_stream)]
        for stream, of_stream in times.items()
    }
    settings = GroupSettings(items_at_most=most, mixed=mixed)
    whole = drained(
        EventOrder([RecordedLane(name, iter(items)) for name, items in lanes.items()], settings)
    )
    chance = random.Random(seed)
    pieces = drained(
        EventOrder([Chunked(name, items, chance) for name, items in lanes.items()], settings)
    )
    assert pieces == whole
    flat = [item for group in whole for _, item in group]
    for stream, items in lanes.items():
        assert [item for item in flat if item.stream == stream] == items
    if not mixed and all(of_stream == sorted(of_stream) for of_stream in times.values()):
        assert [item.time_ns for item in flat] == sorted(item.time_ns for item in flat)


def test_batches_of_frames() -> None:
    frames = [Frame("gate", k, k, Flat(5)) for k in range(2)]
    opened, till = event("gate", EventKind.OPENED, 0), Frame("till", 0, 1, Flat(5))
    group = [("gate", Timed(0, opened)), ("gate", Timed(0, frames[0])), ("till", Timed(1, till)),
             ("gate", Timed(1, frames[1]))]  # fmt: skip
    assert frame_batches(group) == [
        ("gate", FrameBatch("gate", (frames[0],), (opened,))),
        ("till", FrameBatch("till", (till,))),
        ("gate", FrameBatch("gate", (frames[1],))),
    ]


def test_batches_of_verdicts_keep_what_was_told_between_them_in_its_place() -> None:
    one, two = verdict("gate", 0, 0), verdict("gate", 1, 0.1)
    lost = event("gate", EventKind.LOST, 0)
    audit = Estimate("gate", "audit recall", 0, 1, 0.9, 0.8, 1.0, 0.95, 3, 9)
    group = [("gate", Timed(0, item)) for item in (lost, one, audit, two)]
    assert verdict_batches(group) == [
        ("gate", VerdictBatch("gate", (), (lost,))),
        ("gate", VerdictBatch("gate", (one,), (audit,))),
        ("gate", VerdictBatch("gate", (two,))),
    ]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"cell_seconds": 0}, "cell_seconds must be above 0, got 0"),
        ({"cell_seconds": float("nan")}, "cell_seconds must be above 0, got nan"),
        ({"items_at_most": 0}, "items_at_most must be at least 1, got 0"),
    ],
)
def test_settings_that_are_wrong(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(RecordError) as error:
        GroupSettings(**settings)
    assert str(error.value) == message
