"""A registry of cascades for the synthetic street, and flows that follow it."""

from __future__ import annotations

import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from flows.trained import Certified, TrainedCascade, save_trained
from models.certification import Contract
from models.registry import ModelKind, NewVersion, Registry
from operators.plan import Plan
from operators.predicate import Predicate

if TYPE_CHECKING:
    from flows.counts import RunCounts

PEOPLE = Predicate("person", at_least=3)
CONTRACT = Contract(0.5, 0.5, 0.9)
EVERY = Plan(stride=2)
"""Looks at every second frame: nearly right."""

NEVER = Plan(stride=10_000)
"""Keeps its first answer for ever."""

CONFIGURATION = """\
version: 1
name: street
streams:
  gate: {{uri: {uri}, batch_frames: {batch}{stream}}}
detector: {detector}
models: {{directory: registry, poll_seconds: 0.001{models}}}
cascade: {{trained: registry:gate{cascade}}}
track: null
sinks: {{console: null}}
"""

SILHOUETTE = "{model: silhouette, weights: empty.png, score_at_least: 0.2}"


class Ticks:
    """A clock that goes on by a second whenever it is read."""

    def __init__(self) -> None:
        self.now_ns = 0

    def __call__(self) -> int:
        self.now_ns += 10**9
        return self.now_ns


def registry_in(folder: Path) -> Registry:
    """The registry of a street's folder."""
    return Registry(folder / "registry", Ticks())


def new_version(kind: ModelKind = ModelKind.CASCADE) -> NewVersion:
    """What is said of a version of a test."""
    return NewVersion(kind, {}, "0" * 64, {}, None)


def cascade_of(
    *plans: Plan,
    reference: str = "silhouette",
    predicate: Predicate = PEOPLE,
    place: int | None = 0,
) -> TrainedCascade:
    """A cascade that needs no models."""
    return TrainedCascade(reference, predicate, plans, CONTRACT, Certified(place, 0.9, 0.9, 40))


def add_cascade(registry: Registry, trained: TrainedCascade, name: str = "gate") -> int:
    """Add a cascade; its number."""
    with tempfile.TemporaryDirectory() as folder:
        save_trained(Path(folder), trained)
        return registry.add(name, Path(folder), new_version()).number


def configuration_text(
    *,
    uri: str = "scene.mp4",
    detector: str = SILHOUETTE,
    stream: str = "",
    models: str = "",
    cascade: str = "",
    batch: int = 2,
) -> str:
    """A configuration that follows the registry's model gate."""
    return CONFIGURATION.format(
        uri=uri, detector=detector, stream=stream, models=models, cascade=cascade, batch=batch
    )


def loaded() -> None:
    """Wait for what is being loaded, after the registry may be looked at again."""
    time.sleep(0.002)
    for thread in threading.enumerate():
        if thread.name.startswith("load "):
            thread.join()


@dataclass
class Promoter:
    """Promotes one version after the other; the next when the last has taken its place."""

    registry: Registry
    numbers: list[int]
    promoted: int = 0

    def __call__(self, counts: RunCounts) -> None:
        models = counts.streams["gate"].models
        if len(models) == self.promoted and self.promoted < len(self.numbers):
            self.registry.promote("gate", self.numbers[self.promoted])
            self.promoted += 1
        loaded()
