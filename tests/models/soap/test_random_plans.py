"""Random plans fit their graphs and are the same for the same seed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.soap.plan import data_parallel, single_device
from models.soap.random_plans import MOST_PARTS, even_partition, random_plan, sample_plans
from models.soap.space import Dimension, Kind
from tests.support.soap import CASES, graph_of


@pytest.mark.parametrize("name", CASES)
@settings(max_examples=10)
@given(seed=st.integers(0, 2**32 - 1), devices=st.integers(1, 4))
@pytest.mark.filterwarnings("ignore:The tensor attributes")
def test_random_plans_fit(name: str, seed: int, devices: int) -> None:
    graph = graph_of(name)
    plan = random_plan(graph, devices, seed)
    plan.check(graph)
    assert plan == random_plan(graph, devices, seed)
    assert max(len(p.devices) for p in plan.partitions.values()) <= MOST_PARTS


def test_samples_begin_with_one_device_and_data_parallelism() -> None:
    graph = graph_of("mobile")
    plans = sample_plans(graph, 2, 12, seed=4)
    assert plans[:2] == [single_device(graph, devices=2), data_parallel(graph, 2)]
    assert plans == sample_plans(graph, 2, 12, seed=4)
    for plan in plans:
        plan.check(graph)
    assert len({plan.to_json() for plan in plans}) == 12


def test_even_partitions_tear_no_group_of_channels() -> None:
    dimensions = (
        Dimension("sample", 5, Kind.SAMPLE),
        Dimension("channel", 12, Kind.PARAMETER, step=4),
        Dimension("state", 2, Kind.WHOLE),
    )
    random = np.random.default_rng(0)
    found = {even_partition(dimensions, 2, random) for _ in range(50)}
    assert sorted((p.cuts, p.devices) for p in found) == [
        (((), (), ()), (0,)),
        (((), (), ()), (1,)),
        (((), (8,), ()), (0, 1)),
        (((3,), (), ()), (0, 1)),
    ]
