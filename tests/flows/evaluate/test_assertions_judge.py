from __future__ import annotations

import numpy as np
import pytest

from flows.evaluate.assertions_correct import corrected
from flows.evaluate.assertions_faults import Fault, FaultKind
from flows.evaluate.assertions_judge import UNKNOWN, FindingJudge, Judgement
from records import Correction, CorrectionKind, Detections, Finding, Place
from tests.support.labelled import recording, truth_of
from tests.support.sensors import MS, Corners, cars

A, B, GHOST = (0.0, 0.0, 10.0, 10.0), (50.0, 0.0, 60.0, 10.0), (80.0, 80.0, 90.0, 90.0)
VAN = (20.0, 50.0, 30.0, 60.0)
NOTHING = Detections.empty(["car"])


def tracked(boxes: list[Corners], tracks: list[int]) -> Detections:
    return cars(boxes).with_tracks(np.array(tracks))


def place(frame: int, box: Corners, score: float = 0.9) -> Place:
    return Place(frame, frame * 100 * MS, box, score)


def correction(
    kind: str, *places: Place, output: str = "detections", track: int = -1
) -> Correction:
    return Correction(CorrectionKind(kind), places, "car", track, output)


def finding(
    assertion: str,
    proposed: Correction | None = None,
    frame: int = 0,
    start: int | None = None,
    name: str = "",
) -> Finding:
    start = frame if start is None else start
    times = (frame * 100 * MS, start, start * 100 * MS)
    return Finding("gate", assertion, frame, *times, 1.0, "", name, correction=proposed)


def false(output: str, frame: int, index: int) -> Fault:
    return Fault(FaultKind.FALSE, output, frame, index)


BOTH = FindingJudge(
    recording([cars([A, GHOST, VAN])], [truth_of([A, B], neutral=[VAN])], [cars([B, GHOST, A])]),
    0.4,
)


@pytest.mark.parametrize(
    ("proposed", "want"),
    [
        # The LIDAR's box is false.
        (correction("drop", place(0, GHOST), output="lidar"),
         Judgement(model_wrong=True, correction_right=True, box_false=True,
                   faults=frozenset({false("lidar", 0, 1)}))),
        # The LIDAR's box is right: the camera has missed the object.
        (correction("drop", place(0, B), output="lidar"),
         Judgement(model_wrong=True, correction_right=False, box_false=False, faults=frozenset())),
        # Both have the object: nothing is wrong.
        (correction("drop", place(0, A), output="lidar"),
         Judgement(model_wrong=False, correction_right=False, box_false=False, faults=frozenset())),
        # The camera's false box must not be added to the LIDAR's.
        (correction("interpolate", place(0, GHOST), output="lidar"),
         Judgement(model_wrong=True, correction_right=False, box_false=True,
                   faults=frozenset({false("detections", 0, 1)}))),
        # The LIDAR's box may be added to the camera's.
        (correction("interpolate", place(0, B)),
         Judgement(model_wrong=True, correction_right=True, box_false=False, faults=frozenset())),
        (correction("drop", place(0, VAN)), UNKNOWN),
        (correction("drop", place(0, (1, 1, 2, 2))), UNKNOWN),
    ],
)  # fmt: skip
def test_agreement(proposed: Correction, want: Judgement) -> None:
    assert BOTH.judge(finding("agree", proposed)) == want


def test_agree_should_find_the_false_boxes_of_both_and_others_those_of_the_camera() -> None:
    assert BOTH.faults("agree") == {false("detections", 0, 1), false("lidar", 0, 1)}
    assert BOTH.faults("appear") == BOTH.faults("my_own") == {false("detections", 0, 1)}


FLICKERING = FindingJudge(
    recording([cars([A]), NOTHING, NOTHING, cars([A]), NOTHING], [truth_of([A])] * 5), 0.4
)


def test_gaps() -> None:
    gap = [Fault(FaultKind.GAP, "detections", frame, 0) for frame in (1, 2)]
    assert FLICKERING.faults("flicker") == set(gap)  # behind the last sighting is no gap
    filled = correction("interpolate", place(1, A), place(2, A))
    assert FLICKERING.judge(finding("flicker", filled, 3, 1)) == Judgement(
        model_wrong=True, correction_right=True, box_false=None, faults=frozenset(gap)
    )
    wrong = correction("interpolate", place(1, GHOST), place(2, GHOST))
    assert FLICKERING.judge(finding("flicker", wrong, 3, 1)) == Judgement(
        model_wrong=False, correction_right=False, box_false=None, faults=frozenset()
    )


def test_a_short_life_is_wrong_if_false_or_if_its_object_was_missed_beside_it() -> None:
    short = correction("drop", place(0, A), track=4)
    assert FLICKERING.judge(finding("appear", short, 4)) == Judgement(
        model_wrong=True, correction_right=False, box_false=False, faults=frozenset()
    )
    untracked = correction("drop", place(0, A))
    assert FLICKERING.judge(finding("multibox", untracked)).model_wrong is False
    ghost = FindingJudge(recording([NOTHING, cars([GHOST]), NOTHING], [truth_of([])] * 3), 0.4)
    dropped = correction("drop", place(1, GHOST), track=4)
    assert ghost.judge(finding("appear", dropped, 2)) == Judgement(
        model_wrong=True,
        correction_right=True,
        box_false=True,
        faults=frozenset({false("detections", 1, 0)}),
    )


def test_doubles_on_one_object_are_duplicates() -> None:
    doubles = [A, (1.0, 0.0, 11.0, 10.0), (0.0, 1.0, 10.0, 11.0)]
    judge = FindingJudge(recording([cars([*doubles, GHOST])], [truth_of([A])]), 0.4)
    want = {Fault(FaultKind.DUPLICATE, "detections", 0, index) for index in (1, 2)}
    assert judge.faults("multibox") == want
    heap = correction("drop", *(place(0, box) for box in doubles[1:]))
    found = judge.judge(finding("multibox", heap))
    assert (found.model_wrong, found.correction_right) == (True, True)
    assert want <= found.faults


def test_tracks_that_jump_and_counts_that_jump() -> None:
    truth = [truth_of([A, B])] * 3
    judge = FindingJudge(
        recording([tracked([A], [5]), tracked([B], [5]), tracked([A, B], [6, 5])], truth), 0.4
    )
    switch = Fault(FaultKind.SWITCH, "detections", 1, 0)
    assert judge.faults("velocity") == {switch}
    assert judge.judge(finding("velocity", None, 1, 0, "5")).faults == {switch}
    assert judge.judge(finding("velocity", None, 2, 1, "6")).model_wrong is False

    ghosts = [GHOST, (80.0, 10.0, 90.0, 20.0)]
    counts = FindingJudge(
        recording([cars([A]), cars([A, *ghosts]), cars([A])], [truth_of([A])] * 3), 0.4
    )
    assert counts.faults("count_jump") == {Fault(FaultKind.COUNT, "detections", 1, 0)}
    assert counts.judge(finding("count_jump", None, 1, 0, "car")).model_wrong is True
    assert counts.judge(finding("count_jump", None, 2, 1, "car")).model_wrong is False


def test_boxes_below_the_score_are_not_used() -> None:
    judge = FindingJudge(recording([cars([A, GHOST], [0.9, 0.3])], [truth_of([A])]), 0.4)
    assert judge.faults("appear") == set()
    assert judge.judge(finding("appear", correction("drop", place(0, GHOST)))) == UNKNOWN


def test_corrections_change_the_outputs_that_they_name() -> None:
    judge = BOTH
    changed = corrected(
        judge.frames,
        judge.place_of,
        [
            correction("drop", place(0, GHOST)),
            correction("drop", place(0, GHOST)),
            correction("interpolate", place(0, B, 0.5)),
            correction("drop", place(0, GHOST), output="lidar"),
            correction("drop", place(9, A)),
            correction("drop", place(0, A), output="radar"),
        ],
    )
    camera = changed["detections", 0]
    assert camera.found == Detections.of([A, VAN, B], [0.9, 0.9, 0.5], ["car"] * 3)
    assert camera.missed == []
    assert changed["lidar", 0].found == cars([B, A])
    assert changed.keys() == {("detections", 0), ("lidar", 0)}
