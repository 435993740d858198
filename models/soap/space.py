"""What every operator of a graph tells: how it may be split, and which inputs a part needs.

An operator's *space* has one dimension for each axis of its output, and one for each axis that it
sums over. A part is a box of the space. Parts that differ only along summed dimensions compute
terms of the same output, and whoever reads it adds them. FlexFlow's table 1 lists the output's
dimensions; splitting the sum is an addition to it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from models.soap.regions import Box, Shape

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor


class Kind(StrEnum):
    """What splitting a dimension means.

    Attributes:
        SAMPLE: Other examples of the batch.
        ATTRIBUTE: Other places of the same example: height, width, length.
        PARAMETER: Other outputs, computed with other parameters.
        REDUCTION: Other terms of the same sum.
        WHOLE: It cannot be split.
    """

    SAMPLE = "sample"
    ATTRIBUTE = "attribute"
    PARAMETER = "parameter"
    REDUCTION = "reduction"
    WHOLE = "whole"


@dataclass(frozen=True, slots=True)
class Dimension:
    """One dimension of an operator's space.

    Attributes:
        name: What it counts: ``sample``, ``channel``, ``height``.
        size: Its length.
        kind: What splitting it means.
        reduced: Whether the operator sums over it, so that the output lacks it.
        step: Cut points must be multiples of this.
    """

    name: str
    size: int
    kind: Kind
    reduced: bool = False
    step: int = 1


class Operator(ABC):
    """A differentiable function of tensors, whose parts can be computed apart.

    Subclasses are frozen dataclasses of sizes and settings; they hold no tensor.
    """

    @property
    @abstractmethod
    def dimensions(self) -> tuple[Dimension, ...]:
        """Its space."""

    @abstractmethod
    def needs(self, part: Box) -> tuple[Box, ...]:
        """The region of each input, then of each parameter, that a part reads; may be empty.

        Args:
            part: A box of the space.
        """

    @abstractmethod
    def forward(self, part: Box, tensors: Sequence[Tensor]) -> Tensor:
        """Compute a part.

        Args:
            part: A box of the space.
            tensors: The regions that `needs` tells, in that order.

        Returns:
            The region `output(part)`, or a term of it where a summed dimension is split.
        """

    def output(self, part: Box) -> Box:
        """The region of the output that a part computes."""
        return part.without(axis for axis, d in enumerate(self.dimensions) if d.reduced)

    @property
    def space(self) -> Box:
        """All of the space."""
        return Box.whole(dimension.size for dimension in self.dimensions)

    @property
    def shape(self) -> Shape:
        """The shape of the output."""
        return self.output(self.space).shape


PLACES = {0: (), 1: ("length",), 2: ("height", "width"), 3: ("depth", "height", "width")}
"""Names of the axes behind sample and channel."""


def image_dimensions(shape: Shape, channel: Kind = Kind.ATTRIBUTE) -> tuple[Dimension, ...]:
    """The dimensions of a tensor (sample, channel, place...)."""
    names = ("sample", "channel", *PLACES[len(shape) - 2])
    kinds = (Kind.SAMPLE, channel, *[Kind.ATTRIBUTE] * (len(shape) - 2))
    return tuple(Dimension(*each) for each in zip(names, shape, kinds, strict=True))


def axis_dimensions(
    shape: Shape, *, whole: Sequence[int] = (), sample: int | None = 0
) -> tuple[Dimension, ...]:
    """The dimensions of any tensor, named by axis; those in `whole` cannot be split."""
    named = []
    for axis, size in enumerate(shape):
        kind = Kind.SAMPLE if axis == sample else Kind.ATTRIBUTE
        named.append(
            Dimension(
                "sample" if axis == sample else f"axis{axis}",
                size,
                Kind.WHOLE if axis in whole else kind,
            )
        )
    return tuple(named)
