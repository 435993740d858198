from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from connectors.replay import EventLog
from flows import config
from flows.evaluate.replay_truth import Question, question_of, read_truth, recorded_truth
from records import Detections, RecordError, SourceError, Stage, Verdict
from tests.support.logs import run_dir_of, write_log
from tests.support.vtest import truth as vtest_truth

if TYPE_CHECKING:
    from pathlib import Path

PERSON = Question("person", 2, 0.5)
FOUND = Detections.of(
    [[0, 0, 1, 1], [1, 0, 2, 1], [2, 0, 3, 1], [3, 0, 4, 1]],
    [0.6, 0.9, 0.4, 0.9],
    ["person", "person", "person", "car"],
)


def test_the_boxes_that_count_come_best_first() -> None:
    assert PERSON.boxes(FOUND).tolist() == [[1, 0, 2, 1], [0, 0, 1, 1]]
    assert PERSON.boxes(Detections.empty()).shape == (0, 4)


def test_what_a_configuration_asks(tmp_path: Path) -> None:
    head = "version: 1\nname: n\nstreams: {gate: {uri: 'webcam:0'}}\n"
    rule = "alerts: [{name: r, class: car, at_least: 3, score_at_least: 0.5}]\n"
    asked = "cascade: {predicate: {class: person, at_least: 2}}\n"

    def question(text: str) -> Question | None:
        return question_of(config.parse(head + text, "a.yaml", tmp_path, {}))

    assert question("") is None
    assert question(rule) == Question("car", 3, 0.5)
    assert question(rule + asked) == Question("person", 2, 0.0)


def test_mot_lines(tmp_path: Path) -> None:
    path = tmp_path / "truth.txt"
    path.write_text("3,1,10,20,5,6,1,-1\n1,1,0,0,4,4,1,-1\n1,2,8,8,1,1,1,-1\n4,1,0,0,9,9,0,-1\n")
    found = read_truth(path)
    assert found.counts.tolist() == [2, 0, 1, 0]
    assert found.boxes is not None
    assert [one.tolist() for one in found.boxes] == [
        [[0, 0, 4, 4], [8, 8, 9, 9]], [], [[10, 20, 15, 26]], [],
    ]  # fmt: skip
    assert (found.count(2), np.isnan(found.count(4))) == (1.0, True)


def test_the_truth_of_a_real_clip(assets: Path) -> None:
    path = assets / "video" / "vtest.mot.txt"
    found, known = read_truth(path), vtest_truth(path)
    assert found.boxes is not None
    assert len(found.counts) == len(known)
    for mine, other in zip(found.boxes, known, strict=True):
        np.testing.assert_allclose(mine, other, atol=1e-4)


def test_counts(tmp_path: Path) -> None:
    path = tmp_path / "counts.txt"
    path.write_text("0\n2\n1\n")
    found = read_truth(path)
    assert (found.counts.tolist(), found.boxes) == ([0, 2, 1], None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0,1,1,1,1,1,1\n", "must hold finite numbers and frames from 1 on"),
        ("1,1,1,1,1,nan,1\n", "must hold finite numbers and frames from 1 on"),
        ("99999999999,1,1,1,1,1,1\n", "must hold finite numbers and frames from 1 on"),
        ("1,2\n", "must hold MOT15 lines"),
        ("1\nx\n", "must hold one number a line, got b'x' as entry 2"),
    ],
)
def test_truth_that_is_none(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "truth.txt"
    path.write_text(text)
    with pytest.raises(SourceError) as error:
        read_truth(path)
    assert message in str(error.value)
    assert str(path) in str(error.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SourceError) as error:
        read_truth(tmp_path / "x")
    assert str(error.value) == (
        f"the truth {tmp_path / 'x'} cannot be read: No such file or directory"
    )


def test_the_recorded_reference_is_known_where_it_decided(tmp_path: Path) -> None:
    run_dir = run_dir_of(tmp_path / "run")
    stages = [Stage.REFERENCE, Stage.DIFFERENCE, Stage.REFERENCE]
    write_log(
        run_dir, [Verdict("gate", 2 * k, k, stage, 0.0, FOUND) for k, stage in enumerate(stages)]
    )
    (found,) = recorded_truth(EventLog.open(run_dir), ["gate"], PERSON).values()
    assert np.array_equal(found.counts, [2, np.nan, np.nan, np.nan, 2], equal_nan=True)
    assert found.boxes is not None
    assert [len(one) for one in found.boxes] == [2, 0, 0, 0, 2]


def test_questions_that_are_none() -> None:
    with pytest.raises(RecordError) as error:
        Question("person", 0)
    assert str(error.value) == "at_least must be at least 1, got 0"
    with pytest.raises(RecordError) as error:
        Question("person", 1, 2.0)
    assert str(error.value) == "score_at_least must be in 0..1, got 2.0"
