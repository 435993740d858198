"""Parameters that several devices hold whole: their gradients are added up in few all-reduces.

As torch's DistributedDataParallel does (Li et al., "PyTorch Distributed: Experiences on
Accelerating Data Parallel Training", VLDB 2020, section 3.2), gradients lie one behind the other
in buckets. A bucket's all-reduce starts as soon as the backward pass has filled it and goes on
beside the rest of that pass. Every device updates its own copy; all copies stay equal.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from models.soap.regions import Box, Shape, even_cuts, segments

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from models.soap.graph import Graph

BUCKET_ELEMENTS = 262_144
"""A bucket that has as many elements takes no more: 1 MiB in single precision, as DDP's first."""

Devices = tuple[int, ...]
"""Devices in ascending order."""

Message = tuple[int, int, int]
"""From which device, to which, how many bytes."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """Gradients that are added up together.

    Attributes:
        parameters: Whose, by name, in the order in which the backward pass makes them.
        devices: Who holds these parameters.
        elements: How many elements they have together.
        stage: The place of the node in the graph behind whose backward pass all are there.
        loss: Whether the loss is added up behind them, as one more element.
    """

    parameters: tuple[str, ...]
    devices: Devices
    elements: int
    stage: int
    loss: bool = False

    def messages(self, element_bytes: int) -> tuple[Message, ...]:
        """What goes from device to device when it is added up."""
        return ring(self.elements, self.devices, element_bytes)


def sharers(shape: Shape, uses: Iterable[tuple[Box, int]]) -> Devices:
    """Who shares a parameter: its users, if there are several and each uses all of it; else none.

    Args:
        shape: The parameter's shape.
        uses: Regions that are used, and by which device.

    >>> whole = Box(((0, 4),))
    >>> sharers((4,), [(whole, 1), (whole, 0)]), sharers((4,), [(whole, 1)])
    ((0, 1), ())
    """
    uses, whole = list(uses), Box.whole(shape)
    devices = tuple(sorted({device for _, device in uses}))
    return devices if len(devices) > 1 and all(box == whole for box, _ in uses) else ()


def buckets(graph: Graph, shared: Mapping[str, Devices], devices: int) -> tuple[Bucket, ...]:
    """The buckets of a step, in the order in which they are started.

    Args:
        graph: The model.
        shared: Who shares each parameter; nobody where that is empty.
        devices: How many devices there are. The last bucket that all share tells the loss, too.
    """
    first: dict[str, int] = {}
    for place, node in enumerate(graph.nodes):
        for name in node.parameters:
            first.setdefault(name, place)
    ordered = sorted(
        (name for name in shared if shared[name]), key=lambda name: (-first[name], name)
    )
    filling: dict[Devices, list[str]] = {}
    found = []

    def close(sharing: Devices) -> None:
        names = filling.pop(sharing)
        elements = sum(_elements(graph, name) for name in names)
        found.append(Bucket(tuple(names), sharing, elements, first[names[-1]]))

    for name in ordered:
        names = filling.setdefault(shared[name], [])
        names.append(name)
        if sum(_elements(graph, one) for one in names) >= BUCKET_ELEMENTS:
            close(shared[name])
    for sharing in list(filling):
        close(sharing)
    found.sort(key=lambda bucket: (-bucket.stage, bucket.devices))
    last = max((i for i, b in enumerate(found) if len(b.devices) == devices), default=None)
    if last is not None:
        found[last] = replace(found[last], elements=found[last].elements + 1, loss=True)
    return tuple(found)


def ring(elements: int, devices: Devices, element_bytes: int) -> tuple[Message, ...]:
    """The messages of a ring all-reduce, each device's own in one."""
    sent = ring_elements(elements, len(devices))
    return tuple(
        (device, devices[(place + 1) % len(devices)], sent[place] * element_bytes)
        for place, device in enumerate(devices)
    )


def ring_elements(elements: int, devices: int) -> tuple[int, ...]:
    """What each device sends to the next one in a ring all-reduce, elements.

    Patarasuk and Yuan, "Bandwidth optimal all-reduce algorithms for clusters of workstations",
    2009: each device passes all segments but one on while sums are made, and all but one again
    while they are told: 2 (devices - 1) / devices of the whole.

    >>> ring_elements(12, 3), ring_elements(5, 2)
    ((16, 16, 16), (5, 5))
    """
    sizes = [stop - start for start, stop in segments(elements, even_cuts(elements, devices))]
    sizes += [0] * (devices - len(sizes))
    return tuple(
        2 * elements - sizes[device] - sizes[(device + 1) % devices] for device in range(devices)
    )


def _elements(graph: Graph, name: str) -> int:
    return math.prod(graph.parameter_by_name[name].view)
