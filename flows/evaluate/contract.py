"""The repeated study of the accuracy contract, on real label traces.

Each repetition takes a random stretch of a trace, gives every frame a synthetic score (logistic of
label signal + AR(1) noise) and parts the stretch in time into train, tune, certify and live. Two
rules then serve the live part:

* *NoScope*: thresholds that meet the targets in-sample (VLDB 2017, section 6.2), on tune and
  certify together, since this rule needs no second part.
* *Sightflow*: a ladder of ever safer thresholds from tune; the cheapest that certify proves, else
  the reference alone; at run time the audit, whose alarm hands every later frame to the reference.

**Kept** means: recall and precision over the *whole* live part both reach the targets. With drift
this includes the frames between the start of the drift and the alarm, which are wrong more often,
and the frames after the alarm, which the reference answers. `kept_until_alarm` judges the part up
to the alarm alone, where a fault cannot be made good by the reference. Audited frames get the
reference's answer.

Stretches of one trace overlap, so repetitions are not quite independent and the intervals of their
shares a little short.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from flows.evaluate.contract_settings import ContractStudySettings
from flows.evaluate.contract_trial import LADDER, repeat
from flows.evaluate.traces import read_presence
from models.bounds import clopper_pearson
from records import RecordError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from flows.evaluate.contract_trial import Outcome, Repetition

__all__ = ["ContractStudySettings", "contract_study"]

INTERVAL = 0.95
"""Confidence of the intervals of shares of repetitions."""

KEPT_MEANS = (
    "recall and precision over the whole live part reach their targets, the frames between the "
    "start of a drift and the alarm included"
)
"""What the report says of its word "kept"."""


def contract_study(
    settings: ContractStudySettings, progress: Callable[[int, int], None] | None = None
) -> dict[str, Any]:
    """Repeat the study and sum it up.

    Args:
        settings: How it is made; the same settings give the same result.
        progress: Told the repetitions done and their number after each.

    Returns:
        Plain JSON values; ``noscope`` and ``sightflow`` hold the share of repetitions that kept the
        contract with its interval and whether that share reaches the confidence (``kept``).

    Raises:
        SourceError: the trace cannot be read.
        RecordError: the trace is shorter than a stretch.
    """
    presence = read_presence(settings.trace, settings.at_least)
    frames = round(settings.stretch_seconds * settings.frames_per_second)
    if frames > presence.size:
        raise RecordError(
            f"the trace holds {presence.size} frames, a stretch needs {frames}; "
            "give a longer trace or a smaller stretch_seconds"
        )
    repetitions = []
    for number in range(settings.repeats):
        rng = np.random.default_rng([settings.seed, number])
        start = int(rng.integers(presence.size - frames + 1))
        repetitions.append(repeat(settings, presence[start : start + frames], rng))
        if progress is not None:
            progress(number + 1, settings.repeats)
    return _summary(settings, repetitions)


def _summary(settings: ContractStudySettings, trials: Sequence[Repetition]) -> dict[str, Any]:
    contract = settings.contract
    certificates = [trial.certificate for trial in trials]
    rungs = [c.chosen for c in certificates if c.chosen is not None]
    return {
        "trace": settings.trace.name,
        "repetitions": len(trials),
        "seed": settings.seed,
        "drift": settings.drift,
        "target_recall": contract.target_recall,
        "target_precision": contract.target_precision,
        "confidence": contract.confidence,
        "kept_means": KEPT_MEANS,
        "noscope": _rule([trial.noscope for trial in trials], contract.confidence),
        "sightflow": _rule([trial.sightflow for trial in trials], contract.confidence)
        | {
            "reference_only": len(trials) - len(rungs),
            "rungs": np.bincount(rungs, minlength=len(LADDER)).tolist(),
            "mean_blocks": float(np.mean([c.blocks for c in certificates])),
            "alarms": _alarms(trials),
        },
    }


def _rule(outcomes: Sequence[Outcome], confidence: float) -> dict[str, Any]:
    kept = _repetitions([one.kept for one in outcomes])
    return {
        "kept": kept["share"] >= confidence,
        "kept_repetitions": kept,
        "kept_until_alarm": _repetitions([one.kept_until_alarm for one in outcomes]),
        "mean_recall": float(np.mean([one.recall for one in outcomes])),
        "lowest_recall": min(one.recall for one in outcomes),
        "mean_precision": float(np.mean([one.precision for one in outcomes])),
        "lowest_precision": min(one.precision for one in outcomes),
        "mean_reference_share": float(np.mean([one.referred for one in outcomes])),
    }


def _alarms(trials: Sequence[Repetition]) -> dict[str, Any]:
    audited = [trial for trial in trials if trial.certificate.chosen is not None]
    alarms = [trial.alarm for trial in audited if trial.alarm is not None]
    delays = [alarm.audited for alarm in alarms if not alarm.false]
    return {
        "repetitions_audited": len(audited),
        "raised": len(alarms),
        "false": sum(alarm.false for alarm in alarms),
        "delay_audited_frames": {
            "median": float(np.median(delays)) if delays else None,
            "p90": float(np.quantile(delays, 0.9)) if delays else None,
        },
    }


def _repetitions(kept: Sequence[bool]) -> dict[str, float]:
    low, high = clopper_pearson(sum(kept), len(kept), INTERVAL)
    return {"share": sum(kept) / len(kept), "low": low, "high": high}
