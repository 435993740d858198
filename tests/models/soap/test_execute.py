"""Training by any plan on real processes gives what one device gives."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.soap.execute import Execution
from models.soap.plan import data_parallel, single_device
from models.soap.ranks import Ranks, RankSettings
from models.soap.tape import Tape
from records import RecordError
from tests.support.soap import CASES, compare, graph_of, optimiser, random_plan, reference, remember

if TYPE_CHECKING:
    from collections.abc import Iterator

DEVICES = 3
DOUBLE, SINGLE = 1e-10, 1e-5
"""The largest relative differences allowed."""

PLANS = {"perceptron": 60, "alexnet": 50, "residual": 30, "mobile": 20, "translator": 25}
PLANS |= {"specialised": 12, "ecg": 8, "inception": 8}
"""How many random plans in float64; fewer for the deeper networks."""


@pytest.fixture(scope="module")
def ranks() -> Iterator[Ranks]:
    with Ranks(RankSettings(DEVICES)) as group:
        yield group


@pytest.mark.parametrize("name", CASES)
@pytest.mark.filterwarnings("ignore:The tensor attributes")
def test_any_plan_computes_what_one_device_computes(name: str, ranks: Ranks) -> None:
    graph = graph_of(name)
    ranks.run(remember, name, graph)

    @settings(max_examples=PLANS[name], database=None)
    @given(st.integers(0, 2**32 - 1))
    def check(seed: int) -> None:
        plan = random_plan(graph, DEVICES, seed)
        assert max(ranks.run(compare, name, "float64", plan.to_json())) <= DOUBLE

    check()


@pytest.mark.parametrize("name", CASES)
@pytest.mark.filterwarnings("ignore:The tensor attributes")
def test_single_precision_and_data_parallel(name: str, ranks: Ranks) -> None:
    graph = graph_of(name)
    ranks.run(remember, name, graph)
    for plan in (data_parallel(graph, DEVICES), random_plan(graph, DEVICES, 1)):
        assert max(ranks.run(compare, name, "float32", plan.to_json())) <= SINGLE


def test_a_plan_that_does_not_fit_is_refused_before_anything_runs() -> None:
    want = reference("perceptron", torch.float32)
    plan = single_device(graph_of("alexnet"))
    with pytest.raises(RecordError, match="^a plan must have a partition for each operator"):
        Execution(want.graph, plan, 0, want.state, optimiser)


def test_what_is_sent_in_a_step() -> None:
    graph = graph_of("perceptron")
    assert Tape(graph, single_device(graph, devices=2), 0).elements_sent() == 1
    sent = [Tape(graph, data_parallel(graph, 2), rank).elements_sent() for rank in (0, 1)]
    parameters = sum(torch.Size(p.shape).numel() for p in graph.parameters)
    # Each rank has one term of the loss. Of every parameter one of the two is told the value, and
    # tells the gradient.
    assert sum(sent) == 2 * parameters + 2


def test_wrong_states_and_batches() -> None:
    want = reference("perceptron", torch.float32)
    plan = single_device(want.graph)
    state = {**want.state, "0.weight": want.state["0.weight"].double()}
    with pytest.raises(RecordError) as caught:
        Execution(want.graph, plan, 0, state, optimiser)
    assert str(caught.value) == (
        "all parameters must have one dtype, got ['torch.float32', 'torch.float64']"
    )
    state = {**want.state, "0.weight": want.state["0.weight"][1:]}
    with pytest.raises(RecordError) as caught:
        Execution(want.graph, plan, 0, state, optimiser)
    assert (
        str(caught.value) == "state['0.weight'] must be floating (7, 5), got torch.float32 (6, 5)"
    )
    with pytest.raises(RecordError) as caught:
        Execution(want.graph, plan, 0, {}, optimiser)
    assert str(caught.value).startswith("state must hold every parameter and buffer, missing are [")
    with pytest.raises(RecordError) as caught:
        Execution(want.graph, plan, 1, want.state, optimiser)
    assert str(caught.value) == "rank must be in 0..0, got 1"
    execution = Execution(want.graph, plan, 0, want.state, optimiser)
    with pytest.raises(RecordError) as caught:
        execution.step({"input": want.batch["input"]})
    assert str(caught.value) == "batch must hold 'target' of shape (5,), got nothing"
