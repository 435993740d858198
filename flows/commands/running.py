"""Commands that run flows: run, demo."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from connectors.log_manifest import new_run_dir
from flows import config
from flows.cluster import end_with_parent, run_in_processes
from flows.demo import DemoSettings
from flows.demo import demo as run_demo
from flows.demo_report import show_demo
from flows.inputs import video_settings
from flows.member import ALONE, Member
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
from flows.recovery import RecoverySettings, begun
from flows.reload import ReloadSettings
from flows.run import RunRequest
from flows.run import run as run_flow
from flows.shards import MOST_PROCESSES
from flows.summary import summary_lines, summary_table

if TYPE_CHECKING:
    from flows.summary import RunSummary

VerboseOption = Annotated[bool, typer.Option("--verbose", help="Log details.")]
"""The option for more logs."""


def run(
    path: ConfigurationArgument,
    *,
    run_dir: Annotated[
        Path | None, typer.Option(help="The run's folder, in place of a new one in event_log's.")
    ] = None,
    recover: Annotated[
        Path | None,
        typer.Option(help="Go on from this folder's snapshots, and keep them there; made if new."),
    ] = None,
    epoch_seconds: Annotated[
        float, typer.Option(min=0.0, help="How often snapshots are taken, seconds.")
    ] = 1.0,
    processes: Annotated[
        int, typer.Option(min=1, max=MOST_PROCESSES, help="Processes that share the streams.")
    ] = 1,
    process: Annotated[
        int, typer.Option(min=0, help="With --addresses: which of the processes this is.")
    ] = 0,
    addresses: Annotated[
        str, typer.Option(help="host:port of every process of the run, with commas between.")
    ] = "",
    ui: Annotated[
        str | None,
        typer.Option(
            "--ui", metavar="[HOST:PORT]", help="Serve the dashboard: a page for browsers."
        ),
    ] = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Take up changes of the configuration while it runs.")
    ] = False,
    leash: Annotated[
        bool, typer.Option("--leash", hidden=True, help="End when standard input ends.")
    ] = False,
    verbose: VerboseOption = False,
    json: JsonOption = False,
) -> None:
    """Run a configuration until its inputs end, or until Ctrl-C ends it cleanly."""
    set_up_logs(verbose=verbose)
    if leash:
        end_with_parent()
    configuration, text = config.load(path)
    if processes > 1 and addresses:
        raise typer.BadParameter("either --processes or --addresses")
    recovery = None if recover is None else RecoverySettings(recover, epoch_seconds)
    member = Member(process, tuple(addresses.split(","))) if addresses else ALONE
    if watch and (processes > 1 or addresses):
        raise typer.BadParameter(
            "--watch is for a run in one process; stop one of several to change its configuration"
        )
    alone = processes == 1 and not addresses
    request = RunRequest(
        configuration, text, path.parent, run_dir, recovery=recovery, member=member, ui=ui,
        reload=ReloadSettings(path, watch=watch) if alone and (watch or recover) else None,
    )  # fmt: skip
    if processes > 1:
        summary = _run_together(request, path, processes, verbose=verbose)
    else:
        out = error_console()
        with run_progress(video_settings(configuration.streams, path.parent), out) as shown:
            summary = run_flow(replace(request, console=out, watch=shown))
    if json:
        print_json({"ok": summary.good, **summary.to_json()})
    else:
        console().print(summary_table(summary))
        for line in summary_lines(summary):
            console().print(line, soft_wrap=True)
    if not summary.good:
        raise typer.Exit(EXIT_FAILURE)


def _run_together(request: RunRequest, path: Path, processes: int, *, verbose: bool) -> RunSummary:
    """Start the processes of a run; all are told the same folder."""
    section = request.configuration.sinks.event_log
    words = [str(path), *(["--verbose"] if verbose else [])]
    if request.ui is not None:
        words += ["--ui", request.ui]
    if request.recovery is not None:
        words += ["--recover", str(request.recovery.folder)]
        words += ["--epoch-seconds", str(request.recovery.epoch_seconds)]
    if section is not None and (request.recovery is None or begun(request.recovery) is None):
        root = request.folder / section.directory
        made = request.run_dir or new_run_dir(root, request.configuration.name, time.time_ns())
        words += ["--run-dir", str(made)]
    return run_in_processes(words, processes)


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
