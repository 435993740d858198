"""Weak supervision of ECG: a model taught by what assertions say of models' own answers.

After Kang et al., MLSys 2020, sections 4.2 and 5.5: where a consistency assertion fails, the
majority is the weak label. Two assertions are behind the labels here. A rhythm lasts
(class_change), so all windows of a record get one label. Models that learnt from the same labels
agree, so a committee votes: models with other first weights, trained on the same first records.
Each window of each member votes with its log probabilities. Nobody labels anything: the first
records are all the labels that there are.

The model goes on learning from its own labelled records and the weak labels. The controls cost the
same steps of training: its own labels again; self-training, on the answer that it gave itself in
each window; and the committee's answer in each window, which leaves class_change out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from flows.evaluate.ecg_changes import LEAST_PROBABILITY
from flows.evaluate.retraining_figures import interval, told
from flows.evaluate.retraining_rounds import changes, first_model, taught
from flows.evaluate.retraining_study import accuracies
from models.ecg import CLASSES
from models.ecg_learner import TaughtSignal, constant_targets
from operators.selection_trial import mean_interval

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from flows.evaluate.retraining_study import Parts, RetrainingStudy
    from models.ecg_learner import EcgLearner

WEAK = "weak"
"""The arm that learns from weak labels; the others are its controls."""

EVIDENCE_WINDOWS = 3.0
"""How many windows' worth of independent evidence a record's windows are together. They share
what is misleading about the record, so they are worth far less than their number; chosen on records
outside the test part."""

LABELLED_REPEATS = 3
"""How often a labelled record is learnt for each time that a weak one is."""


@dataclass(frozen=True, slots=True)
class WeakTrial:
    """One trial.

    Attributes:
        accuracy: By arm, the accuracy of windows and of records on the test part.
        labels: Records with a weak label.
        fired: Those of them in which class_change fired on the model's own answers.
        right: The share of windows whose weak label is right.
        own_right: The share of the model's own answers that are.
    """

    accuracy: Mapping[str, tuple[float, float]]
    labels: int
    fired: int
    right: float
    own_right: float


def weak_target(votes: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """The probability of each class if a record has one rhythm.

    Args:
        votes: What each member of a committee says, float32 (windows, classes) each.

    Returns:
        float32 (classes,).

    >>> unsure, sure = np.array([[0.6, 0.4]], np.float32), np.array([[0.1, 0.9]], np.float32)
    >>> [round(one, 3) for one in weak_target([unsure, unsure, sure]).tolist()]
    [0.2, 0.8]
    """
    logs = np.log(np.maximum(np.stack(votes), LEAST_PROBABILITY))
    evidence = EVIDENCE_WINDOWS * logs.mean(axis=(0, 1))
    likelihood = np.exp(evidence - evidence.max())
    target: NDArray[np.float32] = (likelihood / likelihood.sum()).astype(np.float32)
    return target


def run_weak_trial(parts: Parts, model: EcgLearner, study: RetrainingStudy, seed: int) -> WeakTrial:
    """Teach a model with weak labels of the pool, and judge it on the test part.

    Args:
        parts: The records of the trial.
        model: The first model, and member 0 of the committee; it is not changed.
        study: What is studied.
        seed: Of the trial.
    """
    others = (first_model(parts, study, seed, member) for member in range(1, study.committee))
    committee = [model, *others]
    signals = [one.signal for one in parts.pool]
    votes = list(zip(*(one.probabilities(signals) for one in committee), strict=True))
    answers = [each[0].argmax(axis=1) for each in votes]
    weak = [weak_target(each) for each in votes]
    eye = np.eye(len(CLASSES), dtype=np.float32)
    targets = {
        "labelled_again": [],
        "self_training": [eye[answer] for answer in answers],
        "committee": [eye[np.log(np.maximum(each, LEAST_PROBABILITY)).sum(axis=0).argmax(axis=1)]
                      for each in votes],
        WEAK: [
            constant_targets(one, len(answer)) for one, answer in zip(weak, answers, strict=True)
        ],
    }  # fmt: skip
    arms = {name: _taught_on(model, parts, target, study, seed) for name, target in targets.items()}
    lengths = np.array([len(answer) for answer in answers])
    truths = np.array([one.label for one in parts.pool])
    own = np.array([(answer == truth).sum() for answer, truth in zip(answers, truths, strict=True)])
    right = np.array([one.argmax() for one in weak]) == truths
    return WeakTrial(
        {name: _judged(one, parts) for name, one in {"before": model, **arms}.items()},
        len(weak),
        sum(
            bool(changes(one.name, answer, study.change_seconds))
            for one, answer in zip(parts.pool, answers, strict=True)
        ),
        float((lengths * right).sum() / lengths.sum()),
        float(own.sum() / lengths.sum()),
    )


def _taught_on(
    model: EcgLearner,
    parts: Parts,
    targets: Sequence[NDArray[np.float32]],
    study: RetrainingStudy,
    seed: int,
) -> EcgLearner:
    """A copy that goes on with the first records and the pool's, as far as those have targets."""
    signals = [taught(one) for one in parts.first] * LABELLED_REPEATS
    signals += [
        TaughtSignal(one.signal, target) for one, target in zip(parts.pool, targets, strict=False)
    ]
    copy = model.copy()
    copy.learn(signals, study.weak, np.random.default_rng([seed, 1]))
    return copy


def _judged(model: EcgLearner, parts: Parts) -> tuple[float, float]:
    return accuracies(model.probabilities([one.signal for one in parts.test]), parts.test)


def weak_figures(trials: Sequence[WeakTrial], study: RetrainingStudy) -> dict[str, Any]:
    """What weak labels came to, with intervals over trials that pair by seed.

    The intervals of the differences hold together, at the study's confidence (Bonferroni).
    """
    names = tuple(trials[0].accuracy)
    scores = np.array([[one.accuracy[name] for name in names] for one in trials])
    windows = dict(zip(names, scores[:, :, 0].T, strict=True))
    whole = dict(zip(names, scores[:, :, 1].T, strict=True))
    others = [name for name in names if name != WEAK]
    tail = (1 - study.confidence) / len(others) / 2
    gain = mean_interval(windows[WEAK] - windows["before"], tail)
    # A first model that is never right gains without bounds; there is no share to tell then.
    before = float(windows["before"].mean())
    shares = [each / before if before else None for each in (gain.mean, gain.low, gain.high)]
    return {
        "accuracy": {name: interval(each, study.confidence) for name, each in windows.items()},
        "record_accuracy": {name: interval(each, study.confidence) for name, each in whole.items()},
        "differences": {
            name: told(mean_interval(windows[WEAK] - windows[name], tail)) for name in others
        },
        "relative_gain": dict(zip(("mean", "low", "high"), shares, strict=True)),
        "weak_labels": float(np.mean([one.labels for one in trials])),
        "fired": float(np.mean([one.fired for one in trials])),
        "label_right": float(np.mean([one.right for one in trials])),
        "own_answer_right": float(np.mean([one.own_right for one in trials])),
    }
