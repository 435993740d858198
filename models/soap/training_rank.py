"""What one rank does for `training`: it holds trainings by number and steps them when told.

These functions run in the processes of `ranks.Ranks`; tensors come and go as arrays, batches
through files that all ranks map into their memory.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from models.soap.execute import Execution
from models.soap.plan import Plan

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from torch import Tensor

    from models.soap.graph import Graph
    from models.soap.training_settings import OptimiserSettings

    Arrays = dict[str, NDArray[np.generic]]


@dataclass(frozen=True, slots=True)
class MappedArray:
    """A file that holds one array, which several processes map.

    Attributes:
        path: Where it is.
        dtype: The dtype's name.
        shape: The array's shape.
    """

    path: str
    dtype: str
    shape: tuple[int, ...]

    def map(self, *, new: bool = False) -> NDArray[np.generic]:
        """The array; what one process writes into it, all see."""
        array: NDArray[np.generic] = np.memmap(
            Path(self.path), self.dtype, "w+" if new else "r+", shape=self.shape
        )
        return array


@dataclass(frozen=True, slots=True)
class Rate:
    """How an optimiser makes one step.

    Attributes:
        learning_rate: The learning rate.
        momentum: SGD's momentum, or AdamW's first beta; None leaves it as it is.
    """

    learning_rate: float
    momentum: float | None = None


@dataclass(frozen=True, slots=True)
class Task:
    """A training, as a rank is told of it.

    Attributes:
        graph: The model with its loss.
        plan: The plan as JSON.
        optimiser: The optimiser.
        model: The model's state.
        moments: The optimiser's moments, by their name and the parameter's.
        steps: How many steps the optimiser has made.
        batch: Where the parts of the batch are, by the name of their source.
    """

    graph: Graph
    plan: str
    optimiser: OptimiserSettings
    model: Arrays
    moments: dict[str, Arrays]
    steps: int
    batch: dict[str, MappedArray]


class _Held:
    """One training on this rank."""

    def __init__(self, rank: int, task: Task) -> None:
        plan = Plan.from_json(task.plan)
        self.names = task.optimiser.moments
        state = tensors(task.model)
        self.execution = Execution(task.graph, plan, rank, state, task.optimiser.make)
        self.batch = {name: torch.from_numpy(each.map()) for name, each in task.batch.items()}
        for name, whole in task.moments.items():
            for parameter, moment in self.execution.shared_out(tensors(whole)):
                self.state_of(parameter)[name] = moment
                # Torch's AdamW counts the steps of each parameter.
                self.state_of(parameter)["step"] = torch.tensor(float(task.steps))

    def state_of(self, parameter: Tensor) -> dict[str, Tensor]:
        """What the optimiser knows of a parameter."""
        assert self.execution.optimiser is not None
        state: dict[str, Tensor] = self.execution.optimiser.state[parameter]
        return state

    def moment(self, name: str, parameter: Tensor) -> Tensor:
        """One moment of a parameter."""
        return self.state_of(parameter)[name]


_HELD: dict[int, _Held] = {}
"""The trainings of this process."""


def prepare(rank: int, number: int, task: Task) -> None:
    """Begin to hold a training under a number."""
    _HELD[number] = _Held(rank, task)


def step(rank: int, number: int, seed: int, rate: Rate) -> float:
    """One step with the batch that is in the files now. Returns the loss."""
    held = _HELD[number]
    if held.execution.optimiser is not None:
        set_rate(held.execution.optimiser, rate)
    return held.execution.step(held.batch, seed)


def collect(rank: int, number: int) -> tuple[Arrays, dict[str, Arrays]] | None:
    """The model's state and the optimiser's moments; from rank 0 only, since all have the same."""
    held = _HELD[number]
    model = held.execution.state()
    moments = {
        name: held.execution.gathered(functools.partial(held.moment, name)) for name in held.names
    }
    if rank:
        return None
    return arrays(model), {name: arrays(each) for name, each in moments.items()}


def drop(rank: int, number: int) -> None:
    """Forget a training."""
    _HELD.pop(number, None)


def set_rate(optimiser: torch.optim.Optimizer, rate: Rate) -> None:
    """Let the optimiser's next steps be made at a rate."""
    for group in optimiser.param_groups:
        group["lr"] = rate.learning_rate
        if rate.momentum is None:
            continue
        if "betas" in group:
            group["betas"] = (rate.momentum, group["betas"][1])
        else:
            group["momentum"] = rate.momentum


def arrays(named: Mapping[str, Tensor]) -> Arrays:
    """Tensors as arrays of the same memory."""
    return {name: value.detach().cpu().numpy() for name, value in named.items()}


def tensors(named: Mapping[str, NDArray[np.generic]]) -> dict[str, Tensor]:
    """Arrays as tensors, copied."""
    return {name: torch.tensor(value) for name, value in named.items()}
