"""The command that plans training on several devices: plan."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from flows.output import JsonOption, console, note, print_json
from flows.plan import PlanRequest, PlanResult, make_plan
from flows.plan_models import plan_model
from flows.plan_picture import write_gantt
from flows.plan_report import (
    operator_rows,
    operator_table,
    plan_json,
    summary_table,
    utilisation,
)
from flows.progress import step_progress
from models.soap.adopt import AdoptSettings
from models.soap.machine import MOST_MACHINE_DEVICES
from models.soap.search import Method, SearchSettings
from records import SourceError

PERCENT = 100
"""Steps of the display of a search."""

CalibrationOption = Annotated[
    Path | None,
    typer.Option(help="A file of this machine's constants; made now if it is not there."),
]
"""What the runtime adds to operators here."""

PictureOption = Annotated[
    Path | None, typer.Option(help="Where to draw the predicted step (.png, .svg, .pdf).")
]
"""A Gantt chart."""

SaveOption = Annotated[
    Path | None, typer.Option(help="Where to write the plan, for 'sightflow train --plan'.")
]
"""A plan's file."""


def plan(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="A name (resnet18, alexnet, 4x32-64-64px, ecg…) or a model's file.",
        ),
    ],
    *,
    devices: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=MOST_MACHINE_DEVICES,
            help="How many; by default all of the machine, or 2 processes here.",
        ),
    ] = None,
    machine: Annotated[
        str, typer.Option(help="p100, k80 or a YAML file; by default processes of this machine.")
    ] = "",
    batch: Annotated[int, typer.Option(min=1, help="Samples of a step.")] = 32,
    method: Annotated[Method, typer.Option(help="How to search.")] = Method.DEFAULT,
    seconds: Annotated[float, typer.Option(min=0.1, help="Most time of the search.")] = 30.0,
    evaluations: Annotated[
        int | None, typer.Option(min=1, help="Most plans to look at; any number by default.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of everything that is random.")] = 0,
    measure: Annotated[
        bool, typer.Option("--measure", help="Try the best plans in real steps; take the winner.")
    ] = False,
    calibration: CalibrationOption = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Tell of each operator and device.")
    ] = False,
    picture: PictureOption = None,
    save: SaveOption = None,
    json: JsonOption = False,
) -> None:
    """Find how to split the training of a model over devices, and predict a step of it."""
    request = PlanRequest(
        model=plan_model(model),
        batch=batch,
        devices=devices,
        machine=machine,
        search=SearchSettings(method, seconds=seconds, evaluations=evaluations, seed=seed),
        trial=AdoptSettings() if measure else None,
        calibration=calibration,
    )
    with step_progress("search, % of its budget", PERCENT) as step:
        result = make_plan(request, lambda used, _: step(int(used * PERCENT)))
    if save is not None:
        _save(save, result)
    if picture is not None:
        title = f"{request.model.name}, batch {batch}: {result.timeline.seconds * 1e3:.2f} ms"
        write_gantt(picture, result.timeline, result.machine, title)
    _tell(request, result, explain=explain, json=json)


def _tell(request: PlanRequest, result: PlanResult, *, explain: bool, json: bool) -> None:
    name, batch, rows = request.model.name, request.batch, operator_rows(result)
    busy = utilisation(result.timeline, len(result.machine.devices))
    if json:
        extra = {"operators": [asdict(row) for row in rows], "utilisation": busy} if explain else {}
        print_json({**plan_json(name, batch, result), **extra})
        return
    console().print(summary_table(name, batch, result))
    if explain:
        console().print(operator_table(rows))
        note("computing: " + ", ".join(f"{share:.0%}" for share in busy) + " of the step")


def _save(path: Path, result: PlanResult) -> None:
    try:
        path.write_text(result.plan.to_json() + "\n", encoding="utf-8")
    except OSError as error:
        raise SourceError(f"plan {path} cannot be written: {error.strerror}") from error
