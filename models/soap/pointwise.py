"""Operators that compute each element, or each line of elements, by itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from typing_extensions import override

from models.soap.regions import Box, Shape
from models.soap.space import Dimension, Kind, Operator, axis_dimensions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Operand:
    """The place of an input among an operator's arguments.

    Attributes:
        place: Which input.
    """

    place: int


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a torch operator with settings, and operands where its tensors go.

    Attributes:
        overload: The operator's name in ``torch.ops.aten``: ``hardtanh.default``.
        arguments: Its arguments.
        keywords: Its named arguments.
    """

    overload: str
    arguments: tuple[Any, ...]
    keywords: tuple[tuple[str, Any], ...] = ()

    def __call__(self, tensors: Sequence[Tensor]) -> Tensor:
        """Call it with these tensors for the operands."""
        packet, overload = self.overload.split(".")
        operator = getattr(getattr(torch.ops.aten, packet), overload)
        given = [tensors[a.place] if isinstance(a, Operand) else a for a in self.arguments]
        result: Tensor = operator(*given, **dict(self.keywords))
        return result


@dataclass(frozen=True, slots=True)
class Pointwise(Operator):
    """Each element from the elements of the inputs at its place, with broadcasting.

    Attributes:
        call: What is computed.
        inputs: Shapes of the inputs.
        outputs: Shape of the output.
    """

    call: Call
    inputs: tuple[Shape, ...]
    outputs: Shape

    @property
    @override
    def dimensions(self) -> tuple[Dimension, ...]:
        return axis_dimensions(self.outputs)

    @override
    def needs(self, part: Box) -> tuple[Box, ...]:
        return tuple(broadcast_need(part, shape) for shape in self.inputs)

    @override
    def forward(self, part: Box, tensors: Sequence[Tensor]) -> Tensor:
        return self.call(tensors)


@dataclass(frozen=True, slots=True)
class Linewise(Operator):
    """Each line of elements along some axes by itself: softmax, a norm.

    Attributes:
        call: What is computed.
        inputs: Shape of the input.
        axes: The axes of the lines, which cannot be split.
        collapse: Whether they have size 1 in the output.
    """

    call: Call
    inputs: Shape
    axes: tuple[int, ...]
    collapse: bool

    @property
    @override
    def dimensions(self) -> tuple[Dimension, ...]:
        shape = tuple(
            1 if self.collapse and axis in self.axes else size
            for axis, size in enumerate(self.inputs)
        )
        return axis_dimensions(shape, whole=self.axes)

    @override
    def needs(self, part: Box) -> tuple[Box, ...]:
        for axis in self.axes:
            part = part.replace(axis, (0, self.inputs[axis]))
        return (part,)

    @override
    def forward(self, part: Box, tensors: Sequence[Tensor]) -> Tensor:
        return self.call(tensors)


@dataclass(frozen=True, slots=True)
class ParameterValue(Operator):
    """A parameter as a tensor like any other.

    Attributes:
        size: Shape of the parameter.
    """

    size: Shape

    @property
    @override
    def dimensions(self) -> tuple[Dimension, ...]:
        return tuple(
            Dimension(f"axis{axis}", size, Kind.PARAMETER) for axis, size in enumerate(self.size)
        )

    @override
    def needs(self, part: Box) -> tuple[Box, ...]:
        return (part,)

    @override
    def forward(self, part: Box, tensors: Sequence[Tensor]) -> Tensor:
        return tensors[0].clone()


def broadcast_need(part: Box, shape: Shape) -> Box:
    """The region of an input of this shape that a broadcast region reads.

    >>> broadcast_need(Box(((0, 2), (3, 5), (1, 4))), (5, 1)).ranges
    ((3, 5), (0, 1))
    """
    ranges = part.ranges[len(part.ranges) - len(shape) :]
    return Box(tuple((0, 1) if size == 1 else r for r, size in zip(ranges, shape, strict=True)))
