"""What one rank does for one operator of a step: see `tape`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from models.soap.graph import Node
    from models.soap.regions import Box
    from models.soap.repartition import Repartition


@dataclass(frozen=True, slots=True)
class SourceInput:
    """An input that every rank has before the step.

    Attributes:
        source: Its name.
        boxes: The region that each part of this rank needs.
    """

    source: str
    boxes: tuple[Box, ...]


@dataclass(frozen=True, slots=True)
class Delivery:
    """What other operators computed for one operator, in one exchange.

    Attributes:
        producers: Who computed it.
        exchange: How it arrives.
        trained: Whether gradients go back.
        floating: Whether it is of floating point; else int64.
        origins: Of each piece that this rank holds, who made it, and its place among what that
            one made here.
    """

    producers: tuple[str, ...]
    exchange: Repartition
    trained: bool
    floating: bool
    origins: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class NodeInput:
    """An input that another operator computed.

    Attributes:
        delivery: Which of the stage's deliveries brings it.
        places: Which of its needs belongs to each part of this rank.
    """

    delivery: int
    places: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Stage:
    """One operator.

    Attributes:
        node: The operator.
        parts: The boxes of its space that this rank computes.
        deliveries: How what other operators computed arrives.
        inputs: Its inputs.
        parameters: For each of its parameters, which of the fetched regions belongs to each part.
    """

    node: Node
    parts: tuple[Box, ...]
    deliveries: tuple[Delivery, ...]
    inputs: tuple[SourceInput | NodeInput, ...]
    parameters: tuple[tuple[int, ...], ...]
