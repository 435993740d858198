"""Commands about configurations: validate, schema, init."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer

from flows import config
from flows.output import (
    EXIT_FAILURE,
    ConfigurationArgument,
    JsonOption,
    note,
    print_json,
    print_text,
)
from records import ConfigurationError, Fault

START_NAME = "sightflow.yaml"
"""The file that `init` writes when it is told no other."""


def validate(path: ConfigurationArgument, *, json: JsonOption = False) -> None:
    """Check a configuration and everything it names, without running it."""
    configuration, _ = config.load(path)
    if json:
        print_json(
            {"ok": True, "file": str(path), "name": configuration.name,
             "streams": list(configuration.streams)}
        )  # fmt: skip
        return
    streams = len(configuration.streams) + len(configuration.signals)
    print_text(
        f"{path}: right. '{configuration.name}' watches {streams} "
        f"stream{'s' if streams != 1 else ''}; start it with: sightflow run {path}"
    )


def schema(*, json: JsonOption = False) -> None:
    """Print the JSON schema of configurations, for editors and checks."""
    del json  # a schema is JSON either way
    print_json(config.json_schema())


def init(
    path: Annotated[Path, typer.Argument(help="The file to write.")] = Path(START_NAME),
    *,
    source: Annotated[
        str, typer.Option(help="A video file, a folder, rtsp://…, http://… or webcam:0.")
    ] = "video.mp4",
    detect: Annotated[str, typer.Option(help="The class to count.")] = "person",
    at_least: Annotated[int, typer.Option(min=1, help="Alert from this count on.")] = 1,
    force: Annotated[bool, typer.Option("--force", help="Replace the file.")] = False,
    json: JsonOption = False,
) -> None:
    """Write a configuration to start from, with every key explained."""
    text = starting_text(source, detect, at_least)
    try:
        with path.open("w" if force else "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        note(f"error: {path} is there already; name another file or say --force")
        raise typer.Exit(EXIT_FAILURE) from None
    except OSError as error:
        note(f"error: {path} cannot be written: {error.strerror}")
        raise typer.Exit(EXIT_FAILURE) from None
    faults = _faults(path)
    if json:
        print_json({"ok": True, "file": str(path), "faults": [str(fault) for fault in faults]})
        return
    print_text(f"wrote {path}")
    for fault in faults:
        print_text(f"  to mend: {fault}")
    print_text(f"next: sightflow validate {path} && sightflow run {path}")


def starting_text(source: str, detect: str, at_least: int) -> str:
    """The text of a configuration to start from."""
    template = files("flows").joinpath("templates/start.yaml").read_text(encoding="utf-8")
    values = {"SOURCE": _quoted(source), "CLASS": _quoted(detect), "AT_LEAST": str(at_least)}
    for name, value in values.items():
        template = template.replace(f"@{name}@", value)
    return template


def _quoted(text: str) -> str:
    """Text as a YAML double-quoted scalar, with references kept from being resolved."""
    plain = text.replace("\\", "\\\\").replace('"', '\\"').replace("${", "$${")
    return f'"{plain}"'


def _faults(path: Path) -> tuple[Fault, ...]:
    try:
        config.load(path)
    except ConfigurationError as error:
        return error.faults
    return ()
