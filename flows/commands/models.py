"""Commands about trained models: the versions in a registry, and which of them is in force."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from connectors.codec import iso_time
from flows.output import EXIT_FAILURE, JsonOption, console, note, print_json, print_text
from models.registry import Registry
from models.registry_history import standing_after
from records import DetectorError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from models.registry import Change, ModelVersion
    from models.registry_history import Standing

app = typer.Typer(
    name="models",
    help="Trained models: their versions, and which of them is in force.",
    no_args_is_help=True,
)

FOLDER_VARIABLE = "SIGHTFLOW_MODELS"
"""The environment variable that names the registry's folder."""

SHOWN_METRICS = 3
"""How many figures of a version are shown to people; --json has them all."""

ModelsOption = Annotated[
    Path,
    typer.Option("--models", envvar=FOLDER_VARIABLE, metavar="DIR", help="The registry's folder."),
]
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The model's name.")]
ReasonOption = Annotated[str, typer.Option(help="Why, for the history.")]


@app.command("list")
def list_versions(
    models: ModelsOption,
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Only this model.")] = None,
    *,
    history: Annotated[bool, typer.Option("--history", help="Also what happened to them.")] = False,
    json: JsonOption = False,
) -> None:
    """List the versions of trained models: how each stands, where it comes from, its figures."""
    registry = _opened(models)
    names = registry.names()
    if name is not None and name not in names:
        raise DetectorError(f"{models} has no model {name}; it has: {', '.join(names) or 'none'}")
    found: list[dict[str, Any]] = []
    faults: list[str] = []
    for one in names if name is None else (name,):
        try:
            found.append(_model(registry, one, faults))
        except DetectorError as error:
            faults.append(str(error))
    if json:
        kept = found if history else [_without_history(one) for one in found]
        print_json({"ok": not faults, "models": kept, "faults": faults})
    else:
        console().print(_table(found))
        if history:
            print_text("")
            console().print(_history_table(found))
        for fault in faults:
            note(fault)
    if faults:
        raise typer.Exit(EXIT_FAILURE)


@app.command("promote")
def promote_version(
    models: ModelsOption,
    name: NameArgument,
    number: Annotated[int, typer.Argument(metavar="N", min=1, help="The version's number.")],
    *,
    reason: ReasonOption = "",
    json: JsonOption = False,
) -> None:
    """Make a version the current one; runs that use the model change over to it."""
    registry = _opened(models)
    before = registry.pointers(name)
    registry.promote(name, number, reason)
    _tell(registry, name, before.current, as_json=json)


@app.command("rollback")
def roll_back(
    models: ModelsOption,
    name: NameArgument,
    *,
    reason: ReasonOption = "",
    json: JsonOption = False,
) -> None:
    """Go back to the version that was current before; again goes further back."""
    registry = _opened(models)
    before = registry.pointers(name)
    registry.rollback(name, reason)
    _tell(registry, name, before.current, as_json=json)


def _opened(folder: Path) -> Registry:
    if not folder.is_dir():
        raise DetectorError(
            f"there is no registry {folder}; name its folder with --models, or in {FOLDER_VARIABLE}"
        )
    return Registry(folder, time.time_ns)


def _tell(registry: Registry, name: str, before: int | None, *, as_json: bool) -> None:
    now = registry.pointers(name)
    if as_json:
        print_json({"ok": True, "name": name, **asdict(now), "before": before})
    elif now.current == before:
        print_text(f"{name}@{now.current} is current already")
    else:
        was = "there was none" if before is None else f"{name}@{before} was"
        print_text(f"{name}@{now.current} is current; {was} before")


def _model(registry: Registry, name: str, faults: list[str]) -> dict[str, Any]:
    """A model as plain JSON values; versions that cannot be read are told in `faults`."""
    changes = registry.history(name)
    standing = standing_after(changes)
    versions = []
    for number in registry.numbers(name):
        try:
            versions.append(_version(registry.version(name, number), standing))
        except DetectorError as error:
            faults.append(str(error))
    return {
        "name": name,
        **asdict(standing.pointers),
        "previous": standing.previous,
        "versions": versions,
        "history": [_change(change) for change in changes],
    }


def _version(version: ModelVersion, standing: Standing) -> dict[str, Any]:
    return {
        "id": version.id,
        "number": version.number,
        "kind": version.kind.value,
        "state": standing.state(version.number).value,
        "created": iso_time(version.created_ns),
        "parent": version.parent,
        "data_sha256": version.data_sha256,
        "metrics": {name: asdict(metric) for name, metric in version.metrics.items()},
        "configuration": dict(version.configuration),
        "code_version": version.code_version,
        "files": dict(version.files),
    }


def _change(change: Change) -> dict[str, Any]:
    return {
        "time": iso_time(change.time_ns),
        "what": change.what.value,
        "number": change.number,
        "previous": change.previous,
        "reason": change.reason,
    }


def _without_history(model: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in model.items() if key != "history"}


def _table(models: Iterable[Mapping[str, Any]]) -> Table:
    table = _empty("Version", "Kind", "State", "Created", "Parent", "Figures")
    for one in (version for model in models for version in model["versions"]):
        figures = [_figure(name, metric) for name, metric in one["metrics"].items()]
        more = len(figures) - SHOWN_METRICS
        shown = figures[:SHOWN_METRICS] + ([f"{more} more"] if more > 0 else [])
        parent = "" if one["parent"] is None else str(one["parent"])
        cells = (one["id"], one["kind"], one["state"], _second(one["created"]), parent,
                 ", ".join(shown))  # fmt: skip
        table.add_row(*(Text(cell) for cell in cells))
    return table


def _history_table(models: Iterable[Mapping[str, Any]]) -> Table:
    table = _empty("When", "Version", "What", "Before", "Reason")
    for model in models:
        for one in model["history"]:
            before = "" if one["previous"] is None else str(one["previous"])
            cells = (_second(one["time"]), f"{model['name']}@{one['number']}",
                     one["what"].replace("_", " "), before, one["reason"])  # fmt: skip
            table.add_row(*(Text(cell) for cell in cells))
    return table


def _empty(*titles: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for title in titles:
        table.add_column(title, overflow="fold")
    return table


def _figure(name: str, metric: Mapping[str, Any]) -> str:
    if metric["low"] is None:
        return f"{name} {metric['value']:.3g}"
    return f"{name} {metric['value']:.3g} [{metric['low']:.3g}, {metric['high']:.3g}]"


def _second(time_text: str) -> str:
    return time_text[:19] + "Z"
