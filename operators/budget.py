"""Budgets: reference calls that are shared by the streams of a shard, pane after pane.

Before a pane starts, its calls are allocated to the streams by the deviation that each is predicted
to have (Neyman, JRSS 1934): where nothing changes a few calls tell all. What counts for cells is
how much *neighbouring* cells differ, so the deviation is sqrt(mean((y_i - y_i-1)^2) / 2), the
von Neumann estimate (Annals of Mathematical Statistics 1941), with older panes fading.

The allocation of a pane is decided when the first of its streams asks, from what was learned until
then: the same batches in the same order give the same allocation.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from operators.variates import allocate
from records import RecordError
from records.checks import check_name
from records.units import NANOSECONDS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

SECONDS_AN_HOUR = 3600
"""Seconds in an hour."""

FADING = 0.5
"""What the differences of a pane count in the next pane's prediction, and so on."""

LEAST_SHARE = 0.1
"""The least deviation that is predicted, as a share of the largest: quiet streams may wake."""

MOST_PANES = 64
"""Allocations that are remembered, for streams that lag behind."""


@dataclass(frozen=True, slots=True)
class BudgetSettings:
    """How many calls there are, and how they are shared.

    Attributes:
        calls_per_hour: Reference calls an hour of event time, over all streams.
        pane_seconds: Length of a pane, seconds of event time.
        least: The least calls of a stream in a pane, while the budget lasts.
        streams: The streams that are expected from the start; others are learned as they come,
            get `least` calls in their first pane, and take them from the next pane's budget.

    Raises:
        RecordError: a setting is out of its range.
    """

    calls_per_hour: float
    pane_seconds: float
    least: int = 2
    streams: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("calls_per_hour", "pane_seconds"):
            if not 0 < getattr(self, name) < math.inf:
                raise RecordError(f"{name} must be above 0 and finite, got {getattr(self, name)}")
        if self.least < 0:
            raise RecordError(f"least must be at least 0 calls, got {self.least}")
        for stream in self.streams:
            check_name("stream", stream)

    @property
    def pane_ns(self) -> int:
        """Length of a pane, nanoseconds."""
        return round(self.pane_seconds * NANOSECONDS)


@dataclass(frozen=True, slots=True)
class Learned:
    """What is known of a stream.

    Attributes:
        last: Its last values, one for each group.
        squares: Sum of squared differences of neighbours, over all groups, older ones faded.
        differences: How many there were, faded likewise.
        frames: Frames of the present pane.
        frames_before: Frames of the last pane that had any.
        pane: The last pane with frames.
    """

    last: tuple[float, ...] = ()
    squares: float = 0.0
    differences: float = 0.0
    frames: int = 0
    frames_before: int = 0
    pane: int = -1

    @property
    def deviation(self) -> float | None:
        """The predicted deviation; None while there is nothing to predict from."""
        return math.sqrt(self.squares / self.differences / 2) if self.differences else None

    def rolled(self) -> Learned:
        """The same as a pane ends."""
        return replace(
            self,
            squares=self.squares * FADING,
            differences=self.differences * FADING,
            frames=0,
            frames_before=self.frames or self.frames_before,
        )


@dataclass(frozen=True, slots=True)
class BudgetState:
    """All that survives a restart; plain values.

    Attributes:
        streams: What is known of each stream.
        allocations: Calls of each stream in the latest panes.
        debt: Calls that the present pane's latecomers took from the next.
    """

    streams: dict[str, Learned] = field(default_factory=dict)
    allocations: dict[int, dict[str, int]] = field(default_factory=dict)
    debt: int = 0


class Budget:
    """The budget of a shard of streams.

    Args:
        settings: How many calls there are, and how they are shared.
        resume: The state to go on from; None at a new start.

    >>> budget = Budget(BudgetSettings(600, pane_seconds=60, streams=("gate", "till")))
    >>> budget.cells("gate", 0), budget.cells("till", 0)
    (5, 5)
    >>> budget.learn("gate", 0, np.array([[0.0], [9.0], [0.0]]), frames=600)
    >>> budget.learn("till", 0, np.array([[1.0], [1.0], [2.0]]), frames=600)
    >>> budget.cells("gate", 1), budget.cells("till", 1)
    (8, 2)
    """

    def __init__(self, settings: BudgetSettings, resume: BudgetState | None = None) -> None:
        self._settings = settings
        state = resume or BudgetState({stream: Learned() for stream in settings.streams})
        self._streams = dict(state.streams)
        self._allocations = {pane: dict(calls) for pane, calls in state.allocations.items()}
        self._debt = state.debt

    def cells(self, stream: str, pane: int) -> int:
        """The calls that a stream has in a pane: the cells to cut it into."""
        if stream not in self._streams:
            self._streams[stream] = Learned()
        if pane not in self._allocations:
            if pane < max(self._allocations, default=pane):
                self._allocations[pane] = {}  # The stream lags, and nothing was decided for it.
            else:
                self._allocate(pane)
        calls = self._allocations[pane]
        if stream not in calls:
            calls[stream] = self._settings.least
            self._debt += calls[stream]
        return calls[stream]

    def learn(self, stream: str, pane: int, values: NDArray[np.float64], frames: int) -> None:
        """Learn what the reference said of a stream.

        Args:
            stream: The stream's name.
            pane: The pane of these frames.
            values: float64 (n, groups), the reference's numbers, in order of time; rows with NaN
                are passed over.
            frames: Frames that they were drawn from.
        """
        known = self._streams.get(stream, Learned())
        answered = values[~np.isnan(values).any(axis=1)]
        chain = np.concatenate([[known.last], answered]) if known.last else answered
        steps = np.diff(chain, axis=0)
        self._streams[stream] = replace(
            known,
            last=tuple(chain[-1].tolist()) if len(chain) else (),
            squares=known.squares + float((steps**2).sum()),
            differences=known.differences + len(steps),
            frames=known.frames + frames,
            pane=max(known.pane, pane),
        )

    def snapshot(self) -> BudgetState:
        """The state to go on from after a restart; never changed afterwards."""
        allocations = {pane: dict(calls) for pane, calls in self._allocations.items()}
        return BudgetState(dict(self._streams), allocations, self._debt)

    def _allocate(self, pane: int) -> None:
        """Decide a pane's calls, before its first frame."""
        settings = self._settings
        latest = max(self._allocations, default=pane)
        # A stream without frames in the last pane is gone, and comes back as a latecomer.
        names = [
            stream
            for stream, known in sorted(self._streams.items())
            if known.pane < 0 or known.pane >= latest
        ]
        # Whole calls such that their sum never exceeds the rate, however short the panes are.
        rate = settings.calls_per_hour * settings.pane_seconds / SECONDS_AN_HOUR
        budget = math.floor(rate * (pane + 1)) - math.floor(rate * pane)
        paid = min(self._debt, budget)
        self._debt -= paid
        self._allocations[pane] = shared(
            {name: self._streams[name] for name in names}, budget - paid, settings.least
        )
        self._streams = {stream: known.rolled() for stream, known in self._streams.items()}
        for old in sorted(self._allocations)[:-MOST_PANES]:
            del self._allocations[old]


def shared(streams: Mapping[str, Learned], budget: int, least: int) -> dict[str, int]:
    """Share calls among streams by what is known of them; a new one counts as an average one."""
    if not streams:
        return {}
    known = [one.deviation for one in streams.values()]
    told = [deviation for deviation in known if deviation is not None]
    usual = sum(told) / len(told) if told else 1.0
    deviations = [usual if one is None else one for one in known]
    floor = LEAST_SHARE * max(deviations) or 1.0
    # The first pane of a stream is seldom whole, so it does not tell how many frames there are.
    sizes = [one.frames if one.frames_before else 0 for one in streams.values()]
    whole = [size for size in sizes if size]
    middle = sum(whole) // len(whole) if whole else max(budget, 1)
    calls = allocate(
        [max(one, floor) for one in deviations],
        [size or middle for size in sizes],
        budget,
        min(least, budget // len(streams)),
    )
    return dict(zip(streams, calls, strict=True))
