"""Plans at random: to calibrate with, to compare a simulation with real steps, and for tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from models.soap.plan import Partition, Plan, data_parallel, single_device
from models.soap.regions import even_cuts
from models.soap.space import Dimension, Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from models.soap.graph import Graph

MOST_CUTS = 2
"""The most cuts of one dimension."""

MOST_PARTS = 6
"""The most parts of one operator."""

SHARES = (0.1, 0.3, 0.6)
"""How likely a dimension is split, in a plan that is nowhere, sometimes or often split."""

CHANGED = (0.15, 0.3, 0.6)
"""How likely an operator of a regular plan is changed."""


def random_plan(graph: Graph, devices: int, seed: int) -> Plan:
    """A plan that splits anything anywhere; how much, and over which devices, varies.

    Args:
        graph: What is split.
        devices: How many devices there are; not all need be used.
        seed: The same plan for the same seed, at least 0.
    """
    seeds = np.random.default_rng(seed).integers(2**32, size=len(graph.groups)).tolist()
    share = SHARES[seed % len(SHARES)]
    partitions = {
        name: random_partition(dimensions, devices, own, share)
        for (name, dimensions), own in zip(graph.groups.items(), seeds, strict=True)
    }
    return Plan(devices, partitions)


def random_partition(
    dimensions: Sequence[Dimension], devices: int, seed: int, share: float = SHARES[-1]
) -> Partition:
    """A partition of one operator with cuts anywhere and parts on any device.

    Args:
        dimensions: The operator's space.
        devices: How many devices there are.
        seed: The same partition for the same seed.
        share: How likely each dimension is split.
    """
    random = np.random.default_rng(seed)
    parts = 1
    cuts: list[tuple[int, ...]] = [()] * len(dimensions)
    for place in random.permutation(len(dimensions)).tolist():
        if random.random() < share:
            cuts[place] = _random_cuts(dimensions[place], MOST_PARTS // parts, random)
            parts *= len(cuts[place]) + 1
    among = random.permutation(devices)[: random.integers(1, devices + 1)]
    return Partition(tuple(cuts), tuple(random.choice(among, parts).tolist()))


def even_partition(
    dimensions: Sequence[Dimension], devices: int, random: np.random.Generator
) -> Partition:
    """One dimension split evenly over all devices, or, as likely as a dimension, one device."""
    whole = Partition(((),) * len(dimensions), (int(random.integers(devices)),))
    choices = [i for i, d in enumerate(dimensions) if d.kind is not Kind.WHOLE]
    place = int(random.integers(len(choices) + 1))
    if place == len(choices):
        return whole
    axis = choices[place]
    step = dimensions[axis].step
    points = even_cuts(dimensions[axis].size // step, devices)
    cuts = [()] * axis + [tuple(point * step for point in points)]
    cuts += [()] * (len(dimensions) - len(cuts))
    return Partition(tuple(cuts), tuple(range(len(points) + 1)))


def sample_plans(graph: Graph, devices: int, count: int, seed: int = 0) -> list[Plan]:
    """Different plans, from regular to wild.

    The first two are one device and data parallelism. Of the others, every third is `random_plan`;
    the rest are data parallel, or on one device, but for some operators that are split evenly
    along another dimension.

    Args:
        graph: What is split.
        devices: How many devices there are.
        count: How many plans, at least 2.
        seed: The same plans for the same seed.
    """
    regular = (data_parallel(graph, devices), single_device(graph, devices=devices))
    found = [regular[1], regular[0]]
    random = np.random.default_rng(seed)
    for place in range(count - 2):
        own = int(random.integers(2**32))
        if place % 3 == 0:
            found.append(random_plan(graph, devices, own))
            continue
        partitions = dict(regular[0 if random.random() < 2 / 3 else 1].partitions)
        share = CHANGED[int(random.integers(len(CHANGED)))]
        for name, dimensions in graph.groups.items():
            if random.random() < share:
                partitions[name] = even_partition(dimensions, devices, random)
        found.append(Plan(devices, partitions))
    return found


def _random_cuts(dimension: Dimension, most: int, random: np.random.Generator) -> tuple[int, ...]:
    if dimension.kind is Kind.WHOLE:
        return ()
    places = np.arange(dimension.step, dimension.size, dimension.step)
    count = min(int(random.integers(1, MOST_CUTS + 1)), most - 1, len(places))
    return tuple(sorted(random.choice(places, count, replace=False).tolist()))
