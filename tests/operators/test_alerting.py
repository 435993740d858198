from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.alerting import AlertOrigin, CountRule, Episodes
from records import Alert, AlertState, Detections, RecordError, Stage, Verdict, VerdictBatch
from tests.support.pictures import TENTH_NS

RULE = CountRule("crowd", "person", at_least=3, clear_seconds=0.2)
ORIGIN = AlertOrigin(model="yolox_nano", configuration="ab" * 32)


def verdict(sequence: int, count: int, score: float = 0.9) -> Verdict:
    answer = Detections.of([[0, 0, 1, 1]] * count, [score] * count, ["person"] * count)
    return Verdict("gate", sequence, sequence * TENTH_NS, Stage.REFERENCE, score, answer)


def changes(logic: Episodes, counts: list[int], start: int = 0) -> list[tuple[str, int, float]]:
    batch = VerdictBatch("gate", tuple(verdict(k, n) for k, n in enumerate(counts, start)))
    return [(a.state.value, a.sequence, a.peak) for a in logic.on_item(batch) or ()]


def test_an_episode_opens_and_closes_once() -> None:
    got = Episodes([RULE], ORIGIN).on_item(
        VerdictBatch("gate", tuple(verdict(k, n) for k, n in enumerate([2, 4, 5, 1, 0, 0, 3])))
    )
    opened = Alert(
        stream="gate",
        rule="crowd",
        state=AlertState.OPENED,
        time_ns=TENTH_NS,
        sequence=1,
        opened_ns=TENTH_NS,
        opened_sequence=1,
        severity=4 / 3,
        value=4.0,
        peak=4.0,
        message="4 of class 'person' in view, the rule is at least 3",
        stage="reference",
        model="yolox_nano",
        configuration="ab" * 32,
    )
    closed = replace(
        opened,
        state=AlertState.CLOSED,
        time_ns=5 * TENTH_NS,
        sequence=5,
        severity=5 / 3,
        value=0.0,
        peak=5.0,
        message="over after 0.4 s, peak 5",
    )
    again = replace(
        opened, time_ns=6 * TENTH_NS, sequence=6, opened_ns=6 * TENTH_NS, opened_sequence=6,
        severity=1.0, value=3.0, peak=3.0,
        message="3 of class 'person' in view, the rule is at least 3",
    )  # fmt: skip
    assert got == (opened, closed, again)
    assert [alert.episode for alert in got] == ["gate:crowd:1", "gate:crowd:1", "gate:crowd:6"]


def test_a_flickering_count_stays_one_episode() -> None:
    logic = Episodes([RULE], ORIGIN)
    assert changes(logic, [3, 2, 3, 2, 3, 2, 3]) == [("opened", 0, 3.0)]


def test_the_count_must_hold_before_the_episode_opens() -> None:
    logic = Episodes([replace(RULE, for_seconds=0.3)], ORIGIN)
    assert changes(logic, [3, 3, 3, 0, 3, 4, 3, 3, 3]) == [("opened", 7, 4.0)]


def test_a_rising_peak_is_told_at_most_so_often() -> None:
    logic = Episodes([replace(RULE, update_seconds=0.3)], ORIGIN)
    assert changes(logic, [3, 4, 5, 6, 7, 7, 6, 6, 6]) == [
        ("opened", 0, 3.0),
        ("updated", 3, 6.0),
        ("updated", 6, 7.0),
    ]
    never = Episodes([replace(RULE, update_seconds=float("inf"))], ORIGIN)
    assert changes(never, [3, 9, 9, 9, 9, 9]) == [("opened", 0, 3.0)]


def test_weak_boxes_other_classes_and_other_streams_do_not_count() -> None:
    for rule in (
        replace(RULE, score_at_least=0.95),
        replace(RULE, class_name="car"),
        replace(RULE, streams=("till",)),
    ):
        assert changes(Episodes([rule], ORIGIN), [5, 5]) == []
    assert changes(Episodes([replace(RULE, streams=("gate",))], ORIGIN), [5]) != []


@given(st.lists(st.integers(0, 5), max_size=40), st.integers(0, 40))
def test_changes_come_in_order_and_a_restart_changes_nothing(counts: list[int], cut: int) -> None:
    rules = [replace(RULE, update_seconds=0.2), replace(RULE, name="pair", at_least=2)]
    whole = changes(Episodes(rules, ORIGIN), counts)
    first = Episodes(rules, ORIGIN)
    parts = changes(first, counts[:cut])
    parts += changes(Episodes(rules, ORIGIN, first.snapshot()), counts[cut:], start=cut)
    assert parts == whole
    for rule in rules:
        states = [state for state, _, _ in changes(Episodes([rule], ORIGIN), counts)]
        opened = [state for state in states if state != "updated"]
        assert opened == ["opened", "closed"] * (len(opened) // 2) + ["opened"] * (len(opened) % 2)


def test_a_state_of_other_rules_is_refused() -> None:
    with pytest.raises(RecordError, match="resume must hold 1 states, one a rule, got 2"):
        Episodes([RULE], ORIGIN, Episodes([RULE, RULE], ORIGIN).snapshot())


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"at_least": 0}, "at_least must be at least 1, got 0"),
        ({"score_at_least": 2.0}, "score_at_least must be in 0..1, got 2.0"),
        ({"clear_seconds": -1.0}, "clear_seconds must be at least 0, got -1.0"),
        ({"name": "a:b"}, "name must be 1 to 200 printable characters without ':', got 'a:b'"),
    ],
)
def test_settings_say_what_must_be(fields: dict[str, object], message: str) -> None:
    with pytest.raises(RecordError) as caught:
        replace(RULE, **fields)  # type: ignore[arg-type]
    assert str(caught.value) == message
