"""Boxes of indices: which region of a tensor a part computes, needs or holds."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Range = tuple[int, int]
"""Indices from the first up to, and without, the second."""

Shape = tuple[int, ...]
"""The sizes of a tensor."""


@dataclass(frozen=True, slots=True)
class Box:
    """A region of a tensor: one range of indices for each axis.

    A box without axes is the region of a scalar and holds one element.

    Attributes:
        ranges: First index and the index behind the last, by axis; equal where empty.

    >>> Box(((0, 4), (2, 5))).intersect(Box(((3, 9), (0, 3))))
    Box(ranges=((3, 4), (2, 3)))
    """

    ranges: tuple[Range, ...]

    @classmethod
    def whole(cls, shape: Iterable[int]) -> Box:
        """All of a tensor of this shape.

        >>> Box.whole((2, 3))
        Box(ranges=((0, 2), (0, 3)))
        """
        return cls(tuple((0, size) for size in shape))

    @property
    def shape(self) -> Shape:
        """The sizes of the region."""
        return tuple(stop - start for start, stop in self.ranges)

    @property
    def elements(self) -> int:
        """How many elements the region holds."""
        return math.prod(self.shape)

    def intersect(self, other: Box) -> Box | None:
        """What both hold; None where that is nothing."""
        ranges = []
        for (start, stop), (other_start, other_stop) in zip(self.ranges, other.ranges, strict=True):
            low, high = max(start, other_start), min(stop, other_stop)
            if low >= high:
                return None
            ranges.append((low, high))
        return Box(tuple(ranges))

    def holds(self, other: Box) -> bool:
        """Whether all of `other` is inside."""
        return not other.elements or self.intersect(other) == other

    def within(self, outer: Box) -> tuple[slice, ...]:
        """Where this region lies in a tensor that holds the region `outer`.

        >>> Box(((3, 4), (2, 3))).within(Box(((3, 9), (0, 3))))
        (slice(0, 1, None), slice(2, 3, None))
        """
        return tuple(
            slice(start - first, stop - first)
            for (start, stop), (first, _) in zip(self.ranges, outer.ranges, strict=True)
        )

    def replace(self, axis: int, range_: Range) -> Box:
        """The same region with another range along one axis."""
        ranges = list(self.ranges)
        ranges[axis] = range_
        return Box(tuple(ranges))

    def without(self, axes: Iterable[int]) -> Box:
        """The region of a tensor that lacks these axes."""
        gone = set(axes)
        return Box(tuple(r for axis, r in enumerate(self.ranges) if axis not in gone))


def segments(size: int, cuts: Sequence[int]) -> tuple[Range, ...]:
    """The ranges between cut points.

    >>> segments(10, [3, 4])
    ((0, 3), (3, 4), (4, 10))
    """
    return tuple(itertools.pairwise((0, *cuts, size)))


def even_cuts(size: int, parts: int) -> tuple[int, ...]:
    """Cut points that make `parts` ranges as equal as can be; fewer where `size` is smaller.

    >>> even_cuts(10, 4)
    (3, 5, 8)
    """
    parts = max(1, min(parts, size))
    return tuple(-(-size * part // parts) for part in range(1, parts))


def grid(axes: Sequence[Sequence[Range]]) -> tuple[Box, ...]:
    """Every combination of one range from each axis; the last axis runs fastest."""
    return tuple(Box(ranges) for ranges in itertools.product(*axes))


def cells(shape: Shape, boxes: Iterable[Box]) -> tuple[Box, ...]:
    """Cut a tensor at every edge of the boxes; each box is then a union of the cells.

    >>> [cell.ranges for cell in cells((6,), [Box(((0, 4),)), Box(((2, 6),))])]
    [((0, 2),), ((2, 4),), ((4, 6),)]
    """
    boxes = list(boxes)
    axes = []
    for axis, size in enumerate(shape):
        edges = {edge for box in boxes for edge in box.ranges[axis]} - {0, size}
        axes.append(segments(size, sorted(edges)))
    return grid(axes)


def halo(
    part: Range, size: int, kernel: int, stride: int, padding: int, dilation: int
) -> tuple[Range, Range]:
    """The input that sliding windows read for a range of their outputs.

    Args:
        part: The outputs.
        size: Length of the input.
        kernel: Elements of a window.
        stride: Step from window to window.
        padding: Elements that are thought of before the input.
        dilation: Step from element to element of a window.

    Returns:
        The range of the input, and how many elements must be padded before and behind it.

    >>> halo((0, 4), size=8, kernel=3, stride=2, padding=1, dilation=1)
    ((0, 8), (1, 0))
    """
    low = part[0] * stride - padding
    high = (part[1] - 1) * stride - padding + dilation * (kernel - 1) + 1
    start = min(max(low, 0), size)
    stop = max(min(high, size), start)
    if start == stop:
        return (start, start), (high - low, 0)
    return (start, stop), (start - low, high - stop)
