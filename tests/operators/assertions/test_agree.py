from __future__ import annotations

import pickle
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from operators.assertions.agree import Agree, context_of
from operators.assertions.agreement import (
    AgreeSettings,
    Alone,
    overlaps,
    partners,
    without_partner,
)
from operators.assertions.api import Assertion, Moment
from records import Correction, CorrectionKind, Detections, Finding, Place, RecordError
from tests.support.sensors import Corners, cars, scan

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from records.range_boxes import RangeBoxes

SETTINGS = AgreeSettings()
A, B, C = (100.0, 100.0, 200.0, 180.0), (400.0, 100.0, 480.0, 160.0), (700.0, 90.0, 760.0, 130.0)
NOTHING = Detections.empty(["car"])


def alone(
    camera: Detections, ranged: RangeBoxes, settings: AgreeSettings = SETTINGS
) -> list[tuple[str, int, float]]:
    return [
        (one.output, one.place, round(one.visible, 3))
        for one in without_partner(camera, ranged, settings)
    ]


def ranged(*boxes: Corners, depths: tuple[float, ...] = (), scores: float = 0.95) -> RangeBoxes:
    return scan(0, cars(boxes, [scores] * len(boxes)), depths or (20.0,) * len(boxes))


def test_boxes_of_both_directions_without_a_partner() -> None:
    near_a = (105.0, 102.0, 204.0, 178.0)
    assert without_partner(cars([A, B]), ranged(near_a, C), SETTINGS) == [
        Alone("detections", 1, 1.0),
        Alone("lidar", 1, 1.0),
    ]
    assert alone(NOTHING, ranged()) == []
    assert alone(cars([A]), ranged()) == [("detections", 0, 1.0)]
    assert alone(NOTHING, ranged(A)) == [("lidar", 0, 1.0)]


def test_low_far_and_outside_boxes_need_no_partner() -> None:
    low, outside = (100.0, 100.0, 200.0, 115.0), (1300.0, 100.0, 1400.0, 200.0)
    assert alone(cars([low, outside]), ranged(low, outside)) == []
    assert alone(cars([low, outside]), ranged()) == []
    assert alone(NOTHING, ranged(A, depths=(71.0,))) == []
    flat = (50.0, 60.0, 50.0, 90.0)
    assert alone(cars([flat]), ranged(flat)) == []


def test_a_box_behind_a_nearer_one_needs_no_partner() -> None:
    front, behind = (300.0, 100.0, 400.0, 200.0), (310.0, 90.0, 380.0, 190.0)
    both = ranged(front, behind, depths=(10.0, 30.0))
    assert alone(cars([front]), both) == []
    # Nine tenths are covered; what is in front is no longer so if it stands farther away.
    swapped = ranged(front, behind, depths=(30.0, 10.0))
    assert alone(cars([front]), swapped) == [("lidar", 1, 1.0)]
    # An unsure box that the camera does not see covers nothing.
    unsure = ranged(front, behind, depths=(10.0, 30.0), scores=0.5)
    assert alone(NOTHING, unsure) == [("lidar", 0, 1.0), ("lidar", 1, 1.0)]
    half = (350.0, 100.0, 450.0, 200.0)
    assert alone(cars([front]), ranged(front, half, depths=(10.0, 30.0))) == [("lidar", 1, 0.5)]


def test_a_box_that_the_edge_cuts_counts_as_partly_visible() -> None:
    cut = (0.0, 100.0, 80.0, 200.0)
    assert alone(NOTHING, ranged(cut)) == [("lidar", 0, 0.5)]
    assert alone(NOTHING, ranged(cut), replace(SETTINGS, cut_visible=0.2)) == []


def test_regions_can_be_ignored() -> None:
    settings = replace(SETTINGS, ignored=((90.0, 90.0, 160.0, 190.0),))
    assert alone(cars([A, B]), ranged((*A[:2], 150.0, 180.0)), settings) == [
        ("detections", 1, 1.0)
    ]  # fmt: skip


def finding(output: str, name: str, box: Corners, score: float, kind: str, on: str) -> Finding:
    other = "lidar" if output == "detections" else "detections"
    certainty = score if kind == "interpolate" else 1 - score
    return Finding(
        "gate", "agree", 7, 700, 7, 700, certainty,
        f"{output} has a car (score {score:.2f}) where {other} has none; 100% of it could be seen",
        name,
        correction=Correction(
            CorrectionKind(kind), (Place(7, 700, box, score),), "car", output=on
        ),
    )  # fmt: skip


def moment(camera: Detections, found: RangeBoxes, sequence: int = 7) -> Moment:
    outputs = {"detections": camera, "lidar": found}
    return Moment("gate", sequence, sequence * 100, outputs=outputs)


def test_a_box_alone_is_a_finding_with_a_correction_that_follows_its_score() -> None:
    check = Agree().start()
    camera = cars([A, B], [0.75, 0.25])
    found = check.observe(moment(camera, ranged(C, scores=0.875)))
    assert found == [
        finding("detections", "detections 1", A, 0.75, "interpolate", "lidar"),
        finding("detections", "detections 2", B, 0.25, "drop", "detections"),
        finding("lidar", "lidar 3", C, 0.875, "drop", "lidar"),
    ]
    assert [context_of(one) for one in found] == [
        "lidar/interpolate", "detections/drop", "lidar/drop",
    ]  # fmt: skip


def test_an_object_keeps_its_name_while_it_lasts_also_over_a_restart() -> None:
    check = Agree().start()
    names = []
    for k in range(4):
        boxes = [(x1 + 5 * k, y1, x2 + 5 * k, y2) for x1, y1, x2, y2 in (C, A)[: 1 + k % 2]]
        names.append([one.object for one in check.observe(moment(NOTHING, ranged(*boxes), k))])
        check = Agree().start(pickle.loads(pickle.dumps(check.snapshot())))
    assert names == [["lidar 1"], ["lidar 1", "lidar 2"], ["lidar 1"], ["lidar 1", "lidar 3"]]


def test_a_track_names_the_object() -> None:
    tracked = cars([A]).with_tracks(np.array([12]))
    (found,) = Agree().start().observe(moment(tracked, ranged()))
    assert (found.object, found.correction and found.correction.track) == ("12", -1)


def test_other_classes_are_left_alone() -> None:
    people = Detections.of([A, B], [0.9, 0.9], ["person", "car"])
    assert [one.object for one in Agree().start().observe(moment(people, ranged(B)))] == []


def test_it_abstains_without_a_partner_or_news() -> None:
    check = Agree().start()
    assert check.observe(Moment("gate", 0, 0, outputs={"detections": cars([A])})) == []
    assert check.observe(Moment("gate", 0, 0, outputs={"lidar": ranged(A)})) == []
    assert check.observe(replace(moment(cars([A]), ranged()), copied=True)) == []
    with pytest.raises(
        RecordError, match="^agree needs Detections and the RangeBoxes of lidar, got"
    ):
        check.observe(Moment("gate", 0, 0, outputs={"detections": cars([A]), "lidar": cars([A])}))


def test_it_is_an_assertion_with_checked_settings() -> None:
    assert isinstance(Agree(), Assertion)
    assert (Agree().name, Agree().window_seconds) == ("agree", 0.0)
    with pytest.raises(RecordError, match="^overlap must be above 0 and at most 1, got 0$"):
        AgreeSettings(overlap=0)
    with pytest.raises(RecordError, match="^least_height must be at least 0, got -1$"):
        AgreeSettings(least_height=-1)
    with pytest.raises(RecordError, match="^sensor must be another output than the camera's, dete"):
        AgreeSettings(sensor="detections")


def test_overlaps() -> None:
    one = np.array([[0, 0, 10, 10], [0, 0, 0, 0]], np.float32)
    two = np.array([[0, 0, 10, 10], [5, 0, 15, 10], [20, 20, 30, 30]], np.float32)
    assert overlaps(one, two).round(4).tolist() == [[1.0, 0.3333, 0.0], [0.0, 0.0, 0.0]]


@given(
    arrays.arrays(
        np.float64, st.tuples(st.integers(0, 5), st.integers(0, 5)), elements=st.floats(0, 1)
    )
)
def test_partners_are_one_to_one_and_none_is_left_beside_a_free_one(
    table: NDArray[np.float64],
) -> None:
    found = partners(table, 0.5)
    used = found[found >= 0].tolist()
    assert len(set(used)) == len(used)
    assert all(table[row, column] >= 0.5 for row, column in enumerate(found) if column >= 0)
    free = [column for column in range(table.shape[1]) if column not in used]
    assert all(table[row, column] < 0.5 for row in np.flatnonzero(found < 0) for column in free)
