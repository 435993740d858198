"""The command that answers questions: query."""

from __future__ import annotations

import re
import threading
import time
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from connectors.codec import to_json
from connectors.lines import ConsoleSink
from connectors.video import VideoSettings
from flows.follow import follow as follow_windows
from flows.follow import follow_settings
from flows.output import JsonOption, console, error_console, print_json, print_text
from flows.progress import download_progress
from flows.query import parse
from flows.query.checks import check_classes
from flows.query.contents import BUILT_IN, load_functions
from flows.query.execute import Answer, execute
from flows.query.opening import Opening, open_sources
from flows.query.planner import Way
from models.detectors import DetectorSettings, load_detector

if TYPE_CHECKING:
    from flows.query import Query
    from flows.query.matching import Zones
    from records import Detector, Estimate, StreamEvent

_NANOSECONDS = re.compile(r"(\.\d{3})\d{6}Z$")

NAME = re.compile(r"[\w.-]+")
"""What may stand before the = of a source; an address may hold one as well."""

SqlArgument = Annotated[str, typer.Argument(metavar="SQL", help="The question, in FrameQL.")]
"""The question."""

SourceOption = Annotated[
    list[str],
    typer.Option(
        "--source",
        help="NAME=FILE or FILE: a video, a run's folder, or a trace (.gz, .csv, .txt, .npy). "
        "Without a name it stands for the query's one stream.",
    ),
]
"""Where streams come from."""

FunctionsOption = Annotated[
    Path | None,
    typer.Option(help="A Python file with functions of 'content', an object's pixels; is run."),
]
"""Where functions of objects' pixels come from."""

ZoneOption = Annotated[
    list[str], typer.Option("--zone", help="NAME=x1,y1,x2,y2,x3,y3,… in pixels.")
]
"""Zones by name."""

TrainedOption = Annotated[
    list[str],
    typer.Option(
        "--trained",
        metavar="[NAME=]FOLDER",
        help="For videos: a trained cascade, saved by 'evaluate cascade --save', whose small model "
        "is the proxy; one for each class.",
    ),
]
"""Where proxies of videos come from."""


def query(
    sql: SqlArgument,
    *,
    source: SourceOption,
    zone: ZoneOption = [],  # noqa: B006 - typer reads the default, and nothing changes it
    fps: Annotated[float, typer.Option(min=0.001, help="Frames a second of traces, Hz.")] = 30.0,
    proxy: Annotated[
        str, typer.Option(help="For traces: a file of proxies, or synthetic:rho2=0.55,ar=0.999.")
    ] = "",
    trained: TrainedOption = [],  # noqa: B006 - as for zones
    detector: Annotated[str, typer.Option(help="The reference detector, for videos.")] = "auto",
    score_at_least: Annotated[
        float, typer.Option(min=0, max=1, help="Boxes with a lower score do not count.")
    ] = 0.3,
    force: Annotated[
        str, typer.Option(help=f"Take this way: {', '.join(Way)}; '' lets the planner choose.")
    ] = "",
    functions: FunctionsOption = None,
    seed: Annotated[int, typer.Option(min=0, help="Of everything that is random.")] = 0,
    follow: Annotated[
        bool, typer.Option("--follow", help="Tell each window as it closes, also of cameras.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Answer a question about streams, in FrameQL, with honest intervals."""
    contents = BUILT_IN if functions is None else load_functions(functions)
    parsed = parse(sql, tuple(contents))
    if follow:
        if trained:
            raise typer.BadParameter("--trained is for recorded videos, not for --follow")
        _follow(parsed, source, _zones(zone), seed, (detector, score_at_least), json=json)
        return
    way = _way(force)
    began = time.perf_counter()
    opening = Opening(fps, proxy, _trained(parsed, trained), seed)
    places = _named(parsed, source)
    sources = open_sources(places, opening, lambda: _detector(detector, score_at_least))
    with error_console().status("asking …") as status:
        answer = execute(
            parsed, sources, _zones(zone), seed, way,
            lambda calls: status.update(f"asking … {calls:,} frames seen"), contents,
        )  # fmt: skip
    seconds = time.perf_counter() - began
    if json:
        print_json(
            {"ok": True, "query": parsed.to_sql(), "rows": answer.rows, "calls": answer.calls,
             "proxy_frames": answer.proxy_frames, "plan": answer.plan.to_json(),
             "proxy_seconds": round(answer.proxy_seconds, 3), "seconds": round(seconds, 3)}
        )  # fmt: skip
        return
    if not parsed.explain:
        console().print(_rows_table(answer.rows))
        print_text(_cost(answer, seconds))
    else:
        console().print(_plan_table(answer))


def _follow(
    parsed: Query,
    given: list[str],
    zones: Zones,
    seed: int,
    model: tuple[str, float],
    *,
    json: bool,
) -> None:
    """Tell of windows as they close: a line each, or with --json an object each."""
    follow_settings(parsed, zones, seed)  # what is wrong is told before a model is loaded
    videos = {name: VideoSettings(uri=uri) for name, uri in _named(parsed, given).items()}
    lines = ConsoleSink("stdout", ["estimate", "event"], console()).build("tell", 0, 1)

    def tell(record: Estimate | StreamEvent) -> None:
        if json:
            print_text(dumps(to_json(record)))
        else:
            lines.write_batch([(record.stream, [record])])

    detector = _detector(*model)
    for name in videos:
        check_classes(parsed, name, detector.class_names)
    follow_windows(parsed, videos, detector, zones, seed, tell, threading.Event())


def _named(parsed: Query, given: list[str]) -> dict[str, str]:
    """The sources by the names of their streams."""
    return dict(_pair(parsed, text, "--source", "FILE") for text in given)


def _trained(parsed: Query, given: list[str]) -> dict[str, list[str]]:
    """The folders of trained cascades by the names of their streams."""
    found: dict[str, list[str]] = {}
    for text in given:
        name, folder = _pair(parsed, text, "--trained", "FOLDER")
        found.setdefault(name, []).append(folder)
    return found


def _pair(parsed: Query, text: str, option: str, what: str) -> tuple[str, str]:
    """A stream's name and a place; the name may be left out where there is one stream."""
    name, equals, place = text.partition("=")
    if NAME.fullmatch(name) and equals:
        return name, place
    if len(parsed.streams) > 1:
        raise typer.BadParameter(f"{option} must be NAME={what} where the query has several")
    return parsed.streams[0], text


def _way(text: str) -> Way | None:
    if not text:
        return None
    try:
        return Way(text)
    except ValueError:
        raise typer.BadParameter(f"--force must be one of {', '.join(Way)}") from None


def _detector(model: str, score_at_least: float) -> Detector:
    with download_progress("detector") as progress:
        settings = DetectorSettings(model=model, score_at_least=score_at_least)
        return load_detector(settings, progress=progress)


def _zones(given: list[str]) -> dict[str, tuple[tuple[float, float], ...]]:
    zones = {}
    for text in given:
        name, _, corners = text.partition("=")
        try:
            numbers = [float(word) for word in corners.split(",")]
        except ValueError:
            raise typer.BadParameter("--zone must be NAME=x1,y1,x2,y2,x3,y3") from None
        if len(numbers) % 2 or len(numbers) < 6:
            raise typer.BadParameter("--zone needs at least three corners, two numbers each")
        zones[name] = tuple(zip(numbers[::2], numbers[1::2], strict=True))
    return zones


def _rows_table(rows: list[dict[str, Any]]) -> Table:
    title = None if rows else "nothing found"
    if rows and "confidence" in rows[0]:
        title = f"intervals at {rows[0]['confidence']:.4g} confidence"
    table = Table(title=title, title_justify="left")
    shown = [name for name in (rows[0] if rows else ()) if name != "confidence"]
    for name in shown:
        numeric = isinstance(rows[0][name], int | float)
        table.add_column(name, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(escape(_shown(row[name])) for name in shown))
    return table


def _shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, dict):
        return ", ".join(f"{key} {_shown(one)}" for key, one in value.items())
    if isinstance(value, list):
        return ", ".join(_shown(one) for one in value)
    # Milliseconds are enough for people; those that are none would only fill the table.
    return _NANOSECONDS.sub(r"\1Z", str(value)).replace(".000Z", "Z")


def _cost(answer: Answer, seconds: float) -> str:
    share = answer.calls / answer.plan.frames
    scored = ""
    if answer.proxy_frames:
        scored = f"{answer.proxy_frames:,} scored by the proxy in {answer.proxy_seconds:.1f} s; "
    return (
        f"{answer.calls:,} of {answer.plan.frames:,} frames seen by the reference ({share:.2%}); "
        f"{scored}"
        f"{answer.plan.chosen.way}: {answer.plan.chosen.reason}; {seconds:.1f} s"
    )


def _plan_table(answer: Answer) -> Table:
    table = Table(title=f"{answer.plan.frames:,} frames asked about", title_justify="left")
    table.add_column("Way", no_wrap=True)
    table.add_column("Calls", justify="right", no_wrap=True)
    table.add_column("Seconds", justify="right", no_wrap=True)
    table.add_column("Why")
    for place, option in enumerate((answer.plan.chosen, *answer.plan.others)):
        calls = "?" if option.calls is None else f"{option.calls:,}"
        seconds = "?" if option.seconds is None else f"{option.seconds:,.1f}"
        style = "bold" if place == 0 else None
        table.add_row(str(option.way), calls, seconds, option.reason, style=style)
    return table
