"""The study of retraining: on synthetic hearts, and its parts by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.cli import main
from flows.evaluate.retraining import evaluate_retraining
from flows.evaluate.retraining_figures import gain_words, labels_saved, selection_figures, verdict
from flows.evaluate.retraining_report import ARMS
from flows.evaluate.retraining_rounds import (
    SELECTORS,
    EcgRounds,
    changes,
    filled,
    first_model,
    queue_item,
    run_trial,
)
from flows.evaluate.retraining_study import (
    PreparedRecord,
    RetrainingStudy,
    accuracies,
    draw_parts,
    prepare,
)
from flows.evaluate.retraining_weak import (
    WEAK,
    WeakTrial,
    run_weak_trial,
    weak_figures,
    weak_target,
)
from models.ecg import CLASSES
from models.ecg_learner import LearnSettings
from models.ecg_network import EcgArchitecture
from operators.selection import select_uniform
from operators.selection_trial import Difference
from records import Flag, Origin, RecordError, RetrainingItem
from tests.support.ecg import hearts, write_record

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

QUICK = LearnSettings(steps=8, batch_size=8, crop_windows=4, learning_rate=0.01)
STUDY = RetrainingStudy(
    rounds=2,
    budget=5,
    trials=2,
    first_records=12,
    probe_records=6,
    committee=2,
    architecture=EcgArchitecture((4, 4, 6, 8), 3, 3, 0.1),
    first=QUICK,
    again=QUICK,
    weak=QUICK,
)


@pytest.fixture(scope="module")
def records() -> tuple[PreparedRecord, ...]:
    return prepare(hearts(48, seconds=9))


def said(*answers: int, sure: float = 0.7) -> NDArray[np.float32]:
    """The probabilities of a model that gives each window a class."""
    found = np.full((len(answers), len(CLASSES)), (1 - sure) / (len(CLASSES) - 1), np.float32)
    found[range(len(answers)), answers] = sure
    return found


def test_parts_do_not_overlap_and_the_test_part_is_that_of_every_trial(
    records: tuple[PreparedRecord, ...],
) -> None:
    one, other = (draw_parts(records, STUDY, seed) for seed in (0, 1))
    assert [len(part) for part in (one.first, one.pool, one.probe, one.test)] == [12, 18, 6, 12]
    names = [each.name for part in (one.first, one.pool, one.probe, one.test) for each in part]
    assert sorted(names) == sorted(each.name for each in records)
    assert one.test == other.test
    assert one.first != other.first


def test_a_record_becomes_an_item_with_what_came_back_too_soon() -> None:
    assert changes("r", np.zeros(9, np.int64), 30.0) == []
    item = queue_item("r", said(0, 0, 1, 0, 0, 2, 2, 1, 2), 30.0)
    window = 256 / 300
    assert item == RetrainingItem(
        "r", 0, 0, (Origin.ASSERTION, Origin.RANDOM), 1.0, 1.0, item.flags, item.uncertainty
    )
    assert [(one.assertion, one.episode) for one in item.flags] == [
        ("class_change N", "r:class_change N:3"),
        ("class_change O", "r:class_change O:8"),
    ]
    assert [one.severity for one in item.flags] == pytest.approx([1 - window / 30] * 2)
    assert item.uncertainty == pytest.approx(1 - (4 * 0.7 + 5 * 0.1) / 9)
    quiet = queue_item("r", said(1, 1, 1), 30.0)
    assert (quiet.flags, quiet.origins) == ((), (Origin.RANDOM,))
    # What lasts for as long as the assertion asks is no mistake.
    assert queue_item("r", said(0, 1, 1, 0), 1.99 * window).flags == ()


def test_a_selection_that_flags_too_few_is_filled_at_random() -> None:
    flag = (Flag("class_change N", 0.5, "e"),)
    items = [
        RetrainingItem("a", 0, 0, (Origin.ASSERTION,), 1.0, 1.0, flag),
        *(RetrainingItem(name, 0, 0, (Origin.RANDOM,), 1.0, 1.0) for name in "bcd"),
    ]
    chosen = filled(select_uniform)(items, 3, np.random.default_rng(0), ())
    assert chosen[0].item.stream == "a"
    assert [choice.reason for choice in chosen] == ["assertion", "random", "random"]
    assert len({choice.item.stream for choice in chosen}) == 3


def test_rounds_see_the_pool_anew_and_start_from_the_same_model(
    records: tuple[PreparedRecord, ...],
) -> None:
    parts = draw_parts(records, STUDY, 0)
    model = first_model(parts, STUDY, 0)
    one, other = EcgRounds(parts, model, STUDY), EcgRounds(parts, model, STUDY)
    first = one([], 0)
    assert first == other([], 0)
    assert set(first.items) == {f"{each.name}:0:0" for each in parts.pool}
    assert set(first.fires) == {f"class_change {name}" for name in CLASSES}
    chosen = list(first.items.values())[:5]
    second = one(chosen, 0)
    assert set(second.items) == set(first.items) - {each.id for each in chosen}
    told = [each.uncertainty for name, each in first.items.items() if name in second.items]
    assert told != [each.uncertainty for each in second.items.values()]
    last = one(list(first.items.values())[:10], 0)
    assert (last.items, last.fires) == ({}, {})
    assert len(one.records) == 3


def test_a_trial_gives_each_selection_a_curve_from_one_start(
    records: tuple[PreparedRecord, ...],
) -> None:
    parts = draw_parts(records, STUDY, 1)
    model = first_model(parts, STUDY, 1)
    curves = run_trial(parts, model, STUDY, tuple(SELECTORS), 1)
    assert list(curves) == list(SELECTORS)
    assert all(curve.shape == (2, 3) for curve in curves.values())
    assert len({tuple(curve[:, 0]) for curve in curves.values()}) == 1
    again = run_trial(parts, model, STUDY, ("bal",), 1)
    assert np.array_equal(again["bal"], curves["bal"])


def test_a_study_is_the_same_however_many_processes_share_it(
    records: tuple[PreparedRecord, ...],
) -> None:
    told: list[int] = []
    one = evaluate_retraining(records, STUDY, ("bal",), weak=True, tell=told.append)
    two = evaluate_retraining(records, STUDY, ("bal", "random"), weak=True, workers=2)
    assert told == [1, 2]
    assert two == one
    assert one["records"] == {"first": 12, "pool": 18, "probe": 6, "test": 12}
    assert list(one["selectors"]) == ["random", "bal"]
    zero = {"mean": 0.0, "low": 0.0, "high": 0.0, "verdict": "undecided"}
    assert one["selectors"]["random"]["difference_last"] == zero
    assert one["winner"]["selector"] in one["selectors"]
    assert list(one["weak"]["accuracy"]) == list(ARMS)


def test_figures_say_better_only_where_the_interval_leaves_out_0() -> None:
    study = replace(STUDY, trials=3)
    base = np.tile([0.5, 0.6, 0.7], (3, 2, 1))
    gain = np.array([0.0, 0.1, 0.05])
    noise = np.array([0.0, 0.01, -0.01])[:, None, None]
    curves = {"random": base, "bal": base + gain + noise, "uniform": base + 8 * noise}
    found = selection_figures(curves, study)
    assert [round(one["mean"], 6) for one in found["selectors"]["bal"]["accuracy"]] == [
        0.5, 0.7, 0.75,
    ]  # fmt: skip
    assert found["selectors"]["bal"]["difference_over_rounds"]["verdict"] == "better"
    assert found["selectors"]["uniform"]["difference_last"]["verdict"] == "undecided"
    assert found["winner"] == {"selector": "bal", "verdict": "better"}
    # Random's last accuracy of 0.7 is reached after one of two rounds.
    assert found["selectors"]["bal"]["labels_saved"]["mean"] == pytest.approx(0.5)
    assert found["selectors"]["random"]["labels_saved"]["mean"] == 0
    assert verdict(Difference(-0.2, -0.3, -0.1)) == "worse"


@settings(max_examples=40)
@given(st.lists(st.floats(0, 1), min_size=2, max_size=6), st.data())
def test_the_labels_that_are_saved_are_a_share(curve: list[float], data: st.DataObject) -> None:
    other = data.draw(st.lists(st.floats(0, 1), min_size=len(curve), max_size=len(curve)))
    saved = labels_saved(np.array(curve), np.array(other))
    assert 0 <= saved <= 1
    if max(curve) < other[-1]:
        assert saved == 0


def test_weak_labels_are_the_likeliest_rhythm_of_the_record() -> None:
    unsure = np.array([[0.4, 0.3, 0.2, 0.1]] * 3 + [[0.01, 0.9, 0.05, 0.04]], np.float32)
    assert weak_target([unsure]).argmax() == 1
    assert weak_target([said(0, 0, 1)]).argmax() == 0
    assert weak_target([said(0, 0, 1), said(1, 1, 1)]).argmax() == 1
    assert weak_target([said(0, 0, 1)]).sum() == pytest.approx(1)
    # More windows that say the same are no more evidence.
    assert np.allclose(weak_target([said(0)]), weak_target([said(0, 0, 0, 0)]))


def test_a_trial_of_weak_labels(records: tuple[PreparedRecord, ...]) -> None:
    parts = draw_parts(records, STUDY, 0)
    model = first_model(parts, STUDY, 0)
    trial = run_weak_trial(parts, model, STUDY, 0)
    assert trial == run_weak_trial(parts, model, STUDY, 0)
    assert list(trial.accuracy) == list(ARMS)
    assert 0 <= trial.fired <= trial.labels == len(parts.pool)
    assert 0 <= trial.own_right <= 1
    assert 0 <= trial.right <= 1


def test_the_gain_of_weak_labels_is_relative_to_the_first_model() -> None:
    def trial(before: float, weak: float) -> WeakTrial:
        accuracy = dict.fromkeys(ARMS, (before, 0.5)) | {WEAK: (weak, 0.5)}
        return WeakTrial(accuracy, labels=10, fired=4, right=0.75, own_right=0.5)

    found = weak_figures([trial(0.5, 0.55), trial(0.5, 0.55)], STUDY)
    assert found["relative_gain"] == pytest.approx({"mean": 0.1, "low": 0.1, "high": 0.1})
    assert gain_words(found["relative_gain"]) == "+10.0% (+10.0% to +10.0%)"
    assert found["differences"]["committee"]["verdict"] == "better"
    assert (found["weak_labels"], found["fired"], found["label_right"]) == (10, 4, 0.75)
    never = weak_figures([trial(0.0, 0.5), trial(0.0, 0.5)], STUDY)["relative_gain"]
    assert never == {"mean": None, "low": None, "high": None}
    assert gain_words(never) == "no gain to tell: the first model is never right"


def test_accuracy_counts_windows_and_records() -> None:
    signals = [
        PreparedRecord(str(k), np.zeros(256 * n, np.float32), 0) for k, n in ((0, 4), (1, 1))
    ]
    assert accuracies([said(0, 0, 0, 1), said(1)], signals) == (3 / 5, 1 / 2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rounds": 0}, "rounds must be at least 1, got 0"),
        ({"trials": 1}, "trials must be at least 2, got 1"),
        ({"first_records": 1}, "first_records must be at least 2, got 1"),
        ({"change_seconds": 0.0}, "change_seconds must be above 0, got 0.0"),
        ({"confidence": 1.0}, "confidence must be between 0 and 1, got 1.0"),
    ],
)
def test_studies_that_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(RecordError) as caught:
        RetrainingStudy(**changes)
    assert str(caught.value) == message


def test_too_few_records_and_unknown_names_are_refused(
    records: tuple[PreparedRecord, ...],
) -> None:
    with pytest.raises(RecordError) as caught:
        evaluate_retraining(records, replace(STUDY, budget=10), ())
    assert str(caught.value) == (
        "a study of 12 first and 6 probe records and 2 rounds of 10 needs 38 records beside the "
        "test part, got 36. Take fewer"
    )
    with pytest.raises(RecordError) as caught:
        evaluate_retraining(records, STUDY, ("best",))
    assert str(caught.value) == (
        "selectors must be of random, uncertainty, uniform, bal, valuable, got best"
    )
    with pytest.raises(RecordError) as caught:
        evaluate_retraining(records, STUDY, (), workers=65)
    assert str(caught.value) == "workers must be in 1..64, got 65"


def call(*words: str | Path | int) -> int | str | None:
    with pytest.raises(SystemExit) as caught:
        main(["evaluate", "retraining", *map(str, words)])
    return caught.value.code


def test_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, lines = tmp_path / "hearts", []
    folder.mkdir()
    for one in hearts(40, seconds=4):
        write_record(folder, one.name, one.signal)
        lines.append(f"{one.name},{CLASSES[one.label]}\n")
    (folder / "REFERENCE.csv").write_text("".join(lines), encoding="utf-8")
    (folder / "H001.mat").unlink()
    words = ("--data", folder, "--rounds", 1, "--budget", 4, "--trials", 2, "--first", 8,
             "--probe", 4, "--workers", 1, "--selectors", "bal,uniform",
             "--first-steps", 4, "--steps", 2, "--weak-steps", 2)  # fmt: skip
    assert not call(*words, "--weak", "--save", tmp_path / "out", "--json")
    value = json.loads(capsys.readouterr().out)
    assert (value["rounds"], value["budget"], value["trials"]) == (1, 4, 2)
    assert list(value["selectors"]) == ["random", "bal", "uniform"]
    assert value["unusable"] == [
        f"H001: {folder}/H001.hea needs the file {folder}/H001.mat: No such file or directory"
    ]
    saved = json.loads((tmp_path / "out" / "retraining.json").read_text(encoding="utf-8"))
    assert {**value, "report": 0} == {**saved, "report": 0}
    assert (tmp_path / "out" / "retraining.png").read_bytes().startswith(b"\x89PNG")
    page = (tmp_path / "out" / "retraining.html").read_text(encoding="utf-8")
    assert "Without human labels" in page
    assert "<td>uniform</td>" in page

    assert not call(*words)
    told = capsys.readouterr().out
    assert "against random:" in told
    (tmp_path / "file").touch()
    assert call(*words, "--save", tmp_path / "file") == 1
    assert f"the report in {tmp_path}/file cannot be written: File exists" in (
        capsys.readouterr().err.replace("\n", " ")
    )
    monkeypatch.delenv("SIGHTFLOW_ASSETS", raising=False)
    assert call() == 2
