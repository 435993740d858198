"""Candidates fit their operator, are bounded, and come in one order."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.soap.candidates import CandidateSettings, candidates
from models.soap.plan import Plan
from models.soap.space import Dimension, Kind
from records import RecordError
from tests.support.soap import graph_of

SAMPLE = Dimension("sample", 8, Kind.SAMPLE)
CHANNEL = Dimension("channel", 6, Kind.PARAMETER, step=3)
WHOLE = Dimension("class", 4, Kind.WHOLE)


def told(dimensions: list[Dimension], devices: int, **settings: int) -> list[object]:
    found = candidates(dimensions, devices, CandidateSettings(**settings))  # type: ignore[arg-type]  # whole numbers and booleans
    return [(each.cuts, each.devices) for each in found]


def test_every_candidate_of_a_small_operator() -> None:
    assert told([SAMPLE, CHANNEL, WHOLE], 2) == [
        (((), (), ()), (0,)),
        (((), (), ()), (1,)),
        (((), (3,), ()), (0, 1)),
        (((4,), (), ()), (0, 1)),
    ]
    assert told([SAMPLE, CHANNEL], 4, most=12) == [
        (((), ()), (0,)),
        (((), ()), (1,)),
        (((2, 4, 6), ()), (0, 1, 2, 3)),
        (((), (3,)), (0, 1)),
        (((4,), ()), (0, 1)),
        (((), ()), (2,)),
        (((), ()), (3,)),
        (((), (3,)), (0, 2)),
        (((4,), ()), (0, 2)),
        (((4,), (3,)), (0, 1, 2, 3)),
        (((), (3,)), (2, 3)),
        (((4,), ()), (2, 3)),
    ]


def test_uneven_parts() -> None:
    assert told([SAMPLE], 2, uneven=True) == [
        (((),), (0,)),
        (((),), (1,)),
        (((4,),), (0, 1)),
        (((3,),), (0, 1)),
        (((5,),), (0, 1)),
    ]
    short = Dimension("sample", 2, Kind.SAMPLE)
    assert told([short], 2, uneven=True) == [(((),), (0,)), (((),), (1,)), (((1,),), (0, 1))]


@given(st.sampled_from([1, 2, 3, 4, 6, 16, 64]), st.booleans(), st.integers(1, 3))
def test_candidates_of_real_networks_make_plans(
    devices: int, uneven: object, dimensions: int
) -> None:
    graph = graph_of("residual")
    settings = CandidateSettings(40, dimensions, uneven is True)
    found = {n: candidates(d, devices, settings) for n, d in graph.groups.items()}
    for place in range(40):
        Plan(devices, {n: c[place % len(c)] for n, c in found.items()}).check(graph)
    for each in found.values():
        assert len(set(each)) == len(each) <= 40
        assert each[0].devices == (0,)
        assert all(sum(degree > 1 for degree in c.degrees) <= dimensions for c in each)
        assert all(len(set(c.devices)) == len(c.devices) for c in each)


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"most": 0}, "most must be in 1..4096, got 0"),
        ({"dimensions": 0}, "dimensions must be at least 1, got 0"),
    ],
)
def test_settings_out_of_range(fields: dict[str, int], complaint: str) -> None:
    with pytest.raises(RecordError) as caught:
        CandidateSettings(**fields)  # type: ignore[arg-type]  # the point of the test
    assert str(caught.value) == complaint
    with pytest.raises(RecordError, match="^devices must be in 1..4096, got 0$"):
        candidates([SAMPLE], 0)
