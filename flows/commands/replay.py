"""The command that replays a recording: replay."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from connectors.pace import Speed
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
from flows.replay import OpenOptions, ReplayRequest, load_for_replay, open_recording
from flows.replay import replay as run_replay
from flows.replay.inputs import VideoInput
from flows.replay.summary import replay_lines
from flows.summary import summary_table
from records import RecordError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from rich.console import Console

    from flows.counts import RunCounts
    from flows.replay import ReplayInput

RecordingArgument = Annotated[
    str,
    typer.Argument(
        metavar="RECORDING",
        help="A run's folder, a folder of videos, a video, or kafka://host:port/topic?from=…&to=…",
    ),
]
"""What is replayed."""

StreamOption = Annotated[
    list[str] | None,
    typer.Option(
        "--stream", metavar="NAME=PATH", help="The video of a stream; counts from RECORDING."
    ),
]
"""The videos of single streams."""

DecodeOption = Annotated[
    bool,
    typer.Option("--decode", help="Replay the frames of the run's videos, not its verdicts."),
]
"""Frames in place of verdicts."""

RunDirOption = Annotated[
    Path | None, typer.Option(help="The replay's folder, in place of a new one.")
]
"""Where the replay writes."""


def replay(
    recording: RecordingArgument,
    path: ConfigurationArgument,
    *,
    speed: Annotated[
        str, typer.Option(metavar="R|max", help="Seconds of event time in a second; 1 = real time.")
    ] = "max",
    decode: DecodeOption = False,
    stream: StreamOption = None,
    run_dir: RunDirOption = None,
    deliver: Annotated[
        bool,
        typer.Option("--deliver", help="Write to webhooks, Kafka and the queue as a run does."),
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", help="Log details.")] = False,
    json: JsonOption = False,
) -> None:
    """Replay an event log, videos or a range of a topic through a configuration."""
    set_up_logs(verbose=verbose)
    pace = parse_speed(speed)
    configuration, text = load_for_replay(path, deliver=deliver)
    options = OpenOptions(decode=decode, videos=stream_videos(stream))
    opened = open_recording(recording, configuration, path.parent, options)
    out = error_console()
    with contextlib.closing(opened), replay_progress(opened, out) as watch:
        summary = run_replay(
            ReplayRequest(
                opened,
                configuration,
                text,
                path.parent,
                str(path),
                speed=pace,
                run_dir=run_dir,
                deliver=deliver,
                console=out,
                watch=watch,
            )
        )
    if json:
        print_json({"ok": summary.good, **summary.to_json()})
    else:
        console().print(summary_table(summary.run))
        for line in replay_lines(summary):
            console().print(line, soft_wrap=True)
    if not summary.good:
        raise typer.Exit(EXIT_FAILURE)


def parse_speed(text: str) -> Speed:
    """Read ``--speed``."""
    try:
        return Speed.parse(text)
    except RecordError as error:
        raise typer.BadParameter(f"--{error}") from None


def stream_videos(given: list[str] | None) -> dict[str, str]:
    """Read ``--stream NAME=PATH``."""
    videos: dict[str, str] = {}
    for text in given or []:
        name, _, video = text.partition("=")
        if not name or not video or name in videos:
            raise typer.BadParameter(f"--stream must be NAME=PATH, once for each, got {text!r}")
        videos[name] = video
    return videos


def replay_progress(
    recording: ReplayInput, out: Console
) -> AbstractContextManager[Callable[[RunCounts], None]]:
    """Show how far the replay of a recording has come; rows for videos, a line for others."""
    if isinstance(recording, VideoInput):
        return run_progress(recording.settings(), out)
    return _line(out)


@contextlib.contextmanager
def _line(out: Console) -> Iterator[Callable[[RunCounts], None]]:
    with out.status("replaying …") as status:

        def show(counts: RunCounts) -> None:
            done = sum(sum(one.decided.values()) for one in counts.streams.values())
            status.update(f"replaying … {done:,} verdicts")

        yield show
