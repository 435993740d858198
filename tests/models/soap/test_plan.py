"""Plans: what is refused, and their JSON."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from models.soap.plan import Partition, Plan, data_parallel, single_device
from models.soap.trace import trace
from records import RecordError
from tests.support.soap import random_plan

if TYPE_CHECKING:
    from models.soap.graph import Graph


def graph() -> Graph:
    model = torch.nn.Sequential(
        torch.nn.Conv1d(2, 4, 3, padding=1, groups=2), torch.nn.Flatten(), torch.nn.Linear(20, 3)
    )
    return trace(model, [torch.zeros(2, 2, 5)]).with_cross_entropy()


GRAPH = graph()
WHOLE = single_device(GRAPH, devices=2)


def changed(name: str, cuts: tuple[tuple[int, ...], ...], devices: tuple[int, ...]) -> Plan:
    return replace(WHOLE, partitions={**WHOLE.partitions, name: Partition(cuts, devices)})


def test_baselines() -> None:
    assert list(GRAPH.groups) == ["conv1d", "flatten", "linear", "loss"]
    assert WHOLE.partitions["conv1d"] == Partition(((), (), (), ()), (0,))
    plan = data_parallel(GRAPH, 3)
    plan.check(GRAPH)
    # Two samples keep two of three devices busy.
    assert plan.partitions["linear"] == Partition(((1,), (), ()), (0, 1))


@pytest.mark.parametrize(
    ("plan", "complaint"),
    [
        (
            changed("conv1d", ((), (), (5,), ()), (0, 1)),
            "operator 'conv1d', dimension 'length' of size 5: cuts must be ascending and in 1..4, "
            "so that no part is empty, got (5,)",
        ),
        (
            changed("conv1d", ((), (), (2, 2), ()), (0, 1, 0)),
            "operator 'conv1d', dimension 'length' of size 5: cuts must be ascending and in 1..4, "
            "so that no part is empty, got (2, 2)",
        ),
        (
            changed("conv1d", ((), (1,), (), ()), (0, 1)),
            "operator 'conv1d', dimension 'channel' of size 4: cuts must be multiples of 2, "
            "so that no group of channels is torn, got (1,)",
        ),
        (
            changed("loss", ((), (1,)), (0, 1)),
            "operator 'loss', dimension 'class' of size 3: it cannot be split, got cuts (1,). "
            "Leave its cuts empty",
        ),
        (
            changed("linear", ((), ()), (0,)),
            "operator 'linear' must have cuts for 3 dimensions, "
            "['sample', 'channel', 'in_channel'], got 2",
        ),
        (
            changed("linear", ((1,), (), ()), (0, 2)),
            "operator 'linear' must be on devices 0..1, got [2]",
        ),
        (
            Plan(2, {"other": Partition((), (0,))}),
            "a plan must have a partition for each operator of the graph: missing are "
            "['conv1d', 'flatten', 'linear', 'loss'], unknown are ['other']. "
            "Make the plan for this graph",
        ),
    ],
)
def test_an_impossible_plan_is_refused(plan: Plan, complaint: str) -> None:
    with pytest.raises(RecordError) as caught:
        plan.check(GRAPH)
    assert str(caught.value) == complaint


def test_settings_out_of_range() -> None:
    with pytest.raises(RecordError) as caught:
        Partition(((1,), ()), (0,))
    assert str(caught.value) == "devices must name one device for each of 2 parts, got 1"
    with pytest.raises(RecordError) as caught:
        Partition((tuple(range(1, 70_000)),), (0,))
    assert str(caught.value) == "a partition must have at most 65536 parts, got 70000"
    with pytest.raises(RecordError) as caught:
        Plan(0, {})
    assert str(caught.value) == "devices must be in 1..4096, got 0"


@given(st.integers(0, 2**32 - 1), st.integers(1, 4))
def test_json_keeps_a_plan(seed: int, devices: int) -> None:
    plan = random_plan(GRAPH, devices, seed)
    plan.check(GRAPH)
    assert Plan.from_json(plan.to_json()) == plan


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        "[" * 100_000,
        '{"devices": 1, "operators": {"a": {"cuts": [[1.5]], "devices": [0, 0]}}}',
        '{"devices": 1, "operators": {"a": {"cuts": [[]], "devices": [true]}}}',
        '{"devices": 1, "operators": {"a": {"cuts": [[]], "devices": []}}}',
        '{"devices": "1", "operators": {}}',
        json.dumps({"devices": 1, "operators": {"a": 3}}),
    ],
)
def test_other_json_is_refused(text: str) -> None:
    with pytest.raises(RecordError, match="^a plan must be JSON that to_json wrote: "):
        Plan.from_json(text)
