"""Operators that average: pooling, means, and batch normalisation with exact statistics.

Batch normalisation is three operators, so that a batch that is split anywhere is normalised by
the mean and variance of all of it: `Mean`, `Variance` (in two passes) and `Normalise`.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional
from typing_extensions import override

from models.soap.regions import Box, Range, Shape
from models.soap.space import (
    PLACES,
    Dimension,
    Kind,
    Operator,
    axis_dimensions,
    image_dimensions,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

MOST_WEIGHTS = 1024
"""Windows, and matrices of their weights, that are remembered from step to step."""

_ADAPTIVE: dict[int, Callable[[Tensor, Any], Tensor]] = {
    1: functional.adaptive_avg_pool1d,
    2: functional.adaptive_avg_pool2d,
}
"""Torch's own pooling, by the number of axes of places."""


@dataclass(frozen=True, slots=True)
class Window:
    """One output of average pooling along one axis: the sum of a range, divided.

    Attributes:
        start: First input.
        stop: The input behind the last.
        divisor: What the sum is divided by.
    """

    start: int
    stop: int
    divisor: int


@functools.lru_cache(MOST_WEIGHTS)
def adaptive_windows(size: int, outputs: int) -> tuple[Window, ...]:
    """The windows of adaptive pooling.

    >>> adaptive_windows(5, 2)
    (Window(start=0, stop=3, divisor=3), Window(start=2, stop=5, divisor=3))
    """
    windows = []
    for output in range(outputs):
        start, stop = output * size // outputs, -(-(output + 1) * size // outputs)
        windows.append(Window(start, stop, stop - start))
    return tuple(windows)


def sliding_windows(
    size: int, outputs: int, kernel: int, stride: int, padding: int, *, count_padding: bool
) -> tuple[Window, ...]:
    """The windows of average pooling; the divisor counts the padding on request.

    >>> sliding_windows(3, 2, 2, 2, 1, count_padding=True)
    (Window(start=0, stop=1, divisor=2), Window(start=1, stop=3, divisor=2))
    """
    windows = []
    for output in range(outputs):
        low = output * stride - padding
        high = min(low + kernel, size + padding)
        start, stop = max(low, 0), min(high, size)
        windows.append(Window(start, stop, high - low if count_padding else stop - start))
    return tuple(windows)


@dataclass(frozen=True, slots=True)
class AveragePool(Operator):
    """Average pooling, adaptive or not: a matrix of window weights along each axis of places.

    An axis with one output may be split along its input: the parts are terms of one mean.

    Attributes:
        inputs: Shape of the input, (sample, channel, place...).
        windows: The windows, by axis of places.
    """

    inputs: Shape
    windows: tuple[tuple[Window, ...], ...]

    @property
    @override
    def dimensions(self) -> tuple[Dimension, ...]:
        sizes = self.inputs[2:]
        kinds = [Kind.REDUCTION if len(axis) == 1 else Kind.WHOLE for axis in self.windows]
        return (
            *image_dimensions((*self.inputs[:2], *(len(axis) for axis in self.windows))),
            *(
                Dimension(f"in_{name}", size, kind, reduced=True)
                for name, size, kind in zip(PLACES[len(sizes)], sizes, kinds, strict=True)
            ),
        )

    @override
    def needs(self, part: Box) -> tuple[Box, ...]:
        return (Box((*part.ranges[:2], *self._read(part))),)

    @override
    def forward(self, part: Box, tensors: Sequence[Tensor]) -> Tensor:
        result = tensors[0]
        outputs = tuple(len(axis) for axis in self.windows)
        if part.shape[2:] == (*outputs, *self.inputs[2:]) and self._adaptive:
            # All places at once: torch has this without a matrix.
            return _ADAPTIVE[len(outputs)](result, outputs)
        read = self._read(part)
        for axis, windows in enumerate(self.windows):
            weights = _weights(windows[slice(*part.ranges[2 + axis])], read[axis], result.dtype)
            # The axis that is summed goes, and its outputs come last: after all axes, in order.
            result = torch.tensordot(result, weights.to(result.device), dims=([2], [1]))
        return result

    @property
    def _adaptive(self) -> bool:
        each = zip(self.inputs[2:], self.windows, strict=True)
        return len(self.windows) in _ADAPTIVE and all(
            windows == adaptive_windows(size, len(windows)) for size, windows in each
        )

    def _read(self, part: Box) -> tuple[Range, ...]:
        axes = len(self.windows)
        read = []
        for windows, outputs, inputs in zip(
            self.windows, part.ranges[2 : 2 + axes], part.ranges[2 + axes :], strict=True
        ):
            chosen = windows[slice(*outputs)]
            start = max(chosen[0].start, inputs[0])
            read.append((start, max(min(chosen[-1].stop, inputs[1]), start)))
        return tuple(read)


@functools.lru_cache(MOST_WEIGHTS)
def _weights(windows: tuple[Window, ...], read: Range, dtype: torch.dtype) -> Tensor:
    """What each element of a range counts in each window, (window, element); not to be changed."""
    first, last = read
    weights = torch.zeros(len(windows), last - first, dtype=dtype)
    for row, window in enumerate(windows):
        start, stop = max(window.start, first), min(window.stop, last)
        weights[row, start - first : max(stop, start) - first] = 1 / window.divisor
    return weights


@dataclass(frozen=True, slots=True)
class Mean(Operator):
    """The mean over some axes.

    Attributes:
        inputs: Shape of the input; axis 0 is the sample, axis 1 the channel.
        axes: The axes that are averaged.
        keep: Whether they stay in the output, with size 1.
    """

    inputs: Shape
    axes: tuple[int, ...]
    keep: bool = False

    @property
    @override
    def dimensions(self) -> tuple[Dimension, ...]:
        return _averaged(self.inputs, self.axes)

    @override
    def needs(self, part: Box) -> tuple[Box, ...]:
        return (part,)

    @override
    def forward(self, part: Box, tensors: Sequence[Tensor]) -> Tensor:
        return tensors[0].sum(self.axes, keepdim=self.keep) / _count(self.inputs, self.axes)

    @override
    def output(self, part: Box) -> Box:
        if not self.keep:
            return part.without(self.axes)
        for axis in self.axes:
            part = part.replace(axis, (0, 1))
        return part


@dataclass(frozen=True, slots=True)
class Variance(Operator):
    """The mean squared distance from a known mean, over all axes but the channel.

    Its inputs are (sample, channel, place...) and the mean (channel,).

    Attributes:
        inputs: Shape of the first input.
    """

    inputs: Shape

    @property
    @override
    def dimensions(self) -> tuple[Dimension, ...]:
        return _averaged(self.inputs, _all_but_channel(self.inputs))

    @override
    def needs(self, part: Box) -> tuple[Box, ...]:
        return part, Box((part.ranges[1],))

    @override
    def forward(self, part: Box, tensors: Sequence[Tensor]) -> Tensor:
        axes = _all_but_channel(self.inputs)
        centred = tensors[0] - _along_channel(tensors[1], len(self.inputs))
        return centred.square().sum(axes) / _count(self.inputs, axes)


@dataclass(frozen=True, slots=True)
class Normalise(Operator):
    """Batch normalisation by a known mean and variance (Ioffe and Szegedy 2015, algorithm 1).

    Its inputs are (sample, channel, place...), the mean and the variance (channel,) and, with
    `affine`, weight and bias (channel,).

    Attributes:
        inputs: Shape of the first input.
        epsilon: Added to the variance.
        affine: Whether there are weight and bias.
    """

    inputs: Shape
    epsilon: float
    affine: bool

    @property
    @override
    def dimensions(self) -> tuple[Dimension, ...]:
        return image_dimensions(self.inputs, Kind.PARAMETER)

    @override
    def needs(self, part: Box) -> tuple[Box, ...]:
        return (part, *[Box((part.ranges[1],))] * (4 if self.affine else 2))

    @override
    def forward(self, part: Box, tensors: Sequence[Tensor]) -> Tensor:
        axes = len(self.inputs)
        inputs, mean, variance = tensors[:3]
        scale = torch.rsqrt(variance + self.epsilon)
        if self.affine:
            scale = scale * tensors[3]
        # As torch does it: one pass over the input.
        shift = tensors[4] - mean * scale if self.affine else -mean * scale
        return torch.addcmul(_along_channel(shift, axes), inputs, _along_channel(scale, axes))


def _averaged(inputs: Shape, axes: tuple[int, ...]) -> tuple[Dimension, ...]:
    return tuple(
        replace(dimension, reduced=axis in axes)
        for axis, dimension in enumerate(axis_dimensions(inputs))
    )


def _all_but_channel(inputs: Shape) -> tuple[int, ...]:
    return (0, *range(2, len(inputs)))


def _count(inputs: Shape, axes: tuple[int, ...]) -> int:
    return math.prod(inputs[axis] for axis in axes)


def _along_channel(values: Tensor, axes: int) -> Tensor:
    return values.reshape(-1, *[1] * (axes - 2))
