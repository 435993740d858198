from __future__ import annotations

import math

import numpy as np
import pytest

from flows.evaluate.replay_score import Collected, matches, score, shared_frames
from flows.evaluate.replay_truth import Question, StreamTruth
from records import Alert, AlertState, Detections, Stage, StreamEvent, Verdict
from records.event import EventKind

ASKED = Question("person")
BOX = [0.0, 0.0, 10.0, 10.0]
FAR = [50.0, 50.0, 60.0, 60.0]


def verdict(
    sequence: int,
    boxes: list[list[float]],
    stage: Stage = Stage.REFERENCE,
    *,
    positive: bool | None = None,
    stream: str = "gate",
) -> Verdict:
    answer = Detections.of(boxes, [0.9] * len(boxes), ["person"] * len(boxes))
    return Verdict(stream, sequence, sequence * 10, stage, 0.0, answer, positive=positive)


def collected(*verdicts: Verdict) -> Collected:
    found = Collected()
    found(("gate", verdicts))
    return found


def test_what_is_kept() -> None:
    alert = Alert("gate", "r", AlertState.OPENED, 1, 1, 1, 1, 1.0, 1.0, 1.0, "")
    found = Collected()
    found(("gate", [verdict(0, []), alert, StreamEvent("gate", 0, EventKind.LOST)]))
    assert (list(found.verdicts), found.alerts) == ([("gate", 0)], [alert])


def test_frames_that_both_decided() -> None:
    a = collected(verdict(0, []), verdict(1, []), verdict(1, [], stream="door"))
    b = collected(verdict(1, []), verdict(1, [], stream="door"), verdict(2, []))
    assert shared_frames(a, b) == [("door", 1), ("gate", 1)]


def test_scores_of_frames() -> None:
    found = collected(
        verdict(0, [BOX]),
        verdict(1, [BOX, FAR], Stage.DIFFERENCE),
        verdict(2, []),
        verdict(3, [], Stage.SPECIALISED, positive=True),
        verdict(4, [BOX], Stage.REFERENCE),
    )
    boxes = [np.array(one, np.float32).reshape(-1, 4) for one in ([BOX], [BOX], [FAR], [BOX])]
    truth = {"gate": StreamTruth(np.array([1.0, 1.0, 1.0, 1.0]), boxes)}
    scores = score([("gate", k) for k in range(5)], found, ASKED, truth)
    assert np.array_equal(scores.counts, [1, 2, 0, np.nan, 1], equal_nan=True)
    assert scores.yes.tolist() == [True, True, False, True, True]
    values = {name: ratio.value for name, ratio in scores.ratios.items()}
    assert values == {
        "calls": 3 / 5,
        "frame_accuracy": 3 / 4,  # the last frame is not known
        "count_error": 2 / 3,  # a yes without boxes counts nothing
        "recall": 2 / 3,
        "precision": 2 / 3,
        "f1": 4 / 6,
    }
    assert scores.ratios["recall"].part.tolist() == [1, 1, 0, 0, 0]


def test_counts_alone_and_nothing_at_all() -> None:
    found = collected(verdict(0, [BOX]))
    counts = {"gate": StreamTruth(np.array([2.0]))}
    scores = score([("gate", 0)], found, ASKED, counts)
    assert sorted(scores.ratios) == ["calls", "count_error", "frame_accuracy"]
    assert list(score([("gate", 0)], found, ASKED, {}).ratios) == ["calls"]
    unknown = score([("gate", 0)], found, ASKED, {"door": StreamTruth(np.array([2.0]))})
    assert math.isnan(unknown.ratios["frame_accuracy"].value)


@pytest.mark.parametrize(
    ("found", "there", "hits"),
    [
        ([], [BOX], 0),
        ([BOX], [], 0),
        ([BOX, BOX], [BOX], 1),
        ([BOX, FAR], [FAR, BOX], 2),
        ([BOX], [[0, 0, 10, 4.9]], 0),
        ([BOX], [[0, 0, 10, 5.1]], 1),
        ([[0, 0, 0, 0]], [[0, 0, 0, 0]], 0),
    ],
)
def test_boxes_that_match(found: list[list[float]], there: list[list[float]], hits: int) -> None:
    arrays = [np.array(one, np.float32).reshape(-1, 4) for one in (found, there)]
    assert matches(*arrays) == hits
