"""`sightflow evaluate retraining`: which records to label next, and what weak labels are worth."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from flows.evaluate.retraining_figures import selection_figures
from flows.evaluate.retraining_rounds import BASELINE, SELECTORS, first_model, run_trial
from flows.evaluate.retraining_study import draw_parts
from flows.evaluate.retraining_weak import run_weak_trial, weak_figures
from records import RecordError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from flows.evaluate.retraining_study import PreparedRecord, RetrainingStudy
    from flows.evaluate.retraining_weak import WeakTrial

MOST_WORKERS = 64
"""The most processes that trials are shared by."""


@dataclass(frozen=True, slots=True)
class _Trial:
    """What came of one trial."""

    curves: dict[str, NDArray[np.float64]]
    weak: WeakTrial | None


def evaluate_retraining(
    records: Sequence[PreparedRecord],
    study: RetrainingStudy,
    selectors: Sequence[str],
    *,
    weak: bool = False,
    workers: int = 1,
    tell: Callable[[int], None] = lambda _: None,
) -> dict[str, Any]:
    """Run all trials and put their figures together.

    Args:
        records: All records.
        study: What is studied.
        selectors: The names of the selections; random is always among them.
        weak: Whether weak labels are studied too.
        workers: Processes that share the trials, 1..64; 1 for this one alone. What comes out does
            not depend on it.
        tell: Called with how many trials are done.

    Returns:
        Plain JSON values.

    Raises:
        RecordError: a selection is not known, or the records are too few.
    """
    unknown = [name for name in selectors if name not in SELECTORS]
    if unknown:
        raise RecordError(f"selectors must be of {', '.join(SELECTORS)}, got {', '.join(unknown)}")
    if not 1 <= workers <= MOST_WORKERS:
        raise RecordError(f"workers must be in 1..{MOST_WORKERS}, got {workers}")
    names = tuple(dict.fromkeys((BASELINE, *selectors)))
    parts = draw_parts(records, study, study.seed)
    trials = _run_all(records, study, names, weak=weak, workers=workers, tell=tell)
    curves = {name: np.array([trial.curves[name] for trial in trials]) for name in names}
    found = [trial.weak for trial in trials if trial.weak is not None]
    return {
        "records": {name: len(getattr(parts, name)) for name in ("first", "pool", "probe", "test")},
        "rounds": study.rounds,
        "budget": study.budget,
        "trials": study.trials,
        "seed": study.seed,
        "confidence": study.confidence,
        "training": {
            "architecture": asdict(study.architecture),
            "first": asdict(study.first),
            "again": asdict(study.again),
            "weak": asdict(study.weak),
            "committee": study.committee,
            "each_round": "goes on from the present weights, on all labelled records",
        },
        **selection_figures(curves, study),
        "weak": weak_figures(found, study) if found else None,
    }


def _run_all(
    records: Sequence[PreparedRecord],
    study: RetrainingStudy,
    names: Sequence[str],
    *,
    weak: bool,
    workers: int,
    tell: Callable[[int], None],
) -> list[_Trial]:
    """The trials in order of their seeds, however many processes share them."""
    if workers == 1:
        found = []
        for seed in study.seeds:
            found.append(_run(records, study, names, seed, weak=weak))
            tell(len(found))
        return found
    # Processes that are started anew: torch's threads do not survive a fork.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, study.trials), context) as pool:
        running = [
            pool.submit(_run, records, study, names, seed, weak=weak) for seed in study.seeds
        ]
        for done, _ in enumerate(as_completed(running), 1):
            tell(done)
        return [one.result() for one in running]


def _run(
    records: Sequence[PreparedRecord],
    study: RetrainingStudy,
    names: Sequence[str],
    seed: int,
    *,
    weak: bool,
) -> _Trial:
    parts = draw_parts(records, study, seed)
    model = first_model(parts, study, seed)
    curves = run_trial(parts, model, study, names, seed)
    return _Trial(curves, run_weak_trial(parts, model, study, seed) if weak else None)
