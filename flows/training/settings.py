"""What a trainer works on: the section of the configuration, with its paths and its question."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flows.build import detector_settings
from flows.evaluate.optimise import Targets
from flows.questions import plain_difference, predicate_of
from models.certification import Contract
from models.detectors import load_detector
from models.registry import Registry
from records import ConfigurationError, Fault

if TYPE_CHECKING:
    from pathlib import Path

    from flows.config import Configuration, StreamSection
    from flows.config.training_section import TrainingSection
    from operators.difference import DifferenceSettings
    from operators.predicate import Predicate
    from records import Clock, Detector

TRAINERS = ".training"
"""The folder of the registry that holds one folder for each trainer."""


@dataclass(slots=True)
class TrainingJob:
    """One model that is trained from one queue.

    Attributes:
        section: How.
        configuration: The flow's configuration.
        folder: Where its relative paths count from.
        directory: The registry's folder.
        queue: The retraining queue's file.
        clock: Tells the time, for the registry and the rounds.
    """

    section: TrainingSection
    configuration: Configuration
    folder: Path
    directory: Path
    queue: Path
    clock: Clock
    _detector: Detector | None = None

    @property
    def name(self) -> str:
        """The model's name in the registry."""
        return self.section.model

    @property
    def registry(self) -> Registry:
        """The registry."""
        return Registry(self.directory, self.clock)

    @property
    def place(self) -> Path:
        """The trainer's own folder."""
        return self.directory / TRAINERS / self.name

    def detector(self) -> Detector:
        """The reference detector, loaded at the first call.

        Raises:
            DetectorError: it cannot be loaded.
            AssetError: its weights cannot be had.
        """
        if self._detector is None:
            self._detector = load_detector(detector_settings(self.configuration, self.folder))
        return self._detector

    def predicate(self) -> Predicate | None:
        """The configuration's own question; None without one, or with several zones."""
        streams = self.configuration.streams
        names = [name for name in self.section.streams or streams if name in streams]
        chosen: list[StreamSection | None] = [streams[name] for name in names]
        found = {predicate_of(self.configuration.cascade, stream) for stream in chosen or [None]}
        return found.pop() if len(found) == 1 else None

    def difference(self) -> DifferenceSettings | None:
        """The configuration's own difference detector; None for none."""
        return plain_difference(self.configuration.cascade)

    def contract(self) -> Contract | None:
        """What the configuration promises; None for nothing."""
        section = self.configuration.cascade.contract
        if section is None:
            return None
        return Contract(section.recall, section.precision, section.confidence)

    def targets(self, contract: Contract) -> Targets:
        """What plans must reach for a contract."""
        return Targets(
            contract.target_recall, contract.target_precision, margin=self.section.margin
        )


def training_job(
    configuration: Configuration, file: str, folder: Path, clock: Clock
) -> TrainingJob:
    """The job of a configuration that was loaded, so that its keys fit together.

    Args:
        configuration: The configuration.
        file: Its file's name, for faults.
        folder: Where its relative paths count from.
        clock: Tells the time.

    Raises:
        ConfigurationError: it has no section about training.
    """
    section = configuration.training
    if section is None:
        remedy = "Say which model is trained, and when."
        raise ConfigurationError([Fault(file, 0, "training", "", "is missing", remedy)])
    models, retraining = configuration.models, configuration.retraining
    queue = section.queue or (retraining.queue if retraining else None)
    assert models is not None, "checked when the configuration was loaded"
    assert queue is not None, "checked when the configuration was loaded"
    return TrainingJob(
        section, configuration, folder, folder / models.directory, folder / queue, clock
    )
