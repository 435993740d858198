"""Dyadic refinement: jittered cells, halved again and again until the error is reached.

Each stage halves every cell. The frame that was drawn in a cell lies in one of its halves, and is
uniform there; a new one is drawn in the other. So each stage's sample is a jittered sample of its
own, and nothing that was paid for is lost.

Stopping when an interval happens to be short favours stages whose variance was underestimated. So
stage k is judged at the confidence 1 - alpha_k, and the alpha_k of all stages that there can be
add up to alpha (alpha spending; Lan & DeMets, Biometrika 1983): whatever stage one stops at, the
interval covers the truth with at least the stated confidence, as far as each stage's does. Where
calls are not limited, the last stage asks for every frame: what it says is exact.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from operators.variates.cells import cell_edges, crossed, jittered
from operators.variates.sample import Asker, CellSample, Interval, Values, check_confidence
from records import RecordError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

FIRST_CELLS = 256
"""The cells of the first stage."""

LATER_SHARE = 2.0
"""How much more of alpha a stage is given than the one before: late stages are where one stops."""


@dataclass(frozen=True, slots=True)
class Refinement:
    """How a window is refined.

    Attributes:
        frames: N, the frames of the window.
        error: The half-width that is wanted.
        confidence: Of the interval at the stop, 0..1 exclusive.
        first: The cells of the first stage.
        most: The most calls; None for as many as there are frames.
        bounds: The least and the greatest value that there can be, if that is known.

    Raises:
        RecordError: a value is out of range.
    """

    frames: int
    error: float
    confidence: float
    first: int = FIRST_CELLS
    most: int | None = None
    bounds: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        check_confidence(self.confidence)
        if self.frames < 1:
            raise RecordError(f"frames must be at least 1, got {self.frames}")
        if self.first < 1:
            raise RecordError(f"first must be at least 1, got {self.first}")
        if not self.error >= 0:
            raise RecordError(f"error must be at least 0, got {self.error}")

    @property
    def stages(self) -> int:
        """How many stages there can be."""
        most = self.frames if self.most is None else max(1, min(self.most, self.frames))
        return 1 + math.floor(math.log2(max(most / min(self.first, most), 1)))

    def confidences(self) -> list[float]:
        """The confidence of each stage; what they leave to chance adds up to alpha."""
        shares = LATER_SHARE ** np.arange(self.stages)
        return [float(1 - (1 - self.confidence) * share / shares.sum()) for share in shares]

    @property
    def ends_with_all(self) -> bool:
        """Whether every frame is asked for, if nothing less is enough."""
        return self.most is None or self.most >= self.frames

    def cells(self, stage: int) -> int:
        """The cells of a stage, counted from 0."""
        return int(min(self.first, self.most or self.frames, self.frames) << stage)


def refine(
    ask: Asker, settings: Refinement, rng: np.random.Generator, proxies: Values | None = None
) -> Iterator[Interval]:
    """Ask the reference stage by stage; each stage's interval, the last one within the error.

    Args:
        ask: Asks the reference.
        settings: How the window is refined.
        rng: The source of chance.
        proxies: float64 (N,), the proxy's values of all frames; None without a proxy.
    """
    places = np.empty(0, np.int64)
    values = np.empty(0)
    for stage, confidence in enumerate(settings.confidences()):
        edges = cell_edges(settings.frames, settings.cells(stage))
        places, values = _halve(edges, places, values, ask, rng)
        if len(values) == settings.frames:
            break
        found = _estimate(edges, places, values, proxies, confidence, settings)
        yield Interval(found.value, found.low, found.high, settings.confidence, len(values))
        if found.half_width <= settings.error:
            return
    if settings.ends_with_all:
        rest = np.setdiff1d(np.arange(settings.frames), places, assume_unique=True)
        mean = float(np.concatenate([values, ask(rest)]).mean())
        yield Interval(mean, mean, mean, settings.confidence, settings.frames)


def _halve(
    edges: NDArray[np.int64],
    places: NDArray[np.int64],
    values: Values,
    ask: Asker,
    rng: np.random.Generator,
) -> tuple[NDArray[np.int64], Values]:
    """Draw a frame in every cell that has none yet."""
    cells = len(edges) - 1
    full = np.searchsorted(edges, places, side="right") - 1
    empty = np.setdiff1d(np.arange(cells), full, assume_unique=True)
    sizes = np.diff(edges)[empty]
    drawn = edges[empty] + np.floor(rng.random(len(empty)) * sizes).astype(np.int64)
    all_places = np.concatenate([places, drawn])
    all_values = np.concatenate([values, ask(drawn)])
    order = np.argsort(all_places)
    return all_places[order], all_values[order]


def _estimate(
    edges: NDArray[np.int64],
    places: NDArray[np.int64],
    values: Values,
    proxies: Values | None,
    confidence: float,
    settings: Refinement,
) -> Interval:
    sizes = np.diff(edges)
    if proxies is None:
        sample = CellSample(values, settings.frames, sizes=sizes)
        return jittered(sample, confidence, bounds=settings.bounds)
    means = np.add.reduceat(proxies, edges[:-1]) / sizes
    sample = CellSample(
        values, settings.frames, proxies[places], float(proxies.mean()), means, sizes
    )
    return crossed(sample, confidence, settings.bounds)
