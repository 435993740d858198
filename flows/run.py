"""Running a configuration: parts are made, the dataflow runs until its sources end, all is counted.

The first interrupt (SIGINT or SIGTERM) ends the sources; what they have emitted is still decided
and written, and the run ends as if its input had ended there. The second stops at once.
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from typing import TYPE_CHECKING, Any

import structlog
from bytewax.errors import BytewaxRuntimeError
from bytewax.run import cli_main

from connectors.log_format import log_errors
from connectors.log_manifest import MANIFEST_NAME, Manifest, new_run_dir, write_manifest
from connectors.metrics import Metrics
from flows.build import Parts, build, detector_settings
from flows.cascades import load_cascades
from flows.counts import MeasuredDetector, RunCounts
from flows.sinks import Sinks
from flows.summary import RunSummary
from models.detectors import load_detector
from operators.alerting import AlertOrigin
from records import LogError, SightflowError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import timedelta
    from pathlib import Path
    from types import FrameType

    from bytewax.dataflow import Dataflow
    from rich.console import Console

    from connectors.kafka import DeadLetter
    from flows.build import Records
    from flows.config import Configuration
    from records import Detector

SOFTWARE = (
    "sightflow",
    "bytewax",
    "av",
    "numpy",
    "onnxruntime",
    "torch",
    "torchvision",
    "trackers",
)
"""The packages whose versions a run's manifest names, since they shape its results."""


_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What to run.

    Attributes:
        configuration: The configuration.
        text: Its text, for the manifest; holds no secrets.
        folder: Where its relative paths count from.
        run_dir: The run's folder, if it is not to be made in the event log's directory.
        detector: The reference detector, if it is loaded already.
        console: Where the console sink writes; None for nowhere.
        watch: Called with the counts after each batch, for a progress display.
    """

    configuration: Configuration
    text: str
    folder: Path
    run_dir: Path | None = None
    detector: Detector | None = None
    console: Console | None = None
    watch: Callable[[RunCounts], None] | None = None


def run(request: RunRequest, stop: threading.Event | None = None) -> RunSummary:
    """Run a configuration until its sources end or it is interrupted.

    Args:
        request: What to run.
        stop: Set it, from any thread, to end the run as an interrupt does.

    Raises:
        SightflowError: a part cannot be made, or a sink cannot be written.
    """
    stop = threading.Event() if stop is None else stop
    configuration = request.configuration
    metrics, counts = Metrics(), RunCounts(list(configuration.streams))
    loaded = request.detector or load_detector(detector_settings(configuration, request.folder))
    detector = MeasuredDetector(loaded, partial(metrics.observe_detector, loaded.name))
    cascades = load_cascades(configuration, request.folder, detector)
    manifest, run_dir = begin(request)
    sinks = Sinks.make(configuration, request.folder, run_dir, metrics, console=request.console)
    parts = Parts(
        cascades=cascades,
        origin=AlertOrigin(loaded.name, manifest.configuration_sha256),
        sinks=sinks.steps,
        observe=_observer(counts, metrics, request.watch),
        entered=counts.entered,
        stop=stop,
        clock=time.time_ns,
        folder=request.folder,
        kafka=sinks.kafka,
        buried=_burier(counts, metrics),
        progress=lambda at, offset, end: metrics.observe_lag(*at, end - offset),
    )
    seconds, stopped = _drive(configuration, parts, metrics, sinks)
    return RunSummary(
        name=configuration.name,
        run_dir=run_dir,
        stopped=stopped,
        seconds=seconds,
        streams=counts.streams,
        model=loaded.name,
        detector_calls=detector.calls,
        detector_frames=detector.images,
        detector_seconds=detector.seconds,
        delivered=sinks.delivered,
        undelivered=sinks.undelivered,
        dead_letters=dict(counts.dead_letters),
    )


def _observer(
    counts: RunCounts, metrics: Metrics, watch: Callable[[RunCounts], None] | None
) -> Callable[[Records], None]:
    def observe(item: Records) -> None:
        counts.observe(*item)
        metrics.observe(*item)
        if watch is not None:
            watch(counts)

    return observe


def _burier(counts: RunCounts, metrics: Metrics) -> Callable[[DeadLetter], None]:
    def buried(letter: DeadLetter) -> None:
        counts.buried(str(letter.reason))
        metrics.observe_dead_letter(letter.message.topic, str(letter.reason))
        _log.warning("message not understood", message=letter.message.id, reason=letter.detail)

    return buried


def _drive(
    configuration: Configuration, parts: Parts, metrics: Metrics, sinks: Sinks
) -> tuple[float, bool]:
    """Run the dataflow to its end: how long it took, seconds, and whether it was interrupted."""
    start = time.perf_counter()
    with _served(configuration, metrics), interrupts_end(parts.stop):
        try:
            execute(build(configuration, parts))
            return time.perf_counter() - start, parts.stop.is_set()
        finally:
            # The engine does not close the sources and sinks of a flow that was aborted.
            parts.stop.set()
            sinks.close()


def begin(request: RunRequest) -> tuple[Manifest, Path | None]:
    """Make the run's folder and its manifest, if the run keeps an event log.

    Raises:
        LogError: the folder cannot be made, or holds a run already.
    """
    configuration, now_ns = request.configuration, time.time_ns()
    section, run_dir = configuration.sinks.event_log, None
    if section is not None:
        root = request.folder / section.directory
        run_dir = request.run_dir or new_run_dir(root, configuration.name, now_ns)
    manifest = Manifest(
        name=configuration.name,
        run=run_dir.name if run_dir else "",
        created_ns=now_ns,
        configuration=request.text,
        streams=tuple(configuration.streams),
        software={name: _version(name) for name in SOFTWARE},
    )
    if run_dir is not None:
        if (run_dir / MANIFEST_NAME).exists():
            raise LogError(f"{run_dir} holds a run already; name another folder")
        with log_errors("made", run_dir):
            run_dir.mkdir(parents=True, exist_ok=True)
        write_manifest(run_dir, manifest)
    return manifest, run_dir


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def _served(
    configuration: Configuration, metrics: Metrics
) -> contextlib.AbstractContextManager[object]:
    """Serve /metrics meanwhile, if the configuration asks for it."""
    section = configuration.metrics
    if section is None:
        return contextlib.nullcontext()
    server = metrics.serve(section.host, section.port)
    _log.info("metrics are served", url=server.url)
    return server


@contextlib.contextmanager
def interrupts_end(stop: threading.Event) -> Iterator[None]:
    """Meanwhile the first SIGINT or SIGTERM sets `stop`; the second does what it did before."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before: dict[int, Any] = {}
    numbers: tuple[int, ...] = (signal.SIGINT, signal.SIGTERM)

    def on_signal(number: int, _: FrameType | None) -> None:
        stop.set()
        signal.signal(number, before[number])

    for number in numbers:
        before[number] = signal.signal(number, on_signal)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def execute(flow: Dataflow, epoch: timedelta | None = None) -> None:
    """Run a dataflow to its end; what a step raised is raised as it was.

    Args:
        flow: The dataflow.
        epoch: How long an epoch lasts; None is the engine's usual one.
    """
    try:
        cli_main(flow, epoch_interval=epoch)
    except BytewaxRuntimeError as error:
        # The engine wraps what a step raised; the user is told of the step's own error.
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, SightflowError):
                raise cause from error
            cause = cause.__cause__
        raise
