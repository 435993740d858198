"""Training by a plan gives what plain torch gives, goes on from checkpoints, and survives ranks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from torch import nn

from models.soap.plan import data_parallel
from models.soap.ranks import Ranks, RankSettings
from models.soap.training import Checkpoint, Example, PlannedTraining
from models.soap.training_settings import LossSettings, OptimiserSettings
from records import RecordError, SightflowError
from tests.support.soap import distance, random_plan
from tests.support.soap_training import die, examples, loss_of, network

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch import Tensor

    from models.soap.plan import Plan

DEVICES = 2
STEPS = 4
ALIKE = 1e-5
"""The largest relative difference allowed."""

OPTIMISERS = {
    "adamw": OptimiserSettings("adamw", 0.003, weight_decay=0.05),
    "momentum": OptimiserSettings("sgd", 0.05, momentum=0.9, weight_decay=0.01),
    "sgd": OptimiserSettings("sgd", 0.05),
}


@pytest.fixture(scope="module")
def ranks() -> Iterator[Ranks]:
    with Ranks(RankSettings(DEVICES)) as group:
        yield group


def run(training: PlannedTraining, name: str, first: int = 0, last: int = STEPS) -> list[float]:
    """Some steps with dropout and a falling learning rate."""
    return [
        training.step(batch.inputs, batch.targets, seed=step, learning_rate=0.01 / (1 + step))
        for step, batch in enumerate(examples(name, STEPS)[first:last], first)
    ]


def plain(name: str, settings: OptimiserSettings) -> tuple[list[float], dict[str, Tensor]]:
    """The same steps without any of our code."""
    model = network(name)
    optimiser = settings.make(list(model.parameters()))
    losses = []
    for step, batch in enumerate(examples(name, STEPS)):
        for group in optimiser.param_groups:
            group["lr"] = 0.01 / (1 + step)
        optimiser.zero_grad()
        torch.manual_seed(step)
        loss = nn.functional.cross_entropy(model(*batch.inputs), batch.targets[0])
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return losses, model.state_dict()


def weights(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: value for name, value in state.items() if value.is_floating_point()}


def plan_of(name: str, seed: int | None = None) -> Plan:
    batch = examples(name, 1)[0]
    graph = loss_of(name).graph(network(name), batch.inputs)
    return data_parallel(graph, DEVICES) if seed is None else random_plan(graph, DEVICES, seed)


@pytest.mark.parametrize(("name", "optimiser"), [("alexnet", "adamw"), ("residual", "momentum")])
def test_every_plan_trains_as_plain_torch_does(name: str, optimiser: str, ranks: Ranks) -> None:
    settings, batch = OPTIMISERS[optimiser], examples(name, 1)[0]
    losses, state = plain(name, settings)
    for plan in (None, plan_of(name), plan_of(name, seed=1)):
        model = network(name)
        before = {key: value.clone() for key, value in model.state_dict().items()}
        with PlannedTraining(model, batch, loss_of(name), settings, plan, ranks) as training:
            assert run(training, name) == pytest.approx(losses, rel=ALIKE)
            assert distance(weights(training.state()), weights(state)) <= ALIKE
            counters = {k: v for k, v in training.state().items() if not v.is_floating_point()}
            assert all(int(value) == STEPS for value in counters.values())
        assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


@pytest.mark.parametrize("optimiser", OPTIMISERS)
def test_a_training_goes_on_under_another_plan(optimiser: str, ranks: Ranks) -> None:
    name, settings = "alexnet", OPTIMISERS[optimiser]
    batch, (losses, state) = examples(name, 1)[0], plain(name, settings)
    found: list[float] = []
    checkpoint: Checkpoint | None = None
    for step, plan in enumerate([plan_of(name, 2), None, plan_of(name), plan_of(name, 3)]):
        with PlannedTraining(
            network(name), batch, loss_of(name), settings, plan, ranks, checkpoint
        ) as training:
            found += run(training, name, step, step + 1)
            checkpoint = training.checkpoint()
    assert checkpoint is not None
    assert checkpoint.steps == STEPS
    assert found == pytest.approx(losses, rel=ALIKE)
    assert distance(weights(checkpoint.model), weights(state)) <= ALIKE


def test_a_dead_rank_ends_the_job_and_one_device_goes_on() -> None:
    name, settings = "alexnet", OPTIMISERS["adamw"]
    batch, (losses, state) = examples(name, 1)[0], plain(name, settings)
    with Ranks(RankSettings(DEVICES)) as group:
        given = (network(name), batch, loss_of(name), settings)
        with PlannedTraining(*given, plan_of(name), group) as training:
            found = run(training, name, 0, 2)
            checkpoint = training.checkpoint()
            with pytest.raises(SightflowError, match="^rank 1 must run until it has answered"):
                group.run(die, 1)
            assert not group.running
            with pytest.raises(SightflowError) as caught:
                run(training, name, 2, 3)
            assert str(caught.value) == (
                "the ranks must be running, but they were stopped. Start others"
            )
    with PlannedTraining(*given, resume=checkpoint) as training:
        found += run(training, name, 2)
        assert found == pytest.approx(losses, rel=ALIKE)
        assert distance(weights(training.state()), weights(state)) <= ALIKE


def test_squared_error_and_parameters_that_no_step_uses(ranks: Ranks) -> None:
    class Partial(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.unused = nn.Linear(3, 2), nn.Linear(3, 2)

        def forward(self, inputs: Tensor) -> Tensor:
            found: Tensor = self.used(inputs)
            return found

    torch.manual_seed(1)
    model, settings = Partial(), OptimiserSettings(weight_decay=0.1)
    loss = LossSettings("squared_error")
    batch = Example((torch.randn(4, 3),), (torch.randn(4, 2),))
    plan = data_parallel(loss.graph(model, batch.inputs), DEVICES)
    states = []
    for each in (None, plan):
        with PlannedTraining(model, batch, loss, settings, each, ranks) as training:
            for _ in range(STEPS):
                training.step(batch.inputs, batch.targets)
            checkpoint = training.checkpoint()
        with PlannedTraining(model, batch, loss, settings, resume=checkpoint) as training:
            training.step(batch.inputs, batch.targets)
            states.append(training.state())
    assert distance(states[1], states[0]) <= ALIKE
    assert torch.equal(states[1]["unused.weight"], model.unused.weight)


def test_what_does_not_fit_is_refused(ranks: Ranks) -> None:
    batch, settings = examples("perceptron", 1)[0], OptimiserSettings()
    given = (network("perceptron"), batch, loss_of("perceptron"), settings)
    plan = plan_of("perceptron")
    with pytest.raises(RecordError) as caught:
        PlannedTraining(*given, plan)
    assert str(caught.value) == "a plan for 2 devices needs as many ranks, got none"
    with pytest.raises(RecordError) as caught:
        PlannedTraining(*given, plan, ranks, Checkpoint({}, {}, 1))
    assert str(caught.value).startswith(
        "a checkpoint must be of the same model and optimiser, with moments "
        "['exp_avg', 'exp_avg_sq'], got [] and tensors that differ: ['0.bias', "
    )
    with PlannedTraining(*given, plan, ranks) as training:
        with pytest.raises(RecordError) as caught:
            training.step([batch.inputs[0][1:]], batch.targets)
        assert str(caught.value) == (
            "'input' must be float32 (5, 5), as in the example, got float32 (4, 5)"
        )
        with pytest.raises(RecordError) as caught:
            training.step(batch.inputs, ())
        assert str(caught.value) == "a batch must have 2 tensors, as in the example, got 1"


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"kind": "lion"}, "kind must be sgd or adamw, got 'lion'"),
        ({"learning_rate": -1.0}, "learning_rate must be at least 0, got -1.0"),
        ({"weight_decay": float("nan")}, "weight_decay must be at least 0, got nan"),
        ({"momentum": 2.0}, "momentum must be in 0..1, got 2.0"),
    ],
)
def test_optimisers_out_of_range(fields: dict[str, object], complaint: str) -> None:
    with pytest.raises(RecordError) as caught:
        OptimiserSettings(**fields)  # type: ignore[arg-type]  # the point of the test
    assert str(caught.value) == complaint


def test_losses_are_known() -> None:
    with pytest.raises(RecordError) as caught:
        LossSettings("hinge")  # type: ignore[arg-type]  # the point of the test
    assert str(caught.value) == "kind must be cross_entropy or squared_error, got 'hinge'"
