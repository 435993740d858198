"""What a plan computes and moves, as counts: the exchanges of all ranks' tapes together.

`tape` builds one rank's share with tensors' regions; here the same exchanges are only counted, for
all devices at once, and remembered by partition, so that a changed plan costs only its changes.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from models.soap.buckets import Bucket, buckets, sharers
from models.soap.cost import FLOAT_BYTES
from models.soap.ownership import owners
from models.soap.regions import Box
from models.soap.simulate_exchange import Exchange, Holding, count, count_shared

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Hashable, Mapping, Sequence

    from models.soap.graph import Graph, Node
    from models.soap.plan import Partition, Plan

Part = tuple[Box, int]
"""A region and its device."""

WHOLE_NUMBER_BYTES = 8
"""Bytes of an element of int64."""

MOST_REMEMBERED = 100_000
"""When more exchanges than this are remembered, all are forgotten."""

Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class Layout:
    """A plan, counted.

    Attributes:
        numbers: The number of each group's partition: see `Traffic.number`.
        parts: The parts of each node.
        deliveries: The exchanges before each node.
        devices: How many devices there are.
        parameters: The exchange of each parameter, from its owners to its users.
        buckets: What is added up of shared parameters' gradients.
        loss: The exchange of the loss; of nothing where a bucket tells it.
        running: The exchange of what buffers follow.
    """

    numbers: Mapping[str, int]
    parts: Mapping[str, tuple[Part, ...]]
    deliveries: Mapping[str, tuple[Exchange, ...]]
    devices: int
    parameters: tuple[Exchange, ...]
    buckets: tuple[Bucket, ...]
    loss: Exchange
    running: Exchange


class Traffic:
    """Counts what plans for a graph compute and move.

    Args:
        graph: The graph.
    """

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._numbers: dict[Partition, int] = {}
        self._partitions: list[Partition] = []
        self._known: dict[Hashable, Any] = {}
        self._uses: dict[str, list[tuple[Node, int]]] = defaultdict(list)
        for node in graph.nodes:
            for place, name in enumerate(node.parameters, len(node.inputs)):
                self._uses[name].append((node, place))

    def number(self, partition: Partition) -> int:
        """A number that stands for a partition; quick to compare."""
        number = self._numbers.setdefault(partition, len(self._partitions))
        if number == len(self._partitions):
            self._partitions.append(partition)
        return number

    def layout(self, plan: Plan) -> Layout:
        """Count a plan, which must fit the graph."""
        if len(self._known) > MOST_REMEMBERED:
            self._known.clear()
        graph = self._graph
        numbers = {group: self.number(plan.partitions[group]) for group in graph.groups}
        parameters = tuple(self.parameter(turn, numbers) for turn in range(len(graph.parameters)))
        added = self._buckets(parameters, plan.devices)
        told = any(bucket.loss for bucket in added)
        followed = dict.fromkeys(s.node for s in graph.running)
        return Layout(
            numbers,
            {node.name: self.parts(node, numbers[node.group]) for node in graph.nodes},
            {node.name: self.deliveries(node, numbers) for node in graph.nodes},
            plan.devices,
            parameters,
            added,
            self._ending(graph.losses, range(0 if told else plan.devices), numbers),
            self._ending(tuple(followed), range(1), numbers),
        )

    def parts(self, node: Node, number: int) -> tuple[Part, ...]:
        """The parts of a node under the partition of this number."""

        def find() -> tuple[Part, ...]:
            partition = self._partitions[number]
            boxes = partition.boxes(node.operator.dimensions)
            return tuple(zip(boxes, partition.devices, strict=True))

        return self._once(("parts", node.name, number), find)

    def deliveries(self, node: Node, numbers: Mapping[str, int]) -> tuple[Exchange, ...]:
        """The exchanges before a node, one for each kind of tensor: see `tape`."""
        graph = self._graph
        producers = [graph.by_name[name] for name in node.inputs if name in graph.by_name]
        key = ("deliveries", node.name, numbers[node.group],
               *(numbers[producer.group] for producer in producers))  # fmt: skip

        def find() -> tuple[Exchange, ...]:
            kinds: dict[tuple[bool, bool], list[int]] = {}
            for place, name in enumerate(node.inputs):
                if name in graph.by_name:
                    kind = (name in graph.trained, graph.by_name[name].floating)
                    kinds.setdefault(kind, []).append(place)
            return tuple(self._delivery(node, at, kind, numbers) for kind, at in kinds.items())

        return self._once(key, find)

    def between(
        self, node: Node, producers: Collection[str], numbers: Mapping[str, int]
    ) -> Exchange:
        """The exchange of those inputs of a node that some others compute."""
        places = [place for place, name in enumerate(node.inputs) if name in producers]
        names = [node.inputs[place] for place in places]
        trained = not self._graph.trained.isdisjoint(names)
        floating = any(self._graph.by_name[name].floating for name in names)
        return self._delivery(node, places, (trained, floating), numbers)

    def parameter(self, turn: int, numbers: Mapping[str, int]) -> Exchange:
        """The exchange that brings a parameter from its owners to its users.

        Args:
            turn: The place of the parameter in the graph.
            numbers: The numbers of the partitions of its users' groups; users whose group is
                missing are left out.
        """
        parameter = self._graph.parameters[turn]
        users = [(n, place) for n, place in self._uses[parameter.name] if n.group in numbers]
        key = ("parameter", turn, *((n.name, numbers[n.group]) for n, _ in users))

        def find() -> Exchange:
            needs: dict[Holding, list[tuple[str, int]]] = {}
            for node, place in users:
                self._read(needs, node, numbers[node.group], place, parameter.name)
            uses = [(need.box, need.device) for need in needs]
            devices = sharers(parameter.view, uses)
            if devices:
                return count_shared(devices, needs, FLOAT_BYTES)
            kept = owners(parameter.view, uses, turn)
            pieces = [Holding(parameter.name, 0, box, device) for box, device in kept]
            return count(pieces, needs, trained=True, element_bytes=FLOAT_BYTES)

        return self._once(key, find)

    def _buckets(self, parameters: Sequence[Exchange], devices: int) -> tuple[Bucket, ...]:
        names = [parameter.name for parameter in self._graph.parameters]
        shared = {name: each.shared for name, each in zip(names, parameters, strict=True)}
        key = ("buckets", devices, *shared.values())
        return self._once(key, lambda: buckets(self._graph, shared, devices))

    def _delivery(
        self, node: Node, places: list[int], kind: tuple[bool, bool], numbers: Mapping[str, int]
    ) -> Exchange:
        needs: dict[Holding, list[tuple[str, int]]] = {}
        for place in places:
            self._read(needs, node, numbers[node.group], place, node.inputs[place])
        pieces = self._pieces([node.inputs[place] for place in places], numbers)
        trained, floating = kind
        element_bytes = FLOAT_BYTES if floating else WHOLE_NUMBER_BYTES
        back = trained and node.name in self._graph.reaching
        return count(pieces, needs, trained=back, element_bytes=element_bytes)

    def _ending(
        self, names: tuple[str, ...], devices: range, numbers: Mapping[str, int]
    ) -> Exchange:
        """The exchange that brings whole outputs to devices behind the forward pass."""
        groups = [numbers[self._graph.by_name[name].group] for name in names]

        def find() -> Exchange:
            wholes = {name: Box.whole(self._graph.by_name[name].operator.shape) for name in names}
            needs: dict[Holding, list[tuple[str, int]]] = {
                Holding(name, 0, wholes[name], device): [] for device in devices for name in names
            }
            pieces = self._pieces(names, numbers)
            return count(pieces, needs, trained=False, element_bytes=FLOAT_BYTES)

        return self._once(("ending", names, devices, *groups), find)

    def _pieces(self, names: Sequence[str], numbers: Mapping[str, int]) -> list[Holding]:
        pieces = []
        for name in dict.fromkeys(names):
            node = self._graph.by_name[name]
            for place, (box, device) in enumerate(self.parts(node, numbers[node.group])):
                pieces.append(Holding(name, place, node.operator.output(box), device))
        return pieces

    def _read(
        self,
        needs: dict[Holding, list[tuple[str, int]]],
        node: Node,
        number: int,
        place: int,
        read: str,
    ) -> None:
        """Add what a node's parts need of one of their inputs or parameters."""

        def find() -> list[tuple[Box, ...]]:
            return [node.operator.needs(box) for box, _ in self.parts(node, number)]

        each = self._once(("needs", node.name, number), find)
        for part, (_, device) in enumerate(self.parts(node, number)):
            need = Holding(read, 0, each[part][place], device)
            needs.setdefault(need, []).append((node.name, part))

    def _once(self, key: Hashable, find: Callable[[], Found]) -> Found:
        known: Found | None = self._known.get(key)
        if known is None:
            known = self._known[key] = find()
        return known
