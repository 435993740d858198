"""The versions of cascades that the streams of a run should have, as the registry says."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from flows.model_reference import cascade_reference
from flows.questions import predicate_of
from operators.cascade import CascadeVersion
from records import DetectorError, RecordError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from flows.config import Configuration
    from flows.hot_swap import Loaded, ModelWatch
    from flows.live_models import LiveModels
    from flows.trained import TrainedCascade
    from operators.cascade import CascadeSettings, Models
    from operators.predicate import Predicate

FIRST = "reference"
"""The name of what decides before the first version: the reference detector alone."""


@dataclass(frozen=True, slots=True)
class _Made:
    """What was made for one stream, and of which versions."""

    of: tuple[str, str]
    version: CascadeVersion


class CascadeVersions:
    """Gives the version that a stream should have now; called with the stream's name.

    Args:
        configuration: Says which streams follow which models.
        live: What the run follows.
        watches: The cascades that are followed, by name.
        make: Makes the settings and models of a stream from a trained cascade; from None, those
            that begin with the reference detector alone.
    """

    def __init__(
        self,
        configuration: Configuration,
        live: LiveModels,
        watches: Mapping[str, ModelWatch[TrainedCascade]],
        make: Callable[[str, TrainedCascade | None], tuple[CascadeSettings, Models]],
    ) -> None:
        self._configuration, self._live, self._watches = configuration, live, watches
        self._make = make
        self._made: dict[str, _Made] = {}
        self._on_demand: dict[str, bool] = {}
        self._lock = threading.Lock()
        for stream in configuration.streams:
            self(stream)  # a fault is to be told at the start

    def __call__(self, stream: str) -> CascadeVersion | None:
        """The version of a stream; None where it follows no model.

        Raises:
            DetectorError: the first version cannot be used on the stream.
        """
        name = cascade_reference(self._configuration, stream)
        if name is None:
            return None
        held = self._watches[name].poll()
        wanted = (_id(held.current), _id(held.candidate))
        with self._lock:
            self._live.streams[name].add(stream)
            made = self._made.get(stream)
            if made is None or made.of != wanted:
                version = self._version(stream, name, held.current, made)
                shadow = self._shadow(stream, name, held.candidate, version)
                made = _Made(wanted, replace(version, shadow=shadow))
                self._made[stream] = made
            return made.version

    def _version(
        self, stream: str, name: str, current: Loaded[TrainedCascade] | None, made: _Made | None
    ) -> CascadeVersion:
        if made is not None and _id(current) in (made.version.name, made.of[0]):
            return made.version
        try:
            return self._checked(stream, current, made)
        except (DetectorError, RecordError) as error:
            if made is None:
                raise
            self._live.reports.faulty(name, f"{_id(current)} on {stream}", error)
            return made.version

    def _shadow(
        self,
        stream: str,
        name: str,
        candidate: Loaded[TrainedCascade] | None,
        version: CascadeVersion,
    ) -> CascadeVersion | None:
        if candidate is None or version.settings.shadow is None:
            return None
        try:
            return self._checked(stream, candidate, _Made(("", ""), version))
        except (DetectorError, RecordError) as error:
            self._live.reports.faulty(name, f"{candidate.id} on {stream}", error)
            return None

    def _checked(
        self, stream: str, loaded: Loaded[TrainedCascade] | None, made: _Made | None
    ) -> CascadeVersion:
        trained = None if loaded is None else loaded.model
        settings, models = self._make(stream, trained)
        asked = self._question(stream, made)
        if asked is not None and settings.predicate != asked:
            raise DetectorError(
                f"it asks another question, {settings.predicate}, than the flow does, {asked}; "
                "register it as another model"
            )
        self._check_held(stream, settings, models, first=made is None)
        shadow = None if settings.audit is None else self._live.shadow()
        seconds = self._live.section.probation_seconds
        settings = replace(settings, shadow=shadow, probation_seconds=seconds)
        return CascadeVersion(settings, models, _id(loaded))

    def _question(self, stream: str, made: _Made | None) -> Predicate | None:
        """The question that all versions of a stream must ask; None before it is known."""
        if made is not None:
            return made.version.settings.predicate
        return predicate_of(self._configuration.cascade, self._configuration.streams.get(stream))

    def _check_held(
        self, stream: str, settings: CascadeSettings, models: Models, *, first: bool
    ) -> None:
        """Check that frames which wait for packets fit into the memory of a stream's decoder."""
        section = self._configuration.streams.get(stream)
        looks = any(plan.packets for plan in settings.plans)
        if section is None:
            return
        if first:
            self._on_demand[stream] = (section.decode or "") == "on_demand" or (
                section.decode is None and looks
            )
        if not looks or models.packets is None or self._on_demand[stream]:
            return
        most = section.frames_in_memory - 2 * section.batch_frames
        if models.packets.reach > most:
            raise DetectorError(
                f"its packet model lets {models.packets.reach} frames wait, and the decoder of "
                f"{stream} may keep {most}; set decode to on_demand there, or frames_in_memory "
                f"to at least {models.packets.reach + 2 * section.batch_frames}"
            )


def _id(loaded: Loaded[TrainedCascade] | None) -> str:
    return FIRST if loaded is None else loaded.id
