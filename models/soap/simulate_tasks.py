"""The paper's simulator: tasks, what each waits for, and when each runs.

FlexFlow, section 5: a *task graph* has a compute task for each part, forward and backward, and a
communication task wherever a tensor moves between devices, whose device is the link. Algorithm 1
("full simulation") takes tasks in the order of their ready times, and each device or link does
one at a time, in that order.
"""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from models.soap.cost import FLOAT_BYTES, goes_back
from models.soap.simulate_timeline import Task

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from models.soap.cost import Seconds
    from models.soap.graph import Graph, Node
    from models.soap.machine import LinkId, Machine
    from models.soap.simulate_exchange import Exchange
    from models.soap.simulate_traffic import Layout

UPDATE_PASSES = 5
"""Reads and writes of memory for each element that SGD with momentum updates."""


@dataclass(slots=True)
class TaskGraph:
    """Tasks and what each waits for.

    Attributes:
        seconds: What each task takes.
        places: The device or link of each.
        labels: What each is: kind, node, part, bytes.
        followers: The tasks that wait for each.
        waiting: How many tasks each waits for.
    """

    seconds: list[float] = field(default_factory=list)
    places: list[int | LinkId] = field(default_factory=list)
    labels: list[tuple[str, str, int, int]] = field(default_factory=list)
    followers: list[list[int]] = field(default_factory=list)
    waiting: list[int] = field(default_factory=list)

    def add(
        self,
        seconds: float,
        place: int | LinkId,
        label: tuple[str, str, int, int],
        after: Iterable[int] = (),
    ) -> int:
        """Add a task behind others; returns its number."""
        number = len(self.seconds)
        before = set(after)
        for task in before:
            self.followers[task].append(number)
        self.seconds.append(seconds)
        self.places.append(place)
        self.labels.append(label)
        self.followers.append([])
        self.waiting.append(len(before))
        return number

    def starts(self, stop_above: float = math.inf) -> tuple[list[float], float]:
        """Algorithm 1: when each task starts, and when the last ends.

        Args:
            stop_above: When a task ends later than this, the end is infinite and not all starts
                are known.
        """
        waiting, ready = list(self.waiting), [0.0] * len(self.seconds)
        starts = [0.0] * len(self.seconds)
        free: dict[int | LinkId, float] = {}
        queue = [(0.0, task) for task, count in enumerate(waiting) if not count]
        last = 0.0
        while queue:
            time, task = heapq.heappop(queue)
            place = self.places[task]
            start = starts[task] = max(time, free.get(place, 0.0))
            end = free[place] = start + self.seconds[task]
            if end > stop_above:
                return starts, math.inf
            last = max(last, end)
            for follower in self.followers[task]:
                ready[follower] = max(ready[follower], end)
                waiting[follower] -= 1
                if not waiting[follower]:
                    heapq.heappush(queue, (ready[follower], follower))
        return starts, last

    def tasks(self, starts: Sequence[float]) -> tuple[Task, ...]:
        """The tasks with their times, in the order of their starts."""
        found = [
            Task(kind, node, part, place, start, start + seconds, n_bytes)
            for (kind, node, part, n_bytes), place, start, seconds in zip(
                self.labels, self.places, starts, self.seconds, strict=True
            )
        ]
        return tuple(sorted(found, key=lambda task: task.start))


class TaskGraphBuilder:
    """Makes the task graph of one plan.

    Args:
        graph: The model.
        machine: Where it runs.
        layout: The plan, counted.
    """

    def __init__(self, graph: Graph, machine: Machine, layout: Layout) -> None:
        self._graph, self._machine, self._layout = graph, machine, layout
        self._tasks = TaskGraph()
        self._forward: dict[str, list[int]] = {}
        self._backward: dict[str, list[int]] = {}

    def build(self, costs: dict[str, Sequence[Seconds]]) -> TaskGraph:
        """The tasks of a step.

        Args:
            costs: The times of the parts of each node.
        """
        graph, layout = self._graph, self._layout
        before = self._fetch()
        for node in graph.nodes:
            waits = [list(before.get((node.name, i), ())) for i in range(len(costs[node.name]))]
            for exchange in layout.deliveries[node.name]:
                self._deliver(node, exchange, waits)
            self._forward[node.name] = self._compute("forward", node, costs[node.name], waits)
        for exchange in (layout.loss, layout.running):
            self._move(exchange, [self._forward[p.owner][p.part] for p in exchange.pieces])
        self._go_back(costs)
        self._update()
        return self._tasks

    def _fetch(self) -> dict[tuple[str, int], list[int]]:
        """Bring parameters to their users: the tasks that each part waits for."""
        before: dict[tuple[str, int], list[int]] = {}
        for exchange in self._layout.parameters:
            for need, task in self._move(exchange, None):
                for reader in exchange.readers[need]:
                    before.setdefault(reader, []).append(task)
        return before

    def _deliver(self, node: Node, exchange: Exchange, waits: list[list[int]]) -> None:
        """Bring what other nodes computed, and note what each part waits for."""
        made = [self._forward[piece.owner][piece.part] for piece in exchange.pieces]
        for need, task in self._move(exchange, made):
            for name, part in exchange.readers[need]:
                assert name == node.name
                waits[part].append(task)

    def _move(self, exchange: Exchange, made: list[int] | None) -> list[tuple[int, int]]:
        """For each overlap its need, and the task behind which it is there.

        Args:
            exchange: What moves.
            made: The task that makes each piece; None where all are there from the start.
        """
        found = []
        for piece, need, elements in exchange.overlaps:
            giver, taker = exchange.pieces[piece], exchange.needs[need]
            after = [made[piece]] if made is not None else []
            if giver.device != taker.device:
                size = elements * exchange.element_bytes
                found.append((need, self._transfer(giver.owner, giver.device, taker.device, size,
                                                   after)))  # fmt: skip
            elif after:
                found.append((need, after[0]))
        return found

    def _transfer(self, name: str, src: int, dst: int, size: int, after: list[int]) -> int:
        machine = self._machine
        label = ("transfer", name, dst, size)
        seconds = machine.transfer_seconds(src, dst, size)
        return self._tasks.add(seconds, machine.link(src, dst), label, after)

    def _compute(
        self, kind: str, node: Node, costs: Sequence[Seconds], waits: list[list[int]]
    ) -> list[int]:
        which = 0 if kind == "forward" else 1
        return [
            self._tasks.add(costs[i][which], device, (kind, node.name, i, 0), waits[i])
            for i, (_, device) in enumerate(self._layout.parts[node.name])
        ]

    def _go_back(self, costs: dict[str, Sequence[Seconds]]) -> None:
        """Backward tasks, each behind its forward task and the gradients of its output."""
        behind: dict[str, list[list[int]]] = {
            name: [[task] for task in tasks] for name, tasks in self._forward.items()
        }
        for node in reversed(self._graph.nodes):
            if not goes_back(self._graph, node):
                continue
            waits = behind[node.name]
            self._backward[node.name] = self._compute("backward", node, costs[node.name], waits)
            for exchange in self._layout.deliveries[node.name]:
                if not exchange.trained:
                    continue
                for piece, task in self._return(exchange):
                    holder = exchange.pieces[piece]
                    behind[holder.owner][holder.part].append(task)

    def _return(self, exchange: Exchange) -> list[tuple[int, int]]:
        """For each overlap its piece, and the tasks behind which its gradient is there."""
        found = []
        for piece, need, elements in exchange.overlaps:
            giver, taker = exchange.pieces[piece], exchange.needs[need]
            after = [
                self._backward[name][part]
                for name, part in exchange.readers[need]
                if name in self._backward
            ]
            if giver.device != taker.device:
                size = elements * exchange.element_bytes
                task = self._transfer(giver.owner, taker.device, giver.device, size, after)
                found.append((piece, task))
            else:
                found += [(piece, task) for task in after]
        return found

    def _update(self) -> None:
        """Bring gradients to the owners of parameters, which update them."""
        added = self._add_up()
        for exchange in self._layout.parameters:
            waits: list[list[int]] = [[] for _ in exchange.pieces]
            for place, task in self._return(exchange):
                waits[place].append(task)
            for piece, after in zip(exchange.pieces, waits, strict=True):
                on = self._machine.devices[piece.device]
                moved = piece.box.elements * exchange.element_bytes * UPDATE_PASSES
                seconds = moved / on.memory_bytes_per_second
                behind = added.get(piece.owner, after)
                self._tasks.add(seconds, piece.device, ("update", piece.owner, 0, 0), behind)

    def _add_up(self) -> dict[str, list[int]]:
        """Rings for the gradients of shared parameters; by parameter, behind what all are there."""
        exchanges = {e.pieces[0].owner: e for e in self._layout.parameters if e.shared}
        found = {}
        for bucket in self._layout.buckets:
            returned = [self._return(exchanges[name]) for name in bucket.parameters]
            after = sorted({task for each in returned for _, task in each})
            messages = bucket.messages(FLOAT_BYTES)
            tasks = [self._transfer("gradients", *message, after) for message in messages]
            found.update(dict.fromkeys(bucket.parameters, tasks))
        return found
