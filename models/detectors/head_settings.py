"""How the head of a detector is trained: settings, checked when they are made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from models.training_settings import check_ranges
from records import RecordError

if TYPE_CHECKING:
    from models.training_settings import Ranges


@dataclass(frozen=True, slots=True)
class HeadTrainSettings:
    """How the head of a detector is trained.

    Attributes:
        classes: The classes that are trained; empty takes those that have a label. The weights of
            all other classes stay as they are.
        steps: Steps of training, 1..100,000.
        batch_size: Pictures in a step, 1..256.
        learning_rate: The first step's learning rate (Adam, falling as a cosine).
        pull: How strongly weights are pulled back to where they started: the loss grows by half of
            this times their squared distance, 0..1000. Few pictures then change little.
        certain_score: Labels of at least this score are objects, 0..1. Where there is a label of a
            lower score it is not known what is true, so nothing is learned there.
        other_score: Where the detector finds a class that is not trained with at least this
            score, nothing is learned either, 0..1: labels of people say nothing of cars.
        threads: Threads of the runtimes, 1..64. More pay only where cores are idle.
        seed: The order of the pictures follows from it.

    Raises:
        RecordError: a value is out of range; the message names the field.
    """

    classes: tuple[str, ...] = ()
    steps: int = 300
    batch_size: int = 8
    learning_rate: float = 0.002
    pull: float = 0.1
    certain_score: float = 0.4
    other_score: float = 0.1
    threads: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        ranges: Ranges = {
            "steps": (1, 100_000),
            "batch_size": (1, 256),
            "learning_rate": (1e-7, 1.0),
            "pull": (0.0, 1000.0),
            "certain_score": (0.0, 1.0),
            "other_score": (0.0, 1.0),
            "threads": (1, 64),
            "seed": (0, 2**63 - 1),
        }
        check_ranges(self, ranges)
        if isinstance(self.classes, str) or not all(isinstance(n, str) for n in self.classes):
            raise RecordError(f"classes must be a tuple of names, got {self.classes!r}")
