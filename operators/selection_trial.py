"""Paired comparison of selections: rounds of choosing and learning, with intervals.

Every selection starts with the same items, the same first model and the same budget, once for each
seed, and the seed decides all that is random. So the scores of two selections pair by seed, and
what differs between seeds cancels. A selection is called better or worse only where the interval
of the mean difference, corrected for the number of selections compared (Bonferroni), leaves out 0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import t as student

from records import RecordError
from records.checks import check_finite

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from operators.selection import Choice, Fires, Selector
    from records import RetrainingItem

LEAST_SEEDS = 2
"""The fewest pairs that a difference has a spread in."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A model, judged on data that nothing is chosen from.

    Attributes:
        score: How good it is; larger is better.
        fires: How often each assertion fires with it on the frozen probe set.
        items: What is still to be chosen from, by id, as this model sees it: its flags, how unsure
            it is. Items that are not named stay as they were.
    """

    score: float
    fires: Mapping[str, int] = field(default_factory=dict)
    items: Mapping[str, RetrainingItem] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_finite("score", self.score)


Learner = Callable[[Sequence["RetrainingItem"], int], Judged]
"""Trains a model anew on these labelled items, from this seed, and judges it.

Given no item, it judges the first model.
"""


@dataclass(frozen=True, slots=True)
class TrialSettings:
    """How selections are compared.

    Attributes:
        rounds: Rounds of choosing and learning.
        budget: Items that are labelled in each round.
        seeds: The seeds, each once, at least two.
        confidence: Of all intervals together, 0..1 exclusive.

    Raises:
        RecordError: a setting is out of its range.
    """

    rounds: int = 5
    budget: int = 100
    seeds: tuple[int, ...] = tuple(range(10))
    confidence: float = 0.95

    def __post_init__(self) -> None:
        for name in ("rounds", "budget"):
            if getattr(self, name) < 1:
                raise RecordError(f"{name} must be at least 1, got {getattr(self, name)}")
        if len(set(self.seeds)) < max(len(self.seeds), LEAST_SEEDS):
            raise RecordError(f"seeds must be at least two different ones, got {self.seeds}")
        if not 0 < self.confidence < 1:
            raise RecordError(f"confidence must be between 0 and 1, got {self.confidence}")


@dataclass(frozen=True, slots=True)
class Difference:
    """How a selection differs from the baseline, in mean score.

    Attributes:
        mean: Over the seeds; above 0 where the selection is better.
        low: Lower end of the interval.
        high: Upper end of it.
    """

    mean: float
    low: float
    high: float

    @property
    def claim(self) -> str:
        """``better``, ``worse``, or ``no difference shown``."""
        return "better" if self.low > 0 else "worse" if self.high < 0 else "no difference shown"


@dataclass(frozen=True, slots=True)
class Compared:
    """One selection against the baseline.

    Attributes:
        name: Its name.
        scores: float64 (seeds, rounds + 1), the score before the first round and after each.
        last: The difference of the scores after the last round.
        mean: The difference of the mean scores over all rounds: who learns sooner.
    """

    name: str
    scores: NDArray[np.float64]
    last: Difference
    mean: Difference


def run_rounds(
    selector: Selector,
    items: Sequence[RetrainingItem],
    learner: Learner,
    settings: TrialSettings,
    seed: int,
) -> list[float]:
    """The scores of one selection with one seed: before the first round and after each.

    Raises:
        RecordError: the items are too few for the rounds, or a selection does not use its budget.
    """
    needed = settings.rounds * settings.budget
    if len(items) < needed:
        raise RecordError(f"items must be at least {needed}, a budget a round, got {len(items)}")
    generator = np.random.default_rng(seed)
    left = {one.id: one for one in items}
    labelled: list[RetrainingItem] = []
    judged = learner(labelled, seed)
    scores, fires = [judged.score], [judged.fires]
    for _ in range(settings.rounds):
        left = {name: judged.items.get(name, one) for name, one in left.items()}
        chosen = [one.item for one in _choose(selector, left, settings, generator, fires)]
        labelled += [left.pop(one.id) for one in chosen]
        judged = learner(labelled, seed)
        scores.append(judged.score)
        fires.append(judged.fires)
    return scores


def compare(
    selectors: Mapping[str, Selector],
    baseline: str,
    items: Sequence[RetrainingItem],
    learner: Learner,
    settings: TrialSettings,
) -> dict[str, Compared]:
    """Compare selections with one of them; that one is among the results, with no difference.

    Args:
        selectors: The selections by name. One that flags too few items must fill up its budget.
        baseline: The name of the one that all are compared with.
        items: What they choose from.
        learner: Trains and judges.
        settings: Rounds, budget and seeds.

    Raises:
        RecordError: the baseline is not among them, or the items are too few.
    """
    _check_baseline(baseline, selectors)
    scores = {
        name: np.array(
            [run_rounds(selector, items, learner, settings, seed) for seed in settings.seeds]
        )
        for name, selector in selectors.items()
    }
    return compare_scores(scores, baseline, settings.confidence)


def compare_scores(
    scores: Mapping[str, NDArray[np.float64]], baseline: str, confidence: float
) -> dict[str, Compared]:
    """Compare the scores of runs that pair by seed.

    Args:
        scores: By name, float64 (seeds, rounds + 1) each; see `Compared`.
        baseline: The name of the one that all are compared with.
        confidence: Of all intervals together, 0..1 exclusive.

    Raises:
        RecordError: the baseline is not among them.
    """
    _check_baseline(baseline, scores)
    comparisons = max(len(scores) - 1, 1)
    tail = (1 - confidence) / comparisons / 2
    return {
        name: Compared(
            name,
            each,
            mean_interval(each[:, -1] - scores[baseline][:, -1], tail),
            mean_interval((each - scores[baseline])[:, 1:].mean(axis=1), tail),
        )
        for name, each in scores.items()
    }


def _choose(
    selector: Selector,
    left: Mapping[str, RetrainingItem],
    settings: TrialSettings,
    generator: np.random.Generator,
    fires: Sequence[Fires],
) -> tuple[Choice, ...]:
    chosen = selector(tuple(left.values()), settings.budget, generator, fires)
    if len(chosen) != settings.budget:
        raise RecordError(
            f"a selection must choose its budget of {settings.budget}, got {len(chosen)}: take "
            "a smaller budget, or a selection that fills it up"
        )
    return chosen


def _check_baseline(baseline: str, among: Mapping[str, object]) -> None:
    if baseline not in among:
        raise RecordError(f"baseline must be one of {', '.join(among)}, got {baseline!r}")


def mean_interval(pairs: NDArray[np.float64], tail: float) -> Difference:
    """Student's t interval of the mean of paired differences.

    Args:
        pairs: One difference a seed, float64 (seeds,), at least two.
        tail: The probability that is left out at each end, 0..0.5 exclusive.

    >>> found = mean_interval(np.array([0.1, 0.2, 0.3]), tail=0.025)
    >>> round(found.mean, 3), round(found.low, 3), round(found.high, 3)
    (0.2, -0.048, 0.448)
    """
    n, mean = len(pairs), float(pairs.mean())
    half = float(student.ppf(1 - tail, n - 1)) * float(pairs.std(ddof=1)) / n**0.5
    return Difference(mean, mean - half, mean + half)
