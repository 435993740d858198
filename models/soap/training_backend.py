"""Where the steps of a training are computed: in this process, or on ranks."""

from __future__ import annotations

import itertools
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch

from models.soap import training_rank
from models.soap.training_rank import MappedArray, Rate, Task, arrays, set_rate, tensors
from records import RecordError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor, nn

    from models.soap.graph import Graph
    from models.soap.plan import Plan
    from models.soap.ranks import Ranks
    from models.soap.training_settings import LossSettings, OptimiserSettings

_NUMBERS = itertools.count()
"""Tells apart the trainings of one group of ranks."""


@dataclass(frozen=True, slots=True)
class Example:
    """A batch.

    Attributes:
        inputs: What the model's ``forward`` takes; axis 0 is the sample.
        targets: What the loss takes: one tensor for each output.
    """

    inputs: tuple[Tensor, ...]
    targets: tuple[Tensor, ...]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """All that a training needs to go on, under the same plan or another.

    Attributes:
        model: The model's state, as ``state_dict`` gives it.
        moments: What the optimiser keeps, by its name for it and the parameter's name.
        steps: How many steps were made.
    """

    model: Mapping[str, Tensor]
    moments: Mapping[str, Mapping[str, Tensor]]
    steps: int


class Backend(Protocol):
    """Where steps are computed."""

    def step(self, batch: Example, seed: int, rate: Rate) -> float:
        """One step; gives the loss before the update."""

    def collect(self) -> tuple[dict[str, Tensor], dict[str, dict[str, Tensor]]]:
        """Copies of the model's state and of the optimiser's moments."""

    def close(self) -> None:
        """Let go of what is held elsewhere."""


class OneDevice:
    """Plain torch."""

    def __init__(
        self,
        model: nn.Module,
        loss: LossSettings,
        optimiser: OptimiserSettings,
        start: Checkpoint,
    ) -> None:
        self._model, self._loss = model, loss
        self._named = dict(model.named_parameters())
        self._optimiser = optimiser.make(list(self._named.values()))
        self._moments = {moment: list(whole) for moment, whole in start.moments.items()}
        for moment, whole in start.moments.items():
            for name, value in whole.items():
                state = self._optimiser.state[self._named[name]]
                state[moment] = value.clone()
                state["step"] = torch.tensor(float(start.steps))

    def step(self, batch: Example, seed: int, rate: Rate) -> float:
        """One step; gives the loss before the update."""
        set_rate(self._optimiser, rate)
        self._optimiser.zero_grad()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            loss = self._loss.of(self._model(*batch.inputs), batch.targets)
        loss.backward()
        self._optimiser.step()
        return loss.item()

    def collect(self) -> tuple[dict[str, Tensor], dict[str, dict[str, Tensor]]]:
        """Copies of the model's state and of the optimiser's moments."""
        state = {name: value.clone() for name, value in self._model.state_dict().items()}
        moments = {
            moment: {
                name: self._optimiser.state[self._named[name]][moment].clone() for name in names
            }
            for moment, names in self._moments.items()
        }
        return state, moments

    def close(self) -> None:
        """Nothing is held elsewhere."""


class OverRanks:
    """A plan on several ranks; batches go through files that they map."""

    def __init__(
        self,
        graph: Graph,
        plan: Plan,
        ranks: Ranks,
        example: Example,
        given: tuple[OptimiserSettings, Checkpoint],
    ) -> None:
        optimiser, start = given
        self._ranks, self._number = ranks, next(_NUMBERS)
        self._folder = tempfile.TemporaryDirectory()
        names = [source.name for source in graph.sources if source.drop is None]
        mapped = {
            name: MappedArray(
                str(Path(self._folder.name) / str(place)), str(value.numpy().dtype), value.shape
            )
            for place, (name, value) in enumerate(zip(names, _parts(example), strict=True))
        }
        self._batch = {name: each.map(new=True) for name, each in mapped.items()}
        task = Task(
            graph,
            plan.to_json(),
            optimiser,
            arrays(start.model),
            {name: arrays(each) for name, each in start.moments.items()},
            start.steps,
            mapped,
        )
        ranks.run(training_rank.prepare, self._number, task)

    def step(self, batch: Example, seed: int, rate: Rate) -> float:
        """One step; gives the loss before the update."""
        parts = _parts(batch)
        if len(parts) != len(self._batch):
            raise RecordError(
                f"a batch must have {len(self._batch)} tensors, as in the example, got {len(parts)}"
            )
        for (name, array), value in zip(self._batch.items(), parts, strict=True):
            given = value.numpy()
            if given.shape != array.shape or given.dtype != array.dtype:
                raise RecordError(
                    f"'{name}' must be {array.dtype} {array.shape}, as in the example, "
                    f"got {given.dtype} {given.shape}"
                )
            np.copyto(array, given)
        return self._ranks.run(training_rank.step, self._number, seed, rate)[0]

    def collect(self) -> tuple[dict[str, Tensor], dict[str, dict[str, Tensor]]]:
        """Copies of the model's state and of the optimiser's moments."""
        found = self._ranks.run(training_rank.collect, self._number)[0]
        assert found is not None
        model, moments = found
        return tensors(model), {name: tensors(each) for name, each in moments.items()}

    def close(self) -> None:
        """Let the ranks forget the training."""
        if self._ranks.running:
            self._ranks.run(training_rank.drop, self._number)
        self._folder.cleanup()


def _parts(batch: Example) -> tuple[Tensor, ...]:
    return (*batch.inputs, *batch.targets)
