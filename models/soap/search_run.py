"""What every method of search shares: the budget, the candidates, and the best plans so far."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from models.soap.candidates import candidates
from models.soap.plan import Partition, Plan, data_parallel, single_device
from models.soap.space import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from models.soap.candidates import CandidateSettings
    from models.soap.graph import Graph
    from models.soap.space import Dimension
    from records.protocols import Clock

    Progress = Callable[[float, float], None]

Style = tuple[int, tuple[int, ...], tuple[int, ...]]
"""What a partition shares with those of other operators: see `style_of`."""

NANOSECONDS = 1e9
"""Of a second."""


class Predictor(Protocol):
    """What tells how long a plan's step takes: `simulate.Simulator` does."""

    def seconds(self, plan: Plan, stop_above: float = math.inf) -> float:
        """The time of a step, seconds.

        Infinite where a device's memory is too small, and where it is known to be above
        `stop_above`.
        """

    def node_seconds(self, name: str, partition: Partition) -> float:
        """The time of a group of nodes by itself, with what its parameters take, seconds."""

    def edge_seconds(
        self, producer: str, first: Partition, consumer: str, second: Partition
    ) -> float:
        """The time of what goes from one group to another, and of its gradient, seconds."""


@dataclass(frozen=True, slots=True)
class Improvement:
    """When a better plan was found.

    Attributes:
        evaluated: How many plans had been evaluated.
        elapsed: Since the start of the search, seconds.
        seconds: The predicted step of the better plan, seconds.
    """

    evaluated: int
    elapsed: float
    seconds: float


class BudgetSpentError(Exception):
    """The search must end: it has used its time or its evaluations. Never leaves `search`."""


class Budget:
    """How much a search may still do.

    Args:
        seconds: Most time, seconds; may be infinite.
        evaluations: Most plans evaluated; None for any number.
        clock: Tells the time.
    """

    def __init__(self, seconds: float, evaluations: int | None, clock: Clock) -> None:
        self.evaluated = 0
        self._seconds, self._evaluations, self._clock = seconds, evaluations, clock
        self._began = clock()

    @property
    def elapsed(self) -> float:
        """Since the start, seconds."""
        return (self._clock() - self._began) / NANOSECONDS

    @property
    def used(self) -> float:
        """The share that is used, from 0; at 1 the search must end."""
        counted = self.evaluated / self._evaluations if self._evaluations else 0.0
        return max(counted, self.elapsed / self._seconds)

    def check(self) -> None:
        """Make sure that there is some left.

        Raises:
            BudgetSpentError: there is none.
        """
        if self.used >= 1:
            raise BudgetSpentError

    def count(self) -> None:
        """One more evaluation.

        Raises:
            BudgetSpentError: there is none left.
        """
        self.check()
        self.evaluated += 1


class Run:
    """One search: it evaluates plans and remembers the best.

    Args:
        graph: The model.
        predictor: Tells how long plans take.
        devices: How many devices there are.
        budget: How much it may do.
        choose: Which partitions are candidates.
        progress: Told the share of the budget that is used, 0..1, and the best step, seconds.

    Attributes:
        names: The operators that are partitioned, in the order of the graph.
        candidates: The candidates of each.
        best: The best plan.
        best_seconds: Its predicted step, seconds; infinite before any fits into memory.
        history: When better plans were found.
        found: Every plan that was the best one, with its step, seconds; the last is the best.
    """

    def __init__(
        self,
        graph: Graph,
        predictor: Predictor,
        devices: int,
        budget: Budget,
        choose: CandidateSettings,
        progress: Progress | None = None,
    ) -> None:
        self.graph, self.predictor, self.devices, self.budget = graph, predictor, devices, budget
        self._progress = progress
        self.names = [node.name for node in graph.nodes if node.name in graph.groups]
        self.candidates = {
            name: candidates(graph.groups[name], devices, choose) for name in self.names
        }
        self.single = single_device(graph)
        self.data_parallel = data_parallel(graph, devices)
        self.best, self.best_seconds = self.single, math.inf
        self.history: list[Improvement] = []
        self.found: list[tuple[float, Plan]] = []
        self._styles: dict[str, dict[Style, Partition]] = {}

    def seconds(self, plan: Plan, stop_above: float = math.inf) -> float:
        """Evaluate a plan; infinite above `stop_above`.

        Raises:
            BudgetSpentError: there is no budget left.
        """
        self.budget.count()
        seconds = self.predictor.seconds(plan, stop_above)
        self.offer(plan, seconds)
        if self._progress is not None:
            self._progress(min(1.0, self.budget.used), self.best_seconds)
        return seconds

    def offer(self, plan: Plan, seconds: float) -> None:
        """Remember a plan if it is the best so far."""
        if seconds < self.best_seconds:
            self.best, self.best_seconds = plan, seconds
            self.found.append((seconds, plan))
            elapsed = self.budget.elapsed
            self.history.append(Improvement(self.budget.evaluated, elapsed, seconds))

    def changed(self, plan: Plan, changes: Mapping[str, Partition]) -> Plan:
        """The plan with other partitions of some operators, for the devices up to the last used."""
        partitions = {**plan.partitions, **changes}
        last = max(max(partition.devices) for partition in partitions.values())
        return Plan(last + 1, partitions)

    def in_style(self, names: list[str], style: Style) -> dict[str, Partition]:
        """The candidate of each operator that has the style, of those that have one."""
        found = {name: self._of_style(name).get(style) for name in names}
        return {name: partition for name, partition in found.items() if partition is not None}

    def _of_style(self, name: str) -> dict[Style, Partition]:
        if name not in self._styles:
            dimensions = self.graph.groups[name]
            # Even cuts come before uneven ones; the first of a style stays.
            styled = [(style_of(dimensions, c), c) for c in reversed(self.candidates[name])]
            self._styles[name] = dict(styled)
        return self._styles[name]


def style_of(dimensions: tuple[Dimension, ...], partition: Partition) -> Style:
    """The degree of the sample, the degrees of the other dimensions, and the devices.

    Operators that follow each other with one style mostly need no exchange.

    >>> from models.soap.space import Dimension
    >>> space = (Dimension("sample", 4, Kind.SAMPLE), Dimension("axis1", 3, Kind.ATTRIBUTE))
    >>> style_of(space, Partition(((2,), ()), (0, 1)))
    (2, (), (0, 1))
    """
    each = list(zip(dimensions, partition.degrees, strict=True))
    sample = math.prod(degree for d, degree in each if d.kind is Kind.SAMPLE)
    others = [degree for d, degree in each if d.kind is not Kind.SAMPLE]
    while others and others[-1] == 1:
        others.pop()
    return sample, tuple(others), partition.devices
