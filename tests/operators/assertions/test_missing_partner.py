from __future__ import annotations

import pickle

import pytest

from operators.assertions.api import Assertion, Moment
from operators.assertions.missing_partner import MissingPartner
from operators.join import Join
from operators.join_settings import JoinSettings
from records import Finding, RecordError, VerdictBatch
from tests.support.sensors import MS, scan, verdict


def moment(sequence: int, milliseconds: int, *sensors: str) -> Moment:
    outputs = {name: scan(milliseconds, stream=name) for name in sensors}
    return Moment("gate", sequence, milliseconds * MS, outputs=outputs)


def found(sequence: int, milliseconds: int, start: int, start_ms: int, sensor: str) -> Finding:
    away = (milliseconds - start_ms) / 1000
    return Finding(
        "gate",
        "missing_partner",
        sequence,
        milliseconds * MS,
        start,
        start_ms * MS,
        1 + away,
        f"{sensor} gave nothing near this moment, for {away:.1f} s now",
        sensor,
    )


def test_an_absence_is_told_at_once_and_again_each_second_until_it_ends() -> None:
    check = MissingPartner(("roof", "side")).start()
    told = []
    for k in range(30):
        there = ["side"] if 3 <= k < 26 else ["roof", "side"]
        told += check.observe(moment(k, 100 * k, *there))
    assert told == [
        found(3, 300, 3, 300, "roof"),
        found(13, 1300, 3, 300, "roof"),
        found(23, 2300, 3, 300, "roof"),
    ]
    assert check.snapshot() == ()


def test_a_short_absence_may_be_allowed_and_a_restart_changes_nothing() -> None:
    assertion = MissingPartner(("roof",), after_seconds=0.25)
    check = assertion.start()
    told = []
    for k in range(6):
        told += check.observe(moment(k, 100 * k))
        check = assertion.start(pickle.loads(pickle.dumps(check.snapshot())))
    assert told == [found(3, 300, 0, 0, "roof")]


def test_it_fires_behind_a_join_with_a_dead_sensor() -> None:
    join = Join(JoinSettings({"gate": ("roof",)}, wait_seconds=0.2))
    check = MissingPartner(("roof",)).start()
    told = []
    for k in range(6):
        batch = join.on_item(VerdictBatch("gate", (verdict(k, 100 * k),)))
        told += [one for each in (batch.moments if batch else ()) for one in check.observe(each)]
    assert told == [found(0, 0, 0, 0, "roof")]


def test_it_is_an_assertion_with_checked_settings() -> None:
    assertion = MissingPartner(("roof",), 2.0)
    assert isinstance(assertion, Assertion)
    assert (assertion.name, assertion.window_seconds) == ("missing_partner", 2.0)
    with pytest.raises(RecordError, match="^sensors must name at least one sensor$"):
        MissingPartner(())
    with pytest.raises(RecordError, match="^after_seconds must be at least 0, got -1$"):
        MissingPartner(("roof",), -1)
