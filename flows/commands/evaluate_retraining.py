"""The command that compares selections of records to label: evaluate retraining."""

from __future__ import annotations

import importlib
import os
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from flows.commands.evaluate_ecg import ASSET_PATH
from flows.evaluate.ecg_records import read_ecg_records
from flows.evaluate.retraining import MOST_WORKERS, evaluate_retraining
from flows.evaluate.retraining_figures import gain_words
from flows.evaluate.retraining_rounds import BASELINE, SELECTORS
from flows.evaluate.retraining_study import RetrainingStudy, prepare
from flows.output import JsonOption, console, print_json
from flows.progress import step_progress
from models.assets import FOLDER_VARIABLE
from models.ecg import CLASSES, RATE_HZ

CINC2017 = "cinc2017"
"""What `--data` calls the records of the challenge in the folder of assets."""

POINTS = 100
"""Shares are told in percent, differences in points."""


def retraining(
    *,
    data: Annotated[
        str,
        typer.Option(
            metavar=f"{CINC2017}|DIR",
            help=f"A folder of WFDB records with REFERENCE.csv, or {CINC2017}: "
            f"{ASSET_PATH.as_posix()} in ${FOLDER_VARIABLE}.",
        ),
    ] = CINC2017,
    rounds: Annotated[
        int, typer.Option(min=1, help="Rounds of choosing, labelling and learning.")
    ] = RetrainingStudy().rounds,
    budget: Annotated[
        int, typer.Option(min=1, help="Records that are labelled in a round.")
    ] = RetrainingStudy().budget,
    trials: Annotated[
        int, typer.Option(min=2, help="Trials, each with records drawn anew; intervals need many.")
    ] = RetrainingStudy().trials,
    selectors: Annotated[
        str,
        typer.Option(help=f"Names parted by commas; {BASELINE}, the baseline, is always there."),
    ] = ",".join(SELECTORS),
    first: Annotated[
        int, typer.Option(min=2, help="Records with labels from the beginning.")
    ] = RetrainingStudy().first_records,
    probe: Annotated[
        int, typer.Option(min=1, help="Records that assertions are counted on, for BAL.")
    ] = RetrainingStudy().probe_records,
    weak: Annotated[
        bool, typer.Option("--weak", help="Study weak labels too: no label is given by people.")
    ] = False,
    first_steps: Annotated[
        int, typer.Option(min=1, help="Steps of training of the first model.")
    ] = RetrainingStudy().first.steps,
    steps: Annotated[
        int, typer.Option(min=1, help="Steps of training in each round.")
    ] = RetrainingStudy().again.steps,
    weak_steps: Annotated[
        int, typer.Option(min=1, help="Steps of training with weak labels.")
    ] = RetrainingStudy().weak.steps,
    workers: Annotated[
        int, typer.Option(min=1, max=MOST_WORKERS, help="Processes that share the trials.")
    ] = 2,
    seed: Annotated[int, typer.Option(min=0, help="Of everything that is drawn.")] = 0,
    save: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write retraining.json, .png and .html there."),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Compare selections of ECG records to label: learning curves, paired with random choice."""
    usual = RetrainingStudy()
    study = RetrainingStudy(
        rounds=rounds,
        budget=budget,
        trials=trials,
        first_records=first,
        probe_records=probe,
        first=replace(usual.first, steps=first_steps),
        again=replace(usual.again, steps=steps),
        weak=replace(usual.weak, steps=weak_steps),
        seed=seed,
    )
    folder = _folder(data)
    found = read_ecg_records(folder, CLASSES, RATE_HZ)
    names = [name.strip() for name in selectors.split(",") if name.strip()]
    with step_progress("trials", trials) as step:
        result = evaluate_retraining(
            prepare(found.signals), study, names, weak=weak, workers=workers, tell=step
        )
    result = {"ok": True, "data": str(folder), **result, "unusable": list(found.unusable)}
    if save is not None:
        # Drawing is slow to import, and no picture is wanted without --save.
        report = importlib.import_module("flows.evaluate.retraining_report")
        result["report"] = [str(path) for path in report.write_report(save, result)]
    if json:
        print_json(result)
        return
    console().print(_table(result))
    if result["weak"]:
        console().print(_weak_words(result["weak"]))
    for path in result.get("report", ()):
        console().print(f"written: {escape(path)}", soft_wrap=True)


def _folder(data: str) -> Path:
    if data != CINC2017:
        return Path(data)
    assets = os.environ.get(FOLDER_VARIABLE, "")
    if not assets:
        raise typer.BadParameter(
            f"--data {CINC2017} needs {FOLDER_VARIABLE} to name a folder of assets; "
            "or say --data DIR"
        )
    return Path(assets) / ASSET_PATH


def _table(result: dict[str, Any]) -> Table:
    records = result["records"]
    table = Table(
        title=f"Windows of {records['test']} unseen records that are right: {result['trials']} "
        f"trials, {records['first']} labels first, {result['budget']} more a round",
        title_justify="left",
    )
    table.add_column("Selection", style="bold")
    for number in range(result["rounds"] + 1):
        table.add_column(f"Round {number}" if number else "Before", justify="right")
    table.add_column("To random, all rounds", justify="right")
    table.add_column("After the last", justify="right")
    for name, one in result["selectors"].items():
        table.add_row(
            name,
            *(f"{each['mean']:.2%}" for each in one["accuracy"]),
            *("" if name == BASELINE else _points(one[field])
              for field in ("difference_over_rounds", "difference_last")),
        )  # fmt: skip
    winner = result["winner"]
    table.caption = (
        f"Differences in points, intervals hold together at {result['confidence']:.4g}. Highest "
        f"over all rounds: {winner['selector']}, against random: {winner['verdict']}."
    )
    return table


def _weak_words(weak: dict[str, Any]) -> str:
    before, after = (weak["accuracy"][arm] for arm in ("before", "weak"))
    against = weak["differences"]["self_training"]
    return (
        f"Weak labels, no human ones: {before['mean']:.2%} to {after['mean']:.2%}, relative gain "
        f"{gain_words(weak['relative_gain'])}. Against training on its own answers: "
        f"{_points(against)}, in points"
    )


def _points(one: dict[str, Any]) -> str:
    mean, low, high = (POINTS * one[field] for field in ("mean", "low", "high"))
    return f"{mean:+.2f} ({low:+.2f} to {high:+.2f}) {one['verdict']}"
