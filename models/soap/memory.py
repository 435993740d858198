"""How much memory a plan takes on each device.

Counted is what lives when the backward pass begins, which is the most of a step: parameters with
their gradients and the optimiser's state, parameters fetched from others, sums of gradients,
what each operator read and made and keeps for its backward pass, and the batch. Not counted are
the gradients that are on their way, and what operators hold only while they run.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import torch
from torch.autograd.graph import saved_tensors_hooks
from torch.multiprocessing.reductions import StorageWeakRef

from models.soap.cost import FLOAT_BYTES, Work, example_inputs, work_of
from models.soap.dense import Embedding
from models.soap.losses import CrossEntropy
from models.soap.simulate_traffic import WHOLE_NUMBER_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from torch import Tensor

    from models.soap.graph import Graph
    from models.soap.plan import Plan
    from models.soap.simulate_traffic import Layout

MOMENTUM_STATES = 1
"""Tensors that SGD with momentum keeps for each parameter; AdamW keeps 2."""


@dataclass(frozen=True, slots=True)
class Memory:
    """The memory of one device, bytes.

    Attributes:
        parameters: The parameters that it keeps.
        gradients: Their gradients.
        optimiser: The optimiser's state of them.
        fetched: Parameters that others keep, or that are put together.
        sums: Gradients of the parameters that it uses and shares with none, added up.
        activations: What its operators made, and keep for their backward pass.
        received: What they read that others made, or that is put together.
        batch: The batch, dropout's factors, and the buffers that follow nodes, which every device
            has whole.
    """

    parameters: int
    gradients: int
    optimiser: int
    fetched: int
    sums: int
    activations: int
    received: int
    batch: int

    @property
    def total(self) -> int:
        """All of it."""
        return sum(getattr(self, field.name) for field in fields(self))


class MemoryModel:
    """Tells the memory that plans for a graph take.

    Args:
        graph: The graph.
        optimiser_states: Tensors of the size of a parameter that the optimiser keeps for it.
    """

    def __init__(self, graph: Graph, optimiser_states: int = MOMENTUM_STATES) -> None:
        self._graph = graph
        self._states = optimiser_states
        self._kept: dict[str, int] = {}
        self._by_node: dict[tuple[str, int], Mapping[int, int]] = {}
        self._batch = batch_bytes(graph)

    def devices(self, plan: Plan, layout: Layout) -> tuple[Memory, ...]:
        """The memory of each device under a plan."""
        parameters = _added(exchange.held for exchange in layout.parameters)
        fetched = _added(exchange.received for exchange in layout.parameters)
        # Of shared parameters the gradients are added up where they are kept.
        sums = _added(e.needed for e in layout.parameters if not e.shared)
        activations = _added(self._made(name, layout) for name in layout.parts)
        received = _added(
            exchange.received for name in layout.parts for exchange in layout.deliveries[name]
        )
        return tuple(
            Memory(
                parameters=parameters[device],
                gradients=parameters[device],
                optimiser=parameters[device] * self._states,
                fetched=fetched[device],
                sums=sums[device],
                activations=activations[device],
                received=received[device],
                batch=self._batch,
            )
            for device in range(plan.devices)
        )

    def _made(self, name: str, layout: Layout) -> Mapping[int, int]:
        """What a node's parts keep, by device."""
        parts = layout.parts[name]
        key = (name, layout.numbers[self._graph.by_name[name].group])
        if key not in self._by_node:
            kept: dict[int, int] = defaultdict(int)
            for box, device in parts:
                work = work_of(self._graph, self._graph.by_name[name], box)
                signature = work.signature
                if signature not in self._kept:
                    self._kept[signature] = kept_bytes(work)
                kept[device] += self._kept[signature]
            self._by_node[key] = kept
        return self._by_node[key]


def kept_bytes(work: Work) -> int:
    """What a part makes and keeps until its backward pass, beside what it reads, bytes.

    Found by running it on tensors without elements, but for losses, which look at elements.
    """
    read = example_inputs(work, "cpu" if isinstance(work.operator, CrossEntropy) else "meta")
    kept: dict[StorageWeakRef, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[StorageWeakRef(storage)] = storage.nbytes()
        return tensor

    def give(tensor: Tensor) -> Tensor:
        return tensor

    with torch.enable_grad(), saved_tensors_hooks(keep, give):
        result = work.operator.forward(work.part, read)
        keep(result)
        for tensor in read:
            kept.pop(StorageWeakRef(tensor.untyped_storage()), None)
        return sum(kept.values())


def batch_bytes(graph: Graph) -> int:
    """The bytes of a graph's sources and buffers."""
    whole = {
        name
        for node in graph.nodes
        for place, name in enumerate(node.inputs)
        if (isinstance(node.operator, Embedding) and place == 0)
        or (isinstance(node.operator, CrossEntropy) and place > 0)
    }
    sources = sum(
        math.prod(source.shape) * (WHOLE_NUMBER_BYTES if source.name in whole else FLOAT_BYTES)
        for source in graph.sources
    )
    followed = [graph.by_name[statistic.node].operator for statistic in graph.running]
    return sources + sum(math.prod(operator.shape) for operator in followed) * FLOAT_BYTES


def _added(each: Iterable[Mapping[int, int]]) -> dict[int, int]:
    """Bytes by device, added up."""
    totals: dict[int, int] = defaultdict(int)
    for sizes in each:
        for device, size in sizes.items():
            totals[device] += size
    return totals
