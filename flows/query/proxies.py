"""Proxies: small models that stand for the reference on every frame, right or wrong.

What a proxy says never enters an answer unchecked: a control variate takes out its mistakes, a
pilot measures its bias, and every frame that a limit query returns was seen by the reference.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Protocol

import numpy as np

from connectors.video import decode_frames
from records import QueryError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from connectors.video import VideoSettings
    from flows.trained import TrainedCascade
    from models.specialised import SpecialisedModel

    Values = NDArray[np.float64]

SCORED_AT_ONCE = 64
"""Small images that are decoded before a model sees them."""


@dataclass(frozen=True, slots=True)
class Question:
    """What a proxy is asked of a frame.

    Attributes:
        classes: The classes that count, all together; empty for every class.
        zone: The corners (x, y) of the zone they must stand in, pixels; empty for everywhere.
        least: How many there must be, for how probable that is; None for how many are expected.
    """

    classes: tuple[str, ...] = ()
    zone: tuple[tuple[float, float], ...] = ()
    least: int | None = None

    def __str__(self) -> str:
        return described(self.classes, self.zone)


def described(classes: Sequence[str], zone: Sequence[tuple[float, float]]) -> str:
    """Classes and a zone in words, the corners as --zone takes them.

    >>> described(["car", "bus"], [(0, 0), (9.5, 0), (0, 9)])
    'car or bus in the zone 0,0,9.5,0,0,9'
    """
    what = " or ".join(classes) or "every class"
    edges = ",".join(f"{number:g}" for corner in zone for number in corner)
    return f"{what} in the zone {edges}" if edges else what


class Proxy(Protocol):
    """A proxy of one stream."""

    @property
    def trained_for(self) -> tuple[str, ...]:
        """What its models were trained for, in words; empty where it stands for anything."""

    @property
    def scored(self) -> int:
        """Frames that were decoded and scored so far."""

    @property
    def seconds(self) -> float:
        """How long that took, seconds."""

    def fits(self, question: Question) -> bool:
        """Whether it was made for the classes and the zone of a question."""

    def values(self, places: NDArray[np.int64], question: Question) -> Values:
        """Its answer for each frame, float64 (n,); the question must fit."""


class TraceProxy:
    """Numbers that are there already; they stand for whatever is asked.

    Args:
        values: float64 (frames,).
    """

    trained_for = ()
    scored = 0
    seconds = 0.0

    def __init__(self, values: Values) -> None:
        self._values = values

    def fits(self, question: Question) -> bool:
        """Always: a trace does not know what it counts."""
        del question
        return True

    def values(self, places: NDArray[np.int64], question: Question) -> Values:
        """The numbers of these frames."""
        del question
        return self._values[places]


@dataclass(frozen=True, slots=True)
class _Counter:
    """A model, what it counts, and what it said: float32 (frames, K + 1)."""

    class_name: str
    zone: tuple[tuple[float, float], ...]
    model: SpecialisedModel
    counts: NDArray[np.float32]


class FilmProxy:
    """The specialised models of trained cascades, on a recorded video; each frame is scored once.

    Args:
        video: The video.
        frames: How many frames it holds.
        trained: The cascades, each for another class or zone.

    Raises:
        QueryError: a cascade has no specialised model, or two were trained for the same.
    """

    def __init__(
        self, video: VideoSettings, frames: int, trained: Sequence[TrainedCascade]
    ) -> None:
        self.scored = 0
        self.seconds = 0.0
        self._video = video
        self._seen = np.zeros(frames, dtype=np.bool_)
        self._counters: list[_Counter] = []
        for cascade in trained:
            self._add(cascade)

    def _add(self, cascade: TrainedCascade) -> None:
        predicate, model = cascade.predicate, cascade.specialised
        what = described([predicate.class_name], predicate.zone)
        if model is None:
            raise QueryError(
                f"the cascade that was trained for {what} has no specialised model, which a proxy "
                "needs. Leave --trained out, or train it on a longer video"
            )
        if what in self.trained_for:
            raise QueryError(f"two cascades were trained for {what}; name one with --trained")
        counts = np.zeros((len(self._seen), model.what.most_counted + 1), np.float32)
        self._counters.append(_Counter(predicate.class_name, predicate.zone, model, counts))

    @property
    def trained_for(self) -> tuple[str, ...]:
        """What its models were trained for, in words."""
        return tuple(described([one.class_name], one.zone) for one in self._counters)

    def fits(self, question: Question) -> bool:
        """Whether there is a model for each class of the question, in its zone."""
        return bool(question.classes) and len(self._asked(question)) == len(question.classes)

    def values(self, places: NDArray[np.int64], question: Question) -> Values:
        """How many objects are expected in each frame, or how probable `least` of them are.

        Classes are taken to be independent. A model that tells at most K objects apart says at
        most K.

        Raises:
            SourceError: a frame cannot be decoded.
        """
        assert self.fits(question)
        self._score(places)
        first, *others = self._asked(question)
        total = first.counts[places].astype(np.float64)
        for one in others:
            total = _count_of_both(total, one.counts[places])
        if question.least is None:
            return total @ np.arange(total.shape[1])
        least = min(question.least, total.shape[1] - 1)
        found: Values = total[:, least:].sum(axis=1)
        return found

    def measure(self, places: NDArray[np.int64]) -> float:
        """What a frame costs to decode and score in a run of frames, seconds.

        Args:
            places: int64 (n,), frames in a row; what is said of them is kept.
        """
        for one in self._counters:
            size = one.model.size
            one.model.counts(np.zeros((1, size, size, 3), np.uint8))  # torch's first call is slow
        self._score(places)
        return self.seconds / max(self.scored, 1)

    def _asked(self, question: Question) -> list[_Counter]:
        return [
            one
            for one in self._counters
            if one.class_name in question.classes and one.zone == question.zone
        ]

    def _score(self, places: NDArray[np.int64]) -> None:
        unknown = np.unique(places[~self._seen[places]])
        began = time.perf_counter()
        for size in sorted({one.model.size for one in self._counters}):
            counters = [one for one in self._counters if one.model.size == size]
            for batch in _batches(decode_frames(self._video, unknown, size, size)):
                numbers = [number for number, _ in batch]
                images = np.stack([image for _, image in batch])
                for one in counters:
                    one.counts[numbers] = one.model.counts(images)
        self._seen[unknown] = True
        self.scored += len(unknown)
        self.seconds += time.perf_counter() - began


def _batches(
    frames: Iterable[tuple[int, NDArray[np.uint8]]],
) -> Iterator[list[tuple[int, NDArray[np.uint8]]]]:
    left = iter(frames)
    while batch := list(islice(left, SCORED_AT_ONCE)):
        yield batch


def _count_of_both(first: Values, second: NDArray[np.float32]) -> Values:
    """How probable each sum of two independent counts is, float64 (n, K1 + K2 + 1)."""
    rows, columns = first.shape
    total = np.zeros((rows, columns + second.shape[1] - 1))
    for count in range(second.shape[1]):
        total[:, count : count + columns] += first * second[:, count : count + 1]
    return total
