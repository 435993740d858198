"""Judging assertions on recordings with truth: what they find, and what their corrections gain.

Severities are calibrated on one part and everything is judged on another: on the second half of
each recording after the first, or on each recording after all others. docs/assertions.md defines
when a finding and a correction are right.
"""

from __future__ import annotations

import json
import time
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flows.evaluate.assertions_judge import FindingJudge
from flows.evaluate.assertions_report import Fired, Part, Report, within
from operators.assertions.agree import context_of
from operators.severity import (
    SeverityCalibration,
    SeveritySample,
    SeveritySettings,
    fit_severities,
)
from operators.severity_json import calibration_to_json
from records import RecordError, SightflowError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from flows.evaluate.assertions_recording import Recording
    from operators.assertions.api import Assertion
    from records import Finding

HALVES, OTHERS = "halves", "others"
"""Calibrate on the first half of each recording, or on all other recordings."""

APART = frozenset({"agree"})
"""Assertions whose contexts say nothing of each other: "agree" is about boxes of two models."""

CONFIDENCE = 0.99
"""Of the intervals of calibrated probabilities. What is applied is the best of several steps of a
curve, so each must be surer than 0.95: ten of ten corrections that were right prove too little."""


@dataclass(frozen=True, slots=True)
class AssertionStudy:
    """What is judged, and how.

    Attributes:
        assertions: The assertions.
        split: `HALVES` or `OTHERS`.
        score_at_least: Boxes with a lower score are not used, so they are not judged, 0..1.
        apply_at: A correction is applied where the lower end of the interval of its probability
            reaches this, 0..1. Dropping a box raises F1 only if it is false with a probability
            above 1 - F1/2, so a half is not enough.

    Raises:
        RecordError: a setting is out of its range.
    """

    assertions: tuple[Assertion, ...]
    split: str = HALVES
    score_at_least: float = 0.4
    apply_at: float = 0.75

    def __post_init__(self) -> None:
        if not self.assertions:
            raise RecordError("assertions must name at least one assertion")
        if self.split not in (HALVES, OTHERS):
            raise RecordError(f"split must be {HALVES} or {OTHERS}, got {self.split!r}")
        for name in ("score_at_least", "apply_at"):
            if not 0 <= getattr(self, name) <= 1:
                raise RecordError(f"{name} must be in 0..1, got {getattr(self, name)}")


@dataclass(frozen=True, slots=True)
class Findings:
    """What assertions found in recordings, judged.

    Attributes:
        recordings: The recordings.
        judges: The judge of each.
        fired: The findings.
        microseconds: What each assertion took a frame, by name.
    """

    recordings: Sequence[Recording]
    judges: Sequence[FindingJudge]
    fired: Sequence[Fired]
    microseconds: Mapping[str, float]


def evaluate_assertions(
    recordings: Sequence[Recording],
    study: AssertionStudy,
    progress: Callable[[int], None] | None = None,
) -> dict[str, Any]:
    """Judge assertions on recordings: `find` and then `report`."""
    return report(find(recordings, study, progress), study)


def find(
    recordings: Sequence[Recording],
    study: AssertionStudy,
    progress: Callable[[int], None] | None = None,
) -> Findings:
    """Run assertions on recordings and judge what they find.

    Args:
        recordings: At least one; two for `OTHERS`.
        study: What is judged.
        progress: Called with the number of recordings done.

    Raises:
        RecordError: there are too few recordings for the split.
    """
    if len(recordings) < (2 if study.split == OTHERS else 1):
        raise RecordError(f"split {study.split} needs more recordings, got {len(recordings)}")
    judges: list[FindingJudge] = []
    fired: list[Fired] = []
    seconds: dict[str, float] = defaultdict(float)
    for number, recording in enumerate(recordings):
        judge = FindingJudge(recording, study.score_at_least)
        for assertion in study.assertions:
            findings, took = _run(assertion, recording)
            seconds[assertion.name] += took
            fired += [
                Fired(number, judge.place_of[one.sequence], one, judge.judge(one))
                for one in findings
            ]
        judges.append(judge)
        if progress is not None:
            progress(number + 1)
    frames = sum(len(recording.verdicts) for recording in recordings)
    return Findings(
        recordings, judges, fired, {name: 1e6 * took / frames for name, took in seconds.items()}
    )


def report(found: Findings, study: AssertionStudy) -> dict[str, Any]:
    """How often the findings are right, and what the corrections gain where none was learned.

    Returns:
        Plain JSON values, as docs/assertions.md tells.
    """
    names = [assertion.name for assertion in study.assertions]
    report = Report(found.judges, names, study.apply_at)
    for learned, parts in _folds(found.recordings, study.split):
        report.add(_calibrate(found.fired, learned), found.fired, parts)
    return report.to_json(found.microseconds)


def calibration_of(found: Findings) -> SeverityCalibration:
    """The calibration on all recordings. What `report` judges is never calibrated on itself."""
    return _calibrate(found.fired, _wholes(found.recordings))


def save_calibration(calibration: SeverityCalibration, path: Path) -> None:
    """Write a calibration, for ``assertions.calibration`` of a configuration.

    Raises:
        SightflowError: the file cannot be written.
    """
    text = json.dumps(calibration_to_json(calibration), indent=1, allow_nan=False) + "\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise SightflowError(f"{path} cannot be written: {error.strerror}") from error


def _run(assertion: Assertion, recording: Recording) -> tuple[list[Finding], float]:
    """What an assertion finds, and how long it took, seconds."""
    moments, check = recording.moments(), assertion.start()
    begun = time.perf_counter()
    found = [check.observe(moment) for moment in moments]
    return [one for some in found for one in some], time.perf_counter() - begun


def _folds(recordings: Sequence[Recording], split: str) -> Iterator[tuple[list[Part], list[Part]]]:
    """Pairs of what is learned from and what is judged."""
    whole = _wholes(recordings)
    if split == HALVES:
        yield (
            [part._replace(stop=part.stop // 2) for part in whole],
            [part._replace(start=part.stop // 2) for part in whole],
        )
        return
    for part in whole:
        yield [one for one in whole if one is not part], [part]


def _wholes(recordings: Sequence[Recording]) -> list[Part]:
    return [Part(k, 0, len(recording.verdicts)) for k, recording in enumerate(recordings)]


def _calibrate(fired: Sequence[Fired], parts: Sequence[Part]) -> SeverityCalibration:
    samples = (
        SeveritySample(
            one.finding.assertion,
            one.finding.severity,
            one.judgement.model_wrong,
            one.judgement.correction_right,
            context_of(one.finding),
        )
        for one in within(fired, parts)
        if one.judgement.model_wrong is not None
    )
    return fit_severities(samples, SeveritySettings(confidence=CONFIDENCE), APART)
