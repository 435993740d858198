"""The reference detectors of a run whose configuration may change."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from collections.abc import Callable

    from flows.config import Configuration
    from flows.measured import MeasuredDetector


class Spent(TypedDict):
    """What the calls of a run's detectors came to, as a summary names it; times in seconds."""

    detector_calls: int
    detector_frames: int
    detector_seconds: float


class Detectors:
    """Loads the detector of a configuration, once for all configurations that have the same.

    Those that were loaded stay so until the run ends: a change may be taken back.

    Args:
        load: Loads one; None where no frames can come.
    """

    def __init__(self, load: Callable[[Configuration], MeasuredDetector | None]) -> None:
        self._load = load
        self._loaded: dict[str, MeasuredDetector] = {}

    def of(self, configuration: Configuration) -> MeasuredDetector | None:
        """The detector of a configuration; None where no frames can come.

        Raises:
            SightflowError: it cannot be loaded.
        """
        section = configuration.detector.model_dump_json()
        if section not in self._loaded:
            loaded = self._load(configuration)
            if loaded is None:
                return None
            self._loaded[section] = loaded
        return self._loaded[section]

    @property
    def spent(self) -> Spent:
        """What all calls came to."""
        every = self._loaded.values()
        return Spent(
            detector_calls=sum(one.calls for one in every),
            detector_frames=sum(one.images for one in every),
            detector_seconds=sum(one.seconds for one in every),
        )
