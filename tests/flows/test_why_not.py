"""Why no alert was told: every reason, from logs whose alerts follow from what they hold."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from connectors.codec import iso_time
from flows.why_not import parse_moment, why_not
from flows.why_not_reasons import Reason, answers
from flows.why_not_words import why_not_json, why_not_lines
from operators.severity import SeveritySample, fit_severities
from operators.severity_json import calibration_to_json
from records import EventKind, LogError, RecordError, SightflowError, Stage, StreamEvent
from tests.support.explained import found, recorded, seen
from tests.support.records import FRAME_NS, START_NS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from connectors.replay import EventLog
    from flows.why_not_reasons import Answer
    from records import Record, Verdict

OWN = """\
from operators.assertions import assertion

@assertion(window=1.0)
def ghost(inputs, outputs):
    return 0
"""


def at(sequence: float) -> int:
    return START_NS + round(sequence * FRAME_NS)


def clock(sequence: float) -> str:
    return f"{iso_time(at(sequence))[:23]}Z"


def people(*counts: int) -> list[Verdict]:
    return [seen(place, *[0.9] * count) for place, count in enumerate(counts)]


def asked(log: EventLog, sequence: float, name: str = "crowd") -> Answer:
    (answer,) = answers(why_not(log, "gate", at(sequence), name))
    assert answer.name == name
    return answer


def watched(tmp_path: Path, records: Sequence[Record], alerts: str = "", **values: Any) -> EventLog:
    """A log with an assertion of one's own that alerts."""
    tmp_path.mkdir(exist_ok=True)
    (tmp_path / "own.py").write_text(OWN, encoding="utf-8")
    known = {"health": "{dark: null, gap: null}", "outputs": "{flicker: null}"} | values
    more = f"assertions: {{files: [own.py], alerts: {{clear_seconds: 0.5{alerts}}}"
    more += "".join(f", {name}: {value}" for name, value in known.items()) + "}"
    return recorded(tmp_path, records, more=more)


def test_too_few(tmp_path: Path) -> None:
    log = recorded(tmp_path, people(0, 1, 1, 2, 0))
    answer = asked(log, 1.4)
    assert (answer.reason, answer.kind) == (Reason.COUNT, "rule")
    assert answer.words == "1 of class 'person', 2 are needed"
    assert answer.measured == {"count": 1, "low_scores": 0, "held_seconds": 0}
    assert answer.needed == {"at_least": 2, "score_at_least": 0.5, "for_seconds": 0}


def test_scores_too_low(tmp_path: Path) -> None:
    log = recorded(tmp_path, [seen(0, 0.9, 0.45, 0.3), seen(1, 0.4)])
    answer = asked(log, 0)
    assert (answer.reason, answer.words) == (
        Reason.SCORE,
        "1 of class 'person', 2 are needed; 2 more score below 0.5: 0.45, 0.30",
    )
    assert answer.measured["low_scores"] == 2
    assert asked(log, 1).reason is Reason.COUNT


def test_not_for_long_enough(tmp_path: Path) -> None:
    log = recorded(tmp_path, people(0, 2, 2, 2, 2, 2, 2), rule=", for_seconds: 0.5")
    answer = asked(log, 4)
    assert (answer.reason, answer.measured["held_seconds"]) == (Reason.TOO_SHORT, 0.3)
    assert answer.words == (
        "2 of class 'person', 2 are needed, but for 0.5 s, and so far they held 0.3 s"
    )
    assert asked(log, 6).reason is Reason.TOLD


def test_told_and_open_and_closed(tmp_path: Path) -> None:
    log = recorded(tmp_path, people(0, 2, 3, 0, 0, 0, 0, 0, 1))
    told = asked(log, 1)
    assert (told.reason, told.episode) == (Reason.TOLD, "gate:crowd:1")
    assert told.words == "it did: alert gate:crowd:1:opened:1 was told at this frame"
    is_open = asked(log, 2)
    assert (is_open.reason, is_open.episode) == (Reason.OPEN, "gate:crowd:1")
    since = f"episode gate:crowd:1 has been open since {clock(1)}, and opens once"
    assert is_open.words == since
    closing = asked(log, 6)
    assert closing.words == f"{since}; it was closed at this frame: over after 0.5 s, peak 3"
    assert asked(log, 8).reason is Reason.COUNT


def test_a_stream_that_the_rule_does_not_watch(tmp_path: Path) -> None:
    answer = asked(recorded(tmp_path, people(2), rule=", streams: [yard]"), 0)
    assert (answer.reason, answer.words) == (Reason.NOT_WATCHED, "the rule watches yard only")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (
            {"stage": Stage.DIFFERENCE, "score": 3.0, "copied_from": 1},
            "the difference detector (score 3) copied the answer of frame 1: no detector saw this "
            "frame",
        ),
        (
            {"stage": Stage.SKIP, "score": 0.0, "copied_from": 0},
            "the frame was skipped; the cascade copied the answer of frame 0: no detector saw this "
            "frame",
        ),
        (
            {"stage": Stage.SPECIALISED, "score": 0.02, "positive": False},
            "the specialised model (score 0.02) said no: no detector saw this frame, so there are "
            "no boxes to count",
        ),
        (
            {"stage": Stage.PACKETS, "score": 0.9, "positive": True},
            "the model of packet sizes (score 0.9), without decoding, said yes: no detector saw "
            "this frame, so there are no boxes to count",
        ),
        (
            {"corrected": ("flicker", "ghost")},
            "the reference detector itself saw this frame (score 0); corrected by flicker, ghost",
        ),
    ],
)
def test_which_stage_decided(tmp_path: Path, values: dict[str, Any], words: str) -> None:
    log = recorded(tmp_path, [*people(0, 0), seen(2, **values)])
    assert asked(log, 2).words == f"0 of class 'person', 2 are needed; {words}"
    lines = why_not_lines(why_not(log, "gate", at(2)))
    assert lines[0] == f"gate at {clock(2)}: frame 2, 0 boxes; {words}"


def test_no_frame_before_the_first_after_the_last_and_in_a_gap(tmp_path: Path) -> None:
    frames = [seen(k, 0.9) for k in range(10)]
    later = [seen(k, 0.9) for k in range(40, 50)]
    lost = StreamEvent("gate", at(9), EventKind.LOST, 0, "stalled", "no packet for 8 s")
    ended = StreamEvent("gate", at(49), EventKind.ENDED, 20)
    other = StreamEvent("gate", at(45), EventKind.CORRUPT, 1, "decode_error")
    log = recorded(tmp_path, [*frames, lost, *later, other, ended])
    told = {}
    for sequence in (-3, 9.9, 20, 39.9, 80):
        moment = why_not(log, "gate", at(sequence))
        answer = answers(moment)[0]
        told[sequence] = (answer.reason, why_not_lines(moment)[0].partition(": ")[2])
    nowhere = "there is no frame at that time; "
    before = f"the last before it is frame 9 at {clock(9)}"
    after = f"the next is frame 40 at {clock(40)}"
    stalled = f"lost (stalled) at {clock(9)}: no packet for 8 s"
    assert told == {
        -3: (Reason.NO_FRAME, f"{nowhere}the next is frame 0 at {clock(0)}; no event says why"),
        9.9: (Reason.COUNT, "frame 9, 1 box; the reference detector itself saw this frame "
                            "(score 0.9)"),
        20: (Reason.NO_FRAME, f"{nowhere}{before}, {after}; {stalled}"),
        39.9: (Reason.NO_FRAME, f"{nowhere}{before}, {after}; {stalled}"),
        80: (Reason.NO_FRAME, f"{nowhere}the last before it is frame 49 at {clock(49)}; ended 20 "
                              f"at {clock(49)}"),
    }  # fmt: skip
    assert asked(log, 20).words == "there is no frame at that time"


def test_a_stream_without_frames(tmp_path: Path) -> None:
    log = recorded(tmp_path, [seen(0, stream="yard")])
    assert asked(log, 3).reason is Reason.NO_FRAME
    lines = why_not_lines(why_not(log, "gate", at(0)))
    assert lines[0].endswith(
        "there is no frame at that time; the stream has none; no event says why"
    )


def test_assertions_that_found_nothing_or_do_not_alert(tmp_path: Path) -> None:
    log = watched(tmp_path, [*people(*[0] * 30), found(2, "ghost"), found(20, "flicker")])
    nothing = asked(log, 25, "ghost")
    assert (nothing.reason, nothing.words) == (
        Reason.NOTHING_FOUND,
        f"it found nothing that concerns this time; it last did at frame 2, {clock(2)}: not as it "
        "should be",
    )
    still = asked(log, 5, "ghost")
    assert still.words.endswith("; open still: gate:ghost:1:2")
    quiet = asked(log, 20, "flicker")
    assert (quiet.reason, quiet.words) == (
        Reason.NOT_ALERTING,
        "findings that concern this time: 1; it does not alert: assertions.alerts says which do",
    )
    everything = why_not(log, "gate", at(25))
    assert everything.assertions == ("dark", "gap", "ghost")


def test_findings_that_were_told_or_joined_an_episode(tmp_path: Path) -> None:
    findings = [found(6, "ghost", start=3), found(8, "ghost", start=8)]
    log = watched(tmp_path, [*people(*[0] * 30), *findings])
    told = asked(log, 4, "ghost")
    assert (told.reason, told.episode) == (Reason.TOLD, "gate:ghost:1:6")
    assert told.words == f"it did: alert gate:ghost:1:6:opened:6 was told at {clock(6)}"
    joined = asked(log, 8, "ghost")
    assert (joined.reason, joined.episode) == (Reason.OPEN, "gate:ghost:1:6")
    assert joined.words == (
        "found at frame 8: not as it should be; it belongs to episode gate:ghost:1:6, open since "
        f"{clock(6)}, which opens once"
    )


def test_cooldown_and_improbable(tmp_path: Path) -> None:
    findings = [found(3, "ghost", model_wrong=0.9), found(20, "ghost", model_wrong=0.8)]
    log = watched(
        tmp_path,
        [*people(*[0] * 40), *findings, found(30, "ghost", model_wrong=0.2)],
        ", cooldown_seconds: 2, least_model_wrong: 0.5",
    )
    cooling = asked(log, 20, "ghost")
    assert (cooling.reason, cooling.words) == (
        Reason.COOLDOWN,
        f"found at frame 20: not as it should be; but the episode before closed at {clock(8)} and "
        "cooldown_seconds is 2",
    )
    assert cooling.measured == {"severity": 1, "seconds_since_close": 1.2}
    improbable = asked(log, 30, "ghost")
    assert (improbable.reason, improbable.words) == (
        Reason.IMPROBABLE,
        "found at frame 30: not as it should be; but the model is wrong with probability 0.20 "
        "only, least_model_wrong asks for 0.5",
    )
    assert improbable.needed == {"model_wrong": 0.5}


def test_withheld_for_too_little_evidence(tmp_path: Path) -> None:
    samples = [SeveritySample("ghost", 1.0, k < 50, None) for k in range(100)]
    tmp_path.mkdir(exist_ok=True)
    saved = json.dumps(calibration_to_json(fit_severities(samples)))
    (tmp_path / "known.json").write_text(saved, encoding="utf-8")
    finding = found(3, "ghost", model_wrong=0.5)
    records: list[Record] = [*people(*[0] * 9), finding]
    log = watched(tmp_path, records, ", false_alarms_per_day: 1", calibration="known.json")
    answer = asked(log, 3, "ghost")
    assert answer.reason is Reason.WITHHELD
    assert answer.measured["evidence"] < answer.needed["evidence"]
    assert answer.words == (
        f"found at frame 3: not as it should be; but its evidence {answer.measured['evidence']:.3g}"
        f" is less than the {answer.needed['evidence']:.3g} that false_alarms_per_day asks for"
    )
    (tmp_path / "known.json").unlink()
    again = why_not(log, "gate", at(3), "ghost")
    assert again.notes == (
        "the calibration known.json cannot be found: false_alarms_per_day is left out",
    )
    assert answers(again)[0].reason is Reason.TOLD


def test_inhibited_by_the_input_and_switched_off(tmp_path: Path) -> None:
    dark = [found(k, "dark", object="", start=3, message="dark: 3") for k in (5, 15)]
    held = StreamEvent("gate", at(36), EventKind.ASSERTION, 9, "inhibited", "ghost 9")
    off = StreamEvent("gate", at(45), EventKind.ASSERTION, 10, "disabled", "ghost: switched off")
    records: list[Record] = [*people(*[0] * 60), *dark, held, off]
    log = watched(tmp_path, records)
    answer = asked(log, 16, "ghost")
    assert (answer.reason, answer.words) == (
        Reason.INHIBITED,
        f"findings were held back, as the input was at fault (dark, last told at {clock(15)}: dark:"
        f" 3); held back until {clock(36)}: ghost 9",
    )
    assert asked(log, 40, "ghost").reason is Reason.NOTHING_FOUND
    assert asked(log, 5, "dark").reason is Reason.TOLD
    assert asked(log, 15, "dark").reason is Reason.COOLDOWN
    disabled = asked(log, 50, "ghost")
    assert (disabled.reason, disabled.words) == (
        Reason.DISABLED,
        f"ghost: switched off, at {clock(45)}",
    )
    lines = why_not_lines(why_not(log, "gate", at(16)))
    assert "input: dark: dark: 3" in lines


def test_nearest_alerts_and_all_as_json(tmp_path: Path) -> None:
    counts = [0] * 5 + [2] + [0] * 10 + [2] + [0] * 20
    log = recorded(tmp_path, people(*counts))
    moment = why_not(log, "gate", at(10))
    assert why_not_lines(moment)[-1] == (
        f"crowd: nearest alerts: gate:crowd:5, opened {clock(5)}, gate:crowd:16, opened {clock(16)}"
    )
    value = why_not_json(moment)
    assert json.loads(json.dumps(value)) == value
    assert [one["id"] for one in value["nearest"]] == [
        "gate:crowd:5:opened:5",
        "gate:crowd:16:opened:16",
    ]
    assert (value["frame"]["sequence"], value["before"], value["after"]) == (
        10,
        "gate:10",
        "gate:11",
    )
    assert value["rules"][0] == {
        "name": "crowd",
        "kind": "rule",
        "reason": "count",
        "words": "0 of class 'person', 2 are needed",
        "measured": {"count": 0, "low_scores": 0, "held_seconds": 0.0},
        "needed": {"at_least": 2, "score_at_least": 0.5, "for_seconds": 0.0},
        "episode": "",
    }


def test_alerts_that_do_not_follow_from_the_verdicts_are_noted(tmp_path: Path) -> None:
    log = recorded(tmp_path, people(0, 2, 0))
    assert why_not(log, "gate", at(2)).notes == ()
    (told,) = (one for one in log.records("gate") if type(one).__name__ == "Alert")
    other = recorded(tmp_path / "other", [*people(0, 0, 0), told])
    assert why_not(other, "gate", at(2)).notes == (
        "the log's alerts are not those that its verdicts give now: gate:crowd:1",
    )


def test_names_that_there_are_not(tmp_path: Path) -> None:
    log = watched(tmp_path, [*people(0, 2), found(1, "ghost")])
    with pytest.raises(SightflowError) as caught:
        why_not(log, "gate", at(0), "nobody")
    assert str(caught.value) == (
        "the run has no rule or assertion 'nobody'; it has crowd, dark, gap, flicker, ghost"
    )
    with pytest.raises(LogError, match="has no stream 'lane'; it has gate, yard"):
        why_not(log, "lane", at(0))
    quiet = recorded(tmp_path / "quiet", people(0), more="assertions: {alerts: null}")
    assert asked(quiet, 0, "dark").reason is Reason.NOT_ALERTING
    assert why_not(quiet, "gate", at(0)).assertions == ()


def test_moments_are_times_or_seconds_of_the_stream(tmp_path: Path) -> None:
    log = recorded(tmp_path, [seen(5), seen(6)])
    assert parse_moment(log, "gate", "0.25") == at(7.5)
    assert parse_moment(log, "gate", "2023-11-14T22:13:21Z") == START_NS + 10**9
    for text in ("-1", "nan", "inf", "1e300"):
        with pytest.raises(RecordError, match=f"seconds must be at least 0, got {text}"):
            parse_moment(log, "gate", text)
    with pytest.raises(RecordError, match="a time must be RFC 3339"):
        parse_moment(log, "gate", "yesterday")
    with pytest.raises(RecordError, match="stream yard has no frames to count seconds from"):
        parse_moment(log, "yard", "3")
