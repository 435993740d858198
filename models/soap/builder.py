"""Collects the nodes of a graph while a traced model is translated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch.fx.operator_schemas import normalize_function

from models.soap.graph import Node, Parameter, RunningStatistic, Source
from models.soap.pointwise import ParameterValue
from records import RecordError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from models.soap.regions import Shape
    from models.soap.space import Operator


@dataclass(frozen=True, slots=True)
class ParameterReference:
    """A traced value that is a parameter.

    Attributes:
        name: Its name in the model's state.
    """

    name: str


@dataclass(frozen=True, slots=True)
class BufferReference:
    """A traced value that is a buffer.

    Attributes:
        name: Its name in the model's state.
    """

    name: str


@dataclass(frozen=True, slots=True)
class LayerStates:
    """A traced value that is the first or last states of a recurrent network.

    Attributes:
        steps: The node of each layer whose output they are; empty for zeros.
    """

    steps: tuple[str, ...] = ()


Value = str | ParameterReference | BufferReference | LayerStates | tuple[Any, ...] | None
"""What a node of the trace became: a node or source by name, or one of the above."""


class Builder:
    """A graph in the making.

    Args:
        parameters: Shapes of the model's parameters by name.
    """

    def __init__(self, parameters: dict[str, Shape]) -> None:
        self._shapes = dict(parameters)
        self._views = dict(parameters)
        self.sources: list[Source] = []
        self.nodes: list[Node] = []
        self.running: list[RunningStatistic] = []
        self.counters: list[str] = []
        self.values: dict[torch.fx.Node, Value] = {}

    def parameters(self) -> tuple[Parameter, ...]:
        """The parameters, as the operators see them."""
        return tuple(Parameter(n, shape, self._views[n]) for n, shape in self._shapes.items())

    def add(
        self,
        name: str,
        operator: Operator,
        inputs: Sequence[str],
        parameters: Sequence[str] = (),
        *,
        group: str | None = None,
        floating: bool = True,
    ) -> str:
        """Append a node; gives its name."""
        node = Node(name, operator, tuple(inputs), tuple(parameters), group or name, floating)
        self.nodes.append(node)
        return name

    def noise(self, name: str, shape: Shape, strides: tuple[int, ...], drop: float) -> str:
        """Append dropout's noise; gives its name."""
        self.sources.append(Source(name, shape, drop, strides))
        return name

    def tensor(self, node: object) -> str:
        """The node or source that a traced value became; a parameter becomes a node.

        Raises:
            RecordError: it is no tensor that operators can read.
        """
        value = self.values[node] if isinstance(node, torch.fx.Node) else None
        if isinstance(value, str):
            return value
        if isinstance(value, ParameterReference):
            name = f"value.{value.name}"
            if all(known.name != name for known in self.nodes):
                shape = self._shapes[value.name]
                self.add(name, ParameterValue(shape), (), (value.name,))
            return name
        raise RecordError(f"an operator must read tensors that the model computes, got {node!r}")

    def parameter(self, node: object, view: Shape | None = None) -> str:
        """The parameter that a traced value is, seen in the shape `view`.

        Raises:
            RecordError: it is no parameter.
        """
        value = self.values[node] if isinstance(node, torch.fx.Node) else None
        if not isinstance(value, ParameterReference):
            raise RecordError(f"weights must be parameters of the model, got {node!r}")
        if view is not None:
            self._views[value.name] = view
        return value.name

    def buffer(self, node: object) -> str:
        """The buffer that a traced value is.

        Raises:
            RecordError: it is no buffer.
        """
        value = self.values[node] if isinstance(node, torch.fx.Node) else None
        if not isinstance(value, BufferReference):
            raise RecordError(f"running statistics must be buffers of the model, got {node!r}")
        return value.name

    def is_buffer(self, node: object) -> bool:
        """Whether a traced value is a buffer."""
        return isinstance(node, torch.fx.Node) and isinstance(self.values[node], BufferReference)


def shape_of(node: object) -> Shape:
    """The shape of a traced tensor.

    Raises:
        RecordError: it is none.
    """
    value = node.meta.get("val") if isinstance(node, torch.fx.Node) else None
    if not isinstance(value, torch.Tensor):
        raise RecordError(f"a tensor is needed, got {node!r}")
    return tuple(int(size) for size in value.shape)


def is_floating(node: torch.fx.Node) -> bool:
    """Whether a traced tensor is of floating point; else it is int64.

    Raises:
        RecordError: it is neither, so that it cannot be sent between devices.
    """
    dtype = node.meta["val"].dtype
    if not dtype.is_floating_point and dtype is not torch.int64:
        raise RecordError(f"'{node.name}' must be of floating point or int64, got {dtype}")
    return bool(dtype.is_floating_point)


def arguments_of(node: torch.fx.Node) -> dict[str, Any]:
    """The arguments of a call by name, with the defaults of those that were not given.

    What the schema calls ``self`` is ``input``.
    """
    assert callable(node.target)
    bound = normalize_function(
        node.target, node.args, node.kwargs, normalize_to_only_use_kwargs=True
    )
    assert bound is not None
    return dict(bound.kwargs)
