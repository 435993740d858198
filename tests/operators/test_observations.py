from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.observations import Observations, PredicateGroup, held
from operators.predicate import Predicate
from records import Detections, RecordError

TWO = Observations.of("gate", [0, 10], [[1, 2], [3, np.nan]], weight=[2, 5])


def test_what_was_asked_is_told() -> None:
    assert (len(TWO), TWO.groups, TWO.drawn.tolist()) == (2, 2, [True, True])
    assert np.isnan(TWO.proxy).all()
    empty = Observations.of("gate", [], [])
    assert (len(empty), empty.groups) == (0, 1)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"sequence": np.arange(3)}, r"^sequence must be a int64 array of shape \(2,\), got int64"),
        ({"weight": np.array([0.5, 1])}, r"^weight must be 0 \(not drawn\) or at least 1$"),
        ({"value": np.zeros(2)}, r"^value must be a float64 array of shape \(2, 1\), got float64 "),
        ({"proxy": np.zeros((2, 1))}, r"^proxy must be a float64 array of shape \(2, 2\), got "),
        ({"proxy": np.full((2, 2), np.inf)}, "^value and proxy must be finite, or NaN where there"),
        ({"sightings": np.array([[2, 0, 1]])}, "^sightings must name frames and groups of the "),
        ({"stream": ""}, "^stream must be 1 to 200 printable characters"),
    ],
)
def test_what_breaks_the_contract_is_told(change: dict[str, object], text: str) -> None:
    with pytest.raises(RecordError, match=text):
        replace(TWO, **change)  # type: ignore[arg-type]  # wrong on purpose


def test_groups_count_class_by_zone() -> None:
    left = ((0.0, 0.0), (50.0, 0.0), (50.0, 100.0), (0.0, 100.0))
    group = PredicateGroup("left", (Predicate("car", zone=left), Predicate("bus", zone=left)))
    boxes = [[0, 0, 10, 20], [60, 0, 70, 20], [20, 0, 30, 20], [5, 0, 15, 20]]
    found = Detections.of(boxes, [1] * 4, ["car", "car", "bus", "dog"], tracks=[4, 5, -1, 6])
    assert (group.count(found), group.tracks(found)) == (2.0, [4])
    with pytest.raises(RecordError, match="^the group none must have at least one predicate$"):
        PredicateGroup("none", ())


@given(st.lists(st.sampled_from([1.0, 2.0, np.nan]), max_size=20), st.integers(0, 20))
def test_holding_goes_on_over_batches(numbers: list[float], cut: int) -> None:
    column = np.array(numbers).reshape(-1, 1)
    start = np.array([7.0])
    whole, last = held(column, start)
    first, middle = held(column[:cut], start)
    second, end = held(column[cut:], middle)
    assert np.array_equal(np.concatenate([first, second]), whole)
    assert end == last
    expected, known = [], 7.0
    for number in numbers:
        known = known if np.isnan(number) else number
        expected.append(known)
    assert whole[:, 0].tolist() == expected
