"""Commands about the installation: doctor, version."""

from __future__ import annotations

import platform
from dataclasses import asdict
from importlib import metadata
from pathlib import Path

import typer
from rich.table import Table

from flows.doctor import Status, examine
from flows.output import EXIT_FAILURE, JsonOption, console, print_json, print_text
from flows.prepare import SOFTWARE

_COLOURS = {Status.OK: "green", Status.WARN: "yellow", Status.FAIL: "red"}


def doctor(*, json: JsonOption = False) -> None:
    """Look for what would keep a run from working, and say the cure."""
    checks = examine(Path.cwd())
    failed = any(check.status is Status.FAIL for check in checks)
    if json:
        print_json({"ok": not failed, "checks": [asdict(check) for check in checks]})
    else:
        table = Table(box=None, pad_edge=False)
        for title in ("", "Check", "Found", "Cure"):
            table.add_column(title, overflow="fold")
        for check in checks:
            colour = _COLOURS[check.status]
            mark = f"[{colour}]{check.status}[/{colour}]"
            table.add_row(mark, check.name, check.found, check.cure)
        console().print(table)
        warned = sum(check.status is Status.WARN for check in checks)
        print_text(_conclusion(failed=failed, warned=warned))
    if failed:
        raise typer.Exit(EXIT_FAILURE)


def _conclusion(*, failed: bool, warned: int) -> str:
    if failed:
        return "Some checks failed; runs will not work until they are cured."
    if warned:
        return f"Ready; {warned} optional thing{'s' if warned > 1 else ''} missing."
    return "Ready."


def version(*, json: JsonOption = False) -> None:
    """Print the versions of Sightflow and of what shapes its results."""
    versions = {"python": platform.python_version()}
    for name in SOFTWARE:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = "not installed"
    if json:
        print_json(versions)
        return
    print_text(f"sightflow {versions.pop('sightflow')}")
    print_text(", ".join(f"{name} {found}" for name, found in versions.items()))
