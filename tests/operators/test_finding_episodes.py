from __future__ import annotations

from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING

import bytewax.operators as op
import numpy as np
import pytest
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingSink, TestingSource, run_main
from hypothesis import given
from hypothesis import strategies as st

from operators.alerting import AlertOrigin
from operators.assertions.monitor import Monitored
from operators.false_alarms import FalseAlarmSettings, rank_e_value
from operators.finding_episode_settings import (
    MOST_EPISODES,
    EpisodeSettings,
    FindingAlerts,
    Muted,
)
from operators.finding_episodes import FindingEpisodes, finding_episodes
from records import Alert, AlertState, Finding, RecordError
from records.units import NANOSECONDS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from operators.finding_episodes import Evidence

ORIGIN = AlertOrigin(model="yolox_nano", configuration="ab" * 32)
SETTINGS = EpisodeSettings(clear_seconds=2, cooldown_seconds=10, update_seconds=3)


def finding(
    second: int, severity: float = 1.0, assertion: str = "flicker", concerned: str = "7"
) -> Finding:
    """One moment a second."""
    time_ns = second * NANOSECONDS
    return Finding(
        "gate", assertion, second, time_ns, second, time_ns, severity, "came back", concerned
    )


def batch(second: int, *findings: Finding) -> Monitored:
    return Monitored("gate", (second, second * NANOSECONDS), findings)


def run(
    settings: EpisodeSettings, *batches: Monitored, evidence: Evidence | None = None
) -> tuple[list[Alert], dict[Muted, int]]:
    logic = FindingEpisodes(settings, ORIGIN, evidence)
    alerts: list[Alert] = []
    muted: dict[Muted, int] = {}
    for item in batches:
        out = logic.on_item(item)
        if out is not None:
            alerts += out.alerts
            muted |= {reason: muted.get(reason, 0) + n for reason, n in out.muted.items()}
    return alerts, muted


def changes(alerts: Iterable[Alert]) -> list[tuple[str, str, str, float]]:
    return [(a.rule, a.object, a.state.value, a.time_ns / NANOSECONDS) for a in alerts]


def test_an_episode_opens_gets_worse_and_closes() -> None:
    found = [finding(k, severity) for k, severity in enumerate([1.0, 3.0, 4.0, 5.0, 2.0], 1)]
    alerts, muted = run(SETTINGS, batch(5, *found), batch(20))
    opened = Alert(
        stream="gate",
        rule="flicker",
        state=AlertState.OPENED,
        time_ns=1 * NANOSECONDS,
        sequence=1,
        opened_ns=1 * NANOSECONDS,
        opened_sequence=1,
        severity=1.0,
        value=1.0,
        peak=1.0,
        message="came back",
        model="yolox_nano",
        configuration="ab" * 32,
        object="7",
        count=1,
    )
    updated = replace(
        opened,
        state=AlertState.UPDATED,
        time_ns=4 * NANOSECONDS,
        sequence=4,
        severity=5.0,
        value=5.0,
        peak=5.0,
        message="came back (4 findings)",
        count=4,
    )
    closed = replace(
        updated,
        state=AlertState.CLOSED,
        time_ns=7 * NANOSECONDS,
        sequence=5,
        value=0.0,
        message="over: 5 findings in 4.0 s, worst 5",
        count=5,
    )
    assert alerts == [opened, updated, closed]
    assert muted == {}
    assert len({each.id for each in alerts}) == 3
    assert {each.episode for each in alerts} == {"gate:flicker:7:1"}


def test_objects_have_episodes_of_their_own_unless_grouped() -> None:
    found = [finding(1), finding(2, concerned="8"), finding(3, 2.0, concerned="9")]
    alerts, _ = run(SETTINGS, batch(3, *found), batch(9))
    assert changes(alerts) == [
        ("flicker", "7", "opened", 1), ("flicker", "8", "opened", 2),
        ("flicker", "7", "closed", 3), ("flicker", "9", "opened", 3),
        ("flicker", "8", "closed", 4), ("flicker", "9", "closed", 5),
    ]  # fmt: skip
    grouped, _ = run(replace(SETTINGS, group_seconds=4), batch(3, *found), batch(9))
    assert changes(grouped) == [("flicker", "", "opened", 1), ("flicker", "", "closed", 7)]
    assert grouped[-1].message == "over: 3 findings in 2.0 s, worst 2"
    assert grouped[-1].count == 3


def test_what_cools_down_is_muted_and_counted() -> None:
    batches = [batch(1, finding(1)), batch(5, finding(5)), batch(8, finding(8)), batch(13)]
    alerts, muted = run(SETTINGS, *batches, batch(14, finding(14)))
    assert changes(alerts) == [
        ("flicker", "7", "opened", 1), ("flicker", "7", "closed", 3), ("flicker", "7", "opened", 14)
    ]  # fmt: skip
    assert muted == {Muted.COOLDOWN: 2}


def test_a_fault_of_the_input_inhibits_other_findings() -> None:
    settings = replace(SETTINGS, inhibited_by=("frozen", "dark"))
    found = [finding(1), finding(2, assertion="frozen", concerned=""), finding(2), finding(3)]
    alerts, muted = run(settings, batch(3, *found), batch(9), batch(20, finding(20)))
    assert changes(alerts) == [
        ("flicker", "7", "opened", 1), ("frozen", "", "opened", 2), ("flicker", "7", "closed", 3),
        ("frozen", "", "closed", 4), ("flicker", "7", "opened", 20),
    ]  # fmt: skip
    assert muted == {Muted.INHIBITED: 2}


def test_the_end_of_a_stream_closes_its_episodes() -> None:
    alerts, _ = run(SETTINGS, batch(1, finding(1)), replace(batch(2), ended=True), batch(9))
    assert changes(alerts) == [("flicker", "7", "opened", 1), ("flicker", "7", "closed", 2)]


def test_improbable_findings_are_muted_and_uncalibrated_ones_pass() -> None:
    settings = replace(SETTINGS, least_model_wrong=0.5)
    found = [
        replace(finding(1), model_wrong=0.4),
        replace(finding(1, concerned="8"), model_wrong=0.6),
        finding(1, concerned="9"),
    ]
    alerts, muted = run(settings, batch(1, *found))
    assert [each.object for each in alerts] == ["8", "9"]
    assert muted == {Muted.IMPROBABLE: 1}


def test_a_stream_in_chaos_is_bounded() -> None:
    found = [finding(1, concerned=str(k)) for k in range(MOST_EPISODES + 5)]
    alerts, muted = run(SETTINGS, batch(1, *found))
    assert len(alerts) == MOST_EPISODES
    assert muted == {Muted.CROWDED: 5}


def test_an_episode_is_told_once_its_evidence_suffices() -> None:
    # The first episode of a day needs e >= 21, the second 23.1.
    control = FalseAlarmSettings(per_day=1, expected_per_day=20)
    settings = replace(SETTINGS, false_alarms=control)
    found = [finding(1, 5.0), finding(2, 25.0), finding(2, 22.0, concerned="8"), finding(3, 9.0)]
    alerts, muted = run(settings, batch(3, *found), batch(9), evidence=lambda one: one.severity)
    assert changes(alerts) == [("flicker", "7", "opened", 2), ("flicker", "7", "closed", 5)]
    assert (alerts[0].opened_sequence, alerts[0].count) == (1, 2)
    assert muted == {Muted.WITHHELD: 2}


def test_false_alarms_of_a_clean_stream_keep_the_promised_rate() -> None:
    rng = np.random.default_rng(0)
    settings = EpisodeSettings(
        cooldown_seconds=0, false_alarms=FalseAlarmSettings(per_day=0.5, expected_per_day=20)
    )
    told, days = 0, 300
    for _ in range(days):
        evidence = partial(_rank, clean=rng.lognormal(0.0, 2.0, 200))
        found = [finding(60 * k, rng.lognormal(0.0, 2.0)) for k in range(20)]
        alerts, _muted = run(
            settings, *(batch(each.sequence, each) for each in found), evidence=evidence
        )
        told += sum(each.state is AlertState.OPENED for each in alerts)
    assert 0 < told / days <= 0.5 + 3 * np.sqrt(0.5 / days)


def _rank(found: Finding, clean: NDArray[np.float64]) -> float:
    return rank_e_value(found.severity, clean)


moves = st.lists(
    st.tuples(st.integers(0, 6), st.floats(0.5, 9.0), st.sampled_from(["flicker", "dark", "gap"])),
    max_size=25,
)


@given(moves, st.integers(1, 5))
def test_batches_do_not_matter_and_episodes_are_whole(
    steps: list[tuple[int, float, str]], size: int
) -> None:
    second, found = 0, []
    for wait, severity, assertion in steps:
        second += wait
        found.append(finding(second, severity, assertion))
    settings = replace(SETTINGS, inhibited_by=("dark",))
    end = batch(second + 60)
    whole, muted = run(settings, batch(second, *found), end)
    parts = [found[k : k + size] for k in range(0, len(found), size)]
    split, muted_too = run(settings, *(batch(each[-1].sequence, *each) for each in parts), end)
    assert (split, muted_too) == (whole, muted)
    by_episode: dict[str, list[Alert]] = {}
    for each in whole:
        by_episode.setdefault(each.episode, []).append(each)
    for life in by_episode.values():
        states = [each.state for each in life]
        assert states == [
            AlertState.OPENED, *[AlertState.UPDATED] * (len(life) - 2), AlertState.CLOSED
        ]  # fmt: skip
        assert all(a.time_ns < b.time_ns and a.peak <= b.peak for a, b in pairwise(life))
    counted = sum(life[-1].count for life in by_episode.values())
    assert counted + sum(muted.values()) == len(found)


def test_the_operator_runs_in_a_dataflow() -> None:
    out: list[tuple[str, FindingAlerts]] = []
    flow = Dataflow("episodes")
    items = [("gate", batch(1, finding(1))), ("gate", batch(9))]
    up = op.input("in", flow, TestingSource(items))
    op.output("out", finding_episodes("find", up, SETTINGS, ORIGIN), TestingSink(out))
    run_main(flow)
    assert [changes(each.alerts) for _, each in out] == [
        [("flicker", "7", "opened", 1)], [("flicker", "7", "closed", 3)]
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"clear_seconds": 0}, "clear_seconds must be above 0, got 0"),
        ({"group_seconds": -1}, "group_seconds must be at least 0, got -1"),
        ({"least_model_wrong": 2}, "least_model_wrong must be in 0..1, got 2"),
        ({"inhibited_by": ("",)}, "inhibited_by must be 1 to 200 printable characters"),
    ],
)
def test_settings_say_what_must_be(change: dict[str, object], text: str) -> None:
    with pytest.raises(RecordError, match=f"^{text}"):
        replace(SETTINGS, **change)  # type: ignore[arg-type] # wrong on purpose


def test_control_needs_evidence() -> None:
    settings = replace(SETTINGS, false_alarms=FalseAlarmSettings())
    with pytest.raises(RecordError, match="^evidence must be given with false_alarms"):
        FindingEpisodes(settings, ORIGIN)
