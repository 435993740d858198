"""The search for a fast plan: seeded, within a budget, and with the best so far at any time."""

from __future__ import annotations

import itertools
import math
import time
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np

from models.soap.candidates import CandidateSettings
from models.soap.search_moves import descend, published_chain, relative_chain
from models.soap.search_run import Budget, BudgetSpentError, Run
from models.soap.search_tree import TreeProgram
from records import RecordError

if TYPE_CHECKING:
    from models.soap.graph import Graph
    from models.soap.plan import Plan
    from models.soap.search_run import Improvement, Predictor, Progress
    from records.protocols import Clock

EXHAUSTIVE_MOST = 200_000
"""The most plans that the exhaustive search tries."""

FIRST_CANDIDATES = 24
"""Candidates of an operator that the first dynamic programme looks at, to be there early."""

PROGRAMS = 2
"""How many times a dynamic programme is run, each on the plan of the one before."""


DISTINCT_SHARE = 0.01
"""Of the best plans, those are given back that differ by this share of the step."""


class Method(StrEnum):
    """How to search.

    Attributes:
        DEFAULT: Dynamic programming, coordinate descent, then short Metropolis chains.
        MCMC: FlexFlow's chain (section 6.2).
        EXHAUSTIVE: Every plan; for small graphs only.
    """

    DEFAULT = "default"
    MCMC = "mcmc"
    EXHAUSTIVE = "exhaustive"


@dataclass(frozen=True, slots=True)
class SearchSettings:
    """How to search, and for how long.

    Attributes:
        method: How.
        seconds: Most time, seconds; infinite only with `evaluations`.
        evaluations: Most plans to evaluate; None for any number. With infinite `seconds` the
            same seed gives the same plan.
        seed: What is random follows from it.
        candidates: Which partitions each operator may take.
        width: Candidates of an operator in the dynamic programme, at least 1.
        temperature: Of the Metropolis chain at its start, as a share of the present step.
        moves: Of one Metropolis chain; another follows only where one found a better plan.
        beta: Of FlexFlow's chain, per second.
        keep: How many of the best plans are given back.

    Raises:
        RecordError: a value is out of range.
    """

    method: Method = Method.DEFAULT
    seconds: float = 30.0
    evaluations: int | None = None
    seed: int = 0
    candidates: CandidateSettings = field(default_factory=CandidateSettings)
    width: int = 12
    temperature: float = 0.02
    moves: int = 1000
    beta: float = 50.0
    keep: int = 3

    def __post_init__(self) -> None:
        for name in ("width", "moves", "keep"):
            if getattr(self, name) < 1:
                raise RecordError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("temperature", "beta"):
            if not 0 < getattr(self, name) < math.inf:
                raise RecordError(f"{name} must be above 0, got {getattr(self, name)}")
        if not self.seconds > 0:
            raise RecordError(f"seconds must be above 0, got {self.seconds}")
        if self.evaluations is None and math.isinf(self.seconds):
            raise RecordError("a search must have an end: set seconds or evaluations")
        if self.evaluations is not None and self.evaluations < 1:
            raise RecordError(f"evaluations must be at least 1, got {self.evaluations}")


@dataclass(frozen=True, slots=True)
class ScoredPlan:
    """A plan and its predicted step, seconds."""

    plan: Plan
    seconds: float


@dataclass(frozen=True, slots=True)
class Found:
    """What a search found.

    Attributes:
        plan: The best plan.
        seconds: Its predicted step, seconds.
        best: The best few plans, the best first; those that differ little are left out.
        single: The predicted step of one device, seconds; infinite where it does not fit.
        data_parallel: The same of data parallel.
        evaluated: How many plans were evaluated.
        elapsed: How long it took, seconds.
        history: When better plans were found.
        complete: Whether the method came to its end before the budget did.
    """

    plan: Plan
    seconds: float
    best: tuple[ScoredPlan, ...]
    single: float
    data_parallel: float
    evaluated: int
    elapsed: float
    history: tuple[Improvement, ...]
    complete: bool


def search(
    graph: Graph,
    predictor: Predictor,
    devices: int,
    settings: SearchSettings | None = None,
    progress: Progress | None = None,
    clock: Clock = time.monotonic_ns,
) -> Found:
    """Find a plan whose step is predicted to be short.

    One device and data parallel are always looked at, so that what is found is never predicted
    to be slower than either. Plans that do not fit into memory are never given. A plan that leaves
    the last devices idle is one for fewer devices.

    Args:
        graph: The model with its loss.
        predictor: Tells how long plans take, as `simulate.Simulator` does.
        devices: How many devices there are.
        settings: How to search.
        progress: Told the share of the budget that is used, 0..1, and the best step, seconds.
        clock: Tells the time, nanoseconds.

    Raises:
        RecordError: no plan that was tried fits into memory, or there are too many plans for an
            exhaustive search.
    """
    settings = settings or SearchSettings()
    budget = Budget(settings.seconds, settings.evaluations, clock)
    run = Run(graph, predictor, devices, budget, settings.candidates, progress)
    baselines = [predictor.seconds(plan) for plan in (run.single, run.data_parallel)]
    for seconds, plan in zip(baselines, (run.single, run.data_parallel), strict=True):
        run.offer(plan, seconds)
    complete = True
    try:
        _METHODS[settings.method](run, settings)
    except BudgetSpentError:
        complete = False
    if math.isinf(run.best_seconds):
        raise RecordError(
            f"no plan that was tried fits into the memory of {devices} devices. "
            "Take a smaller batch or more devices"
        )
    return Found(
        plan=run.best,
        seconds=run.best_seconds,
        best=_few(run, settings.keep),
        single=baselines[0],
        data_parallel=baselines[1],
        evaluated=budget.evaluated,
        elapsed=budget.elapsed,
        history=tuple(run.history),
        complete=complete,
    )


def _few(run: Run, keep: int) -> tuple[ScoredPlan, ...]:
    """The best plans, each slower by a step's share than the one before."""
    few: list[ScoredPlan] = []
    for seconds, plan in reversed(run.found):
        if not few or seconds >= few[-1].seconds * (1 + DISTINCT_SHARE):
            few.append(ScoredPlan(plan, seconds))
    return tuple(few[:keep])


def _default(run: Run, settings: SearchSettings) -> None:
    random = np.random.default_rng(settings.seed)
    _spread_samples(run)
    for most in (FIRST_CANDIDATES, settings.candidates.most):
        program = TreeProgram(run, settings.width, most)
        plan = run.best
        for _ in range(PROGRAMS):
            plan = program.plan(plan)
            run.seconds(plan)
    before = math.inf
    while run.best_seconds < before:
        before = run.best_seconds
        descend(run, program.narrowed)
        relative_chain(run, settings.temperature, settings.moves, random)


def _spread_samples(run: Run) -> None:
    """Evaluate data parallel over fewer devices."""
    for count in range(2, run.devices):
        if run.devices % count == 0:
            style = (count, (), tuple(range(count)))
            run.seconds(run.changed(run.single, run.in_style(run.names, style)))


def _mcmc(run: Run, settings: SearchSettings) -> None:
    published_chain(run, settings.beta, np.random.default_rng(settings.seed))


def _exhaustive(run: Run, settings: SearchSettings) -> None:
    every = [run.candidates[name] for name in run.names]
    plans = math.prod(map(len, every))
    if plans > EXHAUSTIVE_MOST:
        raise RecordError(
            f"an exhaustive search must have at most {EXHAUSTIVE_MOST} plans, got {plans} for "
            f"{settings.candidates.most} candidates of each of {len(every)} operators. "
            "Use another method"
        )
    for chosen in itertools.product(*every):
        plan = run.changed(run.single, dict(zip(run.names, chosen, strict=True)))
        run.seconds(plan, run.best_seconds)


_METHODS = {Method.DEFAULT: _default, Method.MCMC: _mcmc, Method.EXHAUSTIVE: _exhaustive}
