"""Torch's own DistributedDataParallel on the ranks of `soap_search`, to compare with."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch.nn.parallel import DistributedDataParallel

from flows.plan_models import plan_model
from models.soap.training_rank import MappedArray

if TYPE_CHECKING:
    from torch import Tensor

    from models.soap.ranks import Ranks
    from models.soap.training import Example
    from models.soap.training_settings import LossSettings, OptimiserSettings


class _Share:
    """One rank's share of every batch."""

    def __init__(
        self, model: str, optimiser: OptimiserSettings, batch: tuple[MappedArray, ...]
    ) -> None:
        described = plan_model(model)
        self.loss: LossSettings = described.loss
        self.network = DistributedDataParallel(described.network())
        self.optimiser = optimiser.make(list(self.network.parameters()))
        self.batch = [torch.from_numpy(each.map()) for each in batch]

    def step(self, rank: int) -> float:
        """Forward, backward with the all-reduce of DDP, update."""
        count = torch.distributed.get_world_size()
        inputs, targets = (part.tensor_split(count)[rank] for part in self.batch)
        self.optimiser.zero_grad()
        output: Tensor = self.network(inputs)
        loss = self.loss.of(output, (targets,))
        loss.backward()
        self.optimiser.step()
        return loss.item()


_HELD: list[_Share] = []


def prepare(
    rank: int, model: str, optimiser: OptimiserSettings, batch: tuple[MappedArray, ...]
) -> None:
    """Begin to train."""
    _HELD[:] = [_Share(model, optimiser, batch)]


def step(rank: int) -> float:
    """One step with the batch that is in the files now."""
    return _HELD[0].step(rank)


class DdpTrial:
    """A training by DDP that steps as `PlannedTraining` does."""

    def __init__(
        self, model: str, example: Example, optimiser: OptimiserSettings, ranks: Ranks
    ) -> None:
        self._ranks, self._folder = ranks, tempfile.TemporaryDirectory()
        parts = (*example.inputs, *example.targets)
        mapped = tuple(
            MappedArray(str(Path(self._folder.name) / str(i)), str(v.numpy().dtype), v.shape)
            for i, v in enumerate(parts)
        )
        self._batch = [each.map(new=True) for each in mapped]
        ranks.run(prepare, model, optimiser, mapped)

    def step(self, example: Example) -> float:
        """One step; the loss of rank 0's share."""
        for array, value in zip(self._batch, (*example.inputs, *example.targets), strict=True):
            array[...] = value.numpy()
        return self._ranks.run(step)[0]

    def close(self) -> None:
        """Remove the files of the batch."""
        self._folder.cleanup()
