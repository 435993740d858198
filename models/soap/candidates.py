"""The partitions that an operator may take: what a search chooses from."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from models.soap.plan import MOST_DEVICES, Partition
from models.soap.regions import even_cuts
from models.soap.space import Dimension, Kind
from records import RecordError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

UNEVEN_WEIGHTS = (0.5, 2.0)
"""Sizes of the first part against the others, where parts may differ."""

MOST_CANDIDATES = 4096
"""The most candidates of one operator."""


@dataclass(frozen=True, slots=True)
class CandidateSettings:
    """Which partitions are candidates.

    Attributes:
        most: The most candidates of one operator, 1..4096; those that split fewest dimensions
            and start at the first device come first.
        dimensions: The most dimensions that are split at once, at least 1.
        uneven: Whether the first part of a dimension may be smaller or larger than the others.

    Raises:
        RecordError: a value is out of range.
    """

    most: int = 128
    dimensions: int = 3
    uneven: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.most <= MOST_CANDIDATES:
            raise RecordError(f"most must be in 1..{MOST_CANDIDATES}, got {self.most}")
        if self.dimensions < 1:
            raise RecordError(f"dimensions must be at least 1, got {self.dimensions}")


def candidates(
    dimensions: Sequence[Dimension], devices: int, settings: CandidateSettings | None = None
) -> tuple[Partition, ...]:
    """The partitions of one operator, at most one part a device.

    Degrees are divisors of the number of devices, as in FlexFlow, section 4. Parts run on
    neighbouring devices, or on devices spread evenly over all of them.

    Args:
        dimensions: The operator's space.
        devices: How many devices there are, 1..4096.
        settings: Which of them.

    Returns:
        Different partitions, the same in the same order for the same arguments; the first is
        the whole operator on device 0.

    Raises:
        RecordError: `devices` is out of range.

    >>> samples = Dimension("sample", 8, Kind.SAMPLE)
    >>> for partition in candidates([samples], devices=2):
    ...     print(partition.cuts, partition.devices)
    ((),) (0,)
    ((),) (1,)
    ((4,),) (0, 1)
    """
    if not 1 <= devices <= MOST_DEVICES:
        raise RecordError(f"devices must be in 1..{MOST_DEVICES}, got {devices}")
    settings = settings or CandidateSettings()
    ranked = []
    for degrees in _degrees(dimensions, devices, settings.dimensions):
        split = sum(degree > 1 for degree in degrees)
        parts = math.prod(degrees)
        for place, group in enumerate(_placements(parts, devices, settings.most)):
            # Later groups of devices come with the splits of more dimensions.
            rank = (split + place.bit_length(), split, -parts, place, degrees)
            ranked.append((rank, degrees, group))
    found: dict[Partition, None] = {}
    for _, degrees, group in sorted(ranked):
        for cuts in _cuts(dimensions, degrees, uneven=settings.uneven):
            found[Partition(cuts, group)] = None
        if len(found) >= settings.most:
            break
    return tuple(found)[: settings.most]


def _degrees(
    dimensions: Sequence[Dimension], most_parts: int, most_split: int
) -> Iterator[tuple[int, ...]]:
    """Into how many ranges each dimension may be split."""
    if not dimensions:
        yield ()
        return
    first, *rest = dimensions
    choices = [1]
    if most_split and first.kind is not Kind.WHOLE:
        # A divisor of the devices leaves none idle.
        most = min(most_parts, first.size // first.step)
        choices += [degree for degree in range(2, most + 1) if most_parts % degree == 0]
    for degree in choices:
        for others in _degrees(rest, most_parts // degree, most_split - (degree > 1)):
            yield (degree, *others)


def _placements(parts: int, devices: int, most: int) -> list[tuple[int, ...]]:
    """Groups of devices: neighbours and spread ones in turns, at most `most`."""
    found: dict[tuple[int, ...], None] = {}
    groups = devices // parts
    for group in range(min(groups, most)):
        found[tuple(range(group * parts, (group + 1) * parts))] = None
        found[tuple(group + groups * part for part in range(parts))] = None
    return list(found)[:most]


def _cuts(
    dimensions: Sequence[Dimension], degrees: Sequence[int], *, uneven: bool
) -> Iterator[tuple[tuple[int, ...], ...]]:
    """Cut points of these degrees: even ones first."""
    even = tuple(
        tuple(cut * d.step for cut in even_cuts(d.size // d.step, degree))
        for d, degree in zip(dimensions, degrees, strict=True)
    )
    yield even
    split = [axis for axis, degree in enumerate(degrees) if degree > 1]
    if not uneven or len(split) != 1:
        return
    (axis,) = split
    for weight in UNEVEN_WEIGHTS:
        cuts = _weighted_cuts(dimensions[axis], degrees[axis], weight)
        if cuts:
            yield (*even[:axis], cuts, *even[axis + 1 :])


def _weighted_cuts(dimension: Dimension, parts: int, weight: float) -> tuple[int, ...]:
    """Cut points with another first part; none where that leaves a part empty."""
    units = dimension.size // dimension.step
    total = weight + parts - 1
    cuts = [round(units * (weight + part) / total) for part in range(parts - 1)]
    distinct = len({0, *cuts, units}) == parts + 1
    return tuple(cut * dimension.step for cut in cuts) if distinct else ()
