"""Operators that slide windows over places: convolution and max pooling.

Parts carry exact halos: `regions.halo` tells which input a range of outputs reads and how much of
the padding lies in it. Where that is the same on both sides, torch pads by itself; else the input
is padded before.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.nn import functional
from typing_extensions import override

from models.soap.regions import Box, Range, Shape, halo
from models.soap.space import PLACES, Dimension, Kind, Operator, image_dimensions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Windows:
    """Where windows lie, by axis of places.

    Attributes:
        kernel: Elements of a window.
        stride: Step from window to window.
        padding: Elements that are thought of on both sides of the input.
        dilation: Step from element to element of a window.
    """

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]

    def outputs(self, sizes: Shape, *, ceil: bool = False) -> Shape:
        """How many windows there are for places of these sizes.

        Args:
            sizes: Sizes of the input.
            ceil: Whether a last window may reach behind the padding, if it starts before it.

        >>> Windows((3,), (2,), (1,), (1,)).outputs((8,)), Windows((2,), (2,), (0,), (1,)).outputs(
        ...     (5,), ceil=True
        ... )
        ((4,), (3,))
        """
        counts = []
        for size, k, s, p, d in zip(
            sizes, self.kernel, self.stride, self.padding, self.dilation, strict=True
        ):
            rest = size + 2 * p - d * (k - 1) - 1
            count = (-(-rest // s) if ceil else rest // s) + 1
            counts.append(count - (ceil and (count - 1) * s >= size + p))
        return tuple(counts)

    def needs(self, places: Sequence[Range], sizes: Shape) -> tuple[Range, ...]:
        """The ranges of the input that windows read."""
        return tuple(need for need, _ in self._halos(places, sizes))

    def pad(
        self, tensor: Tensor, places: Sequence[Range], sizes: Shape, value: float
    ) -> tuple[Tensor, Shape]:
        """The needed input with the padding that the windows read, as far as torch cannot add it.

        Returns:
            The input, and the padding of both sides that is left for torch, by axis of places.
        """
        around = [sides for _, sides in self._halos(places, sizes)]
        # More than half a window torch's pooling refuses, and a halo without input needs its own.
        if all(a == b and 2 * a <= k for (a, b), k in zip(around, self.kernel, strict=True)):
            return tensor, tuple(before for before, _ in around)
        flat = [side for sides in reversed(around) for side in sides]
        return functional.pad(tensor, flat, value=value), (0,) * len(around)

    def _halos(self, places: Sequence[Range], sizes: Shape) -> list[tuple[Range, Range]]:
        each = zip(
            places, sizes, self.kernel, self.stride, self.padding, self.dilation, strict=True
        )
        halos = [halo(*axis) for axis in each]
        # All windows of an axis take all of it as it is, also what no window reads behind the last.
        for axis, count in enumerate(self.outputs(sizes)):
            if places[axis] == (0, count):
                halos[axis] = (0, sizes[axis]), (self.padding[axis],) * 2
        return halos


@dataclass(frozen=True, slots=True)
class Convolution(Operator):
    """A convolution over one to three axes of places.

    Its inputs are (sample, in channel, place...), the weight (out channel, in channel / groups,
    place...) and, with `bias`, the bias (out channel,).

    Attributes:
        inputs: Shape of the input.
        channels: Channels of the output.
        windows: Where the windows lie.
        groups: Groups of channels that know nothing of each other.
        bias: Whether there is a bias.
    """

    inputs: Shape
    channels: int
    windows: Windows
    groups: int
    bias: bool

    @property
    @override
    def dimensions(self) -> tuple[Dimension, ...]:
        samples, channels, *sizes = self.inputs
        step = self.channels // self.groups if self.groups > 1 else 1
        each = zip(PLACES[len(sizes)], self.windows.outputs(tuple(sizes)), strict=True)
        return (
            Dimension("sample", samples, Kind.SAMPLE),
            Dimension("channel", self.channels, Kind.PARAMETER, step=step),
            *(Dimension(name, size, Kind.ATTRIBUTE) for name, size in each),
            Dimension(
                "in_channel",
                channels // self.groups,
                Kind.REDUCTION if self.groups == 1 else Kind.WHOLE,
                reduced=True,
            ),
        )

    @override
    def needs(self, part: Box) -> tuple[Box, ...]:
        sample, channel, *places, inner = part.ranges
        read = inner
        if self.groups > 1:
            first, last = self._groups(channel)
            read = (first * inner[1], last * inner[1])
        need = Box((sample, read, *self.windows.needs(places, self.inputs[2:])))
        weight = Box((channel, inner, *((0, size) for size in self.windows.kernel)))
        return (need, weight, *([Box((channel,))] if self.bias else []))

    @override
    def forward(self, part: Box, tensors: Sequence[Tensor]) -> Tensor:
        _, channel, *places, inner = part.ranges
        padded, padding = self.windows.pad(tensors[0], places, self.inputs[2:], 0.0)
        first, last = self._groups(channel)
        convolve = (functional.conv1d, functional.conv2d, functional.conv3d)[len(places) - 1]
        # One term of the sum brings the bias.
        bias = tensors[2] if self.bias and inner[0] == 0 else None
        output: Tensor = convolve(
            padded,
            tensors[1],
            bias,
            stride=self.windows.stride,
            padding=padding,
            dilation=self.windows.dilation,
            groups=last - first,
        )
        return output

    def _groups(self, channel: Range) -> Range:
        step = self.channels // self.groups
        return (channel[0] // step, -(-channel[1] // step)) if self.groups > 1 else (0, 1)


@dataclass(frozen=True, slots=True)
class MaxPool(Operator):
    """The largest of each window, over one or two axes of places.

    Attributes:
        inputs: Shape of the input, (sample, channel, place...).
        windows: Where the windows lie.
        ceil: Whether a last window may reach behind the padding.
    """

    inputs: Shape
    windows: Windows
    ceil: bool

    @property
    @override
    def dimensions(self) -> tuple[Dimension, ...]:
        outputs = self.windows.outputs(self.inputs[2:], ceil=self.ceil)
        return image_dimensions((*self.inputs[:2], *outputs))

    @override
    def needs(self, part: Box) -> tuple[Box, ...]:
        sample, channel, *places = part.ranges
        return (Box((sample, channel, *self.windows.needs(places, self.inputs[2:]))),)

    @override
    def forward(self, part: Box, tensors: Sequence[Tensor]) -> Tensor:
        places = part.ranges[2:]
        padded, padding = self.windows.pad(tensors[0], places, self.inputs[2:], -torch.inf)
        pool = (functional.max_pool1d, functional.max_pool2d)[len(places) - 1]
        windows = self.windows
        output: Tensor = pool(padded, windows.kernel, windows.stride, padding, windows.dilation)
        return output
