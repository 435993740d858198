"""Prometheus metrics of one run, in a registry of their own.

Names follow Prometheus: base units, ``_total`` for counters, ``_seconds`` for times.
https://prometheus.io/docs/practices/naming/
"""

from __future__ import annotations

from collections import Counter as Counts
from typing import TYPE_CHECKING, Self

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server

from records import (
    Alert,
    Estimate,
    EventKind,
    Finding,
    Record,
    SightflowError,
    Stage,
    StreamEvent,
    Verdict,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from threading import Thread
    from wsgiref.simple_server import WSGIServer

DETECTOR_BUCKETS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
"""Upper bounds of the buckets of detector times, seconds: from a GPU's batch to a slow CPU's."""

_UNNAMED = "unknown"
_BYTES_LOST = (EventKind.CORRUPT, EventKind.TRUNCATED)


class Metrics:
    """The metrics of one run; safe to use from several threads.

    ::

        sightflow_frames_total{stream,stage}                    frames by the stage that decided
        sightflow_stage_frames_total{stream,stage}              frames that reached each stage
        sightflow_frames_audited_total{stream}                  frames that the audit drew
        sightflow_audit_recall{stream,bound}                    live recall: low, value, high
        sightflow_audit_precision{stream,bound}                 live precision: low, value, high
        sightflow_window_estimate{stream,name,bound}            the latest window: low, value, high
        sightflow_contract_changes_total{stream,reason}         contracts broken, plans certified
        sightflow_frames_dropped_total{stream,reason}           frames that were not looked at
        sightflow_packets_corrupt_total{stream,reason}          packets that became no frame
        sightflow_stream_events_total{stream,kind}              what befell the streams
        sightflow_detector_calls_total{model}                   images seen by a detector
        sightflow_detector_seconds{model}                       time of a detector's calls
        sightflow_alerts_total{stream,rule,state}               changes of episodes
        sightflow_findings_total{stream,assertion}              what assertions found
        sightflow_verdicts_corrected_total{stream}              verdicts that corrections changed
        sightflow_webhook_deliveries_total{endpoint,outcome}    webhooks by how they ended
        sightflow_webhook_pending{endpoint}                     alerts that wait for an endpoint
        sightflow_dead_letters_total{topic,reason}              messages that were not understood
        sightflow_kafka_lag_messages{topic,partition}           messages that were not read yet

    >>> from records import EventKind, StreamEvent
    >>> metrics = Metrics()
    >>> metrics.observe("gate", [StreamEvent("gate", 0, EventKind.DROPPED, 3, "flow_behind")])
    >>> metrics.snapshot()['sightflow_frames_dropped_total{reason="flow_behind",stream="gate"}']
    3.0
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._frames = self._counter("frames", "Frames, by the stage that decided", "stream stage")
        self._reached = self._counter(
            "stage_frames", "Frames that reached each stage", "stream stage"
        )
        self._audited = self._counter("frames_audited", "Frames that the audit drew", "stream")
        self._changes = self._counter(
            "contract_changes", "Contracts broken, plans certified or refused", "stream reason"
        )
        self._shares = {
            name: self._gauge(name, f"Live {name}, 0..1", "stream bound")
            for name in ("audit_recall", "audit_precision")
        }
        self._windows = self._gauge(
            "window_estimate", "The latest window's estimate", "stream name bound"
        )
        self._dropped = self._counter(
            "frames_dropped", "Frames that were not looked at", "stream reason"
        )
        self._corrupt = self._counter(
            "packets_corrupt", "Packets that became no frame", "stream reason"
        )
        self._events = self._counter("stream_events", "What befell the streams", "stream kind")
        self._alerts = self._counter("alerts", "Changes of episodes", "stream rule state")
        self._calls = self._counter("detector_calls", "Images seen by a detector", "model")
        self._seconds = Histogram(
            "sightflow_detector_seconds",
            "Time of a detector's calls, seconds",
            ["model"],
            buckets=DETECTOR_BUCKETS,
            registry=self.registry,
        )
        self._findings = self._counter("findings", "What assertions found", "stream assertion")
        self._corrected = self._counter(
            "verdicts_corrected", "Verdicts that corrections changed", "stream"
        )
        self._add_traffic()

    def _add_traffic(self) -> None:
        """The metrics of what goes to and comes from other programs."""
        self._deliveries = self._counter(
            "webhook_deliveries", "Webhooks, by how they ended", "endpoint outcome"
        )
        self._pending = self._gauge(
            "webhook_pending", "Alerts that wait for an endpoint", "endpoint"
        )
        self._dead_letters = self._counter(
            "dead_letters", "Messages that were not understood, or not written", "topic reason"
        )
        self._lag = self._gauge(
            "kafka_lag_messages", "Messages that were not read yet", "topic partition"
        )

    def _counter(self, name: str, help_text: str, labels: str) -> Counter:
        return Counter(f"sightflow_{name}", help_text, labels.split(), registry=self.registry)

    def _gauge(self, name: str, help_text: str, labels: str) -> Gauge:
        return Gauge(f"sightflow_{name}", help_text, labels.split(), registry=self.registry)

    def observe(self, stream: str, records: Sequence[Record]) -> None:
        """Count records of one stream."""
        verdicts = [record for record in records if isinstance(record, Verdict)]
        if verdicts:
            self._observe_verdicts(stream, verdicts)
        for record in records:
            match record:
                case Estimate():
                    self._observe_estimate(stream, record)
                case StreamEvent():
                    self._observe_event(stream, record)
                case Finding():
                    self._findings.labels(stream, record.assertion).inc()
                case Alert():
                    self._alerts.labels(stream, record.rule, record.state.value).inc()

    def _observe_verdicts(self, stream: str, verdicts: Sequence[Verdict]) -> None:
        stages: Counts[str] = Counts(verdict.stage for verdict in verdicts)
        left = len(verdicts)
        for stage in Stage:
            if left:
                self._reached.labels(stream, str(stage)).inc(left)
            if stages[stage]:
                self._frames.labels(stream, str(stage)).inc(stages[stage])
            left -= stages[stage]
        for counter, count in (
            (self._audited, sum(verdict.audited for verdict in verdicts)),
            (self._corrected, sum(bool(verdict.corrected) for verdict in verdicts)),
        ):
            if count:
                counter.labels(stream).inc(count)

    def _observe_estimate(self, stream: str, estimate: Estimate) -> None:
        share = self._shares.get(estimate.name.replace(" ", "_"))
        for bound in ("low", "value", "high"):
            value = getattr(estimate, bound)
            if share is not None:
                share.labels(stream, bound).set(value)
            else:
                self._windows.labels(stream, estimate.name, bound).set(value)

    def _observe_event(self, stream: str, event: StreamEvent) -> None:
        self._events.labels(stream, event.kind.value).inc()
        reason = event.reason or _UNNAMED
        if event.kind is EventKind.DROPPED:
            self._dropped.labels(stream, reason).inc(event.count)
        elif event.kind in _BYTES_LOST:
            self._corrupt.labels(stream, reason).inc(event.count)
        elif event.kind is EventKind.CONTRACT:
            self._changes.labels(stream, reason).inc()

    def observe_detector(self, model: str, images: int, seconds: float) -> None:
        """Count one call of a detector.

        Args:
            model: The detector's name.
            images: How many images it was given.
            seconds: How long it took, seconds.
        """
        self._calls.labels(model).inc(images)
        self._seconds.labels(model).observe(seconds)

    def watch_pending(self, endpoint: str, pending: Callable[[], float]) -> None:
        """Ask, whenever metrics are read, how many alerts wait for an endpoint."""
        self._pending.labels(endpoint).set_function(pending)

    def observe_dead_letter(self, topic: str, reason: str) -> None:
        """Count a message that was not understood, or a record that was not written."""
        self._dead_letters.labels(topic, reason).inc()

    def observe_lag(self, topic: str, partition: int, messages: int) -> None:
        """Note how many messages of a partition were not read yet."""
        self._lag.labels(topic, str(partition)).set(messages)

    def observe_delivery(self, host: str, reason: str = "") -> None:
        """Count a webhook that was delivered, or failed for a reason.

        Args:
            host: The endpoint's host, never its whole URL.
            reason: Why it failed; empty when it was delivered.
        """
        self._deliveries.labels(host, reason or "delivered").inc()

    def snapshot(self) -> dict[str, float]:
        """Every sample as it would be scraped, ``name{label="value",…}``, without ``_created``."""
        return {
            _sample_name(sample.name, sample.labels): sample.value
            for metric in self.registry.collect()
            for sample in metric.samples
            if not sample.name.endswith("_created")
        }

    def serve(self, host: str = "127.0.0.1", port: int = 0) -> MetricsServer:
        """Serve ``/metrics`` over HTTP from a daemon thread.

        Args:
            host: The address to listen on; only this machine by default.
            port: The TCP port; 0 takes a free one.

        Raises:
            SightflowError: the address cannot be listened on.
        """
        try:
            server, thread = start_http_server(port, host, self.registry)
        except OSError as error:
            raise SightflowError(
                f"metrics cannot be served on {host}:{port}: {error.strerror or error}; "
                "take another port"
            ) from error
        return MetricsServer(server, thread)


class MetricsServer:
    """The running HTTP server of `Metrics.serve`; close it, or use it as a context manager."""

    def __init__(self, server: WSGIServer, thread: Thread) -> None:
        self._server = server
        self._thread = thread

    @property
    def url(self) -> str:
        """Where Prometheus can scrape."""
        host, port = self._server.server_address[:2]
        name = host.decode() if isinstance(host, bytes) else str(host)
        return f"http://{f'[{name}]' if ':' in name else name}:{port}/metrics"

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _sample_name(name: str, labels: dict[str, str]) -> str:
    inside = ",".join(f'{label}="{value}"' for label, value in sorted(labels.items()))
    return f"{name}{{{inside}}}" if inside else name
