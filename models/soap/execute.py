"""Training steps on one rank, whose results are those of one device.

Each part is a small piece of torch's autograd; between them stand exchanges, forward and
transposed. Nothing is approximated: losses, gradients, batch statistics, dropout's zeros and
updates are those that one device computes, up to rounding.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from models.soap.given import check_state, sources_of
from models.soap.tape import NodeInput, SourceInput, Stage, Tape

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import Tensor

    from models.soap.graph import Graph
    from models.soap.plan import Plan
    from models.soap.regions import Box

    MakeOptimiser = Callable[[list[Tensor]], torch.optim.Optimizer]


@dataclass(slots=True)
class _Computed:
    """A part that was computed: what it read, by input and then parameter, and its result."""

    read: list[Tensor]
    result: Tensor


class Execution:
    """The share of one rank in the training of a model.

    All ranks must call the same methods in the same order, inside an initialised
    ``torch.distributed`` process group with a rank for each device of the plan; a plan for one
    device needs no group.

    Args:
        graph: The model with its loss.
        plan: How it is split.
        rank: This rank, the number of its device in the plan.
        state: The model's parameters and buffers by name, as ``state_dict`` gives them; all
            parameters of the same floating dtype. They are copied.
        optimiser: Makes the optimiser of the parameters that this rank keeps. It must treat each
            element by itself, as SGD and AdamW do.
        device: Where this rank computes.

    Attributes:
        optimiser: The optimiser of this rank, for schedules; None where it keeps no parameter.

    Raises:
        RecordError: the plan does not fit the graph, or the state does not.
    """

    def __init__(
        self,
        graph: Graph,
        plan: Plan,
        rank: int,
        state: Mapping[str, Tensor],
        optimiser: MakeOptimiser,
        device: torch.device | str = "cpu",
    ) -> None:
        check_state(graph, plan, rank, state)
        self._graph = graph
        self._tape = Tape(graph, plan, rank)
        self._device = torch.device(device)
        dtype = state[graph.parameters[0].name].dtype
        self._like = torch.empty(0, dtype=dtype, device=self._device)
        self._kept = self._regions(state)
        for parameter in self._kept:
            parameter.grad = torch.zeros_like(parameter)
        self.optimiser = optimiser(self._kept) if self._kept else None
        self._buffers = {s.buffer: self._copy(state[s.buffer]) for s in graph.running}
        self._counters = {name: state[name].clone() for name in graph.counters}

    def step(self, batch: Mapping[str, Tensor], seed: int = 0) -> float:
        """One training step: `compute`, then `update`. Returns the loss before the update."""
        loss = self.compute(batch, seed)
        self.update()
        return loss

    def compute(self, batch: Mapping[str, Tensor], seed: int = 0) -> float:
        """The loss and the gradients of a batch, in place of those before.

        Args:
            batch: Every part of the batch, whole, by the name of its source.
            seed: Dropout draws what it draws on one device after ``torch.manual_seed(seed)``.

        Returns:
            The loss.

        Raises:
            RecordError: a part of the batch is missing or has another shape.
        """
        sources = sources_of(self._graph, batch, seed, self._like)
        fetched = self._tape.parameters.forward([p.detach() for p in self._kept], self._like)
        values: dict[str, list[Tensor]] = {}
        computed: dict[str, list[_Computed]] = {}
        for stage in self._tape.stages:
            name = stage.node.name
            computed[name] = self._forward(stage, sources, fetched, values)
            values[name] = [part.result.detach() for part in computed[name]]
        terms = [value for name in self._graph.losses for value in values[name]]
        loss = sum(float(term) for term in self._tape.loss.forward(terms, self._like))
        self._follow(values)
        self._backward(computed, fetched)
        return loss

    def update(self) -> None:
        """Let the optimiser change the parameters by their gradients."""
        if self.optimiser is not None:
            self.optimiser.step()

    def state(self) -> dict[str, Tensor]:
        """The model's parameters and buffers, whole, on every rank."""
        kept = [p.detach() for p in self._kept]
        return {**self._collected(kept), **{n: c.clone() for n, c in self._counters.items()}}

    def gradients(self) -> dict[str, Tensor]:
        """The gradients of all parameters, whole, on every rank."""
        return self.gathered(_gradient)

    def gathered(self, of: Callable[[Tensor], Tensor]) -> dict[str, Tensor]:
        """A tensor that belongs to each parameter, such as a moment of the optimiser, whole.

        Args:
            of: Gives it for what this rank keeps of a parameter, in the same shape.

        Returns:
            It by the parameter's name, whole, on every rank.
        """
        whole = self._collected([of(parameter) for parameter in self._kept])
        return {parameter.name: whole[parameter.name] for parameter in self._graph.parameters}

    def shared_out(self, whole: Mapping[str, Tensor]) -> list[tuple[Tensor, Tensor]]:
        """What this rank keeps of each parameter, and its region of a tensor that belongs to it.

        Args:
            whole: By the parameter's name, in the parameter's shape: what `gathered` gives.
        """
        return list(zip(self._kept, self._regions(whole), strict=True))

    def _regions(self, whole: Mapping[str, Tensor]) -> list[Tensor]:
        """Copies of the regions that this rank keeps."""
        views = self._graph.parameter_by_name
        return [
            self._copy(whole[piece.tensor].reshape(views[piece.tensor].view)[_at(piece.box)])
            for piece in self._tape.parameters.pieces
        ]

    def _collected(self, kept: list[Tensor]) -> dict[str, Tensor]:
        exchange = self._tape.collect
        buffers = [self._buffers[p.tensor] for p in exchange.pieces[len(kept) :]]
        shapes = {parameter.name: parameter.shape for parameter in self._graph.parameters}
        arrived = exchange.forward([*kept, *buffers], self._like)
        return {
            need.tensor: value.reshape(shapes.get(need.tensor, value.shape)).clone()
            for need, value in zip(exchange.needs, arrived, strict=True)
        }

    def _forward(
        self,
        stage: Stage,
        sources: Mapping[str, Tensor],
        fetched: Sequence[Tensor],
        values: Mapping[str, list[Tensor]],
    ) -> list[_Computed]:
        arrived = []
        for delivery in stage.deliveries:
            like = self._like if delivery.floating else self._like.new_empty(0, dtype=torch.int64)
            held = [value for name in delivery.producers for value in values[name]]
            arrived.append(delivery.exchange.forward(held, like))
        columns = []
        for given in stage.inputs:
            if isinstance(given, SourceInput):
                columns.append([sources[given.source][_at(box)] for box in given.boxes])
                continue
            leaves, trained = arrived[given.delivery], stage.deliveries[given.delivery].trained
            columns.append([_leaf(leaves[i], trained=trained) for i in given.places])
        columns += [[_leaf(fetched[i], trained=True) for i in each] for each in stage.parameters]
        computed = []
        for i, part in enumerate(stage.parts):
            read = [column[i] for column in columns]
            with torch.enable_grad():
                computed.append(_Computed(read, stage.node.operator.forward(part, read)))
        return computed

    def _follow(self, values: Mapping[str, list[Tensor]]) -> None:
        """Bring running statistics and counters up to date."""
        held = [v for name in dict.fromkeys(s.node for s in self._graph.running)
                for v in values[name]]  # fmt: skip
        exchange = self._tape.running
        arrived = exchange.forward(held, self._like)
        newest = {n.tensor: value for n, value in zip(exchange.needs, arrived, strict=True)}
        for statistic in self._graph.running:
            if statistic.node in newest:
                value = newest[statistic.node] * statistic.scale
                self._buffers[statistic.buffer].lerp_(value, statistic.momentum)
        for counter in self._counters.values():
            counter.add_(1)

    def _backward(self, computed: dict[str, list[_Computed]], fetched: Sequence[Tensor]) -> None:
        ours = [torch.zeros_like(value) for value in fetched]
        gradients: dict[str, list[Tensor]] = {
            name: [torch.ones_like(part.result) for part in computed[name]]
            for name in self._graph.losses
        }
        for stage in reversed(self._tape.stages):
            parts = computed.pop(stage.node.name)
            given = gradients.pop(stage.node.name, None)
            if given is None:
                continue
            found = [
                _part_gradients(part, gradient) for part, gradient in zip(parts, given, strict=True)
            ]
            first = len(stage.inputs)
            for place, places in enumerate(stage.parameters):
                _accumulate(ours, places, [each[first + place] for each in found])
            self._send_back(stage, found, gradients)
        for parameter, gradient in zip(
            self._kept, self._tape.parameters.backward(ours, self._like), strict=True
        ):
            _gradient(parameter).copy_(gradient)

    def _send_back(
        self,
        stage: Stage,
        found: Sequence[Sequence[Tensor | None]],
        gradients: dict[str, list[Tensor]],
    ) -> None:
        """Bring the gradients of what a stage read to who computed it."""
        for index, delivery in enumerate(stage.deliveries):
            if not delivery.trained:
                continue
            exchange = delivery.exchange
            needed = [self._like.new_zeros(need.box.shape) for need in exchange.needs]
            for place, given in enumerate(stage.inputs):
                if isinstance(given, NodeInput) and given.delivery == index:
                    _accumulate(needed, given.places, [each[place] for each in found])
            pieces: dict[str, list[Tensor]] = {name: [] for name in delivery.producers}
            for piece, gradient in zip(
                exchange.pieces, exchange.backward(needed, self._like), strict=True
            ):
                pieces[piece.tensor].append(gradient)
            for name, new in pieces.items():
                old = gradients.get(name)
                gradients[name] = (
                    new if old is None else [a + b for a, b in zip(old, new, strict=True)]
                )

    def _copy(self, value: Tensor) -> Tensor:
        return value.detach().to(self._device, copy=True).contiguous()


def _leaf(value: Tensor, *, trained: bool) -> Tensor:
    return value.detach().requires_grad_(trained)


def _at(box: Box) -> tuple[slice, ...]:
    return tuple(slice(start, stop) for start, stop in box.ranges)


def _gradient(parameter: Tensor) -> Tensor:
    assert parameter.grad is not None
    return parameter.grad


def _part_gradients(part: _Computed, gradient: Tensor) -> list[Tensor | None]:
    """The gradient of each tensor that the part read; None where it takes none."""
    leaves = [tensor for tensor in part.read if tensor.requires_grad]
    if not leaves:
        return [None] * len(part.read)
    got = iter(torch.autograd.grad(part.result, leaves, gradient, allow_unused=True))
    return [next(got) if tensor.requires_grad else None for tensor in part.read]


def _accumulate(
    totals: Sequence[Tensor], places: Sequence[int], found: Sequence[Tensor | None]
) -> None:
    for place, gradient in zip(places, found, strict=True):
        if gradient is not None:
            totals[place].add_(gradient)
