"""The command that shows a recorded run on a web page: ui."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import ValidationError

from connectors.log_format import LOG_FOLDER
from connectors.log_manifest import MANIFEST_NAME
from connectors.replay import EventLog
from flows import config
from flows.config.document import read_document
from flows.config.ui_section import UiSection
from flows.dashboard.access import is_loopback
from flows.dashboard.background import BackgroundSettings
from flows.dashboard.recorded import RecordedBoard
from flows.dashboard.server import DashboardServer, UiSettings
from flows.engine import interrupts_end
from flows.output import JsonOption, note, print_json, print_text, set_up_logs
from flows.why_asked import places
from records import LogError

if TYPE_CHECKING:
    from collections.abc import Callable

RunArgument = Annotated[
    Path, typer.Argument(metavar="RUN", help="A run's folder, or the log in it.")
]
"""The recorded run that is shown."""

POLL_SECONDS = 0.2
"""How long one wait for the end lasts, seconds."""


def ui(
    recording: RunArgument,
    *,
    at: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="Where to listen; this machine by default.")
    ] = "",
    configuration: Annotated[
        Path | None,
        typer.Option(metavar="CONFIG", help="Whose section ui counts, in place of the run's own."),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Show a recorded run on a web page, with its past, until Ctrl-C ends it."""
    set_up_logs()

    def tell(url: str, log: EventLog) -> None:
        if json:
            print_json({"ok": True, "url": url, "run": str(log.run_dir)})
        else:
            print_text(f"{log.manifest.name}: {url} (Ctrl-C ends it)")

    stop = threading.Event()
    with interrupts_end(stop):
        show(recording, at, configuration, stop, tell)


def show(
    recording: Path,
    at: str,
    configuration: Path | None,
    stop: threading.Event,
    tell: Callable[[str, EventLog], None],
) -> None:
    """Serve a recorded run.

    Args:
        recording: The run's folder, or the log in it.
        at: Where to listen; empty text for where the configuration says.
        configuration: Whose section ui counts; None for the run's own.
        stop: Set it to end.
        tell: Called with the page's address and the log, once it is served.

    Raises:
        SightflowError: there is no such run, or the address cannot be listened on.
    """
    log = EventLog.open(run_folder(recording))
    section = _section(log, configuration)
    if configuration is None and ":" not in at and not is_loopback(section.host):
        # A log may come from a stranger, with tokens that the stranger knows.
        raise LogError(
            f"the run was shown at {section.host}, which other machines reach; say so again with "
            "--at HOST:PORT or --configuration, or add --at 127.0.0.1:8787"
        )
    settings = UiSettings.of(section).at(at)
    board = RecordedBoard(log, _beside(log))
    for fault in board.faults:
        note(f"the event log is damaged: {fault}")
    with DashboardServer(board, settings) as server:
        tell(server.url, log)
        while not stop.wait(POLL_SECONDS):  # an interrupt is taken between two waits
            continue


def run_folder(recording: Path) -> Path:
    """The run's folder that is meant: itself, or the one above its log."""
    above = recording.parent
    inside = recording.name == LOG_FOLDER and not (recording / MANIFEST_NAME).exists()
    return above if inside and (above / MANIFEST_NAME).exists() else recording


def _section(log: EventLog, configuration: Path | None) -> UiSection:
    """The section about the dashboard: that of a configuration, or the run's own."""
    if configuration is not None:
        return config.load(configuration)[0].ui or UiSection()
    document = read_document(log.manifest.configuration, MANIFEST_NAME, os.environ)
    for fault in document.faults:
        if fault.key.startswith("ui"):
            raise LogError(f"{fault}; or name another configuration with --configuration")
    try:
        return UiSection.model_validate((document.value or {}).get("ui") or {})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise LogError(
            f"{log.run_dir} has a section ui that this release cannot read: {first['msg']}; name "
            "another configuration with --configuration"
        ) from error


def _beside(log: EventLog) -> BackgroundSettings:
    """Where the run's queue and models are, if they are still there."""
    value = read_document(log.manifest.configuration, MANIFEST_NAME, os.environ).value or {}
    found = [BackgroundSettings.of(value, place) for place in places(log)]
    for one in found:
        if any(path is not None and path.exists() for path in (one.queue, one.registry, one.plan)):
            return one
    return BackgroundSettings()
