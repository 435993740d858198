"""Why an alert was told, from logs whose alerts follow from their verdicts and findings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from connectors.log_manifest import Manifest, write_manifest
from connectors.replay import EventLog
from flows.why import Kind, why
from flows.why_gather import MOST_FINDINGS, MOST_POINTS
from records import Alert, AlertState, EventKind, SightflowError, StreamEvent
from tests.support.explained import found, recorded, seen
from tests.support.records import FRAME_NS, START_NS

if TYPE_CHECKING:
    from pathlib import Path

    from records import Verdict

FLICKER = "assertions: {outputs: {flicker: null}, alerts: {only: [flicker], clear_seconds: 1.0"


def crowd(*counts: int) -> list[Verdict]:
    """Frames with so many people."""
    return [seen(place, *[0.9] * count) for place, count in enumerate(counts)]


def test_the_episode_of_a_rule(tmp_path: Path) -> None:
    verdicts = [*crowd(1, 1, 2, 2, 3, 1, 1, 1, 1, 1), seen(10), seen(11, 0.9, stream="yard")]
    lost = StreamEvent("gate", START_NS + 5 * FRAME_NS, EventKind.CORRUPT, 1, "decode_error")
    log = recorded(tmp_path, [*verdicts, lost])
    told = why(log, "gate:crowd:2")
    assert [one.state for one in told.changes] == [AlertState.OPENED, AlertState.CLOSED]
    assert told == why(log, told.changes[0].id) == why(log, told.changes[1].id)
    assert told.kind is Kind.RULE
    assert told.closed_ns == START_NS + 8 * FRAME_NS
    assert told.series.values == (1, 1, 2, 2, 3, 1, 1, 1, 1, 1, 0)
    assert told.series.times_ns == tuple(START_NS + k * FRAME_NS for k in range(11))
    assert told.verdicts == tuple(verdicts[:-1])
    assert (told.findings, told.events, told.notes) == ((), (lost,), ())
    assert told.settings == {
        "name": "crowd",
        "class_name": "person",
        "at_least": 2,
        "score_at_least": 0.5,
        "for_seconds": 0.0,
        "clear_seconds": 0.3,
        "update_seconds": 10.0,
        "streams": (),
    }


def test_ids_that_there_are_not(tmp_path: Path) -> None:
    log = recorded(tmp_path, crowd(0, 2))
    with pytest.raises(SightflowError) as caught:
        why(log, "gate:crowd:7")
    assert str(caught.value) == (
        f"{log.run_dir} has no alert 'gate:crowd:7'; 'sightflow alerts list --log {log.run_dir}' "
        "shows those it has"
    )
    with pytest.raises(SightflowError) as caught:
        why(log, "lane:crowd:7")
    assert str(caught.value) == (
        f"ID must begin with a stream of {log.run_dir}, one of gate, yard; got 'lane:crowd:7'"
    )


def test_the_episode_of_an_assertion_has_the_findings_of_its_object(tmp_path: Path) -> None:
    findings = [found(3), found(4, object="2"), found(5, severity=2.5), found(6, "multibox")]
    log = recorded(tmp_path, [*crowd(*[1] * 40), *findings], more=f"{FLICKER}}}}}")
    told = why(log, "gate:flicker:1:3")
    assert told.kind is Kind.ASSERTION
    assert told.own_findings == told.findings == (findings[0], findings[2])
    assert told.series.values[:7] == (0, 0, 0, 1.0, 0, 2.5, 0)
    assert (told.last.count, told.last.peak) == (2, 2.5)
    assert told.settings is not None
    assert told.settings["assertion"] == {}
    grouped = recorded(
        tmp_path / "grouped", [*crowd(*[1] * 9), *findings], more=f"{FLICKER}, group_seconds: 2}}}}"
    )
    assert why(grouped, "gate:flicker:3").own_findings == tuple(findings[:3])


def test_an_open_episode_goes_on_to_the_end_of_the_log(tmp_path: Path) -> None:
    findings = [found(3), found(8)]
    log = recorded(tmp_path, [*crowd(*[2] * 12), *findings], more=f"{FLICKER}}}}}")
    told = why(log, "gate:flicker:1:3")
    assert told.closed_ns is None
    assert told.own_findings == tuple(findings)
    assert why(log, "gate:crowd:0").verdicts[-1].sequence == 11


def test_long_episodes_are_kept_in_little_memory(tmp_path: Path) -> None:
    verdicts = crowd(*[2] * 2000, *[0] * 100)
    verdicts[1500] = seen(1500, *[0.9] * 7)
    told = why(recorded(tmp_path, verdicts), "gate:crowd:0")
    kept = [verdict.sequence for verdict in told.verdicts]
    assert 1500 in kept
    assert len(kept) < 300
    assert len(told.series.values) <= MOST_POINTS
    assert max(told.series.values) == 7
    assert kept[-1] == 2003 + 50


def test_findings_beyond_the_most_are_counted(tmp_path: Path) -> None:
    findings = [found(k) for k in range(MOST_FINDINGS + 7)]
    told = why(
        recorded(tmp_path, [*crowd(0), *findings], more=f"{FLICKER}}}}}"), "gate:flicker:1:0"
    )
    assert (len(told.findings), told.findings_left_out) == (MOST_FINDINGS, 7)


def test_an_alert_of_another_configuration_shows_no_settings(tmp_path: Path) -> None:
    log = recorded(tmp_path, crowd(0, 2, 2))
    text = log.manifest.configuration + "# changed since\n"
    write_manifest(log.run_dir, Manifest("town", "town", START_NS, text, ("gate",)))
    told = why(EventLog.open(log.run_dir), "gate:crowd:1")
    assert told.settings is None
    assert told.notes == ("the alert came from another configuration than that of the manifest",)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[]\n", "manifest.json:1: must be a mapping of keys (got a YAML Seq). Start from "
         "'sightflow init', which writes one."),
        ("alerts: [{name: crowd}]\n", "class: Field required"),
        ("alerts: ['${NOT_SET_ANYWHERE}']\n", "manifest.json:1: alerts[0]: the environment "
         "variable NOT_SET_ANYWHERE is not set (got ${NOT_SET_ANYWHERE}). Set it: export "
         "NOT_SET_ANYWHERE=…"),
    ],
)  # fmt: skip
def test_a_configuration_that_cannot_be_read_is_told(
    tmp_path: Path, text: str, problem: str
) -> None:
    log = recorded(tmp_path, crowd(0, 2, 2))
    write_manifest(log.run_dir, Manifest("town", "town", START_NS, text, ("gate",)))
    told = why(EventLog.open(log.run_dir), "gate:crowd:1")
    assert (told.kind, told.rule, told.series.values) == (Kind.UNKNOWN, None, ())
    assert told.notes[0] == (
        f"{log.run_dir} has a configuration that this release cannot read: {problem}; look at it "
        "in manifest.json"
    )
    assert len(told.verdicts) == 3


def test_of_episodes_with_the_same_id_the_latest_is_told(tmp_path: Path) -> None:
    later = Alert(
        "gate", "crowd", AlertState.OPENED, START_NS + 10**12, 1, START_NS + 10**12, 1,
        1.0, 2.0, 2.0, "2 of class 'person' in view, the rule is at least 2",
    )  # fmt: skip
    told = why(recorded(tmp_path, [*crowd(0, 2, 2), later]), "gate:crowd:1")
    assert told.changes == (later,)
    assert told.notes == (
        "2 episodes have this id; this is the latest",
        "the log holds no frames around the alert, so there is no picture",
    )
