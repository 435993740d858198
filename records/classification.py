"""Classifications: what a model says of each window of a signal."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from records.checks import check_count, check_name, check_time
from records.errors import RecordError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from records.event import StreamEvent

MOST_CLASSES = 1024
"""The most classes that one classification may tell apart."""

SUM_TOLERANCE = 1e-3
"""How far from 1 the probabilities may add up: they come from float32."""


@dataclass(frozen=True, slots=True)
class Classification:
    """The class probabilities of one window of a stream.

    Attributes:
        stream: The stream's name.
        sequence: The window's number in the stream: 0, 1, 2 … without a gap.
        time_ns: Event time of the window's first sample, nanoseconds since 1970 UTC.
        duration_ns: The window's length, nanoseconds, above 0.
        classes: The name of each class, without repeats.
        probabilities: The probability of each class; they add up to 1.

    Raises:
        RecordError: a field is out of its range; the message names it.

    >>> Classification("bed4", 0, 0, 853_333_333, ("N", "A"), (0.25, 0.75)).label
    'A'
    """

    stream: str
    sequence: int
    time_ns: int
    duration_ns: int
    classes: tuple[str, ...]
    probabilities: tuple[float, ...]

    def __post_init__(self) -> None:
        check_name("stream", self.stream)
        check_count("sequence", self.sequence)
        check_time("time_ns", self.time_ns)
        check_count("duration_ns", self.duration_ns)
        if self.duration_ns == 0:
            raise RecordError("duration_ns must be above 0, got 0")
        if not 0 < len(self.classes) <= MOST_CLASSES or len(set(self.classes)) < len(self.classes):
            raise RecordError(
                f"classes must be 1 to {MOST_CLASSES} different names, got {len(self.classes)}"
            )
        for name in self.classes:
            check_name("a class", name)
        if len(self.probabilities) != len(self.classes):
            raise RecordError(
                f"probabilities must be {len(self.classes)}, one for each class, "
                f"got {len(self.probabilities)}"
            )
        if not all(0 <= one <= 1 for one in self.probabilities):
            raise RecordError(f"probabilities must be in 0..1, got {self.probabilities}")
        if not abs(math.fsum(self.probabilities) - 1) <= SUM_TOLERANCE:
            raise RecordError(
                f"probabilities must add up to 1, got {math.fsum(self.probabilities)}"
            )

    @property
    def id(self) -> str:
        """The deterministic identity, ``stream:sequence``."""
        return f"{self.stream}:{self.sequence}"

    @property
    def label(self) -> str:
        """The class of the highest probability; the first of equals."""
        return self.classes[self.probabilities.index(max(self.probabilities))]


@dataclass(frozen=True, slots=True)
class ClassificationBatch:
    """Consecutive classifications of one stream, and what befell it.

    Attributes:
        stream: The stream's name.
        classifications: In order of sequence; may be empty.
        events: What happened to the stream since the last batch, in order; may be empty.
    """

    stream: str
    classifications: tuple[Classification, ...]
    events: tuple[StreamEvent, ...] = ()


@runtime_checkable
class SignalClassifier(Protocol):
    """A model that classifies every window of an evenly sampled signal."""

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes that it tells apart."""

    @property
    def rate_hz(self) -> float:
        """The rate at which it takes samples, Hz."""

    @property
    def window(self) -> int:
        """The samples of one window."""

    @property
    def context(self) -> int:
        """How many windows before and after a window its probabilities depend on."""

    def classify(self, signal: NDArray[np.float32]) -> NDArray[np.float32]:
        """The class probabilities of each whole window.

        A signal cut at a multiple of `window` gives the same probabilities, to rounding, for
        windows that are at least `context` windows away from the cut.

        Args:
            signal: float32 (n,), in the unit the model was trained on; NaN where a sample is
                missing.

        Returns:
            float32 (n // window, classes); each row adds up to 1.
        """
