from __future__ import annotations

import pickle
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import bytewax.operators as op
import pytest
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingSink, TestingSource, run_main

from operators.assertions import (
    Moment,
    MomentBatch,
    Monitor,
    Monitored,
    MonitorSettings,
    assertion,
)
from operators.assertions.monitor import monitor
from operators.assertions.multibox import Multibox
from records import EventKind, Finding, RecordError, StreamEvent
from tests.support.moments import Object, moment
from tests.support.pictures import TENTH_NS

if TYPE_CHECKING:
    from collections.abc import Sequence


@assertion(name="some")
def some(_times: list[int], found: list[Any]) -> float:
    """Fires where anything is seen."""
    return float(len(found[-1]))


@assertion(name="dark", outputs=("lamp",))
def dark(_times: list[int], lamps: list[str]) -> float:
    """An assertion about the input."""
    return float(lamps[-1] == "off")


@assertion(name="fragile", outputs=("fault",))
def fragile(_times: list[int], faults: list[str]) -> float:
    """Raises what it is told to raise."""
    if faults[-1] == "division":
        return 1 / 0
    if faults[-1] == "key":
        return {"a": 1.0}["secret\n key"]
    return float(faults[-1] == "fire")


def batch(*moments: Moment, reports: Sequence[StreamEvent] = ()) -> MomentBatch:
    return MomentBatch("gate", moments, tuple(reports))


def lit(sequence: int, lamp: str = "on", *, people: int = 1) -> Moment:
    one = moment(sequence, *[Object()] * people)
    return replace(one, outputs={**one.outputs, "lamp": lamp})


def faulty(sequence: int, fault: str) -> Moment:
    return Moment("gate", sequence, sequence * TENTH_NS, outputs={"fault": fault})


def event(sequence: int, count: int, reason: str, detail: str) -> StreamEvent:
    return StreamEvent("gate", sequence * TENTH_NS, EventKind.ASSERTION, count, reason, detail)


def told(monitored: Monitored | None) -> list[tuple[str, int]]:
    assert monitored is not None
    return [(each.assertion, each.sequence) for each in monitored.findings]


def test_findings_of_a_batch_come_in_order() -> None:
    out = Monitor([some, Multibox()]).on_item(batch(moment(0), moment(1, *[Object()] * 3)))
    assert out is not None
    assert told(out) == [("some", 1), ("multibox", 1)]
    assert replace(out, findings=()) == Monitored("gate", (1, TENTH_NS))


def test_a_quiet_batch_tells_how_far_it_was_looked_and_an_empty_one_nothing() -> None:
    logic = Monitor([some])
    assert logic.on_item(batch(moment(4))) == Monitored("gate", (4, 4 * TENTH_NS))
    assert logic.on_item(batch()) is None
    end = StreamEvent("gate", 9, EventKind.ENDED)
    assert logic.on_item(batch(reports=[end])) == Monitored("gate", (4, 4 * TENTH_NS), ended=True)


def test_a_failure_is_told_once_a_kind_until_it_works_again() -> None:
    logic = Monitor([fragile, some], MonitorSettings())
    shown = ["division", "division", "key", "division", "fine", "division", "fire"]
    out = logic.on_item(batch(*[faulty(k, fault) for k, fault in enumerate(shown)]))
    assert out is not None
    assert told(out) == [("fragile", 6)]
    assert out.reports == (
        event(0, 1, "failed", "fragile: ZeroDivisionError: division by zero"),
        event(2, 1, "failed", "fragile: KeyError: 'secret\\n key'"),
        event(5, 1, "failed", "fragile: ZeroDivisionError: division by zero"),
    )


def test_too_many_failures_in_a_row_switch_it_off() -> None:
    settings = MonitorSettings(most_failures=3)
    logic = Monitor([fragile], settings)
    out = logic.on_item(batch(*[faulty(k, "division") for k in range(5)], faulty(5, "fire")))
    assert out is not None
    assert told(out) == []
    assert out.reports == (
        event(0, 1, "failed", "fragile: ZeroDivisionError: division by zero"),
        event(2, 3, "disabled", "fragile: switched off after 3 failures in a row"),
    )
    mended = Monitor([fragile], settings, logic.snapshot())
    assert told(mended.on_item(batch(faulty(6, "fire")))) == [("fragile", 6)]


INHIBITING = MonitorSettings(frozenset({"dark"}), hold_seconds=1.0)


def test_faulty_input_holds_the_other_assertions_back() -> None:
    logic = Monitor([some, dark], INHIBITING)
    lamps = ["on", "off", "off", *["on"] * 12]
    out = logic.on_item(batch(*[lit(k, lamp) for k, lamp in enumerate(lamps)]))
    assert out is not None
    assert told(out) == [
        ("some", 0),
        ("dark", 1),
        ("dark", 2),
        ("some", 13),
        ("some", 14),
    ]
    assert out.reports == (event(13, 12, "inhibited", "some 12"),)


def test_what_began_while_the_input_was_faulty_is_held_back() -> None:
    @assertion(window=5.0, name="long")
    def long(_times: list[int], found: list[Any]) -> float:
        return float(len(found) > 15)

    logic = Monitor([dark, long], INHIBITING)
    lamps = ["off", *["on"] * 15]
    out = logic.on_item(batch(*[lit(k, lamp) for k, lamp in enumerate(lamps)]))
    assert told(out) == [("dark", 0)]


def test_what_is_still_held_back_at_the_end_is_counted() -> None:
    end = StreamEvent("gate", 9, EventKind.ENDED)
    out = Monitor([some, dark], INHIBITING).on_item(batch(lit(0, "off", people=2), reports=[end]))
    assert out is not None
    assert out.reports == (event(0, 1, "inhibited", "some 1"),)


def test_a_clock_that_is_set_back_does_not_hold_back_for_long() -> None:
    logic = Monitor([some, dark], INHIBITING)
    assert told(logic.on_item(batch(lit(36_000, "off")))) == [("dark", 36_000)]
    assert told(logic.on_item(batch(*[lit(k) for k in range(12)]))) == [("some", 11)]


@pytest.mark.parametrize("cut", range(1, 15))
def test_a_restart_changes_nothing(cut: int) -> None:
    lamps = ["on", "off", "off", *["on"] * 12]
    moments = [lit(k, lamp) for k, lamp in enumerate(lamps)]
    first = Monitor([some, dark], INHIBITING)
    parts = [first.on_item(batch(*moments[:cut]))]
    saved = pickle.loads(pickle.dumps(first.snapshot()))
    parts.append(Monitor([some, dark], INHIBITING, saved).on_item(batch(*moments[cut:])))
    whole = Monitor([some, dark], INHIBITING).on_item(batch(*moments))
    assert whole is not None
    assert [each for part in parts if part for each in part.findings] == list(whole.findings)
    assert [each for part in parts if part for each in part.reports] == list(whole.reports)


def test_names_must_differ() -> None:
    with pytest.raises(RecordError) as caught:
        Monitor([some, dark, some])
    assert str(caught.value) == "assertions must have names of their own, got some, dark, some"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"hold_seconds": 0.5},
            "hold_seconds must be at least 1.0, since a fault that lasts is told again so often, "
            "got 0.5",
        ),
        ({"most_failures": 0}, "most_failures must be at least 1, got 0"),
        (
            {"inhibited_by": frozenset([""])},
            "inhibited_by must be 1 to 200 printable characters without ':', got ''",
        ),
    ],
)
def test_settings_say_what_must_be(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(RecordError) as caught:
        MonitorSettings(**settings)
    assert str(caught.value) == message


def test_streams_are_kept_apart_in_a_dataflow() -> None:
    items = [("gate", batch(moment(0, Object()))), ("till", MomentBatch("till", (moment(0),)))]
    out: list[tuple[str, Monitored]] = []
    flow = Dataflow("watch")
    found = monitor("some", op.input("in", flow, TestingSource(items)), [some], MonitorSettings())
    op.output("out", found, TestingSink(out))
    run_main(flow)
    finding = Finding("gate", "some", 0, 0, 0, 0, 1.0, "severity 1 over 1 moments")
    assert out == [
        ("gate", Monitored("gate", (0, 0), (finding,))),
        ("till", Monitored("till", (0, 0))),
    ]
