from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.evaluate.truth import FrameTruth, Status, Tally, judge
from flows.evaluate.truth_files import (
    MotBox,
    field_count,
    parse_mot,
    read_mot_boxes,
    read_truth,
)
from records import Detections, RecordError, SourceError
from tests.support.labelled import truth_of
from tests.support.sensors import cars

if TYPE_CHECKING:
    from pathlib import Path

A, B, FAR = (0.0, 0.0, 10.0, 10.0), (50.0, 0.0, 60.0, 10.0), (80.0, 80.0, 90.0, 90.0)


def test_boxes_are_true_false_or_neutral() -> None:
    truth = truth_of([A, B], neutral=[(20, 0, 30, 10)], unlabelled=[(0, 40, 100, 60)])
    found = cars([A, (21, 0, 30, 10), (5, 45, 15, 55), FAR, (0, 0, 10, 8)])
    judged = judge(found, truth)
    want = [Status.TRUE, Status.NEUTRAL, Status.NEUTRAL, Status.FALSE, Status.FALSE]
    assert judged.status.tolist() == want
    assert judged.object_of.tolist() == [0, -1, -1, -1, -1]
    assert judged.missed == [1]
    assert Tally.of([judged]) == Tally(true=1, false=2, missed=1)


def test_matching_is_the_best_in_sum() -> None:
    # The first box fits both objects and the second only the first: both are matched.
    truth = truth_of([(0, 0, 10, 10), (0, 4, 10, 14)])
    found = cars([(0, 1, 10, 11), (0, -2, 10, 8)])
    assert judge(found, truth).object_of.tolist() == [1, 0]


def test_a_box_to_add_is_true_where_an_object_was_missed() -> None:
    judged = judge(cars([A]), truth_of([A, B], neutral=[FAR]))
    boxes = np.array([B, A, FAR, (30, 30, 40, 40)], np.float32)
    want = [Status.TRUE, Status.FALSE, Status.NEUTRAL, Status.FALSE]
    assert [judged.status_at(box) for box in boxes] == want


def test_empty_frames() -> None:
    judged = judge(Detections.empty(), FrameTruth.empty())
    assert (judged.missed, Tally.of([judged]).accuracy) == ([], 1.0)
    assert Tally(1, 0, 0) + Tally(1, 2, 4) == Tally(2, 2, 4)


@given(st.lists(st.tuples(*[st.integers(0, 30)] * 4), max_size=6), st.integers(0, 5))
def test_every_object_is_found_at_most_once(rows: list[tuple[int, ...]], n: int) -> None:
    boxes = [(float(x), float(y), float(x + w), float(y + h)) for x, y, w, h in rows]
    judged = judge(cars(boxes), truth_of(boxes[:n]))
    found = [place for place in judged.object_of.tolist() if place >= 0]
    assert len(set(found)) == len(found)
    assert len(found) + len(judged.missed) == len(boxes[:n])


def test_kitti_truth(tmp_path: Path) -> None:
    path = tmp_path / "0000.txt"
    solid = "1.5 1.6 3.9 -4.5 1.75 13.5 -2.0"
    path.write_text(
        f"1 7 Car 0 1 -1.5 10 20 30 40 {solid}\n1 8 Van 0 1 -1.5 50 20 70 40 {solid}\n"
        f"1 -1 DontCare -1 -1 -10 0 0 9 9 {solid}\n1 9 Tram 0 0 0 1 1 2 2 {solid}\nnonsense\n",
        encoding="utf-8",
    )
    frames, faults = read_truth(path, "car")
    assert [len(frame.objects) for frame in frames] == [0, 1]
    car = frames[1]
    assert (car.objects.boxes.tolist(), car.objects.tracks.tolist()) == ([[10, 20, 30, 40]], [7])
    assert (car.neutral.tolist(), car.unlabelled.tolist()) == ([[50, 20, 70, 40]], [[0, 0, 9, 9]])
    assert faults.first == ("line 5: must have 17 fields, got 1",)


def test_mot_boxes_and_truth(tmp_path: Path) -> None:
    path = tmp_path / "gt.txt"
    path.write_text(
        "1,9,499,158,31,75,1,-4.1,-7.3,0\n2,9,0,0,10,20,-1\n2,8,50,0,10,20,0\n2,1,0\n"
        "0,1,0,0,1,1,1\n1,1,0,0,-1,1,1\n1,1.5,0,0,1,1,1\n1,1,0,0,1,1,7\n",
        encoding="utf-8",
    )
    frames, faults = read_truth(path, "person")
    assert [frame.objects.boxes.tolist() for frame in frames] == [
        [[499, 158, 530, 233]], [[0, 0, 10, 20]],
    ]  # fmt: skip
    assert frames[1].neutral.tolist() == [[50, 0, 60, 20]]
    assert faults.first == (
        "line 4: must have at least 7 fields (frame, track, left, top, width, height, score), "
        "got 3",
        "line 5: frame must be a whole number from 1 to 200000, got 0",
        "line 6: width and height must be at least 0",
        "line 7: track must be a whole number of at least -1, got 1.5",
        "line 8: score must be in 0..1, or -1 for none, got 7",
    )
    boxes, again = read_mot_boxes(path, "person")
    assert (again, boxes[1].scores.tolist()) == (faults, [1, 0])
    assert (boxes[1].tracks.tolist(), boxes[1].classes) == ([9, 8], ("person", "person"))


def test_a_mot_line() -> None:
    assert parse_mot("3,-1,1,2,3,4,0.5") == MotBox(2, -1, (1.0, 2.0, 4.0, 6.0), 0.5)
    with pytest.raises(RecordError, match="^width must be a number within"):
        parse_mot("3,-1,1,2,wide,4,0.5")


def test_fields_of_the_first_line(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("1,2,3\n", encoding="utf-8")
    assert field_count(path) == 3
    with pytest.raises(SourceError, match=r"none\.txt cannot be read: No such file or directory$"):
        field_count(tmp_path / "none.txt")
