"""Assertions in a running flow: findings, alerts, corrections, and faults of what is asked for."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import av
import numpy as np
import pytest

from connectors.replay import EventLog
from flows import config
from flows.run import RunRequest, run
from operators.severity import SeveritySample, fit_severities
from operators.severity_json import calibration_to_json
from records import Alert, ConfigurationError, EventKind, Finding, StreamEvent, Verdict
from tests.support.scenes import write_configuration

if TYPE_CHECKING:
    from pathlib import Path

    from records import Record
    from tests.support.scenes import Street

OWN = '''
from operators.assertions import assertion

@assertion(window=1.0)
def crowded(inputs, outputs):
    """More than three objects at once."""
    return max(0, len(outputs[-1]) - 3)

@assertion(window=1.0)
def broken(inputs, outputs):
    raise ValueError("no idea")
'''


def run_street(street: Street, more: str, run_dir: str = "run") -> list[Record]:
    write_configuration(street, more=more)
    configuration, text = config.load(street.configuration)
    run(RunRequest(configuration, text, street.folder, street.folder / run_dir))
    log = EventLog.open(street.folder / run_dir)
    records = list(log.records())
    assert log.faults == ()
    return records


def faults_of(street: Street, more: str) -> list[str]:
    write_configuration(street, more=more)
    with pytest.raises(ConfigurationError) as caught:
        config.load(street.configuration)
    return [str(fault).removeprefix(f"{street.folder}/") for fault in caught.value.faults]


def test_an_assertion_of_ones_own_finds_and_alerts_and_one_that_raises_harms_nobody(
    street: Street,
) -> None:
    (street.folder / "own.py").write_text(OWN, encoding="utf-8")
    records = run_street(street, "assertions: {files: [own.py]}")
    verdicts = [record for record in records if isinstance(record, Verdict)]
    crowds = {verdict.sequence for verdict in verdicts if len(verdict.answer) > 3}
    found = {one.sequence for one in records if isinstance(one, Finding)}
    assert found == crowds != set()
    told = [one for one in records if isinstance(one, Alert) and one.rule == "crowded"]
    assert (told[0].sequence, told[0].state) == (min(crowds), "opened")
    events = [one for one in records if isinstance(one, StreamEvent)]
    failures = [one for one in events if one.kind is EventKind.ASSERTION]
    assert [(one.reason, one.detail) for one in failures] == [
        ("failed", "broken: ValueError: no idea"),
        ("disabled", "broken: switched off after 10 failures in a row"),
    ]
    assert len(verdicts) == 120


def test_a_dark_camera_is_told_and_inhibits_what_the_model_says_of_it(street: Street) -> None:
    darken(street.folder / "scene.mp4", 40, 100)
    own = OWN.replace("- 3", "+ 1").partition("@assertion(window=1.0)\ndef broken")[0]
    (street.folder / "own.py").write_text(own, encoding="utf-8")
    records = run_street(street, "assertions: {files: [own.py], alerts: {only: [dark]}}")
    findings = [one for one in records if isinstance(one, Finding)]
    dark = [one.sequence for one in findings if one.assertion == "dark"]
    assert dark == [70, 80, 90]
    others = {one.sequence for one in findings if one.assertion == "crowded"}
    assert others == set(range(70))
    events = [one for one in records if isinstance(one, StreamEvent)]
    held_back = [one.count for one in events if one.reason == "inhibited"]
    assert sum(held_back) == 120 - 70
    states = [one.state for one in records if isinstance(one, Alert) and one.rule == "dark"]
    assert states == ["opened", "closed"]


def darken(path: Path, begin: int, end: int) -> None:
    """Cover the camera from one frame to another."""
    with av.open(str(path)) as container:
        images = [
            np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
            for frame in container.decode(video=0)
        ]
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=10)
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for number, image in enumerate(images):
            shown = image // 40 if begin <= number < end else image
            frame = av.VideoFrame.from_ndarray(shown, format="rgb24")
            out.mux(stream.encode(frame))
        out.mux(stream.encode())


GHOST = '''
from operators.assertions import Moment
from records import Correction, CorrectionKind, Finding, Place

class Ghost:
    """Every box of the left half is a ghost."""

    name = "ghost"
    window_seconds = 0.0

    def start(self, state=None):
        return self

    def snapshot(self):
        return None

    def observe(self, moment):
        boxes = moment.outputs["detections"].boxes.tolist()
        return [
            Finding(moment.stream, "ghost", moment.sequence, moment.time_ns, moment.sequence,
                    moment.time_ns, 1.0, "a ghost", str(place), correction=Correction(
                        CorrectionKind.DROP, (Place(moment.sequence, moment.time_ns, tuple(box)),)))
            for place, box in enumerate(boxes) if box[0] < 160
        ]

ghost = Ghost()
'''


@pytest.mark.parametrize("right", ["right", "wrong"])
def test_corrections_that_are_calibrated_well_enough_reach_the_sinks(
    street: Street, right: str
) -> None:
    corrected = right == "right"
    (street.folder / "ghost.py").write_text(GHOST, encoding="utf-8")
    samples = [
        SeveritySample("ghost", 1.0, model_wrong=True, correction_right=corrected)
        for _ in range(100)
    ]
    saved = json.dumps(calibration_to_json(fit_severities(samples)))
    (street.folder / "known.json").write_text(saved, encoding="utf-8")
    more = "assertions: {files: [ghost.py], calibration: known.json, correct: {ghost: 0.9}}"
    records = run_street(street, more)
    verdicts = [record for record in records if isinstance(record, Verdict)]
    assert [verdict.sequence for verdict in verdicts] == list(range(120))
    left = [verdict for verdict in verdicts if (verdict.answer.boxes[:, 0] < 160).any()]
    assert bool(left) is not corrected
    assert any(verdict.corrected == ("ghost",) for verdict in verdicts) is corrected
    found = [one for one in records if isinstance(one, Finding) and one.assertion == "ghost"]
    assert {one.correction_right is not None and one.correction_right > 0.9 for one in found} == {
        corrected
    }


def test_what_is_asked_for_is_checked_before_anything_starts(street: Street) -> None:
    (street.folder / "bad.py").write_text(
        "from operators.assertions import assertion\n\n@assertion(window=1.0)\n"
        "def one_argument(outputs):\n    return 0\n",
        encoding="utf-8",
    )
    more = """\
assertions:
  health: {dark: {level: -3}}
  outputs: {flicker: {nonsense: 1}}
  files: [bad.py, missing.py]
  correct: {flicker: 0.5, nobody: 0.5}
  alerts: {false_alarms_per_day: 1, only: [somebody]}
"""
    faults = faults_of(street, more)
    text = "\n".join(faults)
    assert "bad.py:3: assertions.files: " in text
    assert "missing.py: assertions.files: is no file. Name a file that ends in .py." in text
    for line in (
        "assertions.health.dark: level must be ",
        "assertions.outputs.flicker: got an unexpected keyword argument 'nonsense'. Its settings "
        "are: name, window_seconds, ",
        "assertions.correct: is no assertion here (got flicker). Use one of ",
        "assertions.correct: is no assertion here (got nobody). Use one of ",
        "assertions.alerts.only: is no assertion here (got somebody). Use one of ",
        "assertions.alerts.false_alarms_per_day: needs a calibration. Add assertions.calibration.",
    ):
        assert line in text, text
