"""What a study of retraining is, and which records serve for what in each of its trials.

One part of the records is for figures alone: nothing is trained, chosen or tuned on it, in any
trial. The others are drawn anew in each trial: a first training set, a probe set on which fires are
counted, and the pool, whose labels nobody sees before they are chosen.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from models.ecg_data import normalise, split_records
from models.ecg_learner import LearnSettings
from models.ecg_network import WINDOW, EcgArchitecture
from records import RecordError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from models.ecg_data import LabelledSignal

TEST_SHARE = 0.25
"""The share of the records that is for figures alone."""

TUNE_SHARE = 0.2
"""A second share by which the records are split; the choices of this module were made on it."""

LEAST_TRIALS = 2
"""The fewest trials that a difference has a spread in."""


@dataclass(frozen=True, slots=True)
class RetrainingStudy:
    """How selections, and weak labels, are compared.

    Attributes:
        rounds: Rounds of choosing, labelling and learning, at least 1.
        budget: Records that are labelled in each round, at least 1.
        trials: Trials, each with a draw of its own of everything but the test part, at least 2.
        first_records: Records that the first model learns from, at least 2.
        probe_records: Records that fires are counted on, at least 1.
        committee: Models whose votes are weak labels, at least 1.
        change_seconds: T of the assertion class_change, seconds, above 0.
        confidence: Of all intervals of a table together, 0..1 exclusive.
        architecture: The network.
        first: How the first model learns, from scratch.
        again: How it goes on from its present weights in each round.
        weak: How it goes on with weak labels.
        seed: Of the test part, and with the trial's number of all that a trial draws.

    Raises:
        RecordError: a value is out of its range.
    """

    rounds: int = 5
    budget: int = 100
    trials: int = 8
    first_records: int = 100
    probe_records: int = 200
    committee: int = 5
    change_seconds: float = 30.0
    confidence: float = 0.95
    architecture: EcgArchitecture = field(
        default_factory=lambda: EcgArchitecture((8, 12, 16, 16), 5, 5, 0.1)
    )
    first: LearnSettings = field(
        default_factory=lambda: LearnSettings(
            steps=600, batch_size=16, crop_windows=24, learning_rate=0.006
        )
    )
    again: LearnSettings = field(default_factory=LearnSettings)
    weak: LearnSettings = field(
        default_factory=lambda: LearnSettings(steps=700, batch_size=16, learning_rate=0.004)
    )
    seed: int = 0

    def __post_init__(self) -> None:
        least = {
            "rounds": 1,
            "budget": 1,
            "trials": LEAST_TRIALS,
            "first_records": 2,
            "probe_records": 1,
            "committee": 1,
            "seed": 0,
        }
        for name, low in least.items():
            if getattr(self, name) < low:
                raise RecordError(f"{name} must be at least {low}, got {getattr(self, name)}")
        if not 0 < self.change_seconds < np.inf:
            raise RecordError(f"change_seconds must be above 0, got {self.change_seconds}")
        if not 0 < self.confidence < 1:
            raise RecordError(f"confidence must be between 0 and 1, got {self.confidence}")

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seed of each trial."""
        return tuple(range(self.seed, self.seed + self.trials))


@dataclass(frozen=True, slots=True, eq=False)
class PreparedRecord:
    """One record, ready to be learnt.

    Attributes:
        name: Its name, and that of its stream.
        signal: float32 (n,), normalised.
        label: The index of its class.
    """

    name: str
    signal: NDArray[np.float32]
    label: int

    @property
    def windows(self) -> int:
        """Its whole windows."""
        return len(self.signal) // WINDOW


@dataclass(frozen=True, slots=True, eq=False)
class Parts:
    """What the records of one trial serve for.

    Attributes:
        first: Labelled from the beginning.
        pool: Without labels until they are chosen.
        probe: For counts of fires; their labels are not looked at.
        test: For figures alone.
    """

    first: tuple[PreparedRecord, ...]
    pool: tuple[PreparedRecord, ...]
    probe: tuple[PreparedRecord, ...]
    test: tuple[PreparedRecord, ...]


def prepare(signals: Sequence[LabelledSignal]) -> tuple[PreparedRecord, ...]:
    """Normalise all records once."""
    return tuple(PreparedRecord(one.name, normalise(one.signal), one.label) for one in signals)


def draw_parts(records: Sequence[PreparedRecord], study: RetrainingStudy, trial_seed: int) -> Parts:
    """Which records serve for what in one trial; the test part is that of every trial.

    Raises:
        RecordError: the records are too few for the study.
    """
    labels = [one.label for one in records]
    split = split_records(labels, study.seed, TUNE_SHARE, TEST_SHARE)
    others = np.array([*split.train, *split.validation])
    taken = study.first_records + study.probe_records
    needed = taken + study.rounds * study.budget
    if len(others) < needed or not split.test:
        raise RecordError(
            f"a study of {study.first_records} first and {study.probe_records} probe records and "
            f"{study.rounds} rounds of {study.budget} needs {needed} records beside the test part, "
            f"got {len(others)}. Take fewer"
        )
    mixed = np.random.default_rng(trial_seed).permutation(others)
    first, probe, pool = np.split(mixed, [study.first_records, taken])
    return Parts(*(tuple(records[k] for k in part) for part in (first, pool, probe, split.test)))


def accuracies(
    probabilities: Sequence[NDArray[np.float32]], records: Sequence[PreparedRecord]
) -> tuple[float, float]:
    """The share of windows, and of records by the class of most windows, that are right."""
    answers = [one.argmax(axis=1) for one in probabilities]
    right = [
        (answer == record.label).sum() for answer, record in zip(answers, records, strict=True)
    ]
    votes = [np.bincount(answer).argmax() for answer in answers]
    whole = np.mean([vote == one.label for vote, one in zip(votes, records, strict=True)])
    return float(sum(right) / sum(len(answer) for answer in answers)), float(whole)
