"""The dashboard of a run that goes on: what the dataflow tells it, and where it is served."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import structlog
from prometheus_client import generate_latest

from flows.dashboard.background import Background, BackgroundSettings
from flows.dashboard.board import LiveBoard
from flows.dashboard.explanations import Explanations
from flows.dashboard.series import NS_PER_MS
from flows.dashboard.server import DashboardServer, UiSettings
from flows.dashboard.state import DashboardState
from flows.dashboard.thumbnails import Thumbnails

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from connectors.metrics import Metrics
    from flows.build import Parts, Records
    from flows.config import Configuration
    from flows.measured import MeasuredDetector
    from flows.prepare import Begun, RunRequest
    from records import FrameBatch, VerdictBatch

_log = structlog.get_logger()


def ui_settings(
    configuration: Configuration, address: str | None, process: int
) -> UiSettings | None:
    """Where the dashboard of a process is served; None for nowhere.

    Args:
        configuration: The configuration.
        address: What ``--ui`` says; None without it.
        process: The number of the process; each has a port of its own.

    Raises:
        RecordError: the address is none, or a token is too short.
    """
    section = configuration.ui
    if section is None and address is None:
        return None
    settings = UiSettings() if section is None else UiSettings.of(section)
    settings = settings.at(address or "")
    return replace(settings, port=settings.port + process if settings.port else 0)


@contextlib.contextmanager
def dashboard(
    request: RunRequest, begun: Begun, detector: MeasuredDetector | None, metrics: Metrics
) -> Iterator[Callable[[Parts], Parts]]:
    """Serve the dashboard of a run, if it is asked for.

    Args:
        request: What is run.
        begun: The run's folder.
        detector: Its reference detector.
        metrics: Its metrics.

    Yields:
        What makes the parts of the dataflow tell the dashboard, too.

    Raises:
        SightflowError: the address cannot be listened on, or is open to strangers.
    """
    settings = ui_settings(request.configuration, request.ui, request.member.process)
    if settings is None:
        yield lambda parts: parts
        return
    board = _board(request, begun, detector, metrics)
    with DashboardServer(board, settings) as server:
        _log.info("the dashboard is served", url=server.url)
        yield lambda parts: _told(parts, board)
        board.ended = True


def _board(
    request: RunRequest, begun: Begun, detector: MeasuredDetector | None, metrics: Metrics
) -> LiveBoard:
    configuration, manifest = request.configuration, begun.manifest
    contract = configuration.cascade.contract
    targets = (
        {} if contract is None else {"recall": contract.recall, "precision": contract.precision}
    )

    def figures() -> dict[str, Any]:
        if detector is None:
            return {}
        return {
            "model": detector.name,
            "frames": detector.images,
            "calls": detector.calls,
            "seconds": round(detector.seconds, 3),
        }

    return LiveBoard(
        description={
            "name": configuration.name,
            "run": "" if begun.run_dir is None else begun.run_dir.name,
            "started": manifest.created_ns / NS_PER_MS,
            "configuration": manifest.configuration_sha256,
            "targets": targets,
        },
        state=DashboardState(configuration.names),
        thumbnails=Thumbnails(),
        explanations=Explanations(begun.run_dir),
        beside=Background(
            BackgroundSettings.of(configuration.model_dump(mode="json"), request.folder)
        ),
        figures=figures,
        scrape=lambda: generate_latest(metrics.registry),
    )


def _told(parts: Parts, board: LiveBoard) -> Parts:
    def observe(item: Records) -> None:
        parts.observe(item)
        board.observe(*item)

    def entered(batch: FrameBatch | VerdictBatch) -> None:
        parts.entered(batch)
        board.thumbnails.entered(batch)

    return replace(parts, observe=observe, entered=entered)
