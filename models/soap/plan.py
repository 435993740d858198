"""A plan: how each operator is split, and on which device each part runs."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from models.soap.regions import Box, even_cuts, grid, segments
from models.soap.space import Dimension, Kind
from records import RecordError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from models.soap.graph import Graph

MOST_DEVICES = 4096
"""The most devices of a plan."""

MOST_PARTS = 65_536
"""The most parts of one operator."""

LONGEST_TEXT = 64 * 1024 * 1024
"""The longest plan that is read, characters."""


@dataclass(frozen=True, slots=True)
class Partition:
    """How one operator is split.

    Attributes:
        cuts: The cut points along each dimension of the operator's space, ascending; none where
            it is not split. Parts may differ in size.
        devices: The device of each part; the last dimension runs fastest. A device may have
            several parts, or none.

    Raises:
        RecordError: there is not one device for each part.

    >>> Partition(cuts=((2,), ()), devices=(0, 1)).degrees
    (2, 1)
    """

    cuts: tuple[tuple[int, ...], ...]
    devices: tuple[int, ...]

    def __post_init__(self) -> None:
        parts = math.prod(self.degrees)
        if parts > MOST_PARTS:
            raise RecordError(f"a partition must have at most {MOST_PARTS} parts, got {parts}")
        if len(self.devices) != parts:
            raise RecordError(
                f"devices must name one device for each of {parts} parts, got {len(self.devices)}"
            )

    @property
    def degrees(self) -> tuple[int, ...]:
        """Into how many ranges each dimension is split."""
        return tuple(len(cuts) + 1 for cuts in self.cuts)

    def boxes(self, dimensions: Sequence[Dimension]) -> tuple[Box, ...]:
        """The parts, in the order of `devices`."""
        each = zip(dimensions, self.cuts, strict=True)
        return grid([segments(dimension.size, cuts) for dimension, cuts in each])


@dataclass(frozen=True, slots=True)
class Plan:
    """A partition for each operator of a graph.

    Attributes:
        devices: How many devices there are; they are numbered from 0.
        partitions: By the group of a node: see `graph.Node`.

    Raises:
        RecordError: `devices` is out of range.
    """

    devices: int
    partitions: Mapping[str, Partition]

    def __post_init__(self) -> None:
        if type(self.devices) is not int or not 1 <= self.devices <= MOST_DEVICES:
            raise RecordError(f"devices must be in 1..{MOST_DEVICES}, got {self.devices!r}")

    def check(self, graph: Graph) -> None:
        """Make sure that the plan fits the graph.

        Raises:
            RecordError: an operator has no partition or one that no longer exists has, a cut
                leaves a part empty or is where the operator cannot be split, or a device is not
                there. The message names the operator and the dimension.
        """
        missing = sorted(graph.groups.keys() - self.partitions.keys())
        extra = sorted(self.partitions.keys() - graph.groups.keys())
        if missing or extra:
            raise RecordError(
                "a plan must have a partition for each operator of the graph: "
                f"missing are {missing}, unknown are {extra}. Make the plan for this graph"
            )
        for name, dimensions in graph.groups.items():
            _check_partition(name, dimensions, self.partitions[name], self.devices)

    def to_json(self) -> str:
        """The plan as JSON, the same for the same plan."""
        operators = {
            name: {"cuts": partition.cuts, "devices": partition.devices}
            for name, partition in self.partitions.items()
        }
        return json.dumps({"devices": self.devices, "operators": operators}, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Plan:
        """Read what `to_json` wrote.

        Raises:
            RecordError: the text is no plan.
        """
        if len(text) > LONGEST_TEXT:
            raise RecordError(
                f"a plan must have at most {LONGEST_TEXT} characters, got {len(text)}"
            )
        try:
            fields = json.loads(text)
            partitions = {
                name: Partition(
                    tuple(_whole(cuts) for cuts in value["cuts"]), _whole(value["devices"])
                )
                for name, value in fields["operators"].items()
            }
            return cls(fields["devices"], partitions)
        except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
            raise RecordError(f"a plan must be JSON that to_json wrote: {error!r}") from error


def single_device(graph: Graph, device: int = 0, devices: int = 1) -> Plan:
    """Everything, whole, on one device."""
    partitions = {
        name: Partition(((),) * len(dimensions), (device,))
        for name, dimensions in graph.groups.items()
    }
    return Plan(devices, partitions)


def data_parallel(graph: Graph, devices: int) -> Plan:
    """The samples of every operator spread evenly over all devices."""
    partitions = {}
    for name, dimensions in graph.groups.items():
        cuts = tuple(
            even_cuts(d.size, devices) if d.kind is Kind.SAMPLE else () for d in dimensions
        )
        parts = math.prod(len(points) + 1 for points in cuts)
        partitions[name] = Partition(cuts, tuple(range(parts)))
    return Plan(devices, partitions)


def _check_partition(
    name: str, dimensions: Sequence[Dimension], partition: Partition, devices: int
) -> None:
    if len(partition.cuts) != len(dimensions):
        raise RecordError(
            f"operator '{name}' must have cuts for {len(dimensions)} dimensions, "
            f"{[d.name for d in dimensions]}, got {len(partition.cuts)}"
        )
    for dimension, cuts in zip(dimensions, partition.cuts, strict=True):
        _check_cuts(name, dimension, cuts)
    wrong = sorted({d for d in partition.devices if type(d) is not int or not 0 <= d < devices})
    if wrong:
        raise RecordError(f"operator '{name}' must be on devices 0..{devices - 1}, got {wrong}")


def _check_cuts(name: str, dimension: Dimension, cuts: tuple[int, ...]) -> None:
    where = f"operator '{name}', dimension '{dimension.name}' of size {dimension.size}"
    if cuts and dimension.kind is Kind.WHOLE:
        raise RecordError(f"{where}: it cannot be split, got cuts {cuts}. Leave its cuts empty")
    if any(start >= stop for start, stop in segments(dimension.size, cuts)):
        raise RecordError(
            f"{where}: cuts must be ascending and in 1..{dimension.size - 1}, "
            f"so that no part is empty, got {cuts}"
        )
    if any(cut % dimension.step for cut in cuts):
        raise RecordError(
            f"{where}: cuts must be multiples of {dimension.step}, so that no group of channels "
            f"is torn, got {cuts}"
        )


def _whole(values: list[Any]) -> tuple[int, ...]:
    if not all(type(value) is int for value in values):
        raise TypeError(f"whole numbers are needed, got {values!r}")
    return tuple(values)
