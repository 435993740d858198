"""One rank's share of a training step as a list of stages, the same list on every rank.

Every rank walks through all stages in the order of the graph and takes part in each exchange in
which it gives or takes, so that all ranks communicate in one order and none can wait for another
in a circle.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from models.soap.buckets import buckets, ring_elements, sharers
from models.soap.ownership import owners
from models.soap.regions import Box
from models.soap.repartition import Piece, Repartition
from models.soap.stages import Delivery, NodeInput, SourceInput, Stage

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from models.soap.graph import Graph, Node
    from models.soap.plan import Plan

    Part = tuple[Box, int]


class Tape:
    """What one rank does in a step.

    Args:
        graph: The model with its loss.
        plan: How it is split.
        rank: This rank, one of the plan's devices.

    Attributes:
        stages: The operators, in order.
        segments: Stretches of stages, from the first up to and without the last: within one,
            nothing is exchanged, so that torch goes through it at one stroke.
        ended: Behind each stage, what no stage, loss or statistic behind it reads by itself.
        parameters: The exchange that fetches from their owners those parameters that no devices
            share.
        shared: The shared parameters of this rank.
        buckets: What is added up of shared parameters' gradients, of all ranks.
        loss: The exchange that tells every rank the terms of the loss; of nothing where a bucket
            does that.
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
        wanted = self._parameter_needs()
        uses: dict[str, list[Part]] = {p.name: [] for p in graph.parameters}
        for piece in wanted:
            uses[piece.tensor].append((piece.box, piece.device))
        shared = {p.name: sharers(p.view, uses[p.name]) for p in graph.parameters}
        self.buckets = buckets(graph, shared, plan.devices)
        fetched = [piece for piece in wanted if not shared[piece.tensor]]
        owned = self._owned(uses, shared)
        self.parameters = Repartition(owned, fetched, rank)
        together = [piece for piece in wanted if shared[piece.tensor]]
        self.shared = tuple(piece for piece in together if piece.device == rank)
        places = _local_places([*fetched, *together], rank)
        self.stages = tuple(self._stage(node, places) for node in graph.nodes)
        self.segments = self._segments()
        self.ended = self._ended()
        self.loss, self.running = self._loss(), self._running()
        # Of copies that are equal, the first device's is told.
        firsts = [piece for piece in together if piece.device == shared[piece.tensor][0]]
        self.collect = self._collect([*owned, *firsts])

    @property
    def kept(self) -> tuple[Piece, ...]:
        """What this rank keeps of parameters: what it owns, and then what it shares."""
        return (*self.parameters.pieces, *self.shared)

    def elements_sent(self) -> int:
        """How many elements this rank sends in one step."""
        total = self.parameters.elements_sent + self.parameters.elements_received
        total += self.loss.elements_sent + self.running.elements_sent
        for bucket in self.buckets:
            if self._rank in bucket.devices:
                place = bucket.devices.index(self._rank)
                total += ring_elements(bucket.elements, len(bucket.devices))[place]
        for stage in self.stages:
            for delivery in stage.deliveries:
                total += delivery.exchange.elements_sent
                # Backward, gradients go the other way.
                if delivery.trained:
                    total += delivery.exchange.elements_received
        return total

    def _loss(self) -> Repartition:
        if any(bucket.loss for bucket in self.buckets):
            return Repartition([], [], self._rank)
        names, everyone = self._graph.losses, range(self._plan.devices)
        terms = [piece for name in names for piece in self._outputs[name]]
        scalars = [Piece(name, Box(()), device) for device in everyone for name in names]
        return Repartition(terms, scalars, self._rank)

    def _running(self) -> Repartition:
        followed = dict.fromkeys(statistic.node for statistic in self._graph.running)
        needs = [Piece(name, self._whole(name), 0) for name in followed]
        held = [piece for name in followed for piece in self._outputs[name]]
        return Repartition(held, needs, self._rank)

    def _collect(self, parameters: list[Piece]) -> Repartition:
        graph = self._graph
        buffers = [Piece(s.buffer, self._whole(s.node), 0) for s in graph.running]
        states = [Piece(p.name, Box.whole(p.view), 0) for p in graph.parameters] + buffers
        everyone = range(self._plan.devices)
        copies = [Piece(state.tensor, state.box, device) for device in everyone for state in states]
        return Repartition([*parameters, *buffers], copies, self._rank)

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

    def _owned(
        self, uses: Mapping[str, list[Part]], shared: Mapping[str, Collection[int]]
    ) -> list[Piece]:
        return [
            Piece(parameter.name, box, device)
            for turn, parameter in enumerate(self._graph.parameters)
            if not shared[parameter.name]
            for box, device in owners(parameter.view, uses[parameter.name], turn)
        ]

    def _segments(self) -> tuple[tuple[int, int], ...]:
        """Segments begin where this rank exchanges something, and where a bucket is full."""
        full = {bucket.stage for bucket in self.buckets if self._rank in bucket.devices}
        begins = [
            place
            for place, stage in enumerate(self.stages)
            if place == 0
            or place in full
            or any(delivery.exchange.given is None for delivery in stage.deliveries)
        ]
        return tuple(zip(begins, [*begins[1:], len(self.stages)], strict=True))

    def _ended(self) -> tuple[tuple[str, ...], ...]:
        segment = {i: first for first, stop in self.segments for i in range(first, stop)}
        place = {stage.node.name: i for i, stage in enumerate(self.stages)}
        lasting = {*self._graph.losses, *(statistic.node for statistic in self._graph.running)}
        last = dict(place)
        for i, stage in enumerate(self.stages):
            for name in stage.node.inputs:
                if name not in place:
                    continue
                last[name] = i
                if segment[i] != segment[place[name]]:
                    # Its gradient comes from elsewhere, so it begins a backward pass.
                    lasting.add(name)
        ended: list[list[str]] = [[] for _ in self.stages]
        for name in place.keys() - lasting:
            ended[last[name]].append(name)
        return tuple(tuple(names) for names in ended)

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
        trained, floating = kind
        back = trained and node.name in self._graph.reaching
        origins = _origins(exchange.pieces)
        return Delivery(producers, exchange, back, floating, origins), _local_places(
            needs, self._rank
        )


def _local_places(needs: Iterable[Piece], rank: int) -> dict[Piece, int]:
    """The place of each need of this rank among its needs."""
    return {need: place for place, need in enumerate(need for need in needs if need.device == rank)}


def _origins(pieces: Iterable[Piece]) -> tuple[tuple[str, int], ...]:
    """The tensor of each piece, and its place among the pieces of that tensor."""
    counts: Counter[str] = Counter()
    found = []
    for piece in pieces:
        found.append((piece.tensor, counts[piece.tensor]))
        counts[piece.tensor] += 1
    return tuple(found)
