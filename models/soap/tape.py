"""One rank's share of a training step as a list of stages, the same list on every rank.

Every rank walks through all stages in the order of the graph and takes part in each exchange in
which it gives or takes, so that all ranks communicate in one order and none can wait for another
in a circle.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from models.soap.ownership import owners
from models.soap.regions import Box
from models.soap.repartition import Piece, Repartition

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from models.soap.graph import Graph, Node
    from models.soap.plan import Plan


@dataclass(frozen=True, slots=True)
class SourceInput:
    """An input that every rank has before the step.

    Attributes:
        source: Its name.
        boxes: The region that each part of this rank needs.
    """

    source: str
    boxes: tuple[Box, ...]


@dataclass(frozen=True, slots=True)
class Delivery:
    """What other operators computed for one operator, in one exchange.

    Attributes:
        producers: Who computed it.
        exchange: How it arrives.
        trained: Whether it takes gradients.
        floating: Whether it is of floating point; else int64.
    """

    producers: tuple[str, ...]
    exchange: Repartition
    trained: bool
    floating: bool


@dataclass(frozen=True, slots=True)
class NodeInput:
    """An input that another operator computed.

    Attributes:
        delivery: Which of the stage's deliveries brings it.
        places: Which of its needs belongs to each part of this rank.
    """

    delivery: int
    places: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Stage:
    """One operator.

    Attributes:
        node: The operator.
        parts: The boxes of its space that this rank computes.
        deliveries: How what other operators computed arrives.
        inputs: Its inputs.
        parameters: For each of its parameters, which of the fetched regions belongs to each part.
    """

    node: Node
    parts: tuple[Box, ...]
    deliveries: tuple[Delivery, ...]
    inputs: tuple[SourceInput | NodeInput, ...]
    parameters: tuple[tuple[int, ...], ...]


class Tape:
    """What one rank does in a step.

    Args:
        graph: The model with its loss.
        plan: How it is split.
        rank: This rank, one of the plan's devices.

    Attributes:
        stages: The operators, in order.
        parameters: The exchange that fetches parameters from their owners.
        loss: The exchange that tells every rank the terms of the loss.
        running: The exchange that brings means and variances to the keeper of the buffers.
        collect: The exchange that brings every parameter and buffer, whole, to every rank.

    Raises:
        RecordError: the plan does not fit the graph.
    """

    def __init__(self, graph: Graph, plan: Plan, rank: int) -> None:
        plan.check(graph)
        self._graph, self._plan, self._rank = graph, plan, rank
        self._parts = {
            node.name: list(
                zip(
                    plan.partitions[node.group].boxes(node.operator.dimensions),
                    plan.partitions[node.group].devices,
                    strict=True,
                )
            )
            for node in graph.nodes
        }
        self._needs = {
            node.name: [node.operator.needs(box) for box, _ in self._parts[node.name]]
            for node in graph.nodes
        }
        self._outputs = {node.name: self._pieces(node) for node in graph.nodes}
        fetched = self._parameter_needs()
        owned = self._owned(fetched)
        self.parameters = Repartition(owned, fetched, rank)
        places = _local_places(fetched, rank)
        self.stages = tuple(self._stage(node, places) for node in graph.nodes)
        everyone = range(plan.devices)
        terms = [piece for name in graph.losses for piece in self._outputs[name]]
        scalars = [Piece(name, Box(()), device) for device in everyone for name in graph.losses]
        self.loss = Repartition(terms, scalars, rank)
        followed = dict.fromkeys(statistic.node for statistic in graph.running)
        needs = [Piece(name, self._whole(name), 0) for name in followed]
        held = [piece for name in followed for piece in self._outputs[name]]
        self.running = Repartition(held, needs, rank)
        buffers = [
            Piece(statistic.buffer, self._whole(statistic.node), 0) for statistic in graph.running
        ]
        states = [Piece(p.name, Box.whole(p.view), 0) for p in graph.parameters] + buffers
        copies = [Piece(state.tensor, state.box, device) for device in everyone for state in states]
        self.collect = Repartition([*owned, *buffers], copies, rank)

    def elements_sent(self) -> int:
        """How many elements this rank sends in one step."""
        total = self.parameters.elements_sent + self.parameters.elements_received
        total += self.loss.elements_sent + self.running.elements_sent
        for stage in self.stages:
            for delivery in stage.deliveries:
                total += delivery.exchange.elements_sent
                # Backward, gradients go the other way.
                if delivery.trained and stage.node.name in self._graph.reaching:
                    total += delivery.exchange.elements_received
        return total

    def _whole(self, name: str) -> Box:
        return Box.whole(self._graph.by_name[name].operator.shape)

    def _pieces(self, node: Node) -> list[Piece]:
        output = node.operator.output
        return [Piece(node.name, output(box), device) for box, device in self._parts[node.name]]

    def _parameter_needs(self) -> list[Piece]:
        needs: dict[Piece, None] = {}
        for node in self._graph.nodes:
            for region, (_, device) in zip(
                self._needs[node.name], self._parts[node.name], strict=True
            ):
                for name, box in zip(node.parameters, region[len(node.inputs) :], strict=True):
                    needs[Piece(name, box, device)] = None
        return list(needs)

    def _owned(self, fetched: list[Piece]) -> list[Piece]:
        uses: dict[str, list[tuple[Box, int]]] = {p.name: [] for p in self._graph.parameters}
        for piece in fetched:
            uses[piece.tensor].append((piece.box, piece.device))
        return [
            Piece(parameter.name, box, device)
            for turn, parameter in enumerate(self._graph.parameters)
            for box, device in owners(parameter.view, uses[parameter.name], turn)
        ]

    def _stage(self, node: Node, fetched: Mapping[Piece, int]) -> Stage:
        parts, needs = self._parts[node.name], self._needs[node.name]
        here = [place for place, (_, device) in enumerate(parts) if device == self._rank]
        deliveries: list[Delivery] = []
        inputs: dict[int, SourceInput | NodeInput] = {}
        by_kind: dict[tuple[bool, bool], list[int]] = {}
        for place, name in enumerate(node.inputs):
            if name in self._graph.source_by_name:
                inputs[place] = SourceInput(name, tuple(needs[i][place] for i in here))
            else:
                kind = (name in self._graph.trained, self._graph.by_name[name].floating)
                by_kind.setdefault(kind, []).append(place)
        for kind, places in by_kind.items():
            delivery, local = self._delivery(node, places, kind)
            for place in places:
                ours = [Piece(node.inputs[place], needs[i][place], self._rank) for i in here]
                inputs[place] = NodeInput(len(deliveries), tuple(local[piece] for piece in ours))
            deliveries.append(delivery)
        parameters = tuple(
            tuple(fetched[Piece(name, needs[i][place], self._rank)] for i in here)
            for place, name in enumerate(node.parameters, len(node.inputs))
        )
        return Stage(
            node,
            tuple(parts[i][0] for i in here),
            tuple(deliveries),
            tuple(inputs[place] for place in range(len(node.inputs))),
            parameters,
        )

    def _delivery(
        self, node: Node, places: list[int], kind: tuple[bool, bool]
    ) -> tuple[Delivery, dict[Piece, int]]:
        """One exchange for some inputs of a node, and where each need of this rank arrives."""
        # Parts on one device that need the same region share it.
        needs = dict.fromkeys(
            Piece(node.inputs[place], need[place], device)
            for place in places
            for need, (_, device) in zip(
                self._needs[node.name], self._parts[node.name], strict=True
            )
        )
        producers = tuple(dict.fromkeys(node.inputs[place] for place in places))
        held = [piece for name in producers for piece in self._outputs[name]]
        exchange = Repartition(held, list(needs), self._rank)
        return Delivery(producers, exchange, *kind), _local_places(needs, self._rank)


def _local_places(needs: Iterable[Piece], rank: int) -> dict[Piece, int]:
    """The place of each need of this rank among its needs."""
    return {need: place for place, need in enumerate(need for need in needs if need.device == rank)}
