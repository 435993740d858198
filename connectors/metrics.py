"""Prometheus metrics of one run, in a registry of their own.

Names follow Prometheus: base units, ``_total`` for counters, ``_seconds`` for times.
https://prometheus.io/docs/practices/naming/
"""

from __future__ import annotations

from collections import Counter as Counts
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from connectors.health import BEGINS, FAILS, Health
from connectors.metrics_server import MetricsServer
from records import (
    Alert,
    Estimate,
    EventKind,
    Finding,
    Record,
    Stage,
    StreamEvent,
    Verdict,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

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
        sightflow_stream_up{stream}                             1 while it gives frames, 0 when lost
        sightflow_detector_calls_total{model}                   images seen by a detector
        sightflow_detector_seconds{model}                       time of a detector's calls
        sightflow_alerts_total{stream,rule,state}               changes of episodes
        sightflow_findings_total{stream,assertion}              what assertions found
        sightflow_verdicts_corrected_total{stream}              verdicts that corrections changed
        sightflow_retraining_items_total{stream,origin}         items put into the retraining queue
        sightflow_retraining_dropped_total{stream,reason}       what was not, or left it again
        sightflow_retraining_queue_items{queue}                 items that wait there for a label
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
        self.health = Health()
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
        self._up = self._gauge("stream_up", "Whether the stream gives frames", "stream")
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

        self._put_aside = self._counter(
            "retraining_items", "Items put into the retraining queue", "stream origin"
        )
        self._not_put_aside = self._counter(
            "retraining_dropped", "What was not put there, or left again", "stream reason"
        )
        self._queued = self._gauge("retraining_queue_items", "Items that wait for a label", "queue")

    def _counter(self, name: str, help_text: str, labels: str) -> Counter:
        return Counter(f"sightflow_{name}", help_text, labels.split(), registry=self.registry)

    def _gauge(self, name: str, help_text: str, labels: str) -> Gauge:
        return Gauge(f"sightflow_{name}", help_text, labels.split(), registry=self.registry)

    def observe(self, stream: str, records: Sequence[Record]) -> None:
        """Count records of one stream."""
        self.health.observe(stream, records)
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
        self._observe_up(stream, event.kind)
        reason = event.reason or _UNNAMED
        if event.kind is EventKind.DROPPED:
            self._dropped.labels(stream, reason).inc(event.count)
        elif event.kind in _BYTES_LOST:
            self._corrupt.labels(stream, reason).inc(event.count)
        elif event.kind is EventKind.CONTRACT:
            self._changes.labels(stream, reason).inc()

    def _observe_up(self, stream: str, kind: EventKind) -> None:
        if kind in BEGINS:
            self._up.labels(stream).set(1)
        elif kind in FAILS:
            self._up.labels(stream).set(0)
        elif kind is EventKind.ENDED:
            # A stream that came to its end is not lost. Kafka's streams have no events.
            self._up.remove(stream)

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

    def observe_retraining(
        self, stream: str, origins: Mapping[str, int], lost: Mapping[str, int]
    ) -> None:
        """Count items of the retraining queue by origin, and what is not in it by reason."""
        for origin, count in origins.items():
            self._put_aside.labels(stream, origin).inc(count)
        for reason, count in lost.items():
            self._not_put_aside.labels(stream, reason).inc(count)

    def observe_queue(self, queue: str, items: int) -> None:
        """Note how many items of a retraining queue, a file's name, wait for a label."""
        self._queued.labels(queue).set(items)

    def observe_dead_letter(self, topic: str, reason: str) -> None:
        """Count a message that was not understood, or a record that was not written."""
        self._dead_letters.labels(topic, reason).inc()

    def observe_lag(self, topic: str, partition: int, messages: int) -> None:
        """Note how many messages of a partition were not read yet."""
        self.health.begun()
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
        """Serve ``/metrics``, ``/healthz`` and ``/readyz`` over HTTP from a daemon thread.

        Args:
            host: The address to listen on; only this machine by default.
            port: The TCP port; 0 takes a free one.

        Raises:
            SightflowError: the address cannot be listened on.
        """
        return MetricsServer(self.registry, self.health, host, port)


def _sample_name(name: str, labels: dict[str, str]) -> str:
    inside = ",".join(f'{label}="{value}"' for label, value in sorted(labels.items()))
    return f"{name}{{{inside}}}" if inside else name
