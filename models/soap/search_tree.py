"""Dynamic programming over operators: the plan with the least sum of operators and exchanges.

On a chain of operators it is the usual recursion (Jia et al., "Exploring hidden dimensions in
accelerating convolutional neural networks", ICML 2018, section 5, finds it for chains and what
reduces to them). Here it runs over a tree: each operator hangs on the largest of those that it
reads. The exchanges that the tree leaves out are priced against the plan before.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Hashable

    from numpy.typing import NDArray

    from models.soap.graph import Graph
    from models.soap.plan import Partition, Plan
    from models.soap.search_run import Run


@dataclass(frozen=True, slots=True)
class _Edge:
    """What one operator gives to another: elements, and as which of its inputs."""

    elements: int = 0
    places: tuple[int, ...] = ()


class TreeProgram:
    """The dynamic programme of one search.

    Args:
        run: The search.
        width: How many candidates of each operator take part: those with the least time by
            themselves, and the two of data parallel and one device.
        most: How many of its candidates are looked at for that, from the first.

    Attributes:
        narrowed: The candidates that take part.
    """

    def __init__(self, run: Run, width: int, most: int) -> None:
        self._run = run
        self._edges = _edges(run.graph)
        self._alike = _alike(run.graph)
        self._priced: dict[Hashable, NDArray[np.float64]] = {}
        self._parents = self._tree()
        self.narrowed: dict[str, tuple[Partition, ...]] = {}
        self._alone: dict[str, NDArray[np.float64]] = {}
        for name in run.names:
            run.budget.check()
            self._narrow(name, width, most)

    def plan(self, present: Plan) -> Plan:
        """The best plan of the additive model, with the left out exchanges as at present."""
        values = {name: self._alone[name].copy() for name in self._run.names}
        for first, second in self._edges:
            if self._parents[second] != first:
                fixed = (present.partitions[first],)
                values[second] += self._between(first, fixed, second)[0]
        choices: dict[str, NDArray[np.intp]] = {}
        for name in reversed(self._run.names):
            if name in self._parents:
                parent = self._parents[name]
                moving = self._between(parent, self.narrowed[parent], name)
                choices[name] = (moving + values[name]).argmin(axis=1)
                values[parent] += (moving + values[name]).min(axis=1)
        chosen: dict[str, int] = {}
        for name in self._run.names:
            if name in self._parents:
                chosen[name] = int(choices[name][chosen[self._parents[name]]])
            else:
                chosen[name] = int(values[name].argmin())
        partitions = {name: self.narrowed[name][i] for name, i in chosen.items()}
        return self._run.changed(present, partitions)

    def _tree(self) -> dict[str, str]:
        """The operator on which each hangs: the one with the largest output that it reads."""
        parents: dict[str, str] = {}
        for (first, second), edge in self._edges.items():
            known = parents.get(second)
            if known is None or edge.elements > self._edges[known, second].elements:
                parents[second] = first
        return parents

    def _narrow(self, name: str, width: int, most: int) -> None:
        usual = (self._run.single.partitions[name], self._run.data_parallel.partitions[name])
        candidates = self._run.candidates[name]
        every = (*candidates[:most], *(c for c in candidates[most:] if c in usual))
        key = (self._alike[name], every)
        if key not in self._priced:
            price = self._run.predictor.node_seconds
            self._priced[key] = np.array([price(name, each) for each in every])
        alone = self._priced[key]
        kept = set(np.argsort(alone, kind="stable")[:width].tolist())
        kept |= {i for i, each in enumerate(every) if each in usual}
        self.narrowed[name] = tuple(every[i] for i in sorted(kept))
        self._alone[name] = alone[sorted(kept)]

    def _between(
        self, first: str, partitions: tuple[Partition, ...], second: str
    ) -> NDArray[np.float64]:
        """What the exchange takes for each pair of partitions, (first, second), seconds."""
        readers = self.narrowed[second]
        # What repeats in a network, as the steps of a recurrent one do, is priced once.
        places = self._edges[first, second].places
        key = (self._alike[first], self._alike[second], places, partitions, readers)
        if key not in self._priced:
            self._run.budget.check()
            price = self._run.predictor.edge_seconds
            self._priced[key] = np.array(
                [[price(first, one, second, two) for two in readers] for one in partitions]
            )
        return self._priced[key]


def _alike(graph: Graph) -> dict[str, Hashable]:
    """The same value for operators of the same kind and sizes that read the same kinds."""
    found: dict[str, tuple[Hashable, ...]] = {}
    kinds: dict[str, Hashable] = {}
    for node in graph.nodes:
        operator = node.operator
        needs = tuple(need.shape for need in operator.needs(operator.space))
        read = tuple(kinds.get(name, "") for name in node.inputs)
        kinds[node.name] = (type(operator), operator.dimensions, needs)
        found[node.group] = (*found.get(node.group, ()), kinds[node.name], read)
    return dict(found)


def _edges(graph: Graph) -> dict[tuple[str, str], _Edge]:
    """What goes from one operator to another that reads it."""
    edges: dict[tuple[str, str], _Edge] = {}
    for node in graph.nodes:
        for place, name in enumerate(node.inputs):
            giver = graph.by_name.get(name)
            if giver is not None and giver.group != node.group:
                pair = (giver.group, node.group)
                edge = edges.get(pair, _Edge())
                elements = edge.elements + math.prod(giver.operator.shape)
                edges[pair] = _Edge(elements, (*edge.places, place))
    return edges
