"""Cells: how event time is cut, and the instant that each cell draws.

Cells are equal parts of panes, the pieces of time that windows are made of (Li et al., SIGMOD
Record 2005). Their number may change from one pane to the next, so that calls can move to where
they tell most. An instant is uniform in its cell, from a hash of seed, stream and cell alone.

Neighbouring cells may share the offset of their instant: then the instants are evenly spaced within
such a group, and a step between two levels costs less (see `operators.variates.cells`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import TYPE_CHECKING

import numpy as np

from records import RecordError
from records.checks import LATEST_TIME_NS, check_count

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST_CELLS = 10_000_000
"""The most cells of a pane."""

KEY_BYTES = 8
"""Bytes of the hash of seed and stream."""

GOLDEN_GAMMA = np.uint64(0x9E3779B97F4A7C15)
"""The increment of SplitMix64 (Steele, Lea & Flood, OOPSLA 2014)."""

MIX_STEPS = (
    (np.uint64(30), np.uint64(0xBF58476D1CE4E5B9)),
    (np.uint64(27), np.uint64(0x94D049BB133111EB)),
)
"""The shifts and multipliers of its mixing function, Stafford's variant 13."""

LAST_SHIFT = np.uint64(31)
"""The shift that ends the mixing function."""

MANTISSA_BITS = 53
"""The bits of a hash that a float64 holds exactly."""


@dataclass(frozen=True, slots=True)
class CellPlan:
    """How event time is cut into cells: each pane into so many equal ones.

    Attributes:
        pane_ns: Length of a pane, nanoseconds; panes start at multiples of it since 1970 UTC.
        cells: Cells of each pane before the first change; 0 draws nothing.
        changes: (pane, cells), in order of panes: from that pane on there are so many cells.
        shared: How many neighbouring cells of a pane share the offset of their instant; 1 for
            none.

    Raises:
        RecordError: a field is out of its range.

    >>> cells = CellPlan(100, 4).changed(2, cells=10).cells_at(np.array([130, 199, 205]))
    >>> cells.start.tolist(), cells.end.tolist()
    ([125, 175, 200], [150, 200, 210])
    """

    pane_ns: int
    cells: int
    changes: tuple[tuple[int, int], ...] = ()
    shared: int = 1

    def __post_init__(self) -> None:
        check_count("pane_ns", self.pane_ns)
        check_count("shared", self.shared)
        if self.shared < 1:
            raise RecordError(f"shared must be at least 1 cell, got {self.shared}")
        most = min(self.pane_ns, MOST_CELLS)
        for cells in (self.cells, *(cells for _, cells in self.changes)):
            check_count("cells", cells)
            if self.pane_ns == 0 or cells > most:
                raise RecordError(
                    f"cells must be in 0..{most} for a pane of {self.pane_ns} ns, got {cells}; "
                    "a cell needs a nanosecond at least"
                )

    def changed(self, pane: int, cells: int) -> CellPlan:
        """The plan with so many cells from a pane on.

        Raises:
            RecordError: `pane` is before an earlier change, or `cells` out of range.
        """
        if self.changes and pane < self.changes[-1][0]:
            raise RecordError(
                f"pane must not be before the last change, {self.changes[-1][0]}, got {pane}"
            )
        kept = tuple(change for change in self.changes if change[0] != pane)
        return replace(self, changes=(*kept, (pane, cells)))

    def since(self, pane: int) -> CellPlan:
        """The same plan for `pane` and those after it, without the changes before."""
        past = [cells for start, cells in self.changes if start <= pane]
        future = tuple(change for change in self.changes if change[0] > pane)
        return replace(self, cells=past[-1] if past else self.cells, changes=future)

    def cells_at(self, time_ns: NDArray[np.int64]) -> Cells:
        """The cell that each time lies in; the last of a pane takes what the division left."""
        pane = time_ns // self.pane_ns
        starts = np.array([start for start, _ in self.changes], dtype=np.int64)
        numbers = np.array([self.cells, *(cells for _, cells in self.changes)])
        cells = numbers[np.searchsorted(starts, pane, side="right")]
        some = np.maximum(cells, 1)
        length = self.pane_ns // some
        place = np.minimum((time_ns - pane * self.pane_ns) // length, some - 1)
        start = pane * self.pane_ns + place * length
        end = np.where(place == some - 1, (pane + 1) * self.pane_ns, start + length)
        return Cells(start, end, start - place % self.shared * length, cells == 0)


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """Cells of event time, arrays of one length.

    Attributes:
        start: int64 (n,), the first nanosecond of each.
        end: int64 (n,), the end of each, excluded.
        group: int64 (n,), the start of the first cell with which each shares its offset.
        empty: bool (n,), whether it draws nothing; then it is its whole pane.
    """

    start: NDArray[np.int64]
    end: NDArray[np.int64]
    group: NDArray[np.int64]
    empty: NDArray[np.bool_]

    def instants(self, key: np.uint64) -> NDArray[np.int64]:
        """The instant drawn in each, int64 (n,), uniform; the latest time there is where none is.

        A hash as a counter-based generator: the same key and cell give the same instant for ever.
        """
        counter = _mixed(self.group.astype(np.uint64) + GOLDEN_GAMMA)
        share = (_mixed(counter ^ key) >> np.uint64(64 - MANTISSA_BITS)) * 2.0**-MANTISSA_BITS
        length = self.end - self.start
        offset = np.minimum((share * length).astype(np.int64), length - 1)
        return np.where(self.empty, LATEST_TIME_NS, self.start + offset)

    def chance(self, first: NDArray[np.int64], last: NDArray[np.int64]) -> NDArray[np.float64]:
        """The probability that the instant is in first .. last, float64 (n,); both in the cell."""
        return np.where(self.empty, 0.0, (last - first + 1) / (self.end - self.start))

    def part(self, places: slice) -> Cells:
        """Some of the cells."""
        return Cells(self.start[places], self.end[places], self.group[places], self.empty[places])


def draw_key(seed: int, stream: str) -> np.uint64:
    """The key of a stream's instants."""
    digest = blake2b(f"{seed}:{stream}".encode(), digest_size=KEY_BYTES).digest()
    return np.uint64(int.from_bytes(digest))


def _mixed(bits: NDArray[np.uint64]) -> NDArray[np.uint64]:
    for shift, multiplier in MIX_STEPS:
        bits = (bits ^ (bits >> shift)) * multiplier
    return bits ^ (bits >> LAST_SHIFT)
