"""Operators that multiply matrices or look up rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.nn import functional
from typing_extensions import override

from models.soap.regions import Box, Shape
from models.soap.space import Dimension, Kind, Operator, axis_dimensions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Linear(Operator):
    """A dense layer. Its inputs are (sample, ..., in), the weight (out, in) and perhaps a bias.

    Attributes:
        inputs: Shape of the input.
        outputs: Units of the layer.
        bias: Whether there is a bias.
    """

    inputs: Shape
    outputs: int
    bias: bool

    @property
    @override
    def dimensions(self) -> tuple[Dimension, ...]:
        return (
            *axis_dimensions(self.inputs[:-1]),
            Dimension("channel", self.outputs, Kind.PARAMETER),
            Dimension("in_channel", self.inputs[-1], Kind.REDUCTION, reduced=True),
        )

    @override
    def needs(self, part: Box) -> tuple[Box, ...]:
        *before, channel, inner = part.ranges
        bias = [Box((channel,))] if self.bias else []
        return (Box((*before, inner)), Box((channel, inner)), *bias)

    @override
    def forward(self, part: Box, tensors: Sequence[Tensor]) -> Tensor:
        # One term of the sum brings the bias.
        bias = tensors[2] if self.bias and part.ranges[-1][0] == 0 else None
        return functional.linear(tensors[0], tensors[1], bias)


@dataclass(frozen=True, slots=True)
class MatrixProduct(Operator):
    """Products of matrices, one for each index of the axes before the last two.

    Attributes:
        before: Sizes of the axes before the matrices; the first is the sample.
        rows: Rows of the first matrix.
        columns: Columns of the second.
        inner: Columns of the first and rows of the second.
    """

    before: Shape
    rows: int
    columns: int
    inner: int

    @property
    @override
    def dimensions(self) -> tuple[Dimension, ...]:
        return (
            *axis_dimensions(self.before),
            Dimension("row", self.rows, Kind.ATTRIBUTE),
            Dimension("column", self.columns, Kind.ATTRIBUTE),
            Dimension("inner", self.inner, Kind.REDUCTION, reduced=True),
        )

    @override
    def needs(self, part: Box) -> tuple[Box, ...]:
        *before, row, column, inner = part.ranges
        return Box((*before, row, inner)), Box((*before, inner, column))

    @override
    def forward(self, part: Box, tensors: Sequence[Tensor]) -> Tensor:
        return torch.matmul(tensors[0], tensors[1])


@dataclass(frozen=True, slots=True)
class Embedding(Operator):
    """Rows of a table, chosen by whole numbers. Its inputs are the numbers, then the table.

    Attributes:
        inputs: Shape of the numbers.
        rows: Rows of the table.
        columns: Columns of the table.
    """

    inputs: Shape
    rows: int
    columns: int

    @property
    @override
    def dimensions(self) -> tuple[Dimension, ...]:
        columns = Dimension("channel", self.columns, Kind.PARAMETER)
        return (*axis_dimensions(self.inputs), columns)

    @override
    def needs(self, part: Box) -> tuple[Box, ...]:
        *before, column = part.ranges
        return Box(tuple(before)), Box(((0, self.rows), column))

    @override
    def forward(self, part: Box, tensors: Sequence[Tensor]) -> Tensor:
        return functional.embedding(tensors[0], tensors[1])
