"""Judging: figures of a new and of the present version on the same examples, with intervals.

Each example counts as often as one of its kind was left out of the queue: its weight is the inverse
of its propensity (Horvitz & Thompson, JASA 1952), so the figures are those of the live stream.
Intervals come from a paired bootstrap over blocks of time (`flows.evaluate.replay_bootstrap`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from flows.evaluate.replay_bootstrap import Blocks, BootstrapSettings, differences
from flows.evaluate.replay_score import Ratio
from models.registry import Metric

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from flows.training.examples import Example
    from flows.training.split import Split


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """The examples that figures rest on.

    Attributes:
        weights: float64 (n,), how many frames of the stream each stands for.
        blocks: Their blocks of time.
        settings: How intervals are made.
    """

    weights: NDArray[np.float64]
    blocks: Blocks
    settings: BootstrapSettings

    @classmethod
    def of(cls, examples: Sequence[Example], split: Split, confidence: float, seed: int) -> Sample:
        """The sample of examples, in their order."""
        items = [one.item for one in examples]
        weights = np.array([1 / one.propensity for one in items], np.float64)
        of_item = split.blocks(items)
        count = int(of_item.max(initial=-1)) + 1
        return cls(
            weights,
            Blocks(of_item, count, split.block_seconds),
            BootstrapSettings(split.block_seconds, confidence, seed=seed),
        )

    def ratio(self, part: NDArray[np.bool_], whole: NDArray[np.bool_] | None = None) -> Ratio:
        """The share of the weight that `part` has in `whole`, both bool (n,); of all when None."""
        weights = self.weights
        return Ratio(weights * part, weights if whole is None else weights * whole)

    def figures(self, ratios: Mapping[str, Ratio]) -> dict[str, Metric]:
        """The figures of one model; those that no example tells of are left out."""
        nothing = {name: Ratio(0 * one.part, one.whole) for name, one in ratios.items()}
        return self.compare(nothing, ratios)

    def compare(self, a: Mapping[str, Ratio], b: Mapping[str, Ratio]) -> dict[str, Metric]:
        """How much the figures of `b` are above those of `a`, on the same examples."""
        found = {}
        for name, one in differences(a, b, self.blocks, self.settings).items():
            if np.isfinite(one.difference):
                counted = int(np.count_nonzero(b[name].whole))
                found[name] = Metric(one.difference, *_ends(one.low, one.high), n=counted)
        return found


def _ends(low: float | None, high: float | None) -> tuple[float | None, float | None]:
    """Both ends of an interval, or none: resamples without the rarer answer leave none."""
    if low is None or high is None or not np.isfinite([low, high]).all():
        return None, None
    return float(low), float(high)


def shown_above(difference: Metric | None) -> bool:
    """Whether a difference is above 0 for sure: its interval leaves out 0."""
    return difference is not None and difference.low is not None and difference.low > 0


def in_words(metric: Metric) -> str:
    """A figure with its interval, for people.

    >>> in_words(Metric(0.5, 0.25, 0.75)), in_words(Metric(1.0))
    ('0.500 (0.250 to 0.750)', '1.000 (too few blocks of time for an interval)')
    """
    if metric.low is None or metric.high is None:
        return f"{metric.value:.3f} (too few blocks of time for an interval)"
    return f"{metric.value:.3f} ({metric.low:.3f} to {metric.high:.3f})"
