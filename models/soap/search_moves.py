"""How plans are bettered step by step: coordinate descent and Metropolis chains."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from models.soap.search_run import style_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

    from models.soap.plan import Partition, Plan
    from models.soap.search_run import Run

LONGEST_RANDOM_STRETCH = 8
"""The most neighbouring operators that a move of the chain changes together."""

STRETCH_SHARE = 0.5
"""Share of the chain's moves that change neighbouring operators together."""


def descend(run: Run, narrowed: Mapping[str, tuple[Partition, ...]]) -> None:
    """Better the best plan, one operator or one stretch of operators at a time, until none helps.

    Each trial stops as soon as it is known to be slower than the best.

    Args:
        run: The search.
        narrowed: The candidates of each operator that are tried first, and on stretches.

    Raises:
        BudgetSpentError: there is no budget left.
    """
    before = math.inf
    while run.best_seconds < before:
        before = run.best_seconds
        _sweep(run, narrowed)
        length = 2
        while length < 2 * len(run.names):
            for first in range(0, len(run.names), length // 2):
                _try_stretch(run, run.names[first : first + length], narrowed)
            length *= 2
        if run.best_seconds == before:
            _sweep(run, run.candidates)


def _sweep(run: Run, candidates: Mapping[str, tuple[Partition, ...]]) -> None:
    for name in run.names:
        for candidate in candidates[name]:
            _try(run, {name: candidate})


def _try_stretch(run: Run, names: list[str], narrowed: Mapping[str, tuple[Partition, ...]]) -> None:
    """Give neighbouring operators one style: each of those that one of them may have."""
    styles = dict.fromkeys(
        style_of(run.graph.groups[name], each) for name in names for each in narrowed[name]
    )
    for style in styles:
        _try(run, run.in_style(names, style))


def _try(run: Run, changes: Mapping[str, Partition]) -> None:
    present = run.best.partitions
    if any(present[name] != partition for name, partition in changes.items()):
        run.seconds(run.changed(run.best, changes), run.best_seconds)


def relative_chain(run: Run, temperature: float, moves: int, random: np.random.Generator) -> None:
    """A Metropolis chain from the best plan, at a temperature relative to the present step.

    A plan that is slower by a share s is taken with probability exp(-s / temperature); the
    temperature falls linearly to 0.

    Raises:
        BudgetSpentError: there is no budget left.
    """
    plan, present = run.best, run.best_seconds
    for move in range(moves):
        changes = _proposal(run, random, STRETCH_SHARE)
        falling = temperature * (1 - move / moves)
        # The threshold is drawn first, so that a plan above it need not be simulated to its end.
        limit = present * (1 - falling * math.log(1 - random.random()))
        plan, present = _step(run, (plan, present), changes, limit)


def published_chain(run: Run, beta: float, random: np.random.Generator) -> None:
    """FlexFlow, section 6.2: Metropolis-Hastings, from each of three starts in turn.

    A random operator gets a random partition, taken with probability
    min(1, exp(beta (present - proposed))). A start ends when its share of the budget is used, or
    half of it has brought nothing better.

    Args:
        run: The search.
        beta: Per second.
        random: What is random.

    Raises:
        BudgetSpentError: there is no budget left.
    """
    starts = (run.data_parallel, run.single, _random_plan(run, random))
    for number, start in enumerate(starts, 1):
        plan, present = start, run.seconds(start)
        share = (number / len(starts) - run.budget.used) / 2
        last, best = run.budget.used, present
        while run.budget.used < min(number / len(starts), last + share):
            changes = _proposal(run, random, 0.0)
            limit = present - math.log(1 - random.random()) / beta
            plan, present = _step(run, (plan, present), changes, limit)
            if present < best:
                best, last = present, run.budget.used


def _random_plan(run: Run, random: np.random.Generator) -> Plan:
    return run.changed(
        run.single, {name: _choice(random, run.candidates[name]) for name in run.names}
    )


def _proposal(run: Run, random: np.random.Generator, stretches: float) -> dict[str, Partition]:
    """A random candidate of a random operator, or its style for a stretch around it."""
    place = int(random.integers(len(run.names)))
    name = run.names[place]
    candidate = _choice(random, run.candidates[name])
    if random.random() >= stretches:
        return {name: candidate}
    length = int(random.integers(2, LONGEST_RANDOM_STRETCH + 1))
    first = max(0, place - int(random.integers(length)))
    style = style_of(run.graph.groups[name], candidate)
    return {**run.in_style(run.names[first : first + length], style), name: candidate}


def _step(
    run: Run, state: tuple[Plan, float], changes: Mapping[str, Partition], limit: float
) -> tuple[Plan, float]:
    """The proposed plan and its step if that is at most the limit, else the present ones."""
    trial = run.changed(state[0], changes)
    seconds = run.seconds(trial, limit)
    return (trial, seconds) if seconds <= limit and math.isfinite(seconds) else state


def _choice(random: np.random.Generator, candidates: tuple[Partition, ...]) -> Partition:
    return candidates[int(random.integers(len(candidates)))]
