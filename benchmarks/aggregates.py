"""Windowed aggregates: error, coverage and cost of every estimator, on traces and on videos.

*Traces.* Recorded counts of cars stand for the reference. Windows of ten minutes are estimated
from a fixed number of calls, and the mean of the whole trace is asked for within an error. Both
are done without a proxy, with a useful one, and with proxies that mislead or say nothing.

*Videos.* The reference is yolox_nano's count of persons in every frame. A specialised model with a
head of counts is trained on the first half; its expected count is the proxy, and the second half
is judged.

Left out: in the picture, what would be drawn twice (without a proxy ``blazeit`` and ``ppi`` are
``uniform``; ``certified`` uses none). Of videos, the calls to an error: with some 400 frames,
every frame is soon asked for.

Run: ``python -m benchmarks.aggregates FOLDER`` with a folder that holds ``traces/`` and ``video/``.
Writes benchmarks/results/aggregates.json and aggregates.png.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np

from benchmarks.hardware import hardware
from connectors.video import VideoSettings
from flows.evaluate.aggregate import ESTIMATORS, AggregateStudy, evaluate_aggregate
from flows.evaluate.driving import Stretch
from flows.evaluate.proxies import make_proxy
from flows.evaluate.recording import record
from flows.evaluate.traces import read_trace
from flows.probe import count_frames
from models.detectors import DetectorSettings, load_detector
from models.training import TrainSettings, train_specialised
from operators.predicate import Predicate
from operators.variates import CellSample, draw_cells, jittered, uniform
from operators.variates.cells import SHARED_CELLS

mpl.use("agg")
from matplotlib import pyplot as plt
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    Values = NDArray[np.float64]

TRACES = ("taipei-car", "archie-car")
"""The traces: cars in each frame."""

TRACE_FPS = 30
"""Frames a second of the traces, Hz."""

WINDOW = 600 * TRACE_FPS
"""The length of a trace's windows, frames: ten minutes."""

CALLS = 600
"""Reference calls in each of them: one a second."""

FEWEST_WINDOWS = 2000
"""Windows on which a coverage is measured, at least: its interval is then one point wide."""

CALLS_SWEPT = (50, 100, 200, 400, 800, 1500, 3000)
"""Reference calls in a window, for the error against calls."""

SWEEP_REPEATS = 3
"""How often each window of the sweep is drawn anew."""

USEFUL = "synthetic:rho2=.55,ar=.999"
"""A proxy as good as a specialised model on such streams, whose mistakes last for seconds."""

PROXIES = {
    "none": None,
    "useful": USEFUL,
    "opposite": f"{USEFUL},sign=-1",
    "noise": "noise",
    "constant": "constant",
}
"""The proxies by name."""

WITHOUT_PROXY = ("uniform", "jittered", "certified")
"""The estimators that differ without a proxy."""

WITH_PROXY = ("jittered", "blazeit", "ppi")
"""The estimators that use one."""

CONFIDENCE = 0.95
"""Of the intervals of a day."""

MOST_COUNTED = 8
"""The highest count that the specialised model tells apart."""

VIDEO_WINDOW, VIDEO_CALLS = 50, 10
"""Frames of a video's windows (five seconds), and calls in each."""

RESULTS = Path(__file__).parent / "results"


FILMS = {"vtest.avi": 0.4, "one-by-one-person-detection.mp4": 0.3}
"""The videos, and the score from which a box counts: those of benchmarks/cascade.py."""

TOTALS = ("calls_to_error", "within_error")
"""The figures of the questions that are asked of the whole."""


def judge(values: Values, window: int, calls: int, proxies: Values | None) -> dict[str, Any]:
    """Judge the estimators on at least `FEWEST_WINDOWS` windows."""
    names = ESTIMATORS if proxies is None else ("uniform", *WITH_PROXY)
    repeats = -(-FEWEST_WINDOWS // (len(values) // window))
    study = AggregateStudy(window, calls, names, repeats=repeats)
    return evaluate_aggregate(values, proxies, study)


def sweep(values: Values, proxies: Values | None) -> dict[str, list[dict[str, Any]]]:
    """The error and the half-width of each estimator against the calls in a window."""
    names = WITHOUT_PROXY if proxies is None else WITH_PROXY
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    for calls in CALLS_SWEPT:
        study = AggregateStudy(WINDOW, calls, names, repeats=SWEEP_REPEATS)
        for name, one in evaluate_aggregate(values, proxies, study)["estimators"].items():
            rows[name].append({key: one[key] for key in ("calls", "rmse", "half_width")})
    return rows


def follow(values: Values) -> list[dict[str, Any]]:
    """Each window's truth, and its estimates without a proxy: value, low end, high end."""
    rng, rows = np.random.default_rng(0), []
    bounds = (float(values.min()), float(values.max()))
    for start in range(0, len(values) - WINDOW + 1, WINDOW):
        part = values[start : start + WINDOW]
        cells = CellSample(part[draw_cells(WINDOW, CALLS, rng)], WINDOW, shared=SHARED_CELLS)
        drawn = part[rng.choice(WINDOW, CALLS, replace=False)]
        found = {
            "jittered": jittered(cells, CONFIDENCE, bounds=bounds),
            "uniform": uniform(drawn, WINDOW, CONFIDENCE, bounds),
        }
        ends = {name: [one.value, one.low, one.high] for name, one in found.items()}
        middle = (start + WINDOW / 2) / TRACE_FPS / 3600
        rows.append({"hours": middle, "truth": float(part.mean()), **ends})
    return rows


def measure_trace(folder: Path, name: str) -> dict[str, Any]:
    """Every figure of a trace."""
    values = read_trace(folder / "traces" / f"{name}.csv.gz")
    made = {
        key: None if text is None else make_proxy(text, values, np.random.default_rng(0))
        for key, text in PROXIES.items()
    }
    return {
        "trace": name,
        "proxies": {
            key: {"proxy": PROXIES[key], **judge(values, WINDOW, CALLS, proxy)}
            for key, proxy in made.items()
        },
        "error_against_calls": {key: sweep(values, made[key]) for key in ("none", "useful")},
        "day": follow(values),
    }


def measure_video(folder: Path, name: str) -> dict[str, Any]:
    """Every figure of a video, with a specialised model of its first half as the proxy."""
    path, predicate = folder / "video" / name, Predicate("person")
    frames, settings = count_frames(path), TrainSettings(most_counted=MOST_COUNTED)
    detector = load_detector(
        DetectorSettings("yolox_nano", score_at_least=FILMS[name], classes=("person",))
    )
    stretch = Stretch(VideoSettings(uri=str(path)), 0, frames, None)
    table = record(stretch, detector, predicate, settings.architecture.size, 8).table
    first, second = table.part(0, frames // 2), table.part(frames // 2, frames)
    # Training weighs "fewer" and "at least so many" alike: both must be there.
    typical = max(1, min(int(np.median(first.counts)), MOST_COUNTED))
    model = train_specialised(first.images, first.counts, replace(settings, at_least=typical))
    expected = model.counts(second.images).astype(np.float64) @ np.arange(MOST_COUNTED + 1.0)
    truth = second.counts.astype(np.float64)
    proxies = {
        key: judge(truth, VIDEO_WINDOW, VIDEO_CALLS, proxy)
        for key, proxy in (("none", None), ("specialised", expected))
    }
    for one in proxies.values():
        for row in one["estimators"].values():
            for key in TOTALS:
                del row[key]
    return {"video": name, "reference": detector.name, "proxy": model.name, "proxies": proxies}


SERIES = (
    ("none", "uniform", "uniform", "silver", "o", "-", 5.0),
    ("none", "certified", "certified", "tab:red", "x", "--", 1.4),
    ("useful", "blazeit", "blazeit, useful proxy", "moccasin", "s", "-", 5.0),
    ("useful", "ppi", "ppi, useful proxy", "tab:brown", "+", "--", 1.4),
    ("none", "jittered", "jittered", "tab:blue", "o", "-", 1.8),
    ("useful", "jittered", "jittered, useful proxy", "tab:green", "^", "-", 1.8),
)
"""Proxy, estimator, label, colour, marker, line, width: wide ones lie under those that coincide."""


def draw(value: dict[str, Any], path: Path) -> None:
    """Draw errors and half-widths against calls, and a day of estimates."""
    figure = plt.figure(figsize=(12.5, 13.5))
    grid = figure.add_gridspec(3, 2)
    for column, result in enumerate(value["traces"]):
        for row, (key, label) in enumerate(
            (("rmse", "root mean square error"), ("half_width", "mean half-width, 95 % interval"))
        ):
            axis = figure.add_subplot(grid[row, column])
            draw_sweep(axis, result, key)
            axis.set_ylabel(f"{label}, cars per frame")
            axis.set_title(f"{result['trace']}, windows of 10 minutes (18000 frames)", fontsize=10)
    draw_day(figure.add_subplot(grid[2, :]), value["traces"][0])
    figure.tight_layout(h_pad=2)
    figure.savefig(path, dpi=100)
    plt.close(figure)


def draw_sweep(axis: Axes, result: dict[str, Any], key: str) -> None:
    """Draw one figure of every estimator against the calls."""
    for proxy, name, label, colour, marker, line, width in SERIES:
        rows = result["error_against_calls"][proxy][name]
        axis.plot(
            [row["calls"] for row in rows],
            [row[key] for row in rows],
            color=colour,
            marker=marker,
            linestyle=line,
            linewidth=width,
            label=label,
        )
    axis.set_xscale("log")
    axis.set_yscale("log")
    for one in (axis.xaxis, axis.yaxis):
        one.set_major_locator(LogLocator(subs=(1, 2, 5)))
        one.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
        one.set_minor_formatter(NullFormatter())
    axis.set_xlabel("reference calls in a window")
    axis.grid(visible=True, which="both", alpha=0.25)
    axis.legend(loc="lower left", fontsize=8)


def draw_day(axis: Axes, result: dict[str, Any]) -> None:
    """Draw the estimates of a day, with their intervals, against the truth."""
    rows = result["day"]
    hours = [row["hours"] for row in rows]
    for name, colour, alpha in (("uniform", "tab:gray", 0.35), ("jittered", "tab:blue", 0.45)):
        value, low, high = np.array([row[name] for row in rows]).T
        axis.fill_between(hours, low, high, color=colour, alpha=alpha, linewidth=0,
                          label=f"{name}, 95 % interval")  # fmt: skip
        axis.plot(hours, value, color=colour, linewidth=1)
    axis.plot(hours, [row["truth"] for row in rows], "k.", markersize=4, label="truth")
    axis.set_xlabel("hours since the recording began")
    axis.set_ylabel("mean number of cars per frame")
    axis.set_title(f"{result['trace']}: one day in windows of 10 minutes, {CALLS} calls each, "
                   "no proxy", fontsize=10)  # fmt: skip
    axis.margins(x=0.01)
    axis.grid(visible=True, alpha=0.25)
    axis.legend(loc="best", fontsize=8)


def tell(result: dict[str, Any]) -> None:
    """Print the figures of a trace or a video."""
    for key, one in result["proxies"].items():
        sys.stdout.write(f"{result.get('trace') or result['video']}, proxy {key} (rho2 "
                         f"{one['proxy_rho2']}), {one['windows']} windows\n")  # fmt: skip
        for name, row in one["estimators"].items():
            sys.stdout.write(
                f"  {name:>9}  rmse {row['rmse']:.5f} ({row['rmse_to_uniform']:.3f} of uniform)"
                f"  coverage {row['coverage']:.4f} ({row['coverage_low']:.4f}.."
                f"{row['coverage_high']:.4f})  calls to error {row.get('calls_to_error')}\n"
            )


def main() -> None:
    """Measure, print, write and draw."""
    folder, begun = Path(sys.argv[1]), time.perf_counter()
    traces = [measure_trace(folder, name) for name in TRACES]
    videos = [measure_video(folder, name) for name in FILMS]
    value = {
        "date": datetime.now(UTC).date().isoformat(),
        "hardware": hardware(),
        "seconds": round(time.perf_counter() - begun, 1),
        "calls": {"traces": CALLS, "videos": VIDEO_CALLS},
        "traces": traces,
        "videos": videos,
    }
    value = json.loads(json.dumps(value), parse_float=lambda text: float(f"{float(text):.5g}"))
    (RESULTS / "aggregates.json").write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
    draw(value, RESULTS / "aggregates.png")
    for result in (*traces, *videos):
        tell(result)


if __name__ == "__main__":
    main()
