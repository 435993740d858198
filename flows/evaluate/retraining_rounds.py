"""Rounds of active learning on ECG, after Kang et al., MLSys 2020, section 5.4.

In each round the model classifies every window of the pool and of the probe set, class_change
watches the windows of each record as a stream, a selection chooses records, their labels are
revealed, and the model goes on learning from its present weights on all that is labelled. BAL needs
several assertions to choose among, so each class that comes back too soon is an assertion of its
own; the paper had one on ECG.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from flows.evaluate.retraining_study import accuracies
from models.ecg import CLASSES, RATE_HZ
from models.ecg_learner import EcgLearner, TaughtSignal, constant_targets
from models.ecg_network import WINDOW
from operators.assertions.api import CLASSIFICATION, Moment
from operators.assertions.class_change import ClassChange
from operators.retraining_value import class_uncertainty
from operators.selection import (
    select_random,
    select_uncertain,
    select_uniform,
)
from operators.selection_bal import select_bal
from operators.selection_trial import Judged, TrialSettings, run_rounds
from operators.selection_valuable import select_valuable
from records import Flag, Origin, RetrainingItem
from records.units import NANOSECONDS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from flows.evaluate.retraining_study import Parts, PreparedRecord, RetrainingStudy
    from operators.selection import Choice, Fires, Selector
    from records import Finding

BASELINE = "random"
"""The selection that all others are compared with."""


def filled(selector: Selector) -> Selector:
    """A selection that chooses the rest of its budget at random where assertions flag too few."""

    def select(
        items: Sequence[RetrainingItem],
        count: int,
        generator: np.random.Generator,
        fires: Sequence[Fires],
    ) -> tuple[Choice, ...]:
        chosen = selector(items, count, generator, fires)
        taken = {choice.item.id for choice in chosen}
        rest = [one for one in items if one.id not in taken]
        return (*chosen, *select_random(rest, count - len(chosen), generator))

    return select


SELECTORS: Mapping[str, Selector] = {
    BASELINE: select_random,
    "uncertainty": select_uncertain,
    "uniform": filled(select_uniform),
    "bal": select_bal,
    "valuable": select_valuable,
}
"""The selections by name; see docs/retraining.md."""


def changes(record: str, answers: NDArray[np.int64], seconds: float) -> list[Finding]:
    """What class_change says of the windows of a record.

    Args:
        record: The record's name.
        answers: The class of each window, int64 (windows,).
        seconds: A class that lasts less than this between two runs of another is wrong.
    """
    check = ClassChange(window_seconds=seconds).start()
    # Whole nanoseconds, so that changes of equal length are equally severe.
    window_ns = round(WINDOW / RATE_HZ * NANOSECONDS)
    return [
        finding
        for place, answer in enumerate(answers.tolist())
        for finding in check.observe(
            Moment(record, place, place * window_ns, outputs={CLASSIFICATION: CLASSES[answer]})
        )
    ]


def changed_back(
    record: str, answers: NDArray[np.int64], seconds: float
) -> list[tuple[str, Finding]]:
    """The findings of a record, each with the name of its class's own assertion."""
    return [
        (f"class_change {CLASSES[answers[one.sequence]]}", one)
        for one in changes(record, answers, seconds)
    ]


def queue_item(record: str, probabilities: NDArray[np.float32], seconds: float) -> RetrainingItem:
    """A record of the pool as a model sees it.

    It is as uncertain as the mean of its windows' probabilities.

    Args:
        record: Its name.
        probabilities: Of each class in each window, float32 (windows, classes).
        seconds: T of class_change, seconds.
    """
    worst: dict[str, Finding] = {}
    for name, finding in changed_back(record, probabilities.argmax(axis=1), seconds):
        if name not in worst or finding.severity > worst[name].severity:
            worst[name] = finding
    ranked = sorted(worst.items(), key=lambda pair: (-pair[1].severity, pair[0]))
    return RetrainingItem(
        record,
        0,
        0,
        (Origin.ASSERTION, Origin.RANDOM) if ranked else (Origin.RANDOM,),
        priority=1.0,
        propensity=1.0,
        flags=tuple(
            Flag(name, finding.severity, f"{record}:{name}:{finding.sequence}")
            for name, finding in ranked
        ),
        uncertainty=class_uncertainty(probabilities.mean(axis=0).tolist()),
    )


def taught(record: PreparedRecord) -> TaughtSignal:
    """A labelled record, to be learnt."""
    target = np.eye(len(CLASSES), dtype=np.float32)[record.label]
    return TaughtSignal(record.signal, constant_targets(target, record.windows))


def first_model(parts: Parts, study: RetrainingStudy, seed: int, member: int = 0) -> EcgLearner:
    """A model that learns from the first records, from scratch.

    Args:
        parts: The records of the trial.
        study: How it learns.
        seed: Of the trial.
        member: Models of other numbers have other first weights and see the records in another
            order.
    """
    random = np.random.default_rng([seed, 0, member])
    learner = EcgLearner(study.architecture, len(CLASSES), int(random.integers(2**32)))
    learner.learn([taught(one) for one in parts.first], study.first, random)
    return learner


class EcgRounds:
    """Learns in rounds and is judged after each; an `operators.selection_trial.Learner`.

    Args:
        parts: The records of the trial.
        model: The first model; it is not changed.
        study: How it learns.

    Attributes:
        records: The accuracy of whole records before the first round and after each.
    """

    def __init__(self, parts: Parts, model: EcgLearner, study: RetrainingStudy) -> None:
        self._parts = parts
        self._model = model.copy()
        self._study = study
        self._known = {one.name: one for one in parts.pool}
        self.records: list[float] = []

    def __call__(self, labelled: Sequence[RetrainingItem], seed: int) -> Judged:
        """Go on learning from all that is labelled by now, and judge."""
        chosen = [self._known[one.stream] for one in labelled]
        if chosen:
            signals = [taught(one) for one in (*self._parts.first, *chosen)]
            random = np.random.default_rng([seed, len(chosen)])
            self._model.learn(signals, self._study.again, random)
        names = {one.name for one in chosen}
        last = len(chosen) >= self._study.rounds * self._study.budget
        left = [] if last else [one for one in self._parts.pool if one.name not in names]
        windows, whole = accuracies(self._classified(self._parts.test), self._parts.test)
        self.records.append(whole)
        return Judged(windows, {} if last else self._fires(), self._items(left))

    def _classified(self, records: Sequence[PreparedRecord]) -> list[NDArray[np.float32]]:
        return self._model.probabilities([one.signal for one in records])

    def _fires(self) -> dict[str, int]:
        """How often each assertion fires on the probe set."""
        fires = {f"class_change {name}": 0 for name in CLASSES}
        probe = self._parts.probe
        for record, found in zip(probe, self._classified(probe), strict=True):
            answers = found.argmax(axis=1)
            for name, _ in changed_back(record.name, answers, self._study.change_seconds):
                fires[name] += 1
        return fires

    def _items(self, left: Sequence[PreparedRecord]) -> dict[str, RetrainingItem]:
        items = (
            queue_item(record.name, found, self._study.change_seconds)
            for record, found in zip(left, self._classified(left), strict=True)
        )
        return {one.id: one for one in items}


def run_trial(
    parts: Parts, model: EcgLearner, study: RetrainingStudy, names: Sequence[str], seed: int
) -> dict[str, NDArray[np.float64]]:
    """The learning curves of selections in one trial; all begin with the same model.

    Args:
        parts: The records of the trial.
        model: The first model; it is not changed.
        study: What is studied.
        names: Of the selections, all in `SELECTORS`.
        seed: Of the trial.

    Returns:
        For each selection float64 (2, rounds + 1): the accuracy of windows and of records on the
        test part, before the first round and after each.
    """
    items = [RetrainingItem(one.name, 0, 0, (Origin.RANDOM,), 1.0, 1.0) for one in parts.pool]
    settings = TrialSettings(study.rounds, study.budget, study.seeds, study.confidence)
    curves = {}
    for name in names:
        learner = EcgRounds(parts, model, study)
        windows = run_rounds(SELECTORS[name], items, learner, settings, seed)
        curves[name] = np.array([windows, learner.records])
    return curves
