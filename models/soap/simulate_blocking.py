"""The simulator of our own runtime, in which transfers block both of their ends.

Every device walks through the same exchanges in the same order (see `tape`), computing between
them. It waits in each exchange for those it has messages with; no link works while its ends
compute. While some devices wait, the others have the memory's bandwidth for themselves and
compute faster.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from models.soap.cost import FLOAT_BYTES, goes_back
from models.soap.simulate_tasks import UPDATE_PASSES
from models.soap.simulate_timeline import Task

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from models.soap.buckets import Message
    from models.soap.cost import Seconds
    from models.soap.graph import Graph, Node
    from models.soap.machine import Machine, Runtime
    from models.soap.simulate_exchange import Exchange
    from models.soap.simulate_traffic import Layout

Item = tuple[str, str, int, float]
"""What a device computes: kind, node, part, seconds."""


@dataclass(slots=True)
class Stretch:
    """What a device computes before an exchange.

    Attributes:
        items: What.
        seconds: How long it takes while all devices compute.
        exchange: The number of the exchange behind it; -1 at the end.
    """

    items: list[Item]
    seconds: float = 0.0
    exchange: int = -1


class Walk:
    """The walk of all devices through one plan.

    Args:
        graph: The model.
        machine: Where it runs; it must have a runtime.
        layout: The plan, counted.
        costs: The times of the parts of each node.
    """

    def __init__(
        self,
        graph: Graph,
        machine: Machine,
        layout: Layout,
        costs: Mapping[str, Sequence[Seconds]],
    ) -> None:
        assert machine.runtime is not None
        self._graph, self._machine, self._layout = graph, machine, layout
        self._runtime: Runtime = machine.runtime
        self._costs = costs
        self._count = layout.devices
        self.programs = [[Stretch([])] for _ in range(self._count)]
        self.exchanges: list[tuple[str, tuple[Message, ...]]] = []
        self._build()

    def _build(self) -> None:
        layout, step = self._layout, self._runtime.step_seconds
        for device in range(self._count):
            self._add(device, ("overhead", "step", 0, step))
        self._exchange("parameters", layout.parameters, back=False)
        for node in self._graph.nodes:
            for exchange in layout.deliveries[node.name]:
                self._exchange(node.name, [exchange], back=False)
            self._stage("forward", node)
        self._exchange("loss", [layout.loss], back=False)
        self._exchange("running", [layout.running], back=False)
        for node in reversed(self._graph.nodes):
            if not goes_back(self._graph, node):
                continue
            self._stage("backward", node)
            for exchange in layout.deliveries[node.name]:
                if exchange.trained:
                    self._exchange(node.name, [exchange], back=True)
        self._update()

    def _update(self) -> None:
        layout = self._layout
        self._exchange("gradients", layout.parameters, back=True)
        for bucket in layout.buckets:
            # What goes on beside computing takes the same cores: it counts where it is waited for.
            messages = bucket.messages(FLOAT_BYTES)
            self._meet("gradients", {(src, dst): size for src, dst, size in messages})
        for exchange in layout.parameters:
            for device, size in exchange.held.items():
                seconds = UPDATE_PASSES * size / self._runtime.memory_bytes_per_second
                self._add(device, ("update", exchange.pieces[0].owner, 0, seconds))

    def _stage(self, kind: str, node: Node) -> None:
        runtime, which = self._runtime, 0 if kind == "forward" else 1
        for device in range(self._count):
            self._add(device, ("overhead", node.name, 0, runtime.stage_seconds))
        costs = self._costs[node.name]
        for i, (_, device) in enumerate(self._layout.parts[node.name]):
            seconds = costs[i][which] * runtime.compute_factor + runtime.part_seconds
            self._add(device, (kind, node.name, i, seconds))

    def _exchange(self, name: str, exchanges: Sequence[Exchange], *, back: bool) -> None:
        """One message from each device to each other one, then what arrived is put together."""
        sizes: dict[tuple[int, int], int] = {}
        for exchange in exchanges:
            for src, dst, size in exchange.messages:
                ends = (dst, src) if back else (src, dst)
                sizes[ends] = sizes.get(ends, 0) + size
        if sizes:
            self._meet(name, sizes)
        for exchange in exchanges:
            assembled = exchange.scattered if back else exchange.gathered
            for device, size in assembled.items():
                seconds = size / self._runtime.memory_bytes_per_second
                self._add(device, ("overhead", name, 0, seconds))

    def _meet(self, name: str, sizes: Mapping[tuple[int, int], int]) -> None:
        """Let devices wait for each other and for messages."""
        number = len(self.exchanges)
        self.exchanges.append((name, tuple((*ends, size) for ends, size in sizes.items())))
        for device in {device for ends in sizes for device in ends}:
            self.programs[device][-1].exchange = number
            self.programs[device].append(Stretch([]))

    def _add(self, device: int, item: Item) -> None:
        stretch = self.programs[device][-1]
        stretch.items.append(item)
        stretch.seconds += item[3]

    def run(
        self, stop_above: float = math.inf
    ) -> tuple[float, list[tuple[int, int, float, float]]]:
        """Let all devices walk.

        Args:
            stop_above: When the walk takes longer than this, its end is infinite.

        Returns:
            When the last device ends, and of each stretch its device, its place in the device's
            program, and when it starts and ends.
        """
        walkers = _Walkers(self, self._machine)
        while walkers.left:
            walkers.advance()
            if walkers.now > stop_above:
                return math.inf, walkers.done
        return walkers.now, walkers.done

    def tasks(self, done: Sequence[tuple[int, int, float, float]]) -> tuple[Task, ...]:
        """What happens when: within a stretch, time is shared out evenly."""
        found = []
        begins = {(device, place): start for device, place, start, _ in done}
        arrived: dict[tuple[int, int], tuple[float, float]] = {}
        for device, place, start, end in done:
            program = self.programs[device]
            stretch, time = program[place], start
            for kind, node, part, seconds in stretch.items:
                until = time + (end - start) * seconds / stretch.seconds
                found.append(Task(kind, node, part, device, time, until))
                time = until
            if stretch.exchange >= 0:
                arrived[stretch.exchange, device] = (end, begins[device, place + 1])
        for number, (name, messages) in enumerate(self.exchanges):
            for src, dst, size in messages:
                begin = max(arrived[number, src][0], arrived[number, dst][0])
                end = max(arrived[number, src][1], arrived[number, dst][1])
                link = self._machine.link(src, dst)
                found.append(Task("transfer", name, dst, link, begin, end, size))
        return tuple(sorted(found, key=lambda task: task.start))


class _Walkers:
    """The state of all devices in a walk.

    Attributes:
        now: The time, seconds.
        left: How many devices have not ended.
        done: The stretches that ended.
    """

    def __init__(self, walk: Walk, machine: Machine) -> None:
        self._walk = walk
        self._count = len(walk.programs)
        runtime = machine.runtime
        assert runtime is not None
        self._alone = runtime.alone_factor
        self.now, self.left = 0.0, self._count
        self.done: list[tuple[int, int, float, float]] = []
        self._place = [0] * self._count
        self._began = [0.0] * self._count
        self._remaining = {r: walk.programs[r][0].seconds for r in range(self._count)}
        self._resume: dict[int, float] = {}
        self._posted: list[set[int]] = [set() for _ in walk.exchanges]
        self._peers: list[dict[int, set[int]]] = []
        self._costs: list[dict[int, float]] = []
        for _, messages in walk.exchanges:
            peers: dict[int, set[int]] = {}
            costs: dict[int, float] = {}
            for src, dst, size in messages:
                seconds = machine.transfer_seconds(src, dst, size)
                for end, other in ((src, dst), (dst, src)):
                    peers.setdefault(end, set()).add(other)
                    costs[end] = costs.get(end, 0.0) + seconds
            self._peers.append(peers)
            self._costs.append(costs)

    def advance(self) -> None:
        """Go to the next time at which a device ends a stretch or an exchange."""
        factor = self._factor()
        steps = [seconds * factor for seconds in self._remaining.values()]
        steps += [time - self.now for time in self._resume.values()]
        step = max(min(steps), 0.0)
        self.now += step
        ended = []
        for device in self._remaining:
            self._remaining[device] -= step / factor
            if self._remaining[device] <= _EPSILON:
                ended.append(device)
        resumed = [device for device, time in self._resume.items() if time <= self.now + _EPSILON]
        for device in ended:
            self._end(device)
        for device in resumed:
            del self._resume[device]
            self._begin(device)

    def _factor(self) -> float:
        """What computing takes now, over what it takes while all compute."""
        if self._count == 1:
            return 1.0
        share = (len(self._remaining) - 1) / (self._count - 1)
        return self._alone + (1 - self._alone) * max(share, 0.0)

    def _begin(self, device: int) -> None:
        self._place[device] += 1
        self._began[device] = self.now
        self._remaining[device] = self._walk.programs[device][self._place[device]].seconds

    def _end(self, device: int) -> None:
        del self._remaining[device]
        place = self._place[device]
        self.done.append((device, place, self._began[device], self.now))
        number = self._walk.programs[device][place].exchange
        if number < 0:
            self.left -= 1
            return
        self._posted[number].add(device)
        peers = self._peers[number]
        for each in (device, *peers[device]):
            if each in self._posted[number] and peers[each] <= self._posted[number]:
                self._resume.setdefault(each, self.now + self._costs[number][each])


_EPSILON = 1e-12
"""Times closer than this are the same, seconds."""
