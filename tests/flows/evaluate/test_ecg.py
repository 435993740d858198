"""The ECG study: on synthetic hearts, and its parts by hand."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.cli import main
from flows.evaluate.ecg import EcgStudy, evaluate_ecg
from flows.evaluate.ecg_changes import find_changes, find_stretches
from flows.evaluate.ecg_correction import Calibration, Stretch, calibrate, corrected
from flows.evaluate.ecg_records import read_ecg_records
from models.ecg import CLASSES, EcgModel
from models.ecg_data import Split
from models.ecg_training import EcgTrainSettings, train_ecg
from records import Classification, RecordError, SourceError
from records.units import NANOSECONDS
from tests.support.ecg import hearts, write_record

if TYPE_CHECKING:
    from pathlib import Path


def write_hearts(folder: Path, count: int = 60) -> Path:
    """A folder laid out as that of the challenge; even hearts are N, uneven ones A."""
    lines = []
    for one in hearts(count, seconds=4):
        write_record(folder, one.name, one.signal)
        lines.append(f"{one.name},{CLASSES[one.label]}\n")
    (folder / "REFERENCE.csv").write_text("".join(lines), encoding="utf-8")
    return folder


def call(*words: str | Path | int) -> int | str | None:
    with pytest.raises(SystemExit) as caught:
        main(["evaluate", "ecg", *map(str, words)])
    return caught.value.code


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, saved = write_hearts(tmp_path), tmp_path / "ecg.safetensors"
    (folder / "H001.mat").unlink()
    assert not call("--data", folder, "--epochs", 2, "--save", saved, "--seed", 1, "--json")
    value = json.loads(capsys.readouterr().out)
    assert value["records"] == {"validation": 12, "test": 12, "train": 35}
    assert value["windows"] == 12 * 4
    assert set(value["f1_per_class"]) == set(CLASSES)
    assert (value["f1_per_class"]["O"] or 0) == 0
    assert value["unusable"] == [
        f"H001: {folder}/H001.hea needs the file {folder}/H001.mat: No such file or directory"
    ]
    low, high = value["accuracy_interval"]
    assert low <= value["accuracy"] <= high
    assert value["gain"] == pytest.approx(value["accuracy_corrected"] - value["accuracy"])
    assert value["streaming"]["overlap_factor"] >= 1
    assert value["training"]["records"] == 35

    assert not call("--data", folder, "--model", saved, "--seed", 1, "--json")
    again = json.loads(capsys.readouterr().out)
    assert {**again, "streaming": 0} == {**value, "streaming": 0}
    assert not call("--data", folder, "--model", saved, "--seed", 1)
    assert "accuracy of windows" in capsys.readouterr().out

    assert call("--data", folder, "--model", saved, "--seed", 2) == 1
    assert "of the records that it would be judged by" in capsys.readouterr().err
    manifest = json.loads(saved.with_suffix(".json").read_text())
    saved.with_suffix(".json").write_text(json.dumps({**manifest, "train_records": 1}))
    assert call("--data", folder, "--model", saved, "--seed", 1) == 1
    assert capsys.readouterr().err == (
        "error: the model's manifest must list its train_records. Train it again\n"
    )


def test_the_command_needs_records(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("SIGHTFLOW_ASSETS", raising=False)
    assert call() == 2
    assert "say --data DIR" in capsys.readouterr().err
    assert call("--data", tmp_path) == 1
    assert capsys.readouterr().err == (
        f"error: labelled ECG records need the file {tmp_path}/REFERENCE.csv: "
        "No such file or directory\n"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "DIR/REFERENCE.csv must name records that can be used"),
        ("H000,N\nH000,N\n", "line 2 of DIR/REFERENCE.csv must be a new record's name and one of "
         "N, A, O, ~, got 'H000,N'"),
        ("H000,X\n", "line 1 of DIR/REFERENCE.csv must be a new record's name and one of "
         "N, A, O, ~, got 'H000,X'"),
        ("../H000,N\n", "line 1 of DIR/REFERENCE.csv must be a new record's name and one of "
         "N, A, O, ~, got '../H000,N'"),
        ("gone,N\n", "DIR/REFERENCE.csv must name records that can be used; the first: gone: the "
         "WFDB header DIR/gone.hea cannot be read: No such file or directory"),
        ("tiny,N\n", "DIR/REFERENCE.csv must name records that can be used; the first: tiny: "
         "it must have 256 to 4194304 samples, got 9"),
        ("slow,N\n", "DIR/REFERENCE.csv must name records that can be used; the first: slow: "
         "its rate must be 300 Hz, got 100"),
    ],
)  # fmt: skip
def test_labels_that_are_wrong_are_said(tmp_path: Path, text: str, message: str) -> None:
    write_record(tmp_path, "H000", np.zeros(300, np.float32))
    write_record(tmp_path, "tiny", np.zeros(9, np.float32))
    slow = write_record(tmp_path, "slow", np.zeros(300, np.float32)).with_suffix(".hea")
    slow.write_text(slow.read_text().replace("slow 1 300 ", "slow 1 100 "))
    (tmp_path / "REFERENCE.csv").write_text(text)
    with pytest.raises(SourceError) as caught:
        read_ecg_records(tmp_path, CLASSES, 300.0)
    assert str(caught.value).replace(str(tmp_path), "DIR") == message


def test_a_split_without_a_part_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordError) as caught:
        evaluate_ecg(tmp_path, [], Split((), (1,), ()), object(), EcgStudy())  # type: ignore[arg-type]
    assert str(caught.value) == (
        "validation and test must have at least one record each, got 1 and 0. Use more records"
    )


def sure(answer: list[int]) -> Any:
    """Probabilities that are sure of these classes."""
    return np.eye(4)[answer]


def windows(probabilities: Any) -> list[Classification]:
    """Windows of one second."""
    return [
        Classification("bed", k, k * NANOSECONDS, NANOSECONDS, CLASSES, tuple(row))
        for k, row in enumerate(probabilities.tolist())
    ]


def found(probabilities: Any, most: int = 30) -> list[Stretch]:
    findings = find_changes(windows(probabilities), most)
    return find_stretches(probabilities, findings, most)


@pytest.mark.parametrize(
    ("answer", "most", "want"),
    [
        ([0, 0, 1, 1, 2], 30, []),
        ([3, 0, 0, 1, 0, 2], 30, [Stretch(1, 5, 0)]),
        # The class of most windows wins, also when it is the one between.
        ([0, 1, 1, 1, 0], 30, [Stretch(0, 5, 1)]),
        # Findings that share windows are one stretch; what is around it votes too.
        ([0, 1, 0, 2, 0, 3, 2, 3], 30, [Stretch(0, 5, 0), Stretch(5, 8, 0)]),
        ([1, 0, 2, 0, 1], 30, [Stretch(0, 5, 0)]),
        # What lasts long enough is no fault.
        ([0, *[1] * 5, 0], 5, []),
        # A stretch takes only so much of what is around a finding, and grows only so long.
        ([*[0] * 9, 1, *[0] * 9], 3, [Stretch(5, 14, 0)]),
        ([0, 1] * 6, 3, [Stretch(0, 5, 0), Stretch(5, 11, 0)]),
    ],
)
def test_changes_that_come_back_make_stretches(
    answer: list[int], most: int, want: list[Stretch]
) -> None:
    assert found(sure(answer), most) == want


def test_windows_vote_with_their_probability() -> None:
    unsure = sure([0, 1, 0]) * 0.4 + 0.15
    unsure[1] = [0.3, 0.4, 0.2, 0.1]
    assert found(unsure) == [Stretch(0, 3, 0)]
    unsure[1] = [0.0, 1.0, 0.0, 0.0]
    assert found(unsure) == [Stretch(0, 3, 1)]


@given(st.lists(st.integers(0, 3), min_size=1, max_size=60), st.integers(1, 20))
def test_stretches_lie_apart_and_cover_every_finding(answer: list[int], most: int) -> None:
    some = found(sure(answer), most)
    for before, after in itertools.pairwise(some):
        assert before.stop <= after.start
    assert all(0 <= one.start < one.stop <= len(answer) for one in some)
    covered = {k for one in some for k in range(one.start, one.stop)}
    for finding in find_changes(windows(sure(answer)), most):
        assert covered >= set(range(finding.start_sequence, finding.sequence + 1))


RIGHT = [0, 0, 1, 0, 0, 0]
"""A record whose stretch, its whole length, is rightly corrected to 0."""


def calibration(right: int, wrong: int, confidence: float = 0.9) -> Any:
    """From so many stretches that are rightly, and wrongly, corrected to 0; the truth is 0 or 1."""
    answers = [np.array(RIGHT)] * (right + wrong)
    truths = [0] * right + [1] * wrong
    some = [found(sure(RIGHT))] * len(answers)
    return calibrate(answers, some, truths, 4, confidence, np.random.default_rng(0))


def test_corrections_are_applied_only_where_they_pay() -> None:
    good, bad = calibration(60, 2), calibration(5, 50)
    none = calibrate([np.array(RIGHT)], [[]], [0], 4, 0.9, np.random.default_rng(0))
    assert good.pays(0)
    assert good.stretches == (62, 0, 0, 0)
    assert good.right[0] == pytest.approx(60 / 62)
    # Each of 60 gains a window of its six, each of 2 loses one.
    assert good.gain == (pytest.approx(58 / (62 * 6)),) * 4
    assert 40 < good.gain_low < 58
    assert none == Calibration((0.0,) * 4, (0.0,) * 4, 0.0, (0,) * 4)
    assert corrected(np.array(RIGHT), found(sure(RIGHT)), good).tolist() == [0] * 6
    assert corrected(np.array(RIGHT), found(sure(RIGHT)), bad).tolist() == RIGHT
    assert corrected(np.array(RIGHT), found(sure(RIGHT)), none).tolist() == RIGHT
    # One loss beside two gains says too little to be sure.
    assert not calibration(2, 1).pays(0)


def test_a_model_that_flips_is_put_right(tmp_path: Path) -> None:
    """A classifier that is wrong in every fifth window, on records streamed from disk."""

    class Flipping:
        classes, rate_hz, window, context = CLASSES, 300.0, 256, 2

        def classify(self, signal: Any) -> Any:
            # The label is in the signal, so that the same window has the same answer in any cut.
            rows = signal[: len(signal) // 256 * 256].reshape(-1, 256)
            return np.eye(4, dtype=np.float32)[np.round(rows[:, 0] * 10).astype(int)]

    signals = []
    for k, one in enumerate(hearts(80, seconds=20)):
        signal = np.full_like(one.signal, one.label / 10)
        for window in range(2 + k % 5, 23, 5):
            signal[window * 256 : (window + 1) * 256] = (1 - one.label) / 10
        write_record(tmp_path, one.name, signal)
        signals.append(replace(one, signal=signal))
    split = Split((), tuple(range(40)), tuple(range(40, 80)))
    result = evaluate_ecg(tmp_path, signals, split, Flipping(), EcgStudy(seed=5))
    assert result["windows"] == 40 * 23
    assert result["accuracy"] == pytest.approx(1 - 4.2 / 23, abs=0.01)
    assert result["accuracy_corrected"] > 0.97
    assert result["gain_interval"][0] > 0.1
    assert result["record_accuracy"] == result["record_accuracy_corrected"] == 1
    change = result["class_change"]
    assert (change["stretches"], change["applied"]) == (40, 40)
    assert (change["precision"], change["correction_right"], change["applied_right"]) == (1, 1, 1)
    assert change["calibration"]["classes"]["N"]["pays"]
    assert change["stretch_correction_right"] == 1
    assert not change["calibration"]["classes"]["O"]["stretches"]
    # Records have 6000 samples, 23 windows and a rest.
    assert result["streaming"]["lost_samples"] == {"part_of_window": 80 * (6000 - 23 * 256)}
    assert result["streaming"]["latency_seconds"] == pytest.approx(10 * 256 / 300 + 1)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"change_seconds": 0}, "change_seconds must be above 0, got 0"),
        ({"confidence": 1}, "confidence must be in 0.5..0.9999, got 1"),
        ({"resamples": 0}, "resamples must be at least 1, got 0"),
    ],
)
def test_the_study_is_checked(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(RecordError) as caught:
        EcgStudy(**fields)
    assert str(caught.value) == message


def test_a_model_of_other_classes_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_hearts(tmp_path, 10)
    train_ecg(hearts(10), EcgTrainSettings(epochs=1, batch_size=5), None, ("N", "A")).save(
        tmp_path / "other.safetensors"
    )
    assert EcgModel.load(tmp_path / "other.safetensors").classes == ("N", "A")
    assert call("--data", folder, "--model", tmp_path / "other.safetensors") == 1
    assert capsys.readouterr().err == (
        "error: the model must have the classes N, A, O, ~ at 300 Hz, got N, A at 300 Hz\n"
    )
