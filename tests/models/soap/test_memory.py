"""The memory model against the tensors of real steps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from models.soap.memory import Memory, MemoryModel, batch_bytes
from models.soap.plan import data_parallel
from models.soap.random_plans import random_plan
from models.soap.ranks import Ranks, RankSettings
from models.soap.simulate_traffic import Traffic
from tests.support.soap import graph_of
from tests.support.soap_memory import count_step

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def ranks() -> Iterator[Ranks]:
    with Ranks(RankSettings(2)) as group:
        yield group


@pytest.mark.parametrize("name", ["residual", "translator"])
@pytest.mark.filterwarnings("ignore:The tensor attributes")
def test_what_lives_when_the_backward_pass_begins(name: str, ranks: Ranks) -> None:
    graph = graph_of(name)
    traffic, model = Traffic(graph), MemoryModel(graph)
    for plan in (data_parallel(graph, 2), random_plan(graph, 2, 1), random_plan(graph, 2, 2)):
        counted = ranks.run(count_step, graph, plan.to_json())
        told = model.devices(plan, traffic.layout(plan))
        for real, memory in zip(counted, told, strict=True):
            # Views keep buffers of several messages alive, which are not counted; what autograd
            # frees early is.
            assert 0.85 * real <= memory.total - memory.sums <= 1.15 * real


def test_each_kind_of_memory() -> None:
    graph = graph_of("perceptron")
    plan = data_parallel(graph, 2)
    first, second = MemoryModel(graph, optimiser_states=2).devices(
        plan, Traffic(graph).layout(plan)
    )
    # 5-7-7-3 units with biases, which both devices keep and add up in place.
    units = (35 + 7 + 49 + 7 + 21 + 3) * 4
    assert first == Memory(
        parameters=units,
        gradients=units,
        optimiser=2 * units,
        fetched=0,
        sums=0,
        activations=first.activations,
        received=0,
        batch=5 * 5 * 4 + 5 * 8,
    )
    assert second.parameters == units
    assert first.activations > second.activations > 0


def test_the_batch_and_the_buffers() -> None:
    assert batch_bytes(graph_of("translator")) == (3 * 4 + 3 * 3 + 3 * 3) * 8
    residual = graph_of("residual")
    buffers = 2 * (4 + 6 + 6 + 6) * 4
    assert batch_bytes(residual) == 3 * 3 * 24 * 20 * 4 + 3 * 8 + buffers
