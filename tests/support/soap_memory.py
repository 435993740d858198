"""Counts the memory that tensors of a real step take."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Any

import torch
from torch.autograd.graph import saved_tensors_hooks
from torch.multiprocessing.reductions import StorageWeakRef
from typing_extensions import override

from models.soap.calibrate_steps import example_batch, example_state
from models.soap.execute import Execution
from models.soap.plan import Plan

if TYPE_CHECKING:
    from torch import Tensor

    from models.soap.graph import Graph


def _storages() -> dict[StorageWeakRef, int]:
    """The storages of all tensors that Python knows."""
    gc.collect()
    found = {}
    for value in gc.get_objects():
        if type(value) in {torch.Tensor, torch.nn.Parameter}:
            storage = value.untyped_storage()
            found[StorageWeakRef(storage)] = storage.nbytes()
    return found


class _Counted(Execution):
    """Counts what lives between the forward and the backward pass."""

    ready = False
    counted = 0
    before: dict[StorageWeakRef, int]
    saved: dict[StorageWeakRef, int]

    @override
    def _backward(self, *given: Any) -> None:
        if self.ready:
            living = {ref: size for ref, size in self.saved.items() if not ref.expired()}
            living |= _storages()
            self.counted = sum(size for ref, size in living.items() if ref not in self.before)
        super()._backward(*given)


def count_step(rank: int, graph: Graph, text: str) -> int:
    """The bytes of a step's tensors when its backward pass begins, but for sums of gradients."""
    torch.set_num_threads(1)
    before = _storages()
    batch = example_batch(graph)
    execution = _Counted(
        graph, Plan.from_json(text), rank, example_state(graph),
        lambda parameters: torch.optim.SGD(parameters, 1e-3, 0.9),
    )  # fmt: skip
    execution.before, execution.saved = before, {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        execution.saved[StorageWeakRef(storage)] = storage.nbytes()
        return tensor

    with saved_tensors_hooks(keep, lambda tensor: tensor):
        # The first step makes the optimiser's state.
        execution.step(batch)
        execution.saved.clear()
        execution.ready = True
        execution.step(batch)
    return execution.counted
