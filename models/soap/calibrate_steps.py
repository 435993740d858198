"""Real steps of many plans, timed in turn."""

from __future__ import annotations

import math
import statistics
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import distributed

from models.soap.dense import Embedding
from models.soap.execute import Execution
from models.soap.losses import CrossEntropy
from models.soap.plan import Plan
from records import RecordError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from models.soap.graph import Graph
    from models.soap.ranks import Ranks

RATE, MOMENTUM = 1e-4, 0.9
"""Of the SGD whose steps are timed: too small to drive values out of range."""

WEIGHT_SCALE = 0.05
"""Standard deviation of the parameters of timed models."""


@dataclass(frozen=True, slots=True)
class TimingSettings:
    """How steps are timed.

    Attributes:
        rounds: How often all plans are gone through, so that a disturbance hits all alike.
        round_seconds: How long a plan runs in each round, seconds; at least one step.
        warm_steps: Steps of each plan before, which are not timed.

    Raises:
        RecordError: a value is out of range.
    """

    rounds: int = 5
    round_seconds: float = 0.15
    warm_steps: int = 2

    def __post_init__(self) -> None:
        for name in ("rounds", "warm_steps"):
            if type(getattr(self, name)) is not int or getattr(self, name) < 1:
                raise RecordError(f"{name} must be at least 1, got {getattr(self, name)!r}")
        if not 0 < self.round_seconds < math.inf:
            raise RecordError(f"round_seconds must be above 0, got {self.round_seconds}")


def time_steps(
    ranks: Ranks, graph: Graph, plans: Sequence[Plan], settings: TimingSettings | None = None
) -> list[float]:
    """What steps of plans take on ranks.

    Args:
        ranks: As many ranks as the plans have devices.
        graph: The model with its loss.
        plans: The plans.
        settings: How they are timed.

    Returns:
        The median step of each plan, seconds.

    Raises:
        RecordError: a plan is not for as many devices as there are ranks.
        SightflowError: a rank failed.
    """
    count = ranks.settings.count
    wrong = sorted({plan.devices for plan in plans} - {count})
    if wrong:
        raise RecordError(f"plans must be for {count} devices, one a rank, got {wrong}")
    texts = [plan.to_json() for plan in plans]
    by_rank = ranks.run(run_steps, graph, texts, settings or TimingSettings())
    return [
        statistics.median([value for each in by_rank for value in each[place]])
        for place in range(len(plans))
    ]


def run_steps(
    rank: int, graph: Graph, texts: Sequence[str], settings: TimingSettings
) -> list[list[float]]:
    """Time steps on one rank; returns each plan's seconds."""
    state, batch = example_state(graph), example_batch(graph)
    executions = [Execution(graph, Plan.from_json(text), rank, state, _optimiser) for text in texts]
    repeats = []
    for execution in executions:
        seconds = [_timed(execution, batch) for _ in range(settings.warm_steps)]
        # All ranks must agree on how many steps they run.
        slowest = torch.tensor([min(seconds)], dtype=torch.float64)
        if distributed.is_initialized():
            distributed.all_reduce(slowest, op=distributed.ReduceOp.MAX)
        repeats.append(max(1, int(settings.round_seconds / float(slowest))))
    found: list[list[float]] = [[] for _ in executions]
    for _ in range(settings.rounds):
        for place, execution in enumerate(executions):
            # The first step comes out of another plan's.
            _timed(execution, batch)
            found[place] += [_timed(execution, batch) for _ in range(repeats[place])]
    return found


def _timed(execution: Execution, batch: dict[str, Tensor]) -> float:
    begin = time.perf_counter()
    execution.step(batch)
    return time.perf_counter() - begin


def _optimiser(parameters: list[Tensor]) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameters, RATE, MOMENTUM)


def example_state(graph: Graph) -> dict[str, Tensor]:
    """Random parameters and fresh buffers for a graph, the same every time."""
    generator = torch.Generator().manual_seed(0)
    state = {
        parameter.name: torch.randn(parameter.shape, generator=generator) * WEIGHT_SCALE
        for parameter in graph.parameters
    }
    for statistic in graph.running:
        state[statistic.buffer] = torch.ones(graph.by_name[statistic.node].operator.shape)
    return {**state, **{name: torch.zeros((), dtype=torch.int64) for name in graph.counters}}


def example_batch(graph: Graph) -> dict[str, Tensor]:
    """A random batch for a graph, the same every time."""
    generator = torch.Generator().manual_seed(1)
    most = whole_numbers(graph)
    return {
        source.name: torch.randint(most[source.name], source.shape, generator=generator)
        if source.name in most
        else torch.randn(source.shape, generator=generator)
        for source in graph.sources
        if source.drop is None
    }


def whole_numbers(graph: Graph) -> dict[str, int]:
    """The sources that hold whole numbers, and how many values there are."""
    found: dict[str, int] = {}
    for node in graph.nodes:
        operator = node.operator
        if isinstance(operator, Embedding):
            places, most = range(1), operator.rows
        elif isinstance(operator, CrossEntropy):
            places, most = range(1, 3), operator.inputs[operator.class_axis]
        else:
            continue
        for place in places:
            if node.inputs[place] in graph.source_by_name:
                name = node.inputs[place]
                found[name] = min(most, found.get(name, most))
    return found
