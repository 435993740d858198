"""A model as a graph of operators that can be split: what a plan is made for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from models.soap.losses import NO_CLASS, CrossEntropy, SquaredError
from models.soap.regions import Box, Shape
from records import RecordError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from models.soap.space import Dimension, Operator


@dataclass(frozen=True, slots=True)
class Source:
    """A tensor that every rank has before the step: a part of the batch, or dropout's noise.

    Attributes:
        name: Its name.
        shape: Its shape.
        drop: For noise, the share of elements that are 0; None for a part of the batch.
        strides: For noise, how one device lays out the tensor, which orders its random numbers.
    """

    name: str
    shape: Shape
    drop: float | None = None
    strides: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of the model.

    Attributes:
        name: Its name in the model's state.
        shape: Its shape there.
        view: The shape in which operators see it.
    """

    name: str
    shape: Shape
    view: Shape


@dataclass(frozen=True, slots=True)
class Node:
    """An operator in its place.

    Attributes:
        name: Its name.
        operator: What it computes.
        inputs: Names of the nodes or sources that it reads.
        parameters: Names of the parameters that it reads.
        group: The node whose partition it runs under, mostly its own name.
        floating: Whether its output is of floating point; else int64.
    """

    name: str
    operator: Operator
    inputs: tuple[str, ...]
    parameters: tuple[str, ...]
    group: str
    floating: bool = True


@dataclass(frozen=True, slots=True)
class RunningStatistic:
    """A buffer that follows a node's output: buffer += momentum * (scale * output - buffer).

    Attributes:
        buffer: Its name in the model's state.
        node: The node whose output it follows.
        momentum: Share of the newest value.
        scale: n / (n - 1) for a variance, which makes it unbiased; 1 for a mean.
    """

    buffer: str
    node: str
    momentum: float
    scale: float


@dataclass(frozen=True)
class Graph:
    """A model, and perhaps its loss.

    Attributes:
        sources: What every rank has before the step.
        parameters: The model's parameters.
        nodes: The operators, each behind those it reads.
        outputs: Names of the nodes that the model returns.
        losses: Names of the nodes whose sum is the loss.
        running: Buffers that follow nodes.
        counters: Buffers that count steps.

    Raises:
        RecordError: a name is missing or used twice, or a node reads outside of its inputs.
    """

    sources: tuple[Source, ...]
    parameters: tuple[Parameter, ...]
    nodes: tuple[Node, ...]
    outputs: tuple[str, ...]
    losses: tuple[str, ...] = ()
    running: tuple[RunningStatistic, ...] = ()
    counters: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        shapes = {source.name: source.shape for source in self.sources}
        for node in self.nodes:
            if node.name in shapes:
                raise RecordError(f"names of a graph must differ, got '{node.name}' twice")
            self._check_needs(node, shapes)
            shapes[node.name] = node.operator.shape
        for name in (*self.outputs, *self.losses):
            if name not in shapes:
                raise RecordError(f"outputs and losses must be nodes of the graph, got '{name}'")

    @cached_property
    def by_name(self) -> dict[str, Node]:
        """The nodes by name."""
        return {node.name: node for node in self.nodes}

    @cached_property
    def source_by_name(self) -> dict[str, Source]:
        """The sources by name."""
        return {source.name: source for source in self.sources}

    @cached_property
    def parameter_by_name(self) -> dict[str, Parameter]:
        """The parameters by name."""
        return {parameter.name: parameter for parameter in self.parameters}

    @cached_property
    def groups(self) -> dict[str, tuple[Dimension, ...]]:
        """What a plan must partition: the dimensions of each group's operator."""
        return {n.name: n.operator.dimensions for n in self.nodes if n.name == n.group}

    @cached_property
    def trained(self) -> frozenset[str]:
        """The nodes whose output depends on a parameter."""
        found: set[str] = set()
        for node in self.nodes:
            if node.floating and (node.parameters or not found.isdisjoint(node.inputs)):
                found.add(node.name)
        return frozenset(found)

    @cached_property
    def reaching(self) -> frozenset[str]:
        """The nodes that the loss depends on."""
        found = set(self.losses)
        for node in reversed(self.nodes):
            if node.name in found:
                found.update(node.inputs)
        return frozenset(found & self.by_name.keys())

    def with_cross_entropy(
        self,
        *,
        class_axis: int = 1,
        weights: Sequence[float] = (),
        ignored: int = NO_CLASS,
        smoothing: float = 0.0,
    ) -> Graph:
        """The graph with the mean cross entropy of its one output; see `losses.CrossEntropy`.

        The targets are the source ``target``.

        Raises:
            RecordError: the model has several outputs, or a setting is out of range.
        """
        if len(self.outputs) != 1:
            raise RecordError(
                f"cross entropy needs a model with one output, got {len(self.outputs)}"
            )
        shape = self._shape(self.outputs[0])
        axis = class_axis % len(shape)
        if weights and len(weights) != shape[axis]:
            raise RecordError(f"weights must be {shape[axis]}, one a class, got {len(weights)}")
        if not 0 <= smoothing <= 1:
            raise RecordError(f"smoothing must be in 0..1, got {smoothing}")
        loss = CrossEntropy(shape, axis, tuple(weights), ignored, smoothing)
        target = Source("target", Box.whole(shape).without([axis]).shape)
        node = Node("loss", loss, (self.outputs[0], "target", "target"), (), "loss")
        return self._with_losses([target], [node])

    def with_squared_error(self) -> Graph:
        """The graph with the mean squared error of its outputs; with several, their sum.

        The targets are the sources ``target``, or ``target0``, ``target1``...
        """
        several = len(self.outputs) > 1
        targets, nodes = [], []
        for place, output in enumerate(self.outputs):
            mark = str(place) if several else ""
            targets.append(Source(f"target{mark}", self._shape(output)))
            loss = SquaredError(self._shape(output))
            nodes.append(Node(f"loss{mark}", loss, (output, f"target{mark}"), (), f"loss{mark}"))
        return self._with_losses(targets, nodes)

    def _with_losses(self, targets: Sequence[Source], nodes: Sequence[Node]) -> Graph:
        return replace(
            self,
            sources=(*self.sources, *targets),
            nodes=(*self.nodes, *nodes),
            losses=tuple(node.name for node in nodes),
        )

    def _shape(self, name: str) -> Shape:
        return self.by_name[name].operator.shape

    def _check_needs(self, node: Node, shapes: dict[str, Shape]) -> None:
        missing = [name for name in node.inputs if name not in shapes]
        missing += [name for name in node.parameters if name not in self.parameter_by_name]
        if missing:
            raise RecordError(f"node '{node.name}' must read what is before it, got {missing}")
        there = [shapes[name] for name in node.inputs]
        there += [self.parameter_by_name[name].view for name in node.parameters]
        needs = node.operator.needs(node.operator.space)
        inside = len(needs) == len(there) and all(
            len(need.ranges) == len(shape) and Box.whole(shape).holds(need)
            for need, shape in zip(needs, there, strict=True)
        )
        if not inside:
            raise RecordError(
                f"node '{node.name}' must read regions of its inputs {there}, "
                f"got {[need.ranges for need in needs]}"
            )
