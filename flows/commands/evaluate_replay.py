"""The command that compares two configurations on one recording: evaluate replay."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from flows.commands.replay import DecodeOption, StreamOption, stream_videos
from flows.evaluate.replay import ReplayStudy, evaluate_replay
from flows.evaluate.replay_bootstrap import BootstrapSettings
from flows.evaluate.replay_score import METRICS
from flows.evaluate.replay_truth import Question
from flows.output import ConfigurationArgument, JsonOption, console, error_console, print_json
from flows.replay import OpenOptions, load_for_replay, open_recording
from flows.replay.address import is_topic
from flows.replay.inputs import VideoInput
from records import SightflowError, SourceError

if TYPE_CHECKING:
    from connectors.video import VideoSettings
    from flows.evaluate.replay import Comparison
    from flows.evaluate.replay_bootstrap import Difference

ReportOption = Annotated[Path | None, typer.Option(help="The HTML report to write.")]
"""Where the report goes."""


def compare(
    a: ConfigurationArgument,
    b: ConfigurationArgument,
    *,
    log: Annotated[
        str, typer.Option(metavar="RECORDING", help="What both replay, as 'sightflow replay'.")
    ],
    truth: Annotated[
        list[str] | None,
        typer.Option(metavar="[NAME=]PATH", help="MOT15 boxes, or counts, of a stream."),
    ] = None,
    decode: DecodeOption = False,
    stream: StreamOption = None,
    class_name: Annotated[
        str | None, typer.Option("--class", help="The class to count; by default what A asks.")
    ] = None,
    at_least: Annotated[
        int, typer.Option(min=1, help="With --class: the count from which it is a yes.")
    ] = 1,
    score_at_least: Annotated[
        float, typer.Option(min=0, max=1, help="With --class: boxes with a lower score are out.")
    ] = 0.0,
    block_seconds: Annotated[
        float | None,
        typer.Option(min=0.001, help="Blocks of the bootstrap; by default a twentieth of all."),
    ] = None,
    confidence: Annotated[float, typer.Option(min=0.5, max=0.9999, help="Of intervals.")] = 0.95,
    seed: Annotated[int, typer.Option(min=0, help="Of the bootstrap.")] = 0,
    report: ReportOption = Path("replay.html"),
    json: JsonOption = False,
) -> None:
    """Replay one recording for two configurations, compare them, and write a report."""
    asked = None if class_name is None else Question(class_name, at_least, score_at_least)
    study = ReplayStudy(
        a=a,
        b=b,
        recording=log,
        options=OpenOptions(decode=decode, videos=stream_videos(stream)),
        truth=_truth(truth),
        question=asked,
        bootstrap=BootstrapSettings(block_seconds, confidence, seed=seed),
    )
    with error_console().status("") as status:
        comparison = evaluate_replay(study, lambda step: status.update(f"{step} …"))
        if report is not None:
            status.update("writing the report …")
            _write_report(report, comparison)
    if json:
        told = None if report is None else str(report)
        print_json({"ok": True, **comparison.to_json(), "report": told})
        return
    console().print(_table(comparison))
    console().print(_alerts(comparison))
    if report is not None:
        console().print(f"report: {escape(str(report))}", soft_wrap=True)


def _truth(given: list[str] | None) -> dict[str, Path]:
    files: dict[str, Path] = {}
    for text in given or []:
        name, found, path = text.partition("=")
        key, file = (name, path) if found else ("", text)
        if key in files or not file or (found and not name):
            raise typer.BadParameter(f"--truth must be PATH or NAME=PATH, each once, got {text!r}")
        files[key] = Path(file)
    return files


def _write_report(path: Path, comparison: Comparison) -> None:
    try:
        # Drawing is slow to import, and its library need not be there where no report is wanted.
        module = importlib.import_module("flows.evaluate.replay_report")
    except ModuleNotFoundError as error:
        if error.name != "matplotlib":
            raise
        raise SightflowError(
            "a report needs matplotlib, which is not installed; install it with "
            "pip install matplotlib"
        ) from error
    module.write_report(path, comparison, _videos(comparison))


def _videos(comparison: Comparison) -> dict[str, VideoSettings]:
    """The videos that frames can be shown from, if there are any."""
    study = comparison.study
    if is_topic(study.recording):
        return {}
    configuration, _ = load_for_replay(study.a, deliver=False)
    for options in (study.options, OpenOptions(decode=True)):
        try:
            recording = open_recording(study.recording, configuration, study.a.parent, options)
        except SourceError:
            continue  # a log whose videos are gone, or that came from cameras
        if isinstance(recording, VideoInput):
            return recording.settings()
        recording.close()
    return {}


def _table(comparison: Comparison) -> Table:
    names = f"A {comparison.a.file.name}, B {comparison.b.file.name}"
    title = f"{len(comparison.frames):,} frames: {escape(names)}"
    table = Table(title=title, title_justify="left")
    table.add_column("Score")
    confidence = comparison.study.bootstrap.confidence
    for column in ("A", "B", "B - A", f"{confidence:.4g} interval"):
        table.add_column(column, justify="right")
    for name, words in METRICS.items():
        if name in comparison.differences:
            one = comparison.differences[name]
            table.add_row(
                words, f"{one.a:.4f}", f"{one.b:.4f}", f"{one.difference:+.4f}", _interval(one)
            )
    return table


def _interval(one: Difference) -> str:
    if one.low is None or one.high is None:
        return "too few blocks"
    return f"{one.low:+.4f} to {one.high:+.4f}"


def _alerts(comparison: Comparison) -> str:
    changes = comparison.alerts
    later = changes.later_seconds
    words = ""
    if later is not None:
        words = f"; B opens those {abs(later):.2f} s {'later' if later >= 0 else 'earlier'}"
    return (
        f"alerts: {len(changes.kept)} kept, {len(changes.lost)} lost, "
        f"{len(changes.gained)} gained{words}"
    )
