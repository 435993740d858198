"""Operators that end a graph: the loss, of which every part computes a term."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch.nn import functional
from typing_extensions import override

from models.soap.regions import Box, Shape
from models.soap.space import Dimension, Kind, Operator, axis_dimensions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

NO_CLASS = -100
"""The target that torch ignores unless told otherwise."""


@dataclass(frozen=True, slots=True)
class CrossEntropy(Operator):
    """The mean cross entropy, as ``torch.nn.functional.cross_entropy`` computes it, nats.

    Its inputs are the logits, the targets (int64, the logits' shape without the class axis), and
    the targets again: each part needs all of them for the mean's divisor.

    Attributes:
        inputs: Shape of the logits; axis 0 is the sample.
        class_axis: The axis of the classes.
        weights: The weight of each class; empty for equal ones.
        ignored: The target that counts for nothing.
        smoothing: Share of each target that is spread over all classes, 0..1.
    """

    inputs: Shape
    class_axis: int = 1
    weights: tuple[float, ...] = ()
    ignored: int = NO_CLASS
    smoothing: float = 0.0

    @property
    @override
    def dimensions(self) -> tuple[Dimension, ...]:
        classes = Dimension("class", self.inputs[self.class_axis], Kind.WHOLE, reduced=True)
        return tuple(
            classes if axis == self.class_axis else replace(dimension, reduced=True)
            for axis, dimension in enumerate(axis_dimensions(self.inputs))
        )

    @override
    def needs(self, part: Box) -> tuple[Box, ...]:
        targets = Box.whole(self.inputs).without([self.class_axis])
        return part, part.without([self.class_axis]), targets

    @override
    def forward(self, part: Box, tensors: Sequence[Tensor]) -> Tensor:
        logits, targets, every = tensors
        weights = (
            torch.tensor(self.weights, dtype=logits.dtype, device=logits.device)
            if self.weights
            else None
        )
        counted = every[every != self.ignored]
        divisor = len(counted) if weights is None else weights[counted].sum()
        terms = functional.cross_entropy(
            logits.movedim(self.class_axis, 1),
            targets,
            weights,
            reduction="sum",
            ignore_index=self.ignored,
            label_smoothing=self.smoothing,
        )
        return terms / divisor


@dataclass(frozen=True, slots=True)
class SquaredError(Operator):
    """The mean squared difference of two tensors.

    Attributes:
        inputs: Their shape; axis 0 is the sample.
    """

    inputs: Shape

    @property
    @override
    def dimensions(self) -> tuple[Dimension, ...]:
        return tuple(replace(d, reduced=True) for d in axis_dimensions(self.inputs))

    @override
    def needs(self, part: Box) -> tuple[Box, ...]:
        return part, part

    @override
    def forward(self, part: Box, tensors: Sequence[Tensor]) -> Tensor:
        return (tensors[0] - tensors[1]).square().sum() / math.prod(self.inputs)
