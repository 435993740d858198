"""Running a configuration: parts are made, the dataflow runs until its sources end, all is counted.

The first interrupt (SIGINT or SIGTERM) ends the sources; what they have emitted is still decided
and written, and the run ends as if its input had ended there. The second stops at once.
"""

from __future__ import annotations

import contextlib
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import structlog

from connectors.metrics import Metrics
from connectors.model_metrics import ModelMetrics
from flows.assertions import load_assertions
from flows.build import Parts, detector_settings
from flows.cascades import load_cascades
from flows.counts import RunCounts
from flows.dashboard.live import dashboard
from flows.engine import interrupts_end
from flows.lidar import load_lidars
from flows.live_models import load_named_detector, open_models
from flows.measured import MeasuredDetector
from flows.prepare import RunRequest, prepare
from flows.recovery import locked
from flows.reload_detectors import Detectors
from flows.reload_run import run_stages
from flows.retraining import load_retraining
from flows.signals import load_classifier
from flows.sinks import Sinks
from flows.summary import RunSummary
from flows.training.lag import lag_watch
from operators.alerting import AlertOrigin

if TYPE_CHECKING:
    from collections.abc import Callable

    from connectors.kafka import DeadLetter
    from connectors.log_manifest import Manifest
    from flows.build import Records
    from flows.config import Configuration
    from flows.live_models import LiveModels
    from flows.member import Member
    from flows.prepare import Begun
    from flows.reload_run import Remake
    from flows.training.lag import LagWatch

__all__ = ["RunRequest", "run"]

_log = structlog.get_logger()


def run(request: RunRequest, stop: threading.Event | None = None) -> RunSummary:
    """Run a configuration until its sources end or it is interrupted.

    Args:
        request: What to run.
        stop: Set it, from any thread, to end the run as an interrupt does.

    Raises:
        SightflowError: a part cannot be made, or a sink cannot be written.
    """
    stop = threading.Event() if stop is None else stop
    with contextlib.ExitStack() as held:
        if request.recovery is not None:
            held.enter_context(locked(request.recovery, request.member))
        return _run(request, prepare(request), stop)


def _run(request: RunRequest, begun: Begun, stop: threading.Event) -> RunSummary:
    configuration = request.configuration
    metrics, counts = (
        Metrics(),
        RunCounts(configuration.names),
    )
    live = open_models(configuration, request.folder, ModelMetrics(metrics.registry))
    detectors = Detectors(
        lambda changed: (
            _detector(replace(request, configuration=changed), metrics, live)
            if _sees(changed)
            else None
        )
    )
    with dashboard(request, begun, detectors.of(configuration), metrics) as shown:
        sinks = Sinks.make(
            configuration, request.folder, begun.run_dir, metrics, console=request.console,
            member=request.member,
        )  # fmt: skip

        def make(changed: RunRequest, manifest: Manifest) -> Parts:
            now, detector = replace(begun, manifest=manifest), detectors.of(changed.configuration)
            return shown(_parts(changed, now, detector, live, sinks, counts, metrics, stop))

        parts, seconds, stopped = _drive(request, begun, make, live, metrics, sinks, stop)
    return RunSummary(
        name=configuration.name,
        run_dir=begun.run_dir,
        stopped=stopped,
        resumed=begun.resumed,
        seconds=seconds,
        streams=counts.streams,
        model=parts.origin.model,
        **detectors.spent,
        delivered=sinks.delivered,
        undelivered=sinks.undelivered,
        dead_letters=dict(counts.dead_letters),
    )


def _sees(configuration: Configuration) -> bool:
    """Whether frames can come, so that a detector is needed."""
    kafka = configuration.kafka
    return bool(configuration.streams) or (kafka is not None and kafka.read is not None)


def _detector(request: RunRequest, metrics: Metrics, live: LiveModels | None) -> MeasuredDetector:
    section = request.configuration.detector
    settings = detector_settings(request.configuration, request.folder)
    loaded = request.detector or load_named_detector(settings, section.weights, live)
    # The name is asked for at each call: a detector that follows the registry changes it.
    return MeasuredDetector(loaded, lambda *call: metrics.observe_detector(loaded.name, *call))


def _parts(
    request: RunRequest,
    begun: Begun,
    detector: MeasuredDetector | None,
    live: LiveModels | None,
    sinks: Sinks,
    counts: RunCounts,
    metrics: Metrics,
    stop: threading.Event,
) -> Parts:
    configuration, folder = request.configuration, request.folder
    asserted, classified = configuration.assertions, configuration.classifier
    model = detector.name if detector else "" if classified is None else classified.model
    origin = AlertOrigin(model, begun.manifest.configuration_sha256)
    assertions = (
        None if asserted is None else load_assertions(asserted, folder, lidars=configuration.lidars)
    )
    return Parts(
        cascades=load_cascades(configuration, folder, detector, live) if detector else None,
        origin=origin,
        sinks=sinks.steps,
        observe=_observer(
            counts, metrics, live, lag_watch(configuration, folder, time.time_ns), request.watch
        ),
        entered=counts.entered,
        stop=stop,
        clock=time.time_ns,
        folder=folder,
        kafka=sinks.kafka,
        buried=_burier(counts, metrics),
        progress=lambda at, offset, end: metrics.observe_lag(*at, end - offset),
        assertions=assertions,
        retraining=load_retraining(configuration, folder, assertions, origin, counts, metrics),
        lidars=load_lidars(configuration.lidars, folder) if configuration.lidars else None,
        classifier=None if classified is None else load_classifier(classified, folder, live),
        shards=begun.shards,
        member=request.member,
    )


def _observer(
    counts: RunCounts,
    metrics: Metrics,
    live: LiveModels | None,
    lag: LagWatch | None,
    watch: Callable[[RunCounts], None] | None,
) -> Callable[[Records], None]:
    def observe(item: Records) -> None:
        counts.observe(*item)
        metrics.observe(*item)
        if live is not None:
            live.supervisor.observe(*item)
        if lag is not None:
            lag.observe(*item)
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
    request: RunRequest,
    begun: Begun,
    make: Remake,
    live: LiveModels | None,
    metrics: Metrics,
    sinks: Sinks,
    stop: threading.Event,
) -> tuple[Parts, float, bool]:
    """Run to the end: the last parts, how long it took, seconds, and whether it was interrupted."""
    served = _served(request.configuration, metrics, request.member)
    with served, interrupts_end(stop):
        try:
            parts = make(request, begun.manifest)
            start = time.perf_counter()
            with sinks.held():
                parts = run_stages(request, begun, parts, make)
            return parts, time.perf_counter() - start, stop.is_set()
        finally:
            # The engine does not close the sources and sinks of a flow that was aborted.
            stop.set()
            sinks.close()
            if live is not None:
                live.close()


def _served(
    configuration: Configuration, metrics: Metrics, member: Member
) -> contextlib.AbstractContextManager[object]:
    """Serve /metrics meanwhile, if the configuration asks for it; each process at its own port."""
    section = configuration.metrics
    if section is None:
        return contextlib.nullcontext()
    server = metrics.serve(section.host, section.port + member.process if section.port else 0)
    _log.info("metrics are served", url=server.url)
    return server
