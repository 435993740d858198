"""The command that answers questions: query."""

from __future__ import annotations

import re
import threading
import time
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from rich.markup import escape
from rich.table import Table

from connectors.codec import to_json
from connectors.lines import ConsoleSink
from connectors.log_manifest import MANIFEST_NAME
from connectors.video import VideoSettings
from flows.evaluate.proxies import make_proxy
from flows.evaluate.traces import read_trace
from flows.follow import follow as follow_windows
from flows.follow import follow_settings
from flows.output import JsonOption, console, error_console, print_json, print_text
from flows.progress import download_progress
from flows.query import parse
from flows.query.execute import Answer, execute
from flows.query.planner import Way
from flows.query.sources import FilmSource, LogSource, Recorded, TraceSource
from models.detectors import DetectorSettings, load_detector

if TYPE_CHECKING:
    from flows.query import Query
    from flows.query.matching import Zones
    from records import Detector, Estimate, StreamEvent

_NANOSECONDS = re.compile(r"(\.\d{3})\d{6}Z$")

NAME = re.compile(r"[\w.-]+")
"""What may stand before the = of a source; an address may hold one as well."""

TRACES = (".gz", ".csv", ".txt", ".npy")
"""The endings of files that are traces."""

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

ZoneOption = Annotated[
    list[str], typer.Option("--zone", help="NAME=x1,y1,x2,y2,x3,y3,… in pixels.")
]
"""Zones by name."""


def query(
    sql: SqlArgument,
    *,
    source: SourceOption,
    zone: ZoneOption = [],  # noqa: B006 - typer reads the default, and nothing changes it
    fps: Annotated[float, typer.Option(min=0.001, help="Frames a second of traces, Hz.")] = 30.0,
    proxy: Annotated[
        str, typer.Option(help="For traces: a file of proxies, or synthetic:rho2=0.55,ar=0.999.")
    ] = "",
    detector: Annotated[str, typer.Option(help="The reference detector, for videos.")] = "auto",
    score_at_least: Annotated[
        float, typer.Option(min=0, max=1, help="Boxes with a lower score do not count.")
    ] = 0.3,
    force: Annotated[
        str, typer.Option(help=f"Take this way: {', '.join(Way)}; '' lets the planner choose.")
    ] = "",
    seed: Annotated[int, typer.Option(min=0, help="Of everything that is random.")] = 0,
    follow: Annotated[
        bool, typer.Option("--follow", help="Tell each window as it closes, also of cameras.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Answer a question about streams, in FrameQL, with honest intervals."""
    parsed = parse(sql)
    if follow:
        _follow(parsed, source, _zones(zone), seed, (detector, score_at_least), json=json)
        return
    way = _way(force)
    began = time.perf_counter()
    sources = _sources(parsed, source, fps, proxy, seed, (detector, score_at_least))
    with error_console().status("asking …") as status:
        answer = execute(
            parsed, sources, _zones(zone), seed, way,
            lambda calls: status.update(f"asking … {calls:,} frames seen"),
        )  # fmt: skip
    seconds = time.perf_counter() - began
    if json:
        print_json(
            {"ok": True, "query": parsed.to_sql(), "rows": answer.rows, "calls": answer.calls,
             "plan": answer.plan.to_json(), "seconds": round(seconds, 3)}
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

    follow_windows(parsed, videos, _detector(*model), zones, seed, tell, threading.Event())


def _named(parsed: Query, given: list[str]) -> dict[str, str]:
    """The sources by the names of their streams."""
    named = {}
    for text in given:
        name, equals, place = text.partition("=")
        if not NAME.fullmatch(name) or not equals:
            if len(parsed.streams) > 1:
                raise typer.BadParameter("--source must be NAME=FILE where the query has several")
            name, place = parsed.streams[0], text
        named[name] = place
    return named


def _way(text: str) -> Way | None:
    if not text:
        return None
    try:
        return Way(text)
    except ValueError:
        raise typer.BadParameter(f"--force must be one of {', '.join(Way)}") from None


def _sources(
    parsed: Query, given: list[str], fps: float, proxy: str, seed: int, model: tuple[str, float]
) -> dict[str, Recorded]:
    found: dict[str, Recorded] = {}
    loaded: Detector | None = None
    for name, place in _named(parsed, given).items():
        path = Path(place)
        if path.suffix in TRACES:
            values = read_trace(path)
            rng = np.random.default_rng(seed)
            proxies = make_proxy(proxy, values, rng) if proxy else None
            found[name] = TraceSource(name, values, fps, proxies)
        elif (path / MANIFEST_NAME).exists():
            found[name] = LogSource.open(name, path)
        else:
            loaded = loaded or _detector(*model)
            found[name] = FilmSource(name, VideoSettings(uri=str(path)), path, loaded)
    return found


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
    return (
        f"{answer.calls:,} of {answer.plan.frames:,} frames seen by the reference ({share:.2%}); "
        f"{answer.plan.chosen.way}: {answer.plan.chosen.reason}; {seconds:.1f} s"
    )


def _plan_table(answer: Answer) -> Table:
    table = Table(title=f"{answer.plan.frames:,} frames asked about", title_justify="left")
    table.add_column("Way", no_wrap=True)
    table.add_column("Calls", justify="right", no_wrap=True)
    table.add_column("Why")
    for place, option in enumerate((answer.plan.chosen, *answer.plan.others)):
        calls = "?" if option.calls is None else f"{option.calls:,}"
        style = "bold" if place == 0 else None
        table.add_row(str(option.way), calls, option.reason, style=style)
    return table
