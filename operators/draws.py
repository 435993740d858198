"""Draws: which frames the reference is asked about, decided before they are seen.

Event time is cut into cells; each cell draws one instant, uniform, from a hash of seed, stream and
cell alone, so that nothing needs to be stored and a restart draws the same. The first frame at or
after an instant is drawn. A frame is so drawn with a probability of the time since the frame before
it over the cell's length, whatever is in it: at a steady frame rate all frames are equally likely.
Where the rate is not steady, the inverse of that probability weighs the frame (Horvitz & Thompson,
JASA 1952), so that means over drawn frames stay means over frames.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from operators.cells import CellPlan, Cells, draw_key
from records import RecordError
from records.checks import check_count, check_name

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class DrawState:
    """All that survives a restart; plain values.

    Attributes:
        plan: How time is cut from the present pane on.
        last_ns: The latest event time seen, nanoseconds; None before the first.
    """

    plan: CellPlan
    last_ns: int | None = None


class Draws:
    """The draws of one stream.

    Args:
        seed: Of the instants, a whole number.
        stream: The stream's name, so that streams draw independently.
        plan: How time is cut, at a new start.
        resume: The state to go on from; None at a new start.

    Raises:
        RecordError: an argument is out of its range.

    >>> second = 10**9
    >>> draws = Draws(0, "gate", CellPlan(10 * second, cells=10))
    >>> weights = draws.draw(np.arange(101) * second // 10)
    >>> int((weights > 0).sum()), float(weights.max().round(3))
    (10, 10.0)
    """

    def __init__(
        self, seed: int, stream: str, plan: CellPlan, resume: DrawState | None = None
    ) -> None:
        check_count("seed", seed)
        check_name("stream", stream)
        self._key = draw_key(seed, stream)
        self._state = resume or DrawState(plan)

    @property
    def last_ns(self) -> int | None:
        """The latest event time seen, nanoseconds; None before the first."""
        return self._state.last_ns

    def replan(self, pane: int, cells: int) -> None:
        """Cut each pane from `pane` on into so many cells.

        Raises:
            RecordError: the pane has begun, so that its frames would not be equally likely.
        """
        state = self._state
        if state.last_ns is not None and pane * state.plan.pane_ns <= state.last_ns:
            raise RecordError(
                f"pane {pane} has begun: its cells can only be set before its first frame"
            )
        self._state = replace(state, plan=state.plan.changed(pane, cells))

    def wants(self, time_ns: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether each frame is drawn, bool (n,); `draw` without the weights."""
        return self.draw(time_ns) > 0

    def draw(self, time_ns: NDArray[np.int64]) -> NDArray[np.float64]:
        """Draw among the next frames of the stream.

        To be called once for every frame, in order. A frame that comes again or late is not drawn,
        nor is the first frame of a stream: the time before it is unknown.

        Args:
            time_ns: Their event times, int64 (n,), nanoseconds since 1970 UTC.

        Returns:
            float64 (n,): how many frames a drawn frame stands for, the inverse of the probability
            with which it was drawn; 0 for frames that are not drawn.

        Raises:
            RecordError: `time_ns` is no array of event times.
        """
        drawn, chance = self.draw_with_chances(time_ns)
        weights = np.zeros(len(time_ns))
        weights[drawn] = 1 / chance[drawn]
        return weights

    def draw_with_chances(
        self, time_ns: NDArray[np.int64]
    ) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
        """`draw`, with the chances of all frames: for who joins draws that are independent.

        Returns:
            bool (n,), which frames are drawn; float64 (n,), with which probability each was to be.

        Raises:
            RecordError: `time_ns` is no array of event times.
        """
        check_times(time_ns)
        if not len(time_ns):
            return np.zeros(0, bool), np.zeros(0)
        state = self._state
        first = int(time_ns[0]) if state.last_ns is None else state.last_ns
        latest = np.maximum.accumulate(np.concatenate([[first], time_ns]))
        plan = state.plan.since(first // state.plan.pane_ns)
        found = _drawn(plan.cells_at(latest), latest, self._key)
        self._state = DrawState(plan, int(latest[-1]))
        return found

    def snapshot(self) -> DrawState:
        """The state to go on from after a restart."""
        return self._state


def check_times(time_ns: NDArray[np.int64]) -> None:
    """Raise RecordError unless these are event times, int64 (n,) of at least 0."""
    if not isinstance(time_ns, np.ndarray) or time_ns.dtype != np.int64 or time_ns.ndim != 1:
        raise RecordError(
            "time_ns must be an int64 array of shape (n,), got "
            f"{getattr(time_ns, 'dtype', type(time_ns).__name__)} {getattr(time_ns, 'shape', '')}"
        )
    if len(time_ns) and time_ns.min() < 0:
        raise RecordError(f"time_ns must be at least 0, got {time_ns.min()}")


def _drawn(
    cells: Cells, latest: NDArray[np.int64], key: np.uint64
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Whether an instant lies after each time and not after the next, and how likely that was."""
    before, after = latest[:-1], latest[1:]
    old, new = cells.part(slice(None, -1)), cells.part(slice(1, None))
    instants = cells.instants(key)
    passed = (before < instants[:-1]) & (instants[:-1] <= after)
    reached = (before < instants[1:]) & (instants[1:] <= after)
    # Beyond a whole cell there was an instant for sure; a pane that draws nothing asks for none.
    skipped = (old.end < new.start) & ~new.empty
    within = new.chance(before + 1, after)
    # With one offset for both cells the two ways exclude each other, or cover all offsets.
    # Without, they are independent. Instants are whole nanoseconds.
    left, entered = old.chance(before + 1, old.end - 1), new.chance(new.start, after)
    one = np.minimum(left + entered, 1)
    across = np.where(old.group == new.group, one, 1 - (1 - left) * (1 - entered))
    chance = np.where(old.start == new.start, within, np.where(skipped, 1.0, across))
    return (before < after) & (passed | reached | skipped), chance
