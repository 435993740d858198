"""`sightflow evaluate aggregate`: estimators of windowed aggregates against a recorded reference.

A trace of per-frame values stands for the reference, so that days are judged in seconds: each
estimator sees only the frames that it asks for, and its estimates and intervals are held against
the window's true mean. For whole-trace questions each estimator asks until its own honest stopping
rule says that the error is reached.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from models.bounds import clopper_pearson
from operators.variates import (
    CellSample,
    Interval,
    Refinement,
    blazeit,
    blazeit_sample,
    certified,
    certified_within,
    difference_coefficient,
    draw_cells,
    grown,
    jittered,
    ppi,
    refine,
    uniform,
)
from operators.variates.cells import SHARED_CELLS
from records import RecordError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Values = NDArray[np.float64]

ESTIMATORS = ("uniform", "jittered", "blazeit", "ppi", "certified")
"""The estimators: textbook, ours, and the published ones."""

ERRORS = ("0.1", "0.01")
"""The errors of the whole-trace questions, in the values' unit."""

INTERVAL_CONFIDENCE = 0.95
"""Of the interval of the coverage itself."""

FIRST_LOOK = 256
"""The calls at the first look of a stopping rule that looks at random samples."""

GROWTH = 1.2
"""The factor between two such looks."""


@dataclass(frozen=True, slots=True)
class AggregateStudy:
    """What is studied.

    Attributes:
        window: Frames of a window.
        calls: Calls of the reference in each.
        estimators: Which estimators, of `ESTIMATORS`.
        confidence: Of every interval, 0..1 exclusive.
        repeats: How often each window, and each whole-trace question, is drawn anew.
        seed: Of everything that is random.

    Raises:
        RecordError: a value is out of its range.
    """

    window: int
    calls: int
    estimators: tuple[str, ...] = ESTIMATORS
    confidence: float = 0.95
    repeats: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        if not 2 <= self.calls <= self.window:
            raise RecordError(f"calls must be in 2..{self.window} (frames of a window), got "
                              f"{self.calls}")  # fmt: skip
        if self.repeats < 1:
            raise RecordError(f"repeats must be at least 1, got {self.repeats}")
        for name in self.estimators:
            if name not in ESTIMATORS:
                raise RecordError(f"estimator must be one of {', '.join(ESTIMATORS)}, got {name!r}")


@dataclass(slots=True)
class _Windows:
    """What one estimator said of every window."""

    errors: list[float]
    widths: list[float]
    covered: list[bool]
    calls: int = 0

    def add(self, found: Interval, truth: float) -> None:
        self.errors.append(found.value - truth)
        self.widths.append(found.half_width)
        self.covered.append(found.low <= truth <= found.high)
        self.calls += found.calls


def evaluate_aggregate(
    values: Values,
    proxies: Values | None,
    study: AggregateStudy,
    tell: Callable[[int], None] = lambda _: None,
) -> dict[str, Any]:
    """Judge estimators on a trace.

    Args:
        values: float64 (frames,), the recorded reference.
        proxies: float64 (frames,), a proxy; None for none.
        study: What is studied.
        tell: Called with how many repeats are done.

    Returns:
        Plain JSON values; the fields are those of design section 8.

    Raises:
        RecordError: the trace is shorter than a window.
    """
    count = len(values) // study.window
    if not count:
        raise RecordError(f"the trace must hold at least {study.window} frames, got {len(values)}")
    windows = {name: _Windows([], [], []) for name in study.estimators}
    totals: dict[str, dict[str, list[Interval]]] = {
        name: {error: [] for error in ERRORS} for name in study.estimators
    }
    for repeat in range(study.repeats):
        for name in study.estimators:
            rng = np.random.default_rng([study.seed, repeat, ESTIMATORS.index(name)])
            _run_windows(name, values, proxies, study, rng, windows[name])
            for error in ERRORS:
                found = _until(name, values, proxies, float(error), study.confidence, rng)
                totals[name][error].append(found)
        tell(repeat + 1)
    truth = float(values.mean())
    report = {
        name: {**_window_report(windows[name], count * study.repeats),
               **_total_report(totals[name], truth)}
        for name in study.estimators
    }  # fmt: skip
    correlation = None if proxies is None else _correlation(values, proxies)
    return {
        "windows": count * study.repeats,
        "window_frames": study.window,
        "frames": len(values),
        "mean": round(truth, 6),
        "proxy_rho2": correlation,
        "estimators": _with_ratios(report),
    }


def _run_windows(
    name: str,
    values: Values,
    proxies: Values | None,
    study: AggregateStudy,
    rng: np.random.Generator,
    into: _Windows,
) -> None:
    bounds = (float(values.min()), float(values.max()))
    coefficient = 0.0
    for start in range(0, len(values) - study.window + 1, study.window):
        window = values[start : start + study.window]
        proxy = None if proxies is None else proxies[start : start + study.window]
        if name == "jittered":
            places = draw_cells(len(window), study.calls, rng)
            drawn = None if proxy is None else proxy[places]
            mean = 0.0 if proxy is None else float(proxy.mean())
            sample = CellSample(window[places], len(window), drawn, mean, shared=SHARED_CELLS)
            found = jittered(sample, study.confidence, coefficient, bounds)
            if drawn is not None:
                coefficient = difference_coefficient(sample.values, drawn)
        else:
            places = rng.choice(len(window), study.calls, replace=False)
            found = _random(name, window, proxy, places, study.confidence, bounds)
        into.add(found, float(window.mean()))


def _random(
    name: str,
    window: Values,
    proxy: Values | None,
    places: NDArray[np.int64],
    confidence: float,
    bounds: tuple[float, float],
) -> Interval:
    """What an estimator of random frames says of a window."""
    drawn, n = window[places], len(window)
    if name == "certified":
        return certified(drawn, n, confidence, bounds)
    if name == "uniform" or proxy is None:
        return uniform(drawn, n, confidence, bounds)
    estimator = ppi if name == "ppi" else blazeit_sample
    return estimator(drawn, proxy[places], float(proxy.mean()), n, confidence, bounds)


def _until(
    name: str,
    values: Values,
    proxies: Values | None,
    error: float,
    confidence: float,
    rng: np.random.Generator,
) -> Interval:
    """What an estimator says of the whole trace when its own rule stops it."""
    bounds, frames = (float(values.min()), float(values.max())), len(values)

    def ask(places: NDArray[np.int64]) -> Values:
        return values[places]

    if name == "jittered":
        settings = Refinement(frames, error, confidence, bounds=bounds)
        *_, last = refine(ask, settings, rng, proxies)
        return last
    if name == "blazeit":
        return blazeit(ask, proxies, frames, error, confidence, bounds, rng)
    if name == "certified":
        return certified_within(ask, frames, error, confidence, bounds, rng)
    return _grown(name, values, proxies, error, confidence, rng)


def _grown(
    name: str,
    values: Values,
    proxies: Values | None,
    error: float,
    confidence: float,
    rng: np.random.Generator,
) -> Interval:
    """Random samples that grow until the error is reached; alpha is shared by all looks."""
    frames, order = len(values), rng.permutation(len(values))
    first = min(FIRST_LOOK, frames)
    looks = 1 + max(0, math.ceil(math.log(frames / first, GROWTH)))
    each = 1 - (1 - confidence) / looks
    bounds = (float(values.min()), float(values.max()))

    def judge(asked: Values, _: int) -> tuple[Interval, float]:
        found = _random(name, values, proxies, order[: len(asked)], each, bounds)
        return found, found.half_width

    return grown(
        lambda places: values[places],
        order,
        judge,
        error,
        first=first,
        growth=GROWTH,
        most=frames,
    )


def _window_report(windows: _Windows, count: int) -> dict[str, Any]:
    covered = sum(windows.covered)
    low, high = clopper_pearson(covered, count, INTERVAL_CONFIDENCE)
    return {
        "rmse": float(np.sqrt(np.mean(np.square(windows.errors)))),
        "half_width": float(np.mean(windows.widths)),
        "coverage": covered / count,
        "coverage_low": low,
        "coverage_high": high,
        "calls": windows.calls / count,
    }


def _total_report(totals: dict[str, list[Interval]], truth: float) -> dict[str, Any]:
    return {
        "calls_to_error": {
            error: int(np.median([one.calls for one in found])) for error, found in totals.items()
        },
        "within_error": {
            error: float(np.mean([abs(one.value - truth) <= float(error) for one in found]))
            for error, found in totals.items()
        },
    }


def _with_ratios(report: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Add each error's ratio to that of uniform sampling, where that was studied."""
    base = report.get("uniform", {}).get("rmse")
    if base:
        for one in report.values():
            one["rmse_to_uniform"] = one["rmse"] / base
    return report


def _correlation(values: Values, proxies: Values) -> float:
    if not values.std() or not proxies.std():
        return 0.0
    return round(float(np.corrcoef(values, proxies)[0, 1] ** 2), 5)
