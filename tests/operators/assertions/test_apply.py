from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from operators.assertions.apply import apply_correction
from records import Correction, CorrectionKind, Detections, Place
from tests.support.moments import Object, detections

if TYPE_CHECKING:
    from records.finding import Box

TWO = detections([Object(1, 0.0, 0.5), Object(-1, 3.1, 0.25)])
FIRST, SECOND = (0.0, 0.0, 10.0, 20.0), (3.1, 0.0, 13.1, 20.0)
NOWHERE = (50.0, 0.0, 60.0, 20.0)


def after(
    kind: CorrectionKind, box: Box | None, name: str = "person", track: int = -1
) -> Detections:
    place = Place(0, 0, box, 0.75)
    return apply_correction(TWO, Correction(kind, (place,), name, track), place)


@pytest.mark.parametrize(
    ("box", "track", "left"),
    [
        (SECOND, -1, [0]),
        (FIRST, -1, [1]),
        (SECOND, 1, [0]),
        (NOWHERE, 1, [1]),
        (None, 1, [1]),
        (NOWHERE, -1, [0, 1]),
        (None, 9, [0, 1]),
    ],
)
def test_drop_finds_the_box_by_corners_then_by_track(
    box: Box | None, track: int, left: list[int]
) -> None:
    found = after(CorrectionKind.DROP, box, track=track)
    assert found == Detections.of(
        TWO.boxes[left], TWO.scores[left], ["person"] * len(left), tracks=TWO.tracks[left]
    )
    assert (found is TWO) == (len(left) == 2)


def test_modify_gives_another_class() -> None:
    found = after(CorrectionKind.MODIFY, SECOND, "dog")
    assert found == Detections.of(TWO.boxes, TWO.scores, ["person", "dog"], tracks=TWO.tracks)
    assert TWO.classes == ("person", "person")
    assert after(CorrectionKind.MODIFY, SECOND, "person") is TWO
    assert after(CorrectionKind.MODIFY, NOWHERE, "dog") is TWO


@pytest.mark.parametrize("name", ["person", "dog"])
def test_interpolate_adds_a_box(name: str) -> None:
    found = after(CorrectionKind.INTERPOLATE, NOWHERE, name, 7)
    assert found == Detections.of(
        [FIRST, SECOND, NOWHERE], [0.5, 0.25, 0.75], ["person", "person", name], tracks=[1, -1, 7]
    )


def test_interpolate_moves_the_box_of_its_track() -> None:
    found = after(CorrectionKind.INTERPOLATE, NOWHERE, track=1)
    assert found == Detections.of([SECOND, NOWHERE], [0.25, 0.75], ["person"] * 2, tracks=[-1, 1])


@pytest.mark.parametrize("kind", [CorrectionKind.DROP, CorrectionKind.MODIFY])
def test_nothing_can_be_changed_where_nothing_is(kind: CorrectionKind) -> None:
    nothing, place = Detections.empty(), Place(0, 0, FIRST)
    assert apply_correction(nothing, Correction(kind, (place,), "dog", 1), place) is nothing
