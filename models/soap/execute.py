"""Training steps on one rank, whose results are those of one device.

What a rank computes between two exchanges is one piece of torch's autograd; between the pieces
stand exchanges, forward and transposed. Nothing is approximated: losses, gradients, statistics of
batches, dropout's zeros and updates are those that one device computes, up to rounding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from models.soap.given import check_state, sources_of
from models.soap.segment import Gradients, NeedLeaf, ParameterLeaf, Segment, ValueLeaf, Values
from models.soap.shared_gradients import SharedGradients
from models.soap.tape import Tape

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from torch import Tensor

    from models.soap.graph import Graph
    from models.soap.plan import Plan
    from models.soap.regions import Box
    from models.soap.repartition import Piece
    from models.soap.segment import Leaf

    MakeOptimiser = Callable[[list[Tensor]], torch.optim.Optimizer]


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
        self._owned = len(self._tape.parameters.pieces)
        for parameter in self._kept[: self._owned]:
            parameter.grad = torch.zeros_like(parameter)
        names = [piece.tensor for piece in self._tape.shared]
        shared = dict(zip(names, self._kept[self._owned :], strict=True))
        self._shared = SharedGradients(self._tape.buckets, rank, shared)
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
        kept = [parameter.detach() for parameter in self._kept]
        fetched = self._tape.parameters.forward(kept[: self._owned], self._like)
        values: Values = {}
        segments = []
        for first, stop in self._tape.segments:
            segments.append(Segment(self._tape, first, stop, values))
            segments[-1].forward(sources, [*fetched, *kept[self._owned :]], self._like)
        # What all are to know of the forward pass goes on its way beside the backward pass.
        terms = _made(values, self._graph.losses)
        if self._shared.loss is not None:
            self._shared.loss.fill_(sum(float(term) for term in terms))
        told = self._tape.loss.start(terms, self._like)
        followed = dict.fromkeys(statistic.node for statistic in self._graph.running)
        running = self._tape.running.start(_made(values, followed), self._like)
        self._backward(segments, values, len(fetched))
        self._follow(running())
        found = told() if self._shared.loss is None else [self._shared.loss]
        return sum(float(term) for term in found)

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
            for piece in self._tape.kept
        ]

    def _collected(self, kept: list[Tensor]) -> dict[str, Tensor]:
        exchange = self._tape.collect
        here: dict[Piece, Tensor] = dict(zip(self._tape.kept, kept, strict=True))
        held = [
            here[piece] if piece in here else self._buffers[piece.tensor]
            for piece in exchange.pieces
        ]
        shapes = {parameter.name: parameter.shape for parameter in self._graph.parameters}
        arrived = exchange.forward(held, self._like)
        return {
            need.tensor: value.reshape(shapes.get(need.tensor, value.shape)).clone()
            for need, value in zip(exchange.needs, arrived, strict=True)
        }

    def _follow(self, arrived: Sequence[Tensor]) -> None:
        """Bring running statistics and counters up to date."""
        needs = self._tape.running.needs
        newest = {need.tensor: value for need, value in zip(needs, arrived, strict=True)}
        for statistic in self._graph.running:
            if statistic.node in newest:
                value = newest[statistic.node] * statistic.scale
                self._buffers[statistic.buffer].lerp_(value, statistic.momentum)
        for counter in self._counters.values():
            counter.add_(1)

    def _backward(self, segments: list[Segment], values: Values, fetched: int) -> None:
        """The gradients of all parameters.

        Args:
            segments: What the forward pass went through; taken out, so that memory is freed.
            values: What it computed.
            fetched: How many regions of parameters came from their owners.
        """
        ours: list[Tensor | None] = [None] * fetched
        gradients: Gradients = {
            (name, place): torch.ones_like(value)
            for name in self._graph.losses
            for place, value in enumerate(values[name])
        }
        while segments:
            segment = segments.pop()
            found = segment.backward(gradients)
            for leaf, gradient in found.items():
                if isinstance(leaf, ValueLeaf):
                    _add(gradients, (leaf.node, leaf.place), gradient)
                elif isinstance(leaf, ParameterLeaf) and leaf.place < fetched:
                    before = ours[leaf.place]
                    ours[leaf.place] = gradient if before is None else before + gradient
                elif isinstance(leaf, ParameterLeaf):
                    self._shared.put(self._tape.shared[leaf.place - fetched].tensor, gradient)
            self._shared.start(segment.first)
            self._send_back(segment.first, found, gradients)
        regions = zip(ours, self._tape.parameters.needs, strict=True)
        whole = [self._like.new_zeros(n.box.shape) if g is None else g for g, n in regions]
        owned = self._tape.parameters.backward(whole, self._like)
        for parameter, gradient in zip(self._kept[: self._owned], owned, strict=True):
            _gradient(parameter).copy_(gradient)
        self._shared.wait()

    def _send_back(self, place: int, found: Mapping[Leaf, Tensor], gradients: Gradients) -> None:
        """Bring the gradients of what a stage's exchanges brought to who computed it."""
        for index, delivery in enumerate(self._tape.stages[place].deliveries):
            exchange = delivery.exchange
            if not delivery.trained or exchange.given is not None:
                continue
            needed = [found.get(NeedLeaf(index, i)) for i in range(len(exchange.needs))]
            regions = zip(needed, exchange.needs, strict=True)
            whole = [self._like.new_zeros(n.box.shape) if g is None else g for g, n in regions]
            sent = exchange.backward(whole, self._like)
            for origin, gradient in zip(delivery.origins, sent, strict=True):
                _add(gradients, origin, gradient)

    def _copy(self, value: Tensor) -> Tensor:
        return value.detach().to(self._device, copy=True).contiguous()


def _made(values: Values, names: Iterable[str]) -> list[Tensor]:
    return [value.detach() for name in names for value in values[name]]


def _add(gradients: Gradients, key: tuple[str, int], gradient: Tensor) -> None:
    """Add in a new tensor: torch may have given the same one for several leaves."""
    gradients[key] = gradients[key] + gradient if key in gradients else gradient


def _at(box: Box) -> tuple[slice, ...]:
    return tuple(slice(start, stop) for start, stop in box.ranges)


def _gradient(parameter: Tensor) -> Tensor:
    assert parameter.grad is not None
    return parameter.grad
