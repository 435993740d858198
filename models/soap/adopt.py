"""Which plan really is the fastest: short trials in turns, beside one device and data parallel."""

from __future__ import annotations

import math
import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from models.soap.training import PlannedTraining
from records import RecordError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray
    from torch import nn

    from models.soap.plan import Plan
    from models.soap.ranks import Ranks
    from models.soap.training import Example
    from models.soap.training_settings import LossSettings, OptimiserSettings
    from records.protocols import Clock

DEVIATIONS_TO_SETTLE = 2.0
"""Standard errors of the median by which two plans must differ to be told apart."""

MEDIAN_ERROR = 1.2533 * 1.4826
"""The standard error of a normal sample's median, times the square root of its size, over its
median absolute deviation: the square root of pi / 2, times the usual factor of that deviation."""

NANOSECONDS = 1e9
"""Of a second."""


@dataclass(frozen=True, slots=True)
class AdoptSettings:
    """How plans are tried.

    Attributes:
        steps: Steps of a plan in one turn, at least 1.
        least_turns: Turns before anything is decided, at least 3.
        most_turns: Turns at most.
        seconds: No turn begins after this time, seconds.
        tie: Plans that differ by less, as a share, are taken for equal.
        hopeless: After the least turns, a plan that takes this many times as long as the fastest
            is tried no more.

    Raises:
        RecordError: a value is out of range.
    """

    steps: int = 3
    least_turns: int = 5
    most_turns: int = 40
    seconds: float = 60.0
    tie: float = 0.01
    hopeless: float = 1.3

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise RecordError(f"steps must be at least 1, got {self.steps}")
        if not 3 <= self.least_turns <= self.most_turns:
            raise RecordError(
                f"least_turns must be in 3..{self.most_turns} (most_turns), got {self.least_turns}"
            )
        if not self.seconds > 0:
            raise RecordError(f"seconds must be above 0, got {self.seconds}")
        if not 0 <= self.tie < 1:
            raise RecordError(f"tie must be in 0..1, got {self.tie}")
        if not self.hopeless > 1:
            raise RecordError(f"hopeless must be above 1, got {self.hopeless}")


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured of a plan.

    Attributes:
        seconds: The median step, seconds.
        ratio: The median of its turns over those of the fastest plan.
        error: The standard error of that median.
        turns: How many turns it had.
    """

    seconds: float
    ratio: float
    error: float
    turns: int


@dataclass(frozen=True, slots=True)
class Adoption:
    """Which plan to train by.

    Attributes:
        name: Its name.
        plan: The plan.
        measured: What was measured of each, by name.
    """

    name: str
    plan: Plan
    measured: Mapping[str, Measured]


def adopt(
    model: nn.Module,
    example: Example,
    loss: LossSettings,
    optimiser: OptimiserSettings,
    plans: Mapping[str, Plan],
    ranks: Ranks,
    settings: AdoptSettings | None = None,
    progress: Callable[[int, int], None] | None = None,
    clock: Clock = time.monotonic_ns,
) -> Adoption:
    """Try plans in turns, with the trainer's own steps, and choose one.

    Of plans that are as good as equal, the first in `plans` is chosen: put the simplest first.
    The model stays as it is.

    Args:
        model: The model.
        example: The batch of the trials.
        loss: What is minimised.
        optimiser: The optimiser.
        plans: The plans by name.
        ranks: The processes. A plan for one device runs in this one.
        settings: How to try.
        progress: Told the turns done and the most turns.
        clock: Tells the time, nanoseconds.

    Raises:
        RecordError: there is no plan, or one does not fit the model or the ranks.
        SightflowError: a rank failed; the ranks are then stopped.
    """
    if not plans:
        raise RecordError("there must be at least one plan to try, got none")
    settings = settings or AdoptSettings()
    graph = loss.graph(model, example.inputs)
    with ExitStack() as stack:
        trials = {
            name: stack.enter_context(
                PlannedTraining(model, example, loss, optimiser, plan, ranks, graph=graph)
            )
            for name, plan in plans.items()
        }
        times = _take_turns(trials, example, settings, progress, clock)
    name, measured = chosen(times, settings)
    return Adoption(name, plans[name], measured)


def chosen(
    times: Mapping[str, list[float]], settings: AdoptSettings
) -> tuple[str, dict[str, Measured]]:
    """Which plan to take, from the seconds of a step in each turn of each plan.

    >>> chosen({"single": [1.0, 1.1, 1.0], "found": [0.5, 0.6, 0.5]}, AdoptSettings())[0]
    'found'
    >>> chosen({"single": [1.0, 1.1, 1.0], "found": [0.999, 1.1, 1.0]}, AdoptSettings())[0]
    'single'
    """
    measured = _compare(times)
    name = next(n for n, each in measured.items() if each.ratio <= 1 + settings.tie)
    return name, measured


def _take_turns(
    trials: Mapping[str, PlannedTraining],
    example: Example,
    settings: AdoptSettings,
    progress: Callable[[int, int], None] | None,
    clock: Clock,
) -> dict[str, list[float]]:
    """The seconds of a step in each turn, by plan."""
    began = clock()
    for trial in trials.values():
        trial.step(example.inputs, example.targets)
    times: dict[str, list[float]] = {name: [] for name in trials}
    hopeful = dict(trials)
    for turn in range(1, settings.most_turns + 1):
        for name, trial in hopeful.items():
            before = clock()
            for seed in range(settings.steps):
                trial.step(example.inputs, example.targets, seed)
            times[name].append((clock() - before) / NANOSECONDS / settings.steps)
        if progress is not None:
            progress(turn, settings.most_turns)
        if turn < settings.least_turns:
            continue
        measured = _compare(times)
        hopeful = {n: t for n, t in hopeful.items() if measured[n].ratio < settings.hopeless}
        late = (clock() - began) / NANOSECONDS >= settings.seconds
        if late or all(_settled(measured[name], settings.tie) for name in hopeful):
            break
    return times


def _compare(times: Mapping[str, list[float]]) -> dict[str, Measured]:
    fastest = min(times, key=lambda name: float(np.median(times[name])))
    reference = np.asarray(times[fastest])
    return {name: _measure(np.asarray(each), reference) for name, each in times.items()}


def _measure(seconds: NDArray[np.float64], reference: NDArray[np.float64]) -> Measured:
    # Plans of one turn met the same load on the machine.
    turns = min(len(seconds), len(reference))
    ratios = seconds[:turns] / reference[:turns]
    ratio = float(np.median(ratios))
    spread = float(np.median(np.abs(ratios - ratio)))
    error = MEDIAN_ERROR * spread / math.sqrt(turns)
    return Measured(float(np.median(seconds)), ratio, error, len(seconds))


def _settled(measured: Measured, tie: float) -> bool:
    """Whether more turns would hardly change how the plan stands to the fastest."""
    apart = abs(measured.ratio - 1) - tie
    return abs(apart) >= DEVIATIONS_TO_SETTLE * measured.error
