"""One repetition of the study of the accuracy contract; see `flows.evaluate.contract`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.signal import lfilter

from models.certification import Certificate, certify, event_blocks
from models.thresholds import Thresholds, ThresholdSweep
from operators.audit import Audit, instant_ns
from records.units import NANOSECONDS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from flows.evaluate.contract_settings import ContractStudySettings

LADDER = (1.0, 0.75, 0.5, 0.35, 0.25, 0.15, 0.1, 0.05, 0.02, 0.0)
"""The rungs that certification tries, cheapest first: the share of the targets' allowed errors that
each may use in-sample."""

EARLIEST_DRIFT, LATEST_DRIFT = 0.1, 0.5
"""Drift starts at a random time between these shares of the live part."""

STREAM = "study"
"""The stream's name, from which the audit draws its instants."""


@dataclass(frozen=True, slots=True)
class Part:
    """Consecutive frames.

    Attributes:
        scores: float32 (n,), 0..1.
        truth: bool (n,).
        times_ns: int64 (n,), event times, nanoseconds.
    """

    scores: NDArray[np.float32]
    truth: NDArray[np.bool_]
    times_ns: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one rule did on the live part of one repetition.

    Attributes:
        recall: Over the whole live part; 1 when it holds no positives.
        precision: Over the whole live part; 1 when nothing was reported.
        referred: Share of the live frames that the reference saw.
        kept: Recall and precision both reach the targets.
        kept_until_alarm: The same over the frames up to the alarm.
    """

    recall: float
    precision: float
    referred: float
    kept: bool
    kept_until_alarm: bool


@dataclass(frozen=True, slots=True)
class Alarm:
    """An alarm of the audit.

    Attributes:
        frame: The live frame at which it was raised.
        audited: Frames audited since the drift began; 0 when there was none before it.
        false: Whether it came without or before a drift.
    """

    frame: int
    audited: int
    false: bool


@dataclass(frozen=True, slots=True)
class Repetition:
    """One repetition: both rules on the same frames."""

    noscope: Outcome
    sightflow: Outcome
    certificate: Certificate
    alarm: Alarm | None


def repeat(
    settings: ContractStudySettings, truth: NDArray[np.bool_], rng: np.random.Generator
) -> Repetition:
    """Tune, certify and serve one stretch under both rules.

    Args:
        settings: How it is made.
        truth: bool (n,), the labels of the stretch.
        rng: Of all that is random in it.
    """
    edges = np.rint(np.cumsum(settings.parts) * truth.size).astype(int)
    live_start = int(edges[2])
    drift_share = rng.uniform(EARLIEST_DRIFT, LATEST_DRIFT)
    drift = round(drift_share * (truth.size - live_start)) if settings.drift else None
    scores = _scores(settings, truth, None if drift is None else live_start + drift, rng)
    period_ns = NANOSECONDS / settings.frames_per_second
    times_ns = (np.arange(truth.size) * period_ns).astype(np.int64)
    tune, certify_part, live, both = (
        Part(scores[part], truth[part], times_ns[part])
        for part in (
            slice(edges[0], edges[1]),
            slice(edges[1], edges[2]),
            slice(edges[2], None),
            slice(edges[0], edges[2]),
        )
    )
    contract = settings.contract
    band = ThresholdSweep(both.scores, both.truth).for_recall_precision(
        contract.target_recall, contract.target_precision
    )
    referred = _referred(band, live.scores)
    noscope = _outcome(settings, live, _answers(band, live), referred, None)
    seed = int(rng.integers(2**31))
    chosen, certificate = _certified(settings, tune, certify_part, seed)
    sightflow, alarm = _serve(settings, live, chosen, drift, seed)
    return Repetition(noscope, sightflow, certificate, alarm)


def _scores(
    settings: ContractStudySettings,
    truth: NDArray[np.bool_],
    drift: int | None,
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    """The synthetic model: logistic of label signal + AR(1) noise of standard deviation 1."""
    memory = np.float32(np.exp(-1 / (settings.noise_seconds * settings.frames_per_second)))
    shocks = rng.standard_normal(truth.size, dtype=np.float32)
    shocks[1:] *= np.sqrt(1 - memory**2)
    one = np.float32(1)
    noise = np.asarray(lfilter([one], np.array([one, -memory]), shocks), np.float32)
    logits = noise
    if drift is not None:
        logits[drift:] *= np.float32(settings.drift_noise)
        logits[drift:] += np.float32(settings.drift_shift)
    logits += np.where(truth, np.float32(settings.signal), np.float32(-settings.signal))
    return np.asarray(1 / (1 + np.exp(-logits)), np.float32)


def _certified(
    settings: ContractStudySettings, tune: Part, certify_part: Part, seed: int
) -> tuple[Thresholds | None, Certificate]:
    sweep = ThresholdSweep(tune.scores, tune.truth)
    contract = settings.contract
    ladder = [
        sweep.for_recall_precision(
            1 - rung * (1 - contract.target_recall), 1 - rung * (1 - contract.target_precision)
        )
        for rung in LADDER
    ]
    certificate = certify(
        [_answers(band, certify_part) for band in ladder],
        certify_part.truth,
        event_blocks(certify_part.truth, certify_part.times_ns, settings.block_seconds),
        contract,
        seed=seed,
    )
    return None if certificate.chosen is None else ladder[certificate.chosen], certificate


def _serve(
    settings: ContractStudySettings,
    live: Part,
    band: Thresholds | None,
    drift: int | None,
    seed: int,
) -> tuple[Outcome, Alarm | None]:
    """The live part under the certified plan and its audit."""
    if band is None:
        everything = np.ones(live.truth.size, np.bool_)
        return _outcome(settings, live, live.truth, everything, None), None
    answers = _answers(band, live)
    referred = _referred(band, live.scores)
    audited = audited_frames(settings, live, seed)
    alarm = _run_audit(settings, live, answers, audited, drift, seed)
    answers[audited] = live.truth[audited]
    referred[audited] = True
    if alarm is not None:
        answers[alarm.frame :] = live.truth[alarm.frame :]
        referred[alarm.frame :] = True
    end = None if alarm is None else alarm.frame
    return _outcome(settings, live, answers, referred, end), alarm


def audited_frames(settings: ContractStudySettings, live: Part, seed: int) -> NDArray[np.int64]:
    """The frames that `Audit.wants`: the first at or after each cell's instant; int64 (n,)."""
    cell_ns = round(settings.cell_seconds * NANOSECONDS)
    first, last = int(live.times_ns[0]) // cell_ns, int(live.times_ns[-1]) // cell_ns
    instants = [instant_ns(seed, STREAM, cell, cell_ns) for cell in range(first, last + 1)]
    places = np.searchsorted(live.times_ns, np.array(instants, np.int64))
    return np.unique(places[(places > 0) & (places < live.truth.size)])


def _run_audit(
    settings: ContractStudySettings,
    live: Part,
    answers: NDArray[np.bool_],
    audited: NDArray[np.int64],
    drift: int | None,
    seed: int,
) -> Alarm | None:
    audit = Audit(settings.audit(seed), STREAM)
    for frame in audited:
        audit.observe(
            decided=bool(answers[frame]),
            truth=bool(live.truth[frame]),
            time_ns=int(live.times_ns[frame]),
        )
        if audit.broken is not None:
            since = int(frame) + 1 if drift is None else drift
            seen = int(np.count_nonzero((audited >= since) & (audited <= frame)))
            return Alarm(int(frame), seen, false=since > int(frame))
    return None


def _outcome(
    settings: ContractStudySettings,
    live: Part,
    answers: NDArray[np.bool_],
    referred: NDArray[np.bool_],
    alarm: int | None,
) -> Outcome:
    contract = settings.contract

    def measured(end: int | None) -> tuple[float, float, bool]:
        truth, said = live.truth[:end], answers[:end]
        right = int(np.count_nonzero(truth & said))
        positives, reported = int(np.count_nonzero(truth)), int(np.count_nonzero(said))
        recall = right / positives if positives else 1.0
        precision = right / reported if reported else 1.0
        kept = recall >= contract.target_recall and precision >= contract.target_precision
        return recall, precision, kept

    recall, precision, kept = measured(None)
    return Outcome(recall, precision, float(referred.mean()), kept, measured(alarm)[2])


def _answers(band: Thresholds, part: Part) -> NDArray[np.bool_]:
    return np.where(_referred(band, part.scores), part.truth, part.scores > band.high)


def _referred(band: Thresholds, scores: NDArray[np.float32]) -> NDArray[np.bool_]:
    return np.asarray((scores >= band.low) & (scores <= band.high))
