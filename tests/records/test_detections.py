from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from records import Detections, RecordError

if TYPE_CHECKING:
    from numpy.typing import NDArray

TWO = Detections.of([[0, 0, 10, 20], [5, 5, 6, 7]], [0.9, 0.25], ["person", "car"], tracks=[4, -1])


def test_fields_have_their_shapes_and_dtypes() -> None:
    arrays = (TWO.boxes, TWO.scores, TWO.class_ids, TWO.tracks)
    assert [array.dtype.name for array in arrays] == ["float32", "float32", "int32", "int64"]
    assert [array.shape for array in arrays] == [(2, 4), (2,), (2,), (2,)]
    assert (TWO.class_names, TWO.classes) == (("car", "person"), ("person", "car"))


def test_selecting_keeps_every_field_together() -> None:
    want = Detections.of([[5, 5, 6, 7]], [0.25], ["car"])
    assert TWO.select(np.array([False, True])) == want
    assert TWO.of_classes(["car", "bus"]) == want
    assert len(TWO.of_classes([])) == 0
    assert (TWO.count("person"), TWO.count("bus")) == (1, 0)


def test_vocabularies_that_name_the_same_classes_are_equal() -> None:
    wide = Detections.of([[0, 0, 1, 1]], [0.5], ["car"], class_names=("bus", "car", "dog"))
    assert wide == Detections.of([[0, 0, 1, 1]], [0.5], ["car"])
    assert wide != Detections.of([[0, 0, 1, 1]], [0.5], ["bus"])
    assert Detections.empty() == Detections.empty(("car",))


ONE_BOX = np.zeros((1, 4), np.float32)
ONE_SCORE = np.zeros(1, np.float32)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"boxes": np.zeros((1, 5), np.float32)},
            "boxes must be a float32 array of shape (n, 4), got float32 (1, 5)",
        ),
        (
            {"boxes": np.zeros((1, 4))},
            "boxes must be a float32 array of shape (n, 4), got float64 (1, 4)",
        ),
        ({"boxes": [[0, 0, 1, 1]]}, "boxes must be a float32 array of shape (n, 4), got list"),
        (
            {"scores": np.zeros(2, np.float32)},
            "scores must be a float32 array of shape (1,), got float32 (2,)",
        ),
        ({"scores": np.full(1, 1.5, np.float32)}, "scores must be in 0..1"),
        ({"scores": np.full(1, np.nan, np.float32)}, "scores must be in 0..1"),
        ({"boxes": np.full((1, 4), np.nan, np.float32)}, "boxes must be finite"),
        (
            {"boxes": np.array([[5, 0, 1, 1]], np.float32)},
            "boxes must be x1, y1, x2, y2 with x1 <= x2 and y1 <= y2",
        ),
        ({"class_ids": np.full(1, 7, np.int32)}, "class_ids must be in 0..0"),
    ],
)
def test_what_is_wrong_is_said(change: dict[str, object], message: str) -> None:
    fields = {
        "boxes": ONE_BOX,
        "scores": ONE_SCORE,
        "class_ids": np.zeros(1, np.int32),
        "class_names": ("person",),
        "tracks": np.zeros(1, np.int64),
    }
    with pytest.raises(RecordError) as caught:
        Detections(**{**fields, **change})  # type: ignore[arg-type]
    assert str(caught.value) == message


def test_unknown_class_names_are_refused() -> None:
    with pytest.raises(RecordError, match="classes not in class_names: dog"):
        Detections.of([[0, 0, 1, 1]], [0.5], ["dog"], class_names=("car",))


CORNERS = hnp.arrays(
    np.float32, st.tuples(st.integers(0, 6), st.just(2)), elements=st.floats(0, 1e4, width=32)
)


@given(CORNERS, st.data())
def test_selecting_by_index_is_taking_rows(
    corners: NDArray[np.float32], data: st.DataObject
) -> None:
    n = len(corners)
    boxes = np.concatenate([corners, corners + 1], axis=1)
    names = data.draw(st.lists(st.sampled_from(["a", "b", "c"]), min_size=n, max_size=n))
    all_ = Detections.of(boxes, np.linspace(0, 1, n), names, tracks=np.arange(n))
    index = data.draw(st.permutations(range(n)))
    got = all_.select(np.array(index, dtype=np.int64))
    assert got.classes == tuple(names[i] for i in index)
    assert got.tracks.tolist() == list(index)
    assert sum(all_.count(name) for name in "abc") == n
