"""`sightflow evaluate ecg`: a model of ECG rhythm on records that it never saw, block by block.

Every window of a record has the record's label as its truth. The records of the validation part
say which corrections of class changes pay; those of the test part are for figures alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from flows.evaluate.ecg_changes import find_changes, find_stretches
from flows.evaluate.ecg_correction import calibrate, corrected
from flows.evaluate.ecg_figures import bootstrap_interval, class_scores, record_answers
from flows.evaluate.ecg_streaming import Metered, stream_record, streaming_figures
from records import RecordError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from flows.evaluate.ecg_correction import Calibration, Stretch
    from models.ecg_data import LabelledSignal, Split
    from records import Classification, Finding, SignalClassifier


@dataclass(frozen=True, slots=True)
class EcgStudy:
    """What is studied.

    Attributes:
        change_seconds: A class that lasts less than this between two runs of another is a change
            that must not be, seconds, above 0.
        confidence: That corrections pay, on the validation records, 0.5..0.9999.
        block_seconds: The length of the blocks that records are streamed in, seconds.
        new_windows: How many windows must be ready before the model runs.
        resamples: Resamples of the records for the intervals, at least 1.
        seed: Of the resamples.

    Raises:
        RecordError: a value is out of its range.
    """

    change_seconds: float = 30.0
    confidence: float = 0.9
    block_seconds: float = 1.0
    new_windows: int = 8
    resamples: int = 2000
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.change_seconds < np.inf:
            raise RecordError(f"change_seconds must be above 0, got {self.change_seconds}")
        if not 0.5 <= self.confidence <= 0.9999:
            raise RecordError(f"confidence must be in 0.5..0.9999, got {self.confidence}")
        if self.resamples < 1:
            raise RecordError(f"resamples must be at least 1, got {self.resamples}")


@dataclass(frozen=True, slots=True)
class _Answered:
    """What the model said of some records.

    Attributes:
        answers: The class of each window of each record, int64 (windows,).
        truths: The class of each record, int64 (records,).
        findings: What the assertion says of each record.
        stretches: The stretches that they make.
    """

    answers: list[NDArray[np.int64]]
    truths: NDArray[np.int64]
    findings: list[list[Finding]]
    stretches: list[list[Stretch]]


def evaluate_ecg(
    folder: Path,
    signals: Sequence[LabelledSignal],
    split: Split,
    model: SignalClassifier,
    study: EcgStudy,
    tell: Callable[[int], None] = lambda _: None,
) -> dict[str, Any]:
    """Judge a model on the records of a folder.

    Args:
        folder: Where the records lie.
        signals: Their names and labels.
        split: Which of them serve for what; those for training are not looked at.
        model: The model.
        study: What is studied.
        tell: Called with how many records are done.

    Returns:
        Plain JSON values; the fields are those of design section 8.

    Raises:
        RecordError: a part of the split is empty.
        SourceError: a record cannot be read any more.
    """
    if not split.validation or not split.test:
        raise RecordError(
            "validation and test must have at least one record each, "
            f"got {len(split.validation)} and {len(split.test)}. Use more records"
        )
    metered = Metered(model)
    parts, done = [], 0
    for part in (split.validation, split.test):
        found = []
        for place in part:
            path = folder / signals[place].name
            found.append(stream_record(path, metered, study.block_seconds, study.new_windows))
            done += 1
            tell(done)
        truths = np.array([signals[place].label for place in part], dtype=np.int64)
        parts.append(_answered(found, truths, model, study))
    known, test = parts
    calibration = calibrate(
        known.answers,
        known.stretches,
        known.truths.tolist(),
        len(model.classes),
        study.confidence,
        np.random.default_rng(study.seed),
    )
    after = [
        corrected(answer, some, calibration)
        for answer, some in zip(test.answers, test.stretches, strict=True)
    ]
    return {
        "records": {"validation": len(known.answers), "test": len(test.answers)},
        "windows": sum(len(answer) for answer in test.answers),
        **_figures(test, after, model.classes, study),
        "class_change": _change_figures(test, calibration, model.classes),
        "streaming": streaming_figures(metered, study.block_seconds, study.new_windows),
    }


def _answered(
    windows: list[list[Classification]],
    truths: NDArray[np.int64],
    model: SignalClassifier,
    study: EcgStudy,
) -> _Answered:
    most = int(study.change_seconds * model.rate_hz / model.window)
    probabilities = [np.array([one.probabilities for one in some]) for some in windows]
    findings = [find_changes(some, study.change_seconds) for some in windows]
    return _Answered(
        [some.argmax(axis=1) for some in probabilities],
        truths,
        findings,
        [
            find_stretches(one, some, most)
            for one, some in zip(probabilities, findings, strict=True)
        ],
    )


def _figures(
    test: _Answered, after: list[NDArray[np.int64]], classes: tuple[str, ...], study: EcgStudy
) -> dict[str, Any]:
    """Accuracy and F1 of windows and of records, before and after corrections."""
    lengths = np.array([len(answer) for answer in test.answers])
    truths = np.repeat(test.truths, lengths)
    right = {}
    for name, answers in (("before", test.answers), ("after", after)):
        pairs = zip(answers, test.truths, strict=True)
        right[name] = np.array([np.count_nonzero(answer == truth) for answer, truth in pairs])
    random = np.random.default_rng(study.seed)
    draws = random.integers(len(lengths), size=(study.resamples, len(lengths)))
    before, corrected_share = (right[name].sum() / lengths.sum() for name in right)
    whole, whole_after = record_answers(test.answers), record_answers(after)
    return {
        "accuracy": float(before),
        "accuracy_interval": bootstrap_interval(right["before"], lengths, draws),
        "accuracy_corrected": float(corrected_share),
        "accuracy_corrected_interval": bootstrap_interval(right["after"], lengths, draws),
        "gain": float(corrected_share - before),
        "gain_interval": bootstrap_interval(right["after"] - right["before"], lengths, draws),
        "f1_per_class": class_scores(np.concatenate(test.answers), truths, classes),
        "f1_per_class_corrected": class_scores(np.concatenate(after), truths, classes),
        "record_accuracy": float(np.mean(whole == test.truths)),
        "record_accuracy_corrected": float(np.mean(whole_after == test.truths)),
        "record_f1_per_class": class_scores(whole, test.truths, classes),
        "record_f1_per_class_corrected": class_scores(whole_after, test.truths, classes),
    }


def _change_figures(
    test: _Answered, calibration: Calibration, classes: tuple[str, ...]
) -> dict[str, Any]:
    """What the assertion found, and what corrections were worth.

    A finding concerns its correction's windows and those between which they lie. As all windows
    of a record have one truth and at least two classes, the model is always wrong.
    """
    proposals = [
        (finding.correction.class_name, classes[truth])
        for findings, truth in zip(test.findings, test.truths, strict=True)
        for finding in findings
        if finding.correction is not None
    ]
    wrong, right, applied = [], [], []
    for answer, truth, found in zip(test.answers, test.truths, test.stretches, strict=True):
        for one in found:
            wrong.append(bool((answer[one.start : one.stop] != truth).any()))
            right.append(one.proposed == truth)
            applied.append(calibration.pays(one.proposed))
    paid = [is_right for is_right, is_applied in zip(right, applied, strict=True) if is_applied]
    return {
        "fires": sum(len(some) for some in test.findings),
        "precision": _share(wrong),
        "correction_right": _share([proposed == truth for proposed, truth in proposals]),
        "stretches": len(right),
        "stretch_correction_right": _share(right),
        "applied": len(paid),
        "applied_right": _share(paid),
        "calibration": {
            "gain_low": calibration.gain_low,
            "classes": {
                name: {
                    "stretches": calibration.stretches[place],
                    "correction_right": calibration.right[place],
                    "gain": calibration.gain[place],
                    "pays": calibration.pays(place),
                }
                for place, name in enumerate(classes)
            },
        },
    }


def _share(values: list[bool]) -> float | None:
    return sum(values) / len(values) if values else None
