"""Weak supervision of ECG: a model taught by what assertions say of its own answers.

After Kang et al., MLSys 2020, sections 4.2 and 5.5. The model classifies records that nobody has
labelled. A rhythm lasts, so where class_change fires some windows of a record are wrong. The weak
label is the class of the majority, each window voting with its log probabilities: the likeliest
class if the rhythm is one and windows are evidence of it. The model goes on learning from its own
labelled records and the weak ones.

Two controls cost the same steps of training: its own labels again, and self-training, where the
same records keep the answers that the model gave of each window. What weak labels gain over those
is the assertion's part.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from flows.evaluate.ecg_changes import LEAST_PROBABILITY
from flows.evaluate.retraining_figures import interval, told
from flows.evaluate.retraining_rounds import changes, first_model, taught
from flows.evaluate.retraining_study import accuracies, draw_parts
from models.ecg import CLASSES
from models.ecg_learner import TaughtSignal, constant_targets
from operators.selection_trial import mean_interval

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from flows.evaluate.retraining_study import Parts, PreparedRecord, RetrainingStudy
    from models.ecg_learner import EcgLearner

WEAK = "weak"
"""The arm that learns from weak labels; the others are its controls."""


@dataclass(frozen=True, slots=True)
class WeakTrial:
    """One trial.

    Attributes:
        accuracy: By arm, the accuracy of windows and of records on the test part.
        labels: Records with a weak label.
        fired: Those of them in which class_change fired.
        right: The share of weak labels that are right, over windows.
        own_right: The share of the model's own answers there that are right.
    """

    accuracy: Mapping[str, tuple[float, float]]
    labels: int
    fired: int
    right: float
    own_right: float


def weak_class(probabilities: NDArray[np.float32]) -> int:
    """The likeliest class of a record with one rhythm: the highest sum of log probabilities.

    Args:
        probabilities: Of each class in each window, float32 (windows, classes).

    >>> weak_class(np.array([[0.6, 0.4], [0.6, 0.4], [0.1, 0.9]], np.float32))
    1
    """
    return int(np.log(np.maximum(probabilities, LEAST_PROBABILITY)).sum(axis=0).argmax())


def run_weak_trial(
    records: Sequence[PreparedRecord], study: RetrainingStudy, seed: int
) -> WeakTrial:
    """Train on the first records, then on weak labels of the pool; judge on the test part.

    Raises:
        RecordError: the records are too few.
    """
    parts = draw_parts(records, study, seed)
    model = first_model(parts, study, seed)
    found = model.probabilities([one.signal for one in parts.pool])
    answers = [one.argmax(axis=1) for one in found]
    weak = [weak_class(one) for one in found]
    eye = np.eye(len(CLASSES), dtype=np.float32)
    targets = {
        "labelled_again": [],
        "self_training": [eye[answer] for answer in answers],
        WEAK: [
            constant_targets(eye[one], len(answer))
            for one, answer in zip(weak, answers, strict=True)
        ],
    }
    arms = {name: _taught_on(model, parts, target, study, seed) for name, target in targets.items()}
    tests = {"before": model, **arms}
    truths = [one.label for one in parts.pool]
    windows = sum(map(len, answers))
    triples = list(zip(weak, answers, truths, strict=True))
    return WeakTrial(
        {name: _judged(one, parts) for name, one in tests.items()},
        len(weak),
        sum(
            bool(changes(one.name, answer, study.change_seconds))
            for one, answer in zip(parts.pool, answers, strict=True)
        ),
        sum(len(answer) * (one == truth) for one, answer, truth in triples) / windows,
        sum(int((answer == truth).sum()) for _, answer, truth in triples) / windows,
    )


def _taught_on(
    model: EcgLearner,
    parts: Parts,
    targets: Sequence[NDArray[np.float32]],
    study: RetrainingStudy,
    seed: int,
) -> EcgLearner:
    """A copy that goes on with the first records and the pool's, as far as those have targets."""
    signals = [taught(one) for one in parts.first]
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
    return {
        "accuracy": {name: interval(each, study.confidence) for name, each in windows.items()},
        "record_accuracy": {name: interval(each, study.confidence) for name, each in whole.items()},
        "differences": {
            name: told(mean_interval(windows[WEAK] - windows[name], tail)) for name in others
        },
        "relative_gain": told(mean_interval(windows[WEAK] / windows["before"] - 1, tail)),
        "weak_labels": float(np.mean([one.labels for one in trials])),
        "fired": float(np.mean([one.fired for one in trials])),
        "label_right": float(np.mean([one.right for one in trials])),
        "own_answer_right": float(np.mean([one.own_right for one in trials])),
    }
