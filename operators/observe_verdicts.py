"""Observations from a cascade's verdicts: what it says is the proxy, its audit the sample.

The frames that the audit drew are a random sample of all frames, so windows over a running cascade
cost no call of their own. Where the reference decides every frame, windows are exact.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import bytewax.operators as op
import numpy as np
from bytewax.dataflow import operator
from bytewax.operators import KeyedStream
from typing_extensions import override

from operators.audit import draw_probability
from operators.keyed import KeyedLogic
from operators.observations import Group, Observations, held
from records import RecordError, Stage, Verdict, VerdictBatch
from records.units import NANOSECONDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class VerdictSettings:
    """How verdicts are read.

    Attributes:
        groups: The groups, in the order of the observations' columns.
        cell_seconds: The audit's cell, seconds; None where the reference decides every frame.
        tracked: Whether the answers of all frames carry tracks.

    Raises:
        RecordError: a setting is out of its range.
    """

    groups: tuple[Group, ...]
    cell_seconds: float | None = None
    tracked: bool = False

    def __post_init__(self) -> None:
        if not self.groups:
            raise RecordError("groups must be one at least, got none")
        if self.cell_seconds is not None and not 0 < self.cell_seconds < math.inf:
            raise RecordError(f"cell_seconds must be above 0 and finite, got {self.cell_seconds}")


@dataclass(frozen=True, slots=True)
class VerdictState:
    """All that survives a restart; plain values.

    Attributes:
        last_ns: The latest event time seen, nanoseconds; None before the first.
        said: The last proxy; NaN before the first.
    """

    last_ns: int | None = None
    said: float = math.nan


class VerdictObserver(KeyedLogic[VerdictBatch, Observations, VerdictState]):
    """Reads the verdicts of one stream.

    Args:
        settings: How they are read.
        resume: The state to go on from; None at a new start.
    """

    def __init__(self, settings: VerdictSettings, resume: VerdictState | None = None) -> None:
        self._settings = settings
        state = resume or VerdictState()
        self._last_ns = state.last_ns
        self._said = state.said

    @override
    def on_item(self, item: VerdictBatch) -> Observations | None:
        """Read one batch."""
        verdicts, settings = item.verdicts, self._settings
        if not verdicts:
            return None
        weight = np.array([self._weight(verdict) for verdict in verdicts])
        value = np.full((len(verdicts), len(settings.groups)), np.nan)
        for place, verdict in enumerate(verdicts):
            if weight[place] > 0 and verdict.stage is Stage.REFERENCE:
                value[place] = [group.count(verdict.answer) for group in settings.groups]
        return Observations(
            item.stream,
            np.array([verdict.sequence for verdict in verdicts], dtype=np.int64),
            np.array([verdict.time_ns for verdict in verdicts], dtype=np.int64),
            np.repeat(self._proxy(verdicts), value.shape[1], axis=1),
            weight,
            value,
            self._sightings(verdicts) if settings.tracked else None,
        )

    @override
    def snapshot(self) -> VerdictState:
        """The state to go on from after a restart."""
        return VerdictState(self._last_ns, self._said)

    def _weight(self, verdict: Verdict) -> float:
        """How many frames an audited frame stands for; 0 for others."""
        last_ns, cell_seconds = self._last_ns, self._settings.cell_seconds
        self._last_ns = max(verdict.time_ns, last_ns or 0)
        if cell_seconds is None:
            return 1.0
        if not verdict.audited or last_ns is None or verdict.time_ns <= last_ns:
            return 0.0
        cell_ns = round(cell_seconds * NANOSECONDS)
        return 1 / draw_probability(last_ns, verdict.time_ns, cell_ns)

    def _proxy(self, verdicts: Sequence[Verdict]) -> NDArray[np.float64]:
        """What the cascade itself says, float64 (n, 1), held where it does not tell.

        That is not to depend on the audit, so of audited frames it is what they would have got.
        """
        said = [one.unaudited if one.audited else one.positive for one in verdicts]
        numbers = np.array([[np.nan if yes is None else float(yes)] for yes in said])
        filled, last = held(numbers, np.array([self._said]))
        self._said = float(last[0])
        return filled

    def _sightings(self, verdicts: Sequence[Verdict]) -> NDArray[np.int64]:
        """The tracks of each frame's groups, int64 (m, 3)."""
        known: dict[int, list[tuple[int, int]]] = {}  # answers that are copied are one object
        rows = []
        for place, verdict in enumerate(verdicts):
            answer = verdict.answer
            if id(answer) not in known:
                known[id(answer)] = [
                    (column, track)
                    for column, group in enumerate(self._settings.groups)
                    for track in group.tracks(answer)
                ]
            rows += [(place, column, track) for column, track in known[id(answer)]]
        return np.array(rows, dtype=np.int64).reshape(-1, 3)


@operator
def observe_verdicts(
    step_id: str, up: KeyedStream[VerdictBatch], settings: VerdictSettings
) -> KeyedStream[Observations]:
    """Turn each stream's verdicts into observations."""
    return op.stateful_batch(
        "observe", up, lambda resume: VerdictObserver(settings, resume).as_bytewax()
    )
