"""What a step under a plan would take, without running it.

On a machine whose links work while devices compute this is the simulator of FlexFlow, section 5
(`simulate_tasks`); on one whose transfers block, that of our own runtime (`simulate_blocking`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from models.soap.memory import MOMENTUM_STATES, MemoryModel
from models.soap.simulate_blocking import Walk
from models.soap.simulate_tasks import UPDATE_PASSES, TaskGraphBuilder
from models.soap.simulate_timeline import Timeline
from models.soap.simulate_traffic import Traffic
from records import RecordError

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Mapping, Sequence

    from models.soap.cost import Costs, Seconds
    from models.soap.graph import Graph, Node
    from models.soap.machine import Machine
    from models.soap.plan import Partition, Plan
    from models.soap.simulate_exchange import Exchange
    from models.soap.simulate_traffic import Layout


@dataclass(frozen=True, slots=True)
class _Known:
    """What simulators of one graph share: counts, and what parts take by node and partition."""

    traffic: Traffic
    memory: MemoryModel
    costs: dict[tuple[str, int], tuple[Seconds, ...]]


class Simulator:
    """Simulates steps of one graph on one machine. What parts take is asked for once.

    Args:
        graph: The model with its loss.
        machine: Where it runs.
        costs: What parts take.
        optimiser_states: Tensors that the optimiser keeps for each parameter.
        known: What another simulator of the graph found out; only `on` gives it.

    Raises:
        RecordError: the graph has no loss.
    """

    def __init__(
        self,
        graph: Graph,
        machine: Machine,
        costs: Costs,
        optimiser_states: int = MOMENTUM_STATES,
        known: _Known | None = None,
    ) -> None:
        if not graph.losses:
            raise RecordError("the graph must have a loss. Use with_cross_entropy or another")
        self.graph, self.machine = graph, machine
        self._source = costs
        self._known = known or _Known(Traffic(graph), MemoryModel(graph, optimiser_states), {})
        self._traffic, self._memory = self._known.traffic, self._known.memory
        self._alone: dict[Hashable, float] = {}
        self._groups: dict[str, list[Node]] = {name: [] for name in graph.groups}
        for node in graph.nodes:
            self._groups[node.group].append(node)

    def on(self, machine: Machine) -> Simulator:
        """The same on a machine whose devices compute as fast, which asks for nothing anew."""
        return Simulator(self.graph, machine, self._source, known=self._known)

    def run(self, plan: Plan) -> Timeline:
        """Simulate a step.

        Raises:
            RecordError: the plan does not fit the graph, or has more devices than the machine.
        """
        layout = self._layout(plan)
        costs = self._all_costs(layout)
        if self.machine.overlap:
            tasks = TaskGraphBuilder(self.graph, self.machine, layout).build(costs)
            starts, end = tasks.starts()
            happened = tasks.tasks(starts)
        else:
            walk = Walk(self.graph, self.machine, layout, costs)
            end, done = walk.run()
            happened = walk.tasks(done)
        moved = sum(task.bytes for task in happened)
        memory = tuple(each.total for each in self._memory.devices(plan, layout))
        return Timeline(end, happened, moved, memory)

    def seconds(self, plan: Plan, stop_above: float = math.inf) -> float:
        """What a step takes, seconds.

        Args:
            plan: The plan.
            stop_above: The answer is infinite as soon as it is known to be above this.

        Returns:
            The seconds; infinite also where a device's memory does not suffice.

        Raises:
            RecordError: the plan does not fit the graph, or has more devices than the machine.
        """
        layout = self._layout(plan)
        memory = self._memory.devices(plan, layout)
        limits = self.machine.devices[: plan.devices]
        if any(m.total > device.memory_bytes for m, device in zip(memory, limits, strict=True)):
            return math.inf
        costs = self._all_costs(layout)
        if self.machine.overlap:
            tasks = TaskGraphBuilder(self.graph, self.machine, layout).build(costs)
            return tasks.starts(stop_above)[1]
        return Walk(self.graph, self.machine, layout, costs).run(stop_above)[0]

    def node_seconds(self, name: str, partition: Partition) -> float:
        """What the nodes of a group take alone: the slowest device's computing and parameters.

        Args:
            name: The group, a key of `graph.groups`.
            partition: How it is split.

        Returns:
            Forward, backward, the exchanges within the group, and bringing parameters from their
            owners and gradients to them, if no other node used them; seconds.
        """
        number = self._traffic.number(partition)
        key = (name, number)
        if key not in self._alone:
            self._alone[key] = self._group_seconds(name, number)
        return self._alone[key]

    def edge_seconds(
        self, producer: str, first: Partition, consumer: str, second: Partition
    ) -> float:
        """What bringing tensors from one group to another takes, and their gradients back.

        Args:
            producer: The group that computes them.
            first: How it is split.
            consumer: The group that reads them.
            second: How that is split.

        Returns:
            Seconds; 0 where the second reads nothing of the first.
        """
        numbers = {producer: self._traffic.number(first), consumer: self._traffic.number(second)}
        key = (producer, consumer, *numbers.values())
        if key not in self._alone:
            exchanges = self._between(producer, consumer, numbers)
            self._alone[key] = self._exchange_seconds(exchanges)
        return self._alone[key]

    def _group_seconds(self, name: str, number: int) -> float:
        nodes, numbers = self._groups[name], {name: number}
        computing: dict[int, float] = {}
        runtime = self.machine.runtime
        for node in nodes:
            both = self._node_costs(node, number)
            for (_, device), seconds in zip(self._traffic.parts(node, number), both, strict=True):
                spent = sum(seconds)
                if runtime is not None:
                    spent = spent * runtime.compute_factor + 2 * runtime.part_seconds
                computing[device] = computing.get(device, 0.0) + spent
        used = {parameter for node in nodes for parameter in node.parameters}
        turns = [i for i, p in enumerate(self.graph.parameters) if p.name in used]
        parameters = [self._traffic.parameter(turn, numbers) for turn in turns]
        for exchange in parameters:
            for device, size in exchange.held.items():
                on = self.machine.devices[device]
                update = UPDATE_PASSES * size / on.memory_bytes_per_second
                computing[device] = computing.get(device, 0.0) + update
        moving = self._exchange_seconds([*parameters, *self._between(name, name, numbers)])
        return max(computing.values()) + moving

    def _between(self, producer: str, consumer: str, numbers: Mapping[str, int]) -> list[Exchange]:
        inside = {node.name for node in self._groups[producer]}
        return [
            self._traffic.between(node, inside, numbers)
            for node in self._groups[consumer]
            if not inside.isdisjoint(node.inputs)
        ]

    def _exchange_seconds(self, exchanges: Iterable[Exchange]) -> float:
        """What messages take, there and back, on the busiest link, or device where they block."""
        busy: dict[Hashable, float] = {}
        for giver, taker, size in (m for exchange in exchanges for m in exchange.there_and_back):
            seconds = self.machine.transfer_seconds(giver, taker, size)
            link = self.machine.link(giver, taker)
            for place in [link] if self.machine.overlap else [giver, taker]:
                busy[place] = busy.get(place, 0.0) + seconds
        return max(busy.values(), default=0.0)

    def _layout(self, plan: Plan) -> Layout:
        if plan.devices > len(self.machine.devices):
            raise RecordError(
                f"a plan must have at most the machine's {len(self.machine.devices)} devices, "
                f"got {plan.devices}"
            )
        plan.check(self.graph)
        return self._traffic.layout(plan)

    def _all_costs(self, layout: Layout) -> dict[str, Sequence[Seconds]]:
        return {
            node.name: self._node_costs(node, layout.numbers[node.group])
            for node in self.graph.nodes
        }

    def _node_costs(self, node: Node, number: int) -> tuple[Seconds, ...]:
        key = (node.name, number)
        costs = self._known.costs
        if key not in costs:
            costs[key] = tuple(
                self._source.seconds(node, box, device)
                for box, device in self._traffic.parts(node, number)
            )
        return costs[key]
