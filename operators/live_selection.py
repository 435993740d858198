"""Selection of live frames that are worth a reference call, under a budget of event time.

Event time is cut into cells; each brings one call. Calls that are not used are saved, up to a
number. A bandit (Thompson sampling, as in `operators.orders`) decides for each cell how its call is
to be used:

- *score*: the call is saved for a frame whose score is above the threshold. The threshold is a
  quantile of the highest scores of the last cells; the more calls are saved the lower it is, so it
  adapts to the score, whatever its scale, and to the budget.
- *chance*: the frame at an instant drawn in the cell is verified, whatever its score.

So a score that finds nothing costs little more than having none. Without a score all is chance.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from operators.cells import CellPlan, draw_key
from operators.draws import Draws, DrawState
from operators.orders import FindRates
from records import RecordError
from records.checks import check_count
from records.units import NANOSECONDS

if TYPE_CHECKING:
    from numpy.typing import NDArray

SECONDS_AN_HOUR = 3600
"""Seconds in an hour."""

REMEMBERED_CELLS = 64
"""The cells whose highest scores the threshold is taken from."""

MOST_SAVED = 1000
"""The most calls that may be saved."""

SCORE, CHANCE = 0, 1
"""The bandit's arms."""


@dataclass(frozen=True, slots=True)
class SelectionSettings:
    """How calls are spent.

    Attributes:
        calls_per_hour: Reference calls an hour of event time.
        saved: How many calls can be saved; any span of time uses at most so many more.
        apart_seconds: The least time between two calls for a score, seconds: neighbours are alike.
        seed: Of the draws.

    Raises:
        RecordError: a setting is out of its range.
    """

    calls_per_hour: float
    saved: int = 10
    apart_seconds: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.calls_per_hour < math.inf or self.cell_ns < 1:
            raise RecordError(
                f"calls_per_hour must be above 0, and at most one a nanosecond, "
                f"got {self.calls_per_hour}"
            )
        if not 1 <= self.saved <= MOST_SAVED:
            raise RecordError(f"saved must be in 1..{MOST_SAVED} calls, got {self.saved}")
        if not 0 <= self.apart_seconds < math.inf:
            raise RecordError(
                f"apart_seconds must be at least 0 and finite, got {self.apart_seconds}"
            )
        check_count("seed", self.seed)

    @property
    def cell_ns(self) -> int:
        """Length of the cell that brings one call, nanoseconds."""
        return round(SECONDS_AN_HOUR * NANOSECONDS / self.calls_per_hour)


@dataclass(frozen=True, slots=True)
class SelectionState:
    """All that survives a restart; plain values.

    Attributes:
        draws: Of the frames that chance picks; None before the first frame.
        cell: The present cell; -1 before the first.
        arm: How its call is used.
        chance: Whether the present cell's call is still there for chance.
        calls: Calls that are saved.
        highest: The highest scores of the last cells, the present one last.
        last_ns: Event time of the last call for a score, nanoseconds; -1 before the first.
        found: What each arm has found.
        samples: Calls of each arm.
    """

    draws: DrawState | None = None
    cell: int = -1
    arm: int = CHANCE
    chance: bool = False
    calls: int = 0
    highest: tuple[float, ...] = ()
    last_ns: int = -1
    found: tuple[float, ...] = (0.0, 0.0)
    samples: tuple[float, ...] = (0.0, 0.0)


class Selection:
    """Selects frames of one stream.

    Args:
        settings: How calls are spent.
        stream: The stream's name.
        resume: The state to go on from; None at a new start.

    >>> selection = Selection(SelectionSettings(3600), "gate")
    >>> times = np.arange(0, 100 * 10**9, 10**8)
    >>> len(selection.choose(times, np.full(len(times), np.nan)))
    99
    """

    def __init__(
        self, settings: SelectionSettings, stream: str, resume: SelectionState | None = None
    ) -> None:
        self._settings = settings
        self._state = resume or SelectionState()
        self._key = int(draw_key(settings.seed, stream))
        plan = CellPlan(settings.cell_ns, 1)
        self._draws = Draws(settings.seed, stream, plan, self._state.draws)

    def choose(
        self, time_ns: NDArray[np.int64], scores: NDArray[np.float64]
    ) -> list[tuple[int, int]]:
        """The frames to verify, as pairs of place and arm, in order.

        Args:
            time_ns: Event times of the next frames that could be accepted, int64 (n,), in order.
            scores: float64 (n,); NaN where there is none.
        """
        drawn = self._draws.wants(time_ns)
        cells = time_ns // self._settings.cell_ns
        known = ~np.isnan(scores)
        chosen: list[tuple[int, int]] = []
        start = 0
        for end in [*(np.flatnonzero(np.diff(cells)) + 1).tolist(), len(time_ns)]:
            if start == end:
                break
            self._enter(int(cells[start]), scored=bool(known[start:end].any()))
            part = slice(start, end)
            chosen += self._spend(time_ns, scores, drawn, part)
            start = end
        return chosen

    def learn(self, arm: int, *, holds: bool) -> None:
        """Learn the outcome of a call."""
        rates = FindRates(2, np.array(self._state.found), np.array(self._state.samples))
        rates.learn(arm, holds=holds)
        self._state = replace(
            self._state, found=tuple(rates.found.tolist()), samples=tuple(rates.samples.tolist())
        )

    def give_back(self, calls: int) -> None:
        """Give back calls that were not made."""
        calls = min(self._state.calls + calls, self._settings.saved)
        self._state = replace(self._state, calls=calls)

    def snapshot(self) -> SelectionState:
        """The state to go on from after a restart."""
        return replace(self._state, draws=self._draws.snapshot())

    @property
    def threshold(self) -> float:
        """The score above which a saved call is used; infinite where nothing is known yet."""
        past = [score for score in self._state.highest[:-1] if score > -math.inf]
        if not self._state.calls or not past:
            return math.inf
        return float(np.quantile(past, 1 - self._state.calls / self._settings.saved))

    def _enter(self, cell: int, *, scored: bool) -> None:
        """Receive the calls of the cells since the last, and decide how the present one is used."""
        state, settings = self._state, self._settings
        passed = 1 if state.cell < 0 else cell - state.cell
        if passed <= 0:
            return
        arm = CHANCE
        if scored:
            rates = FindRates(2, np.array(state.found), np.array(state.samples))
            arm = int(np.argmax(rates.draw(np.random.default_rng([self._key, cell]))))
        # The call of a cell that chance uses is saved only where it found no frame to use it on.
        calls = min(state.calls + state.chance + passed - (arm == CHANCE), settings.saved)
        highest = (*state.highest, -math.inf)[-REMEMBERED_CELLS:]
        self._state = replace(
            state, cell=cell, arm=arm, chance=arm == CHANCE, calls=calls, highest=highest
        )

    def _spend(
        self,
        time_ns: NDArray[np.int64],
        scores: NDArray[np.float64],
        drawn: NDArray[np.bool_],
        part: slice,
    ) -> list[tuple[int, int]]:
        """Spend calls within a cell."""
        apart_ns = round(self._settings.apart_seconds * NANOSECONDS)
        chosen: list[tuple[int, int]] = []
        threshold = self.threshold
        worth = drawn[part] | (scores[part] >= threshold)
        for place in (np.flatnonzero(worth) + part.start).tolist():
            state, here_ns = self._state, int(time_ns[place])
            if drawn[place] and state.arm == CHANCE and (state.chance or state.calls):
                # Where an instant of the cell before led here, there are two in one cell.
                calls = state.calls - (not state.chance)
                self._state = replace(state, chance=False, calls=calls)
                chosen.append((place, CHANCE))
            elif scores[place] >= threshold and here_ns >= state.last_ns + apart_ns:
                self._state = replace(state, calls=state.calls - 1, last_ns=here_ns)
                chosen.append((place, SCORE))
            threshold = self.threshold
        highest = self._state.highest
        best = np.nanmax(np.append(scores[part], highest[-1]))
        self._state = replace(self._state, highest=(*highest[:-1], float(best)))
        return chosen
