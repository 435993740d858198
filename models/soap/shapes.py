"""Operators that only move elements: concatenation, reshaping, transposing, cutting out."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from typing_extensions import override

from models.soap.pointwise import broadcast_need
from models.soap.regions import Box, Range, Shape
from models.soap.space import Dimension, Operator, axis_dimensions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Concatenation(Operator):
    """Inputs one behind the other along an axis.

    Attributes:
        inputs: Shapes of the inputs.
        axis: The axis along which they are joined.
    """

    inputs: tuple[Shape, ...]
    axis: int

    @property
    @override
    def dimensions(self) -> tuple[Dimension, ...]:
        shape = list(self.inputs[0])
        shape[self.axis] = sum(size[self.axis] for size in self.inputs)
        return axis_dimensions(tuple(shape))

    @override
    def needs(self, part: Box) -> tuple[Box, ...]:
        start, stop = part.ranges[self.axis]
        sizes = [shape[self.axis] for shape in self.inputs]
        firsts = itertools.accumulate(sizes[:-1], initial=0)
        needs = []
        for first, size in zip(firsts, sizes, strict=True):
            low = min(max(start - first, 0), size)
            needs.append(part.replace(self.axis, (low, max(low, min(stop - first, size)))))
        return tuple(needs)

    @override
    def forward(self, part: Box, tensors: Sequence[Tensor]) -> Tensor:
        return torch.cat(list(tensors), self.axis)


@dataclass(frozen=True, slots=True)
class Permutation(Operator):
    """The axes in another order.

    Attributes:
        inputs: Shape of the input.
        order: The input's axis for each axis of the output.
    """

    inputs: Shape
    order: tuple[int, ...]

    @property
    @override
    def dimensions(self) -> tuple[Dimension, ...]:
        shape = tuple(self.inputs[axis] for axis in self.order)
        return axis_dimensions(shape, sample=self.order.index(0))

    @override
    def needs(self, part: Box) -> tuple[Box, ...]:
        return (Box(tuple(part.ranges[self.order.index(a)] for a in range(len(self.order)))),)

    @override
    def forward(self, part: Box, tensors: Sequence[Tensor]) -> Tensor:
        return tensors[0].permute(self.order)


@dataclass(frozen=True, slots=True)
class Crop(Operator):
    """A region of the input.

    Attributes:
        region: Which.
    """

    region: Box

    @property
    @override
    def dimensions(self) -> tuple[Dimension, ...]:
        return axis_dimensions(self.region.shape)

    @override
    def needs(self, part: Box) -> tuple[Box, ...]:
        each = zip(part.ranges, self.region.ranges, strict=True)
        return (Box(tuple((start + first, stop + first) for (start, stop), (first, _) in each)),)

    @override
    def forward(self, part: Box, tensors: Sequence[Tensor]) -> Tensor:
        return tensors[0].clone()


@dataclass(frozen=True, slots=True)
class Expansion(Operator):
    """The input repeated along axes where it has size 1 or none.

    Attributes:
        inputs: Shape of the input.
        outputs: Shape of the output.
    """

    inputs: Shape
    outputs: Shape

    @property
    @override
    def dimensions(self) -> tuple[Dimension, ...]:
        return axis_dimensions(self.outputs)

    @override
    def needs(self, part: Box) -> tuple[Box, ...]:
        return (broadcast_need(part, self.inputs),)

    @override
    def forward(self, part: Box, tensors: Sequence[Tensor]) -> Tensor:
        return tensors[0].expand(part.shape).clone()


@dataclass(frozen=True, slots=True)
class Reshape(Operator):
    """The same elements in the same order, with other axes.

    A part reads the smallest box that holds its elements, and chooses them from it.

    Attributes:
        inputs: Shape of the input.
        outputs: Shape of the output.
    """

    inputs: Shape
    outputs: Shape

    @property
    @override
    def dimensions(self) -> tuple[Dimension, ...]:
        return axis_dimensions(self.outputs)

    @override
    def needs(self, part: Box) -> tuple[Box, ...]:
        ranges: list[Range] = []
        for into, out in axis_groups(self.inputs, self.outputs):
            places = [part.ranges[axis] for axis in out]
            strides = _strides([self.outputs[axis] for axis in out])
            first = sum(r[0] * s for r, s in zip(places, strides, strict=True))
            last = sum((r[1] - 1) * s for r, s in zip(places, strides, strict=True))
            ranges += _bounds(first, last, [self.inputs[axis] for axis in into])
        return (Box(tuple(ranges)),)

    @override
    def forward(self, part: Box, tensors: Sequence[Tensor]) -> Tensor:
        (need,) = self.needs(part)
        if need.elements == part.elements:
            return tensors[0].reshape(part.shape)
        device = tensors[0].device
        flat = torch.zeros((), dtype=torch.int64, device=device)
        for (start, stop), stride in zip(part.ranges, _strides(self.outputs), strict=True):
            flat = flat[..., None] + torch.arange(start, stop, device=device) * stride
        place = torch.zeros((), dtype=torch.int64, device=device)
        for (first, last), size, stride in zip(
            need.ranges, self.inputs, _strides(self.inputs), strict=True
        ):
            place = place * (last - first) + flat // stride % size - first
        return tensors[0].reshape(-1)[place.reshape(-1)].reshape(part.shape)


def axis_groups(inputs: Shape, outputs: Shape) -> list[tuple[range, range]]:
    """Pair the smallest groups of neighbouring axes that hold as many elements.

    >>> axis_groups((2, 3, 4), (2, 12))
    [(range(0, 1), range(0, 1)), (range(1, 3), range(1, 2))]
    """
    groups = []
    i = j = 0
    while i < len(inputs) or j < len(outputs):
        before_i, before_j, a, b = i, j, 1, 1
        while (i, j) == (before_i, before_j) or a != b:
            if a <= b and i < len(inputs):
                a, i = a * inputs[i], i + 1
            else:
                b, j = b * outputs[j], j + 1
        groups.append((range(before_i, i), range(before_j, j)))
    return groups


def _strides(sizes: Sequence[int]) -> list[int]:
    return [math.prod(sizes[axis + 1 :]) for axis in range(len(sizes))]


def _bounds(first: int, last: int, sizes: Sequence[int]) -> list[Range]:
    """The smallest box of these sizes that holds all elements from `first` to `last`."""
    ranges = []
    for axis, (size, stride) in enumerate(zip(sizes, _strides(sizes), strict=True)):
        low, high = first // stride, last // stride
        ranges.append((low, high + 1))
        if low != high:
            # Behind an axis with several indices, each may have any index.
            return ranges + [(0, behind) for behind in sizes[axis + 1 :]]
        first, last = first - low * stride, last - high * stride
        assert high < size
    return ranges
