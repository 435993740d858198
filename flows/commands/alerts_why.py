"""Commands that explain alerts: why there was one, and why there was none."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from connectors.codec import iso_time, to_json
from connectors.replay import EventLog
from flows.output import JsonOption, console, note, print_json, print_text
from flows.why import why
from flows.why_frames import shown_frames
from flows.why_gather import MOST_FINDINGS
from flows.why_not import parse_moment, why_not
from flows.why_not_words import why_not_json, why_not_lines
from flows.why_picture import write_strip
from flows.why_video import episode_frames, find_video
from flows.why_words import finding_words, frame_words, headline, moment, printable, summary_words
from records import RecordError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from flows.why import Why
    from flows.why_frames import Shown

PICTURES = "why"
"""The folder in a run's own that pictures go to."""

MOST_LINES = 10
"""The most findings that are printed."""

LogOption = Annotated[Path, typer.Option("--log", help="The run's folder, for its event log.")]
"""The event log that is asked."""


def explain_alert(
    alert: Annotated[
        str, typer.Argument(metavar="ID", help="An alert's id, or that of a whole episode.")
    ],
    *,
    log: LogOption,
    out: Annotated[
        Path | None, typer.Option(help="Where the picture goes; by default RUN/why.")
    ] = None,
    video: Annotated[
        Path | None, typer.Option(help="The stream's video, if it is not where it was.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Say why an alert was told, with a strip of frames around its opening as a picture."""
    opened = EventLog.open(log)
    found = why(opened, alert)
    shown = shown_frames(found)
    notes = list(found.notes)
    picture = None
    if shown:
        settings, missing = find_video(opened, found.asked, found.last.stream, video)
        frames: dict[int, NDArray[np.uint8]] = {}
        if settings is not None:
            frames, missing = episode_frames(settings, [one.verdict.sequence for one in shown])
        if missing:
            notes.append(f"boxes without frames: {missing}")
        picture = write_strip(log / PICTURES if out is None else out, found, shown, frames)
    notes += [f"the event log is damaged: {fault}" for fault in opened.faults]
    if json:
        print_json(_why_json(found, shown, picture, notes))
        return
    _print_why(found, shown)
    for text in notes:
        note(text)
    if picture is not None:
        print_text(f"picture: {picture}")


def explain_silence(
    *,
    stream: Annotated[str, typer.Option(help="The stream that is meant.")],
    at: Annotated[
        str,
        typer.Option(
            metavar="T", help="Event time: 2026-05-01T08:00:05Z, or seconds of the stream: 12.5."
        ),
    ],
    log: LogOption,
    rule: Annotated[
        str | None, typer.Option(help="Only this rule or assertion; all by default.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Say for each rule and assertion why it told no alert of a stream at some time."""
    opened = EventLog.open(log)
    try:
        time_ns = parse_moment(opened, stream, at)
    except RecordError as error:
        raise typer.BadParameter(f"--at: {error}") from error
    found = why_not(opened, stream, time_ns, rule)
    faults = [str(fault) for fault in opened.faults]
    if json:
        print_json({"ok": True, **why_not_json(found), "log_faults": faults})
        return
    for line in why_not_lines(found):
        print_text(line)
    for text in (*found.notes, *(f"the event log is damaged: {fault}" for fault in faults)):
        note(text)


def _why_json(
    found: Why, shown: tuple[Shown, ...], picture: Path | None, notes: list[str]
) -> dict[str, Any]:
    last = found.last
    return {
        "ok": True,
        "id": last.episode,
        "kind": str(found.kind),
        "stream": last.stream,
        "rule": last.rule,
        "object": last.object,
        "state": "open" if found.closed_ns is None else "closed",
        "opened": iso_time(last.opened_ns),
        "closed": None if found.closed_ns is None else iso_time(found.closed_ns),
        "severity": last.severity,
        "peak": last.peak,
        "count": last.count,
        "model": last.model,
        "configuration": last.configuration,
        "settings": found.settings,
        "changes": [to_json(one) for one in found.changes],
        "series": [
            {"time": iso_time(time_ns), "value": value}
            for time_ns, value in zip(found.series.times_ns, found.series.values, strict=True)
        ],
        "verdicts": [to_json(one) for one in found.verdicts],
        "findings": [to_json(one) for one in found.findings],
        "findings_left_out": found.findings_left_out,
        "events": [to_json(one) for one in found.events],
        "frames": [_frame_json(one) for one in shown],
        "picture": None if picture is None else str(picture),
        "notes": notes,
    }


def _frame_json(one: Shown) -> dict[str, Any]:
    boxes = [
        {"box": list(marked.box), "look": str(marked.look), "label": marked.label}
        for marked in one.boxes
    ]
    return {
        "sequence": one.verdict.sequence,
        "time": iso_time(one.verdict.time_ns),
        "moments": list(one.moments),
        "stage": str(one.verdict.stage),
        "score": one.verdict.score,
        "copied_from": one.verdict.copied_from,
        "value": one.value,
        "boxes": boxes,
    }


def _print_why(found: Why, shown: tuple[Shown, ...]) -> None:
    lines = [headline(found), summary_words(found)]
    if found.settings is not None:
        told = ", ".join(f"{name} {value}" for name, value in found.settings.items())
        lines.append(f"settings: {told}")
    lines += [f"{moment(one.time_ns)} {one.state}: {one.message}" for one in found.changes]
    own = found.own_findings
    lines += [f"{moment(one.time_ns)} found: {finding_words(one)}" for one in own[:MOST_LINES]]
    more = len(own) - MOST_LINES + found.findings_left_out
    if more > 0:
        lines.append(f"and {more} more findings; --json has up to {MOST_FINDINGS}")
    for line in lines:
        print_text(printable(line))
    table = Table(box=None, pad_edge=False)
    for title in ("Frame", "Moment", "When", "Measured", "Decided by"):
        table.add_column(title, overflow="fold")
    for number, frame in enumerate(shown, 1):
        cells = [str(number), ", ".join(frame.moments), *frame_words(found, frame)]
        table.add_row(*(Text(printable(cell)) for cell in cells))
    console().print(table)
