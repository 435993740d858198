"""Replaying: a recording goes through a configuration, one group of items after the other."""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from connectors.codec import event_time_ns, kind_of
from connectors.event_order import GroupSettings, frame_batches, verdict_batches
from connectors.log_manifest import new_run_dir
from connectors.metrics import Metrics
from connectors.model_metrics import ModelMetrics
from connectors.pace import AS_FAST_AS_POSSIBLE, Pacer, Speed
from connectors.paced import PacedSource
from flows.build import Parts, build, detector_settings
from flows.cascades import load_cascades
from flows.config import EventLogSection
from flows.counts import RunCounts
from flows.engine import execute, interrupts_end
from flows.live_models import load_named_detector, open_models
from flows.measured import MeasuredDetector
from flows.prepare import RunRequest, begin
from flows.replay.assertions import not_replayed, replayed_assertions
from flows.replay.build import (
    RecordedDetector,
    frame_inputs,
    recorded_cascades,
    verdict_inputs,
)
from flows.replay.configuration import kept_sinks, left_out_sinks, no_sinks
from flows.replay.digest import RecordDigest
from flows.replay.summary import ReplaySummary
from flows.replay.windows import audit_cell
from flows.retraining import load_retraining
from flows.sinks import Sinks
from flows.summary import RunSummary
from operators.alerting import AlertOrigin

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bytewax.dataflow import Dataflow
    from rich.console import Console

    from flows.build import Records
    from flows.cascades import Cascades
    from flows.config import Configuration
    from flows.replay.inputs import ReplayInput
    from records import Detector

LOCKSTEP = timedelta(0)
"""An epoch for each group: the next one waits until every sink has this one."""


@dataclass(frozen=True, slots=True)
class ReplayRequest:
    """What to replay.

    Attributes:
        recording: The recording, opened for the configuration.
        configuration: The configuration.
        text: Its text, for the manifest; holds no secrets.
        folder: Where its relative paths count from.
        file: Its name, for faults.
        speed: The pace.
        keep: Whether the replay has a folder and sinks; else records are only observed.
        run_dir: The replay's folder, if it is not to be made in the event log's directory.
        deliver: Whether webhooks, Kafka and the retraining queue are written to as well.
        detector: The reference detector, if it is loaded already.
        console: Where the console sink writes; None for nowhere.
        watch: Called with the counts after each batch, for a progress display.
        observe: Called with every stream and its records, in order.
        mixed: Whether models may see several streams in a batch; then sinks see records in
            event-time order within each stream only.
        clock: A clock in seconds that never goes back, for the pace.
        sleep: Waits so many seconds.
    """

    recording: ReplayInput
    configuration: Configuration
    text: str
    folder: Path
    file: str = ""
    speed: Speed = AS_FAST_AS_POSSIBLE
    keep: bool = True
    run_dir: Path | None = None
    deliver: bool = False
    detector: Detector | None = None
    console: Console | None = None
    watch: Callable[[RunCounts], None] | None = None
    observe: Callable[[Records], None] | None = None
    mixed: bool = False
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], object] = time.sleep


class _Observer:
    """Counts and hashes what goes to the sinks."""

    def __init__(self, request: ReplayRequest, metrics: Metrics) -> None:
        self._request = request
        self._metrics = metrics
        self.counts = RunCounts(list(request.recording.streams))
        self.digest = RecordDigest()
        self.kinds: Counter[str] = Counter()
        self.first_ns: int | None = None
        self.last_ns = 0

    def __call__(self, item: Records) -> None:
        stream, records = item
        self.counts.observe(stream, records)
        self._metrics.observe(stream, records)
        self.digest.add(stream, records)
        for record in records:
            self.kinds[kind_of(record)] += 1
            time_ns = event_time_ns(record)
            self.first_ns = time_ns if self.first_ns is None else min(self.first_ns, time_ns)
            self.last_ns = max(self.last_ns, time_ns)
        if self._request.observe is not None:
            self._request.observe(item)
        if self._request.watch is not None:
            self._request.watch(self.counts)


class _Replay:
    """One replay: what it is made of, and what became of it."""

    def __init__(self, request: ReplayRequest, stop: threading.Event) -> None:
        self._request = request
        self._stop = stop
        self._metrics = Metrics()
        self._observer = _Observer(request, self._metrics)
        self._pacer = Pacer(request.speed, request.clock)
        self._frames = request.recording.holds == "frames"
        self._models = open_models(
            request.configuration, request.folder, ModelMetrics(self._metrics.registry),
            follow=False,
        )  # fmt: skip
        self._cell_seconds = audit_cell(request.configuration, request.recording, request.file)
        inner: Detector = RecordedDetector(request.recording.model)
        if self._frames:
            settings = detector_settings(request.configuration, request.folder)
            weights = request.configuration.detector.weights
            inner = request.detector or load_named_detector(settings, weights, self._models)
        observe = partial(self._metrics.observe_detector, inner.name)
        self._detector = MeasuredDetector(inner, observe)

    def run(self) -> ReplaySummary:
        request = self._request
        cascades = self._cascades()
        configuration, run_dir = self._prepared()
        manifest, run_dir = begin(RunRequest(configuration, request.text, request.folder, run_dir))
        sinks = Sinks.make(
            configuration, request.folder, run_dir, self._metrics, console=request.console
        )
        origin = AlertOrigin(self._detector.name, manifest.configuration_sha256)
        counts = self._observer.counts
        assertions = replayed_assertions(configuration, request.folder, frames=self._frames)
        parts = Parts(
            cascades=cascades,
            origin=origin,
            sinks=sinks.steps,
            observe=self._observer,
            entered=counts.entered,
            stop=self._stop,
            clock=time.time_ns,
            folder=request.folder,
            kafka=sinks.kafka,
            assertions=assertions,
            retraining=load_retraining(
                configuration, request.folder, assertions, origin, counts, self._metrics
            ),
        )
        begun = time.perf_counter()
        try:
            with interrupts_end(self._stop):
                execute(self._flow(configuration, parts), epoch=LOCKSTEP)
                stopped = self._stop.is_set()
        finally:
            # The engine does not close the sources and sinks of a flow that was aborted.
            self._stop.set()
            sinks.close()
        return self._summary(sinks, run_dir, time.perf_counter() - begun, stopped=stopped)

    @property
    def _not_asserted(self) -> dict[str, Any]:
        """The assertions that this replay does not run, for its notes."""
        names = not_replayed(self._request.configuration, frames=self._frames)
        return {"not_asserted": list(names)} if names else {}

    def _cascades(self) -> Cascades:
        if not self._frames:
            return recorded_cascades(self._detector)
        request = self._request
        return load_cascades(request.configuration, request.folder, self._detector, self._models)

    def _prepared(self) -> tuple[Configuration, Path | None]:
        """The configuration with the sinks of a replay, and the replay's folder."""
        request, configuration = self._request, self._request.configuration
        if not request.keep:
            return no_sinks(configuration), None
        section = configuration.sinks.event_log or EventLogSection()
        run_dir = request.run_dir or new_run_dir(
            request.folder / section.directory, configuration.name, time.time_ns()
        )
        return kept_sinks(configuration, run_dir, deliver=request.deliver), run_dir

    def _flow(self, configuration: Configuration, parts: Parts) -> Dataflow:
        recording = self._request.recording
        cascades = parts.cascades if self._frames else None
        anew = configuration.track is not None
        source = PacedSource(
            lambda: recording.lanes(cascades, self._stop, anew=anew),
            frame_batches if self._frames else verdict_batches,
            self._pacer,
            stop=self._stop,
            sleep=self._request.sleep,
            settings=GroupSettings(mixed=self._request.mixed),
        )
        if self._frames:
            return build(configuration, parts, frame_inputs(source))
        inputs = verdict_inputs(source, configuration, self._cell_seconds)
        return build(configuration.model_copy(update={"windows": []}), parts, inputs)

    def _summary(
        self, sinks: Sinks, run_dir: Path | None, seconds: float, *, stopped: bool
    ) -> ReplaySummary:
        request, observer, detector = self._request, self._observer, self._detector
        run = RunSummary(
            name=request.configuration.name,
            run_dir=run_dir,
            stopped=stopped,
            seconds=seconds,
            streams=observer.counts.streams,
            model=detector.name,
            detector_calls=detector.calls,
            detector_frames=detector.images,
            detector_seconds=detector.seconds,
            delivered=sinks.delivered,
            undelivered=sinks.undelivered,
        )
        return ReplaySummary(
            run=run,
            recording=request.recording.name,
            holds=request.recording.holds,
            speed=str(request.speed),
            sha256=observer.digest.hexdigest(),
            records=dict(sorted(observer.kinds.items())),
            span_ns=observer.last_ns - (observer.first_ns or 0),
            behind_seconds=self._pacer.behind_seconds,
            notes=request.recording.notes() | self._not_asserted,
            sinks_left_out=() if request.deliver else left_out_sinks(request.configuration),
        )


def replay(request: ReplayRequest, stop: threading.Event | None = None) -> ReplaySummary:
    """Replay a recording to its end, or until it is interrupted.

    Args:
        request: What to replay.
        stop: Set it, from any thread, to end the replay as an interrupt does.

    Raises:
        SightflowError: a part cannot be made, the recording cannot be read, or a sink cannot be
            written.
    """
    return _Replay(request, threading.Event() if stop is None else stop).run()
