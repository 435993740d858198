"""Who keeps a parameter: each element on one device, which alone updates it.

Devices that compute with the same region share its keeping evenly, so that fetching values and
summing gradients move as much as a ring all-reduce does, and no optimiser state is kept twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.soap.regions import Box, Shape, cells, even_cuts, segments

if TYPE_CHECKING:
    from collections.abc import Iterable

SMALLEST_SHARE = 1024
"""A region with fewer elements for each of its users is kept whole by one of them."""


def owners(shape: Shape, uses: Iterable[tuple[Box, int]], turn: int = 0) -> list[tuple[Box, int]]:
    """Part a parameter among the devices that use it.

    Args:
        shape: The parameter's shape.
        uses: Regions that are used, and by which device.
        turn: Small regions go to the user at this place, counted around, so that a caller can
            spread them.

    Returns:
        Boxes that together are the parameter, each with its device. What none uses goes to
        device 0.

    >>> owners((4,), [(Box(((0, 3),)), 1), (Box(((0, 4),)), 2)])
    [(Box(ranges=((0, 3),)), 1), (Box(ranges=((3, 4),)), 2)]
    """
    uses = list(uses)
    found = []
    for cell in cells(shape, (box for box, _ in uses)):
        users = sorted({device for box, device in uses if box.holds(cell)}) or [0]
        if cell.elements < SMALLEST_SHARE * len(users):
            found.append((cell, users[turn % len(users)]))
            continue
        axis = max(range(len(shape)), key=lambda axis: cell.shape[axis])
        first, last = cell.ranges[axis]
        ranges = segments(last - first, even_cuts(last - first, len(users)))
        found += [
            (cell.replace(axis, (first + start, first + stop)), user)
            for (start, stop), user in zip(ranges, users, strict=False)
        ]
    return found
