"""Commands that judge on recorded traces: evaluate aggregate, evaluate limit."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.table import Table

from flows.evaluate.aggregate import ERRORS, ESTIMATORS, AggregateStudy, evaluate_aggregate
from flows.evaluate.limit import LimitStudy, evaluate_limit
from flows.evaluate.proxies import make_proxy
from flows.evaluate.traces import read_trace
from flows.output import JsonOption, console, print_json
from flows.progress import step_progress

ALL = "all"
"""Every estimator."""

TraceOption = Annotated[
    Path, typer.Option(help="A file of one value a frame: one number a line (.gz), or .npy.")
]
"""The recorded reference."""

ProxyOption = Annotated[
    str,
    typer.Option(help="synthetic:rho2=0.55,ar=0.999 | constant | noise | a file; '' = none."),
]
"""The proxy that the estimators may use."""

SeedOption = Annotated[int, typer.Option(min=0, help="Of everything that is random.")]
"""The seed."""


def aggregate(
    *,
    trace: TraceOption,
    fps: Annotated[float, typer.Option(min=0.001, help="Frames a second of the trace, Hz.")] = 30.0,
    window: Annotated[float, typer.Option(min=0.001, help="Length of a window, seconds.")] = 600.0,
    calls: Annotated[int, typer.Option(min=2, help="Reference calls in each window.")] = 600,
    estimator: Annotated[
        str, typer.Option(help=f"{ALL}, or some of {', '.join(ESTIMATORS)}, with commas.")
    ] = ALL,
    proxy: ProxyOption = "",
    confidence: Annotated[
        float, typer.Option(min=0.5, max=0.9999, help="Of every interval.")
    ] = 0.95,
    repeats: Annotated[int, typer.Option(min=1, help="How often everything is drawn anew.")] = 1,
    seed: SeedOption = 0,
    json: JsonOption = False,
) -> None:
    """Judge estimators of windowed averages: error, interval, coverage, and calls."""
    values = read_trace(trace)
    proxies = make_proxy(proxy, values, np.random.default_rng(seed)) if proxy else None
    names = ESTIMATORS if estimator == ALL else tuple(estimator.split(","))
    study = AggregateStudy(round(window * fps), calls, names, confidence, repeats, seed)
    with step_progress("repeats", repeats) as step:
        result = evaluate_aggregate(values, proxies, study, step)
    if json:
        print_json({"ok": True, "trace": str(trace), "confidence": confidence, **result})
    else:
        console().print(_aggregate_table(result, window, calls, confidence))


def limit(
    *,
    trace: TraceOption,
    fps: Annotated[float, typer.Option(min=0.001, help="Frames a second of the trace, Hz.")] = 30.0,
    at_least: Annotated[float, typer.Option(help="The value from which a frame counts.")] = 1.0,
    wanted: Annotated[int, typer.Option("--limit", min=1, help="Frames to find.")] = 10,
    gap: Annotated[int, typer.Option(min=0, help="How far apart they must be, frames.")] = 300,
    budget: Annotated[int | None, typer.Option(min=1, help="The most calls of a search.")] = None,
    proxy: ProxyOption = "",
    repeats: Annotated[int, typer.Option(min=1, help="Searches of the orders that draw.")] = 11,
    seed: SeedOption = 0,
    json: JsonOption = False,
) -> None:
    """Count the reference calls until so many frames are found, in several orders."""
    values = read_trace(trace)
    proxies = make_proxy(proxy, values, np.random.default_rng(seed)) if proxy else None
    study = LimitStudy(at_least, wanted, gap, budget, repeats, seed)
    with step_progress("repeats", repeats) as step:
        result = evaluate_limit(values, proxies, study, step)
    if json:
        print_json({"ok": True, "trace": str(trace), "hours": len(values) / fps / 3600, **result})
        return
    hours = len(values) / fps / 3600
    table = Table(
        title=f"{wanted} frames of {result['events']} events in {hours:.1f} h",
        title_justify="left",
    )
    table.add_column("Order", no_wrap=True, min_width=10)
    for column in ("Calls", "least to most", "Found"):
        table.add_column(column, justify="right")
    for name, calls in result["orders"].items():
        least, most = result["spread"][name]
        table.add_row(name, f"{calls:,}", f"{least:,} to {most:,}", str(result["found"][name]))
    console().print(table)


def _aggregate_table(result: dict[str, Any], window: float, calls: int, confidence: float) -> Table:
    title = (
        f"{result['windows']} windows of {window:g} s at {calls} calls; mean of the trace "
        f"{result['mean']:.4g}"
    )
    table = Table(title=title, title_justify="left")
    table.add_column("Estimator", no_wrap=True, min_width=9)
    columns = ("RMSE", "to uniform", "± mean", f"Coverage of {confidence:.0%}", "95 % interval")
    for column in (*columns, *(f"Calls to {error}" for error in ERRORS)):
        table.add_column(column, justify="right")
    for name, one in result["estimators"].items():
        ratio = one.get("rmse_to_uniform")
        table.add_row(
            name,
            f"{one['rmse']:.4g}",
            "" if ratio is None else f"{ratio:.2f}x",
            f"{one['half_width']:.4g}",
            f"{one['coverage']:.2%}",
            f"{one['coverage_low']:.2%} to {one['coverage_high']:.2%}",
            *(f"{one['calls_to_error'][error]:,}" for error in ERRORS),
        )
    return table
