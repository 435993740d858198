"""Prometheus metrics of models that change while a flow runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import Counter, Gauge

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry


class ModelMetrics:
    """The metrics of a run's models; safe to use from several threads.

    ::

        sightflow_model_info{name,version}              1 for the version in force
        sightflow_model_swaps_total{name,reason}        versions that took another's place
        sightflow_model_faults_total{name}              versions that could not be used
        sightflow_model_shadows_total{name,outcome}     candidates that passed or failed, by stream

    Args:
        registry: Where they are registered.

    >>> from prometheus_client import CollectorRegistry
    >>> registry = CollectorRegistry()
    >>> metrics = ModelMetrics(registry)
    >>> metrics.in_force("gate", "3")
    >>> metrics.in_force("gate", "4")
    >>> registry.get_sample_value("sightflow_model_info", {"name": "gate", "version": "3"})
    >>> registry.get_sample_value("sightflow_model_info", {"name": "gate", "version": "4"})
    1.0
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, text: str, labels: list[str]) -> Counter:
            return Counter(f"sightflow_model_{name}", text, labels, registry=registry)

        self._info = Gauge(
            "sightflow_model_info", "The version in force", ["name", "version"], registry=registry
        )
        self._swaps = counter("swaps", "Versions that took another's place", ["name", "reason"])
        self._faults = counter("faults", "Versions that could not be used", ["name"])
        self._shadows = counter("shadows", "Candidates that were judged", ["name", "outcome"])
        self._versions: dict[str, str] = {}

    def in_force(self, name: str, version: str) -> None:
        """Note which version of a model is in force."""
        before = self._versions.get(name)
        if before is not None:
            self._info.remove(name, before)
        self._versions[name] = version
        self._info.labels(name, version).set(1)

    def swapped(self, name: str, reason: str) -> None:
        """Count a version that took another's place: promoted, or rolled back to."""
        self._swaps.labels(name, reason).inc()

    def faulty(self, name: str) -> None:
        """Count a version that could not be used."""
        self._faults.labels(name).inc()

    def judged(self, name: str, *, passed: bool) -> None:
        """Count a candidate that passed or failed on a stream."""
        self._shadows.labels(name, "passed" if passed else "failed").inc()
