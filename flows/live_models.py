"""The models of the registry that one run follows: cascades, detectors and classifiers."""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from flows.hot_swap import ModelReports, ModelWatch
from flows.hot_swap_calls import CallSettings
from flows.hot_swap_models import (
    SwappableClassifier,
    SwappableDetector,
    check_fits,
    check_like,
)
from flows.hot_swap_supervisor import Supervisor
from flows.model_reference import registry_name
from models.detectors import load_detector
from models.ecg import EcgModel
from models.registry import ModelKind, Registry
from operators.cascade_settings import ShadowSettings
from records import DetectorError, SignalClassifier

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from connectors.model_metrics import ModelMetrics
    from flows.config import Configuration, ModelsSection
    from models.detectors import DetectorSettings
    from records import Clock, Detector

Model = TypeVar("Model")

WEIGHTS = "model.safetensors"
"""The file of a version that holds an ECG model."""


class LiveModels:
    """What a run follows of a registry.

    Args:
        section: How.
        folder: Where its relative path counts from.
        metrics: Metrics of models.
        clock: Tells when the registry is looked at, and when it is changed.
        follow: Whether versions change; else those in force at the start stay.

    Attributes:
        streams: The streams that follow each model, as far as they are known.
        supervisor: Promotes, rejects and rolls back.
    """

    def __init__(
        self,
        section: ModelsSection,
        folder: Path,
        metrics: ModelMetrics,
        clock: Clock,
        *,
        follow: bool = True,
    ) -> None:
        self.section, self.follow = section, follow
        self.streams: defaultdict[str, set[str]] = defaultdict(set)
        self.reports = ModelReports(metrics)
        directory = folder / section.directory
        self._registry, self._clock = Registry(directory, clock), clock
        self._close: list[Callable[[], None]] = []
        self.supervisor = Supervisor(
            self._registry,
            directory,
            self.reports,
            self.streams,
            quorum=section.shadow.quorum if section.shadow else 1.0,
            rollback=section.rollback,
        )

    def watch(self, name: str, kind: ModelKind, load: Callable[[Path], Model]) -> ModelWatch[Model]:
        """Follow a model.

        Raises:
            SightflowError: its version in force cannot be loaded.
        """
        watch = ModelWatch(
            self._registry, name, kind, load, self.reports,
            poll_seconds=self.section.poll_seconds, clock=self._clock,
        )  # fmt: skip
        self._close.append(watch.close)
        return watch

    def detector(self, name: str, settings: DetectorSettings) -> Detector:
        """The detector whose weights follow a model.

        Raises:
            SightflowError: its version in force cannot be loaded.
        """
        load = _alike(lambda folder: _detector(folder, settings), check_like)
        watch = self.watch(name, ModelKind.DETECTOR, load)
        if not self.follow:
            return _in_force(watch)
        return SwappableDetector(watch, self._calls(), self.supervisor)

    def classifier(self, name: str) -> SignalClassifier:
        """The classifier of signals that follows a model.

        Raises:
            SightflowError: its version in force cannot be loaded.
        """

        def load(folder: Path) -> SignalClassifier:
            return EcgModel.load(folder / WEIGHTS)

        watch = self.watch(name, ModelKind.ECG, _alike(load, check_fits))
        if not self.follow:
            return _in_force(watch)
        return SwappableClassifier(watch, self._calls(), self.supervisor)

    def shadow(self) -> ShadowSettings | None:
        """How candidates of cascades are judged; None never."""
        section = self.section.shadow
        if section is None:
            return None
        return ShadowSettings(
            section.least_audited, section.most_seconds, section.confidence, section.worse_by
        )

    def _calls(self) -> CallSettings | None:
        section = self.section.shadow
        if section is None:
            return None
        return CallSettings(
            section.every, section.least_compared, section.least_agreement, section.at_most_slower
        )

    def close(self) -> None:
        """Wait for what is being loaded."""
        for close in self._close:
            close()


def open_models(
    configuration: Configuration,
    folder: Path,
    metrics: ModelMetrics,
    clock: Clock = time.time_ns,
    *,
    follow: bool = True,
) -> LiveModels | None:
    """What a configuration follows of a registry; None where it names none.

    Args:
        configuration: The configuration.
        folder: Where its relative paths count from.
        metrics: Metrics of models.
        clock: Tells when the registry is looked at, and when it is changed.
        follow: Whether versions change; else those in force now stay.
    """
    if configuration.models is None:
        return None
    return LiveModels(configuration.models, folder, metrics, clock, follow=follow)


def load_named_detector(
    settings: DetectorSettings, weights: str | None, live: LiveModels | None
) -> Detector:
    """The detector of a configuration, which may follow a model of the registry.

    Raises:
        SightflowError: it cannot be loaded.
    """
    name = registry_name(weights)
    if name is None:
        return load_detector(settings)
    assert live is not None, "checked with the configuration"
    return live.detector(name, settings)


def _in_force(watch: ModelWatch[Model]) -> Model:
    current = watch.held.current
    assert current is not None, "checked with the configuration"
    return current.model


def _alike(
    load: Callable[[Path], Model], check: Callable[[Model, Model, str], None]
) -> Callable[[Path], Model]:
    """Load versions that must be like the first one."""
    first: list[Model] = []

    def loaded(folder: Path) -> Model:
        model = load(folder)
        if first:
            check(model, first[0], str(folder))
        else:
            first.append(model)
        return model

    return loaded


def _detector(folder: Path, settings: DetectorSettings) -> Detector:
    """The detector of a version; its weights are the one file that is no manifest."""
    files = [path for path in sorted(folder.iterdir()) if path.suffix != ".json"]
    if len(files) != 1:
        raise DetectorError(f"{folder} must hold one file of weights, got {len(files)}")
    return load_detector(replace(settings, weights=str(files[0])))
