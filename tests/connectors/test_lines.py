from __future__ import annotations

import io
import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from connectors.codec import KINDS, to_json
from connectors.lines import (
    ConsolePartition,
    ConsoleSink,
    JsonLinesSink,
    describe,
    json_line,
)
from records import Alert, AlertState, Detections, EventKind, LogError, Record, RecordError
from tests.support.dataflows import run_into
from tests.support.records import START_NS, alert, estimate, event, finding, reading, verdict

if TYPE_CHECKING:
    from pathlib import Path

BATCHES: list[tuple[str, list[Record]]] = [
    ("gate", [event(), verdict(), verdict(sequence=1)]),
    ("gate", []),
    ("gate", [alert(sequence=1), estimate()]),
    ("ecg", [reading()]),
]
RECORDS = [record for _, records in BATCHES for record in records]


def test_json_lines_hold_every_record(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    run_into(JsonLinesSink(path), BATCHES)
    assert [json.loads(line) for line in path.read_text().splitlines()] == [
        to_json(record) for record in RECORDS
    ]
    run_into(JsonLinesSink(str(path), ["alert"]), BATCHES)
    assert path.read_text().splitlines()[len(RECORDS) :] == [json_line(alert(sequence=1))]


def test_json_lines_to_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    run_into(JsonLinesSink("-", ["event", "alert"]), BATCHES)
    assert capsys.readouterr().out == f"{json_line(event())}\n{json_line(alert(sequence=1))}\n"


def test_workers_share_a_file_of_json_lines(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    batches = [("gate", [verdict(sequence=i)]) for i in range(200)]
    run_into(JsonLinesSink(path), batches, workers=2)
    found = sorted(json.loads(line)["sequence"] for line in path.read_text().splitlines())
    assert found == list(range(200))


def test_json_lines_are_one_line_of_ascii() -> None:
    line = json_line(replace(alert(), message="two\nlines, caf\udce9 \u2028"))
    assert line.isascii()
    assert "\n" not in line
    assert json.loads(line)["message"] == "two\nlines, caf\udce9 \u2028"


def test_a_file_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    with pytest.raises(LogError) as caught:
        JsonLinesSink(tmp_path).build("lines", 0, 1)
    assert str(caught.value) == (
        f"{tmp_path} cannot be opened: Is a directory; check the free space and the permissions "
        "there"
    )


def test_unknown_settings_are_refused() -> None:
    message = (
        "kinds must be of verdict, alert, event, estimate, reading, finding, classification, "
        "got alerts"
    )
    for sink in (JsonLinesSink, ConsoleSink):
        with pytest.raises(RecordError) as caught:
            sink("stderr", kinds=["alert", "alerts"])
        assert str(caught.value) == message
    with pytest.raises(RecordError, match=r"^to must be stderr or stdout, got 'file'$"):
        ConsoleSink("file")  # type: ignore[arg-type]  # the fault under test


def test_the_console_shows_lines_without_colour_when_it_is_no_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    run_into(ConsoleSink(), BATCHES)
    run_into(ConsoleSink("stdout", KINDS), BATCHES)
    people = "people 2.5 [2.25, 2.75] at 0.95; 60 of 600 frames seen by the reference"
    shown = [
        "2023-11-14T22:13:20.000Z gate opened",
        "2023-11-14T22:13:20.000Z gate frame 0 reference 0.5: 1 person",
        "2023-11-14T22:13:20.100Z gate frame 1 reference 0.5: 1 person",
        "2023-11-14T22:13:20.100Z gate ALERT opened crowd: 6 persons, at most 4 allowed (frame 1)",
        f"2023-11-14T22:14:20.000Z gate {people}",
        "2023-11-14T22:13:20.000Z ecg block 0: 3 samples of 1 channels",
    ]
    captured = capsys.readouterr()
    assert captured.err.splitlines() == [shown[0], shown[3], shown[4]]
    assert captured.out.splitlines() == shown


def test_alerts_stand_out_on_a_terminal() -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, color_system="standard", width=40)
    ConsolePartition(console, frozenset(["alert"])).write_batch([("gate", [alert(), event()])])
    assert "\x1b[1;37;41mALERT opened\x1b[0m crowd" in out.getvalue()
    assert out.getvalue().count("\n") == 1


@pytest.mark.parametrize(
    ("record", "text"),
    [
        (
            replace(event(kind=EventKind.DROPPED, count=12, reason="flow_behind"), detail="slow"),
            "dropped 12 (flow_behind): slow",
        ),
        (replace(verdict(), answer=Detections.empty()), "frame 0 reference 0.5: nothing"),
        (
            replace(verdict(), answer=Detections.of([[0, 0, 1, 1]] * 3, [1] * 3, list("bab"))),
            "frame 0 reference 0.5: 1 a, 2 b",
        ),
        (
            replace(finding(), time_ns=START_NS),
            "flicker 0.75: person 7 was gone for 1 frame (frame 2)",
        ),
        (replace(event(), detail="\x1b[2J\r[bold]x"), "opened: �[2J�[bold]x"),
    ],
)
def test_descriptions(record: Record, text: str) -> None:
    assert describe(record).plain == f"2023-11-14T22:13:20.000Z gate {text}"


@pytest.mark.parametrize("state", AlertState)
def test_every_state_of_an_alert_has_a_style(state: AlertState) -> None:
    record: Alert = alert(state=state)
    assert f"ALERT {state} crowd" in describe(record).plain
