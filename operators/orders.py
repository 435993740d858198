"""Orders in which recorded frames are verified for a limit query.

- *sequential* and *random*: what one would do without knowing better.
- *blazeit*: by the score of a specialised model (BlazeIt, Kang et al., VLDB 2020, section 7).
- *sightflow*: time is cut into chunks, and a bandit samples where frames were found (ExSample,
  Moll et al., ICDE 2022: Thompson sampling of Gamma(found + 0.1, samples + 1)). With a score, a
  second bandit of the same kind chooses between the chunks and the best score that is left, so a
  bad score is soon asked no more. What was verified in vain defers the frames around it, since
  neighbours are alike and so are a model's mistakes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from records import RecordError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from operators.limit import Order

OrderName = Literal["sequential", "random", "blazeit", "sightflow"]
"""The orders there are."""

PRIOR_FOUND = 0.1
"""The shape of the prior of a find rate (ExSample, section III-D)."""

PRIOR_SAMPLES = 1.0
"""The rate of that prior (same place)."""

CHUNKS = 32
"""Chunks of time; so many samples are lost to learn where it is worth looking."""

DEFERRED_SHARE = 0.1
"""How far around a frame that was verified in vain others are deferred, as a share of the gap."""


class FixedOrder:
    """Proposes frames in an order that is known before.

    Args:
        places: int64 (n,), the frames' places, the first to be verified first.
    """

    def __init__(self, places: NDArray[np.int64]) -> None:
        self._places = places
        self._next = 0

    def propose(self, candidates: NDArray[np.bool_]) -> int | None:
        """The first candidate that was not proposed yet."""
        while self._next < len(self._places):
            place = int(self._places[self._next])
            self._next += 1
            if candidates[place]:
                return place
        return None

    def learn(self, place: int, *, holds: bool) -> None:
        """Learn nothing: the order is fixed."""


def sequential_order(frames: int) -> FixedOrder:
    """In order of time."""
    return FixedOrder(np.arange(frames))


def random_order(frames: int, seed: int) -> FixedOrder:
    """At random."""
    return FixedOrder(np.random.default_rng(seed).permutation(frames))


def score_order(scores: NDArray[np.float64]) -> FixedOrder:
    """By score, the highest first, ties in order of time; frames without a score (NaN) last."""
    return FixedOrder(np.argsort(-np.where(np.isnan(scores), -np.inf, scores), kind="stable"))


def conjunction_scores(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """The score of "all of these hold": the sum of each class's (BlazeIt, section 7).

    Args:
        scores: float64 (n, classes).
    """
    summed: NDArray[np.float64] = scores.sum(axis=1)
    return summed


class FindRates:
    """What is known of how often frames are found at some places, the arms of a bandit.

    Args:
        arms: How many there are.
        found: What each has found so far; nothing by default.
        samples: Samples of each so far.
    """

    def __init__(
        self,
        arms: int,
        found: NDArray[np.float64] | None = None,
        samples: NDArray[np.float64] | None = None,
    ) -> None:
        self.found = np.zeros(arms) if found is None else found.copy()
        self.samples = np.zeros(arms) if samples is None else samples.copy()

    def draw(self, rng: np.random.Generator) -> NDArray[np.float64]:
        """A draw of each arm's rate from what is believed of it, float64 (arms,)."""
        return rng.gamma(self.found + PRIOR_FOUND) / (self.samples + PRIOR_SAMPLES)

    def learn(self, arm: int, *, holds: bool) -> None:
        """Learn the outcome of one sample."""
        self.samples[arm] += 1
        self.found[arm] += holds


class AdaptiveOrder:
    """The sightflow order; see the module.

    Args:
        frames: How many frames there are.
        gap: How far apart found frames must be, frames.
        seed: Of its draws.
        scores: float64 (n,), of a specialised model; None without one.
        chunks: Chunks of time.
    """

    def __init__(
        self,
        frames: int,
        gap: int,
        seed: int,
        scores: NDArray[np.float64] | None = None,
        chunks: int = CHUNKS,
    ) -> None:
        chunks = max(min(chunks, frames), 1)
        self._edges = np.arange(chunks + 1) * frames // chunks
        self._rng = np.random.default_rng(seed)
        self._chunks = FindRates(chunks)
        self._arms = FindRates(2)  # the best score that is left, and the chunks
        self._scores = scores
        self._reach = int(gap * DEFERRED_SHARE)
        self._proposed_by: dict[int, int] = {}
        self._deferred = np.zeros(frames, dtype=np.bool_)
        self._ranked = None if scores is None else score_order(scores)

    def propose(self, candidates: NDArray[np.bool_]) -> int | None:
        """The frame that is most worth a call."""
        place = self._propose(candidates)
        while place is None and self._reach:
            self._reach //= 2
            self._deferred[:] = False
            self._ranked = None if self._scores is None else score_order(self._scores)
            place = self._propose(candidates)
        if place is not None:
            self._defer(place)
        return place

    def learn(self, place: int, *, holds: bool) -> None:
        """Learn where frames are found, and whether the score helps."""
        arm = self._proposed_by.pop(place)
        self._arms.learn(arm, holds=holds)
        if arm == 1:
            # The best scores of a chunk would make it look better than it is.
            chunk = int(np.searchsorted(self._edges, place, side="right")) - 1
            self._chunks.learn(chunk, holds=holds)

    def _propose(self, candidates: NDArray[np.bool_]) -> int | None:
        if self._ranked is not None and int(np.argmax(self._arms.draw(self._rng))) == 0:
            while (place := self._ranked.propose(candidates)) is not None:
                if not self._deferred[place]:
                    self._proposed_by[place] = 0
                    return place
        for chunk in np.argsort(-self._chunks.draw(self._rng), kind="stable").tolist():
            part = slice(self._edges[chunk], self._edges[chunk + 1])
            free = np.flatnonzero(candidates[part] & ~self._deferred[part])
            if len(free):
                place = int(self._edges[chunk] + free[self._rng.integers(len(free))])
                self._proposed_by[place] = 1
                return place
        return None

    def _defer(self, place: int) -> None:
        self._deferred[max(place - self._reach, 0) : place + self._reach + 1] = True


def make_order(
    name: OrderName, frames: int, gap: int, seed: int, scores: NDArray[np.float64] | None = None
) -> Order:
    """An order by its name.

    Args:
        name: Which.
        frames: How many frames there are.
        gap: How far apart found frames must be, frames.
        seed: Of its draws.
        scores: float64 (n,), of a specialised model; only `blazeit` needs it.

    Raises:
        RecordError: `blazeit` has no scores, or there are not as many as frames.
    """
    if scores is not None and scores.shape != (frames,):
        raise RecordError(f"scores must have shape ({frames},), got {scores.shape}")
    if name == "sequential":
        return sequential_order(frames)
    if name == "random":
        return random_order(frames, seed)
    if name == "sightflow":
        return AdaptiveOrder(frames, gap, seed, scores)
    if scores is None:
        raise RecordError("the order blazeit needs the scores of a specialised model")
    return score_order(scores)
