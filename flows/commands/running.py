"""Commands that run flows: run, demo."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows import config
from flows.demo import DemoSettings
from flows.demo import demo as run_demo
from flows.demo_report import show_demo
from flows.inputs import video_settings
from flows.output import (
    EXIT_FAILURE,
    ConfigurationArgument,
    JsonOption,
    console,
    error_console,
    print_json,
    set_up_logs,
)
from flows.progress import run_progress
from flows.run import RunRequest
from flows.run import run as run_flow
from flows.summary import summary_lines, summary_table

VerboseOption = Annotated[bool, typer.Option("--verbose", help="Log details.")]
"""The option for more logs."""


def run(
    path: ConfigurationArgument,
    *,
    run_dir: Annotated[
        Path | None, typer.Option(help="The run's folder, in place of a new one in event_log's.")
    ] = None,
    verbose: VerboseOption = False,
    json: JsonOption = False,
) -> None:
    """Run a configuration until its inputs end, or until Ctrl-C ends it cleanly."""
    set_up_logs(verbose=verbose)
    configuration, text = config.load(path)
    folder = path.parent
    out = error_console()
    with run_progress(video_settings(configuration.streams, folder), out) as watch:
        summary = run_flow(
            RunRequest(configuration, text, folder, run_dir, console=out, watch=watch)
        )
    if json:
        print_json({"ok": summary.good, **summary.to_json()})
    else:
        console().print(summary_table(summary))
        for line in summary_lines(summary):
            console().print(line, soft_wrap=True)
    if not summary.good:
        raise typer.Exit(EXIT_FAILURE)


def demo(
    *,
    synthetic: Annotated[
        bool, typer.Option("--synthetic", help="Use a made scene in place of the clip.")
    ] = False,
    output: Annotated[Path, typer.Option(help="Where the demo writes.")] = Path("runs/demo"),
    verbose: VerboseOption = False,
    json: JsonOption = False,
) -> None:
    """Run a real clip through the whole system: cascade, alert, signed webhook, event log."""
    set_up_logs(verbose=verbose)
    report = run_demo(DemoSettings(output, synthetic=synthetic))
    if json:
        print_json({"ok": report.good, **report.to_json()})
    else:
        show_demo(report)
    if not report.good:
        raise typer.Exit(EXIT_FAILURE)
