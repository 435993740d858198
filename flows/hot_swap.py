"""Models of the registry that a running flow follows.

A `ModelWatch` looks at the pointers of one model now and then; a new version is loaded in a thread
of its own, and is there for the next batch after that. One that cannot be loaded is told of, and
the one before goes on.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Generic, TypeVar

import structlog

from models.registry import ChangeKind
from records import DetectorError, SightflowError
from records.units import NANOSECONDS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from connectors.model_metrics import ModelMetrics
    from models.registry import ModelKind, ModelVersion, Pointers, Registry
    from records import Clock

Model = TypeVar("Model")

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Loaded(Generic[Model]):
    """A version that is in memory.

    Attributes:
        version: What the registry says of it.
        model: The model.
    """

    version: ModelVersion
    model: Model

    @property
    def id(self) -> str:
        """Its name and number, ``gate@4``."""
        return self.version.id


@dataclass(frozen=True, slots=True)
class Held(Generic[Model]):
    """The versions of one model that are in memory, as they belong together.

    Attributes:
        current: The version in force; None before the first is promoted.
        candidate: The one that is tried beside it; None for none.
    """

    current: Loaded[Model] | None = None
    candidate: Loaded[Model] | None = None


class ModelReports:
    """Tells of models in the log and in the metrics.

    Args:
        metrics: The metrics.
    """

    def __init__(self, metrics: ModelMetrics) -> None:
        self._metrics = metrics

    def in_force(self, version: ModelVersion, reason: ChangeKind | None) -> None:
        """A version is in force: since the start, or for a reason."""
        self._metrics.in_force(version.name, str(version.number))
        if reason is not None:
            self._metrics.swapped(version.name, reason.value)
            _log.info("model swapped", model=version.id, reason=reason.value)

    def tried(self, version: ModelVersion) -> None:
        """A candidate is tried."""
        _log.info("candidate is tried", model=version.id)

    def faulty(self, name: str, what: str, error: object) -> None:
        """Something cannot be used."""
        self._metrics.faulty(name)
        _log.warning("model cannot be used", model=what, reason=str(error))

    def judged(self, version: str, *, passed: bool, detail: str) -> None:
        """A candidate has passed or failed."""
        self._metrics.judged(version.partition("@")[0], passed=passed)
        _log.info("candidate judged", model=version, passed=passed, detail=detail)


class ModelWatch(Generic[Model]):
    """Follows one model of a registry. The first versions are loaded at once.

    Args:
        registry: The registry.
        name: The model's name.
        kind: What its versions must be.
        load: Reads a version from its checked folder; raises a SightflowError where it cannot.
        reports: Who is told of what happens.
        poll_seconds: The registry is looked at at most so often, seconds.
        clock: Tells when that is.

    Raises:
        SightflowError: the version in force cannot be loaded.
    """

    def __init__(
        self,
        registry: Registry,
        name: str,
        kind: ModelKind,
        load: Callable[[Path], Model],
        reports: ModelReports,
        *,
        poll_seconds: float,
        clock: Clock,
    ) -> None:
        self.name = name
        self.reports = reports
        self._registry, self._kind, self._load = registry, kind, load
        self._poll_ns, self._clock = round(poll_seconds * NANOSECONDS), clock
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._refused: set[int] = set()
        self._held: Held[Model] = Held()
        self._fault = ""
        pointers = registry.pointers(name)
        self._revision, self._next_ns = pointers.revision, clock() + self._poll_ns
        if pointers.current is not None:
            self._held = Held(self._read(pointers.current))
            reports.in_force(self._registry.version(name, pointers.current), None)
        self._follow(pointers)

    @property
    def held(self) -> Held[Model]:
        """The versions in memory."""
        return self._held

    def poll(self) -> Held[Model]:
        """Look at the registry if it is time to; the versions in memory, at once."""
        with self._lock:
            now = self._clock()
            busy = self._thread is not None and self._thread.is_alive()
            if now < self._next_ns or busy:
                return self._held
            self._next_ns = now + self._poll_ns
            try:
                pointers = self._registry.pointers(self.name)
            except DetectorError as error:
                self._tell_once(error)
                return self._held
            if pointers.revision != self._revision:
                self._revision = pointers.revision
                self._thread = threading.Thread(
                    target=self._follow, args=(pointers,), name=f"load {self.name}", daemon=True
                )
                self._thread.start()
        return self._held

    def refuse(self, faulty: Loaded[Model], before: Loaded[Model]) -> None:
        """Go on with the version before one that turned out to be unusable."""
        self._refused.add(faulty.version.number)
        if self._held.current is faulty:
            self._held = replace(self._held, current=before)

    def close(self) -> None:
        """Wait for what is being loaded."""
        if self._thread is not None:
            self._thread.join()

    def _tell_once(self, error: DetectorError) -> None:
        if str(error) != self._fault:
            self._fault = str(error)
            self.reports.faulty(self.name, self.name, error)

    def _follow(self, pointers: Pointers) -> None:
        """Load what the pointers name; what is in memory is not read again."""
        before = self._held
        current = self._wanted(pointers.current, before) or before.current
        candidate = self._wanted(pointers.candidate, before)
        self._held = Held(current, candidate)
        if current is not None and current is not before.current:
            try:
                self.reports.in_force(current.version, self._reason(current.version.number))
            except DetectorError as error:
                self._tell_once(error)
        if candidate is not None and candidate is not before.candidate:
            self.reports.tried(candidate.version)

    def _wanted(self, number: int | None, before: Held[Model]) -> Loaded[Model] | None:
        if number is None or number in self._refused:
            return None
        for one in (before.current, before.candidate):
            if one is not None and one.version.number == number:
                return one
        try:
            return self._read(number)
        except SightflowError as error:
            self.reports.faulty(self.name, f"{self.name}@{number}", error)
            return None

    def _read(self, number: int) -> Loaded[Model]:
        version = self._registry.version(self.name, number)
        if version.kind is not self._kind:
            raise DetectorError(f"{version.id} must be of kind {self._kind}, got {version.kind}")
        return Loaded(version, self._load(self._registry.folder(self.name, number)))

    def _reason(self, number: int) -> ChangeKind:
        """Why a version is in force."""
        changes = self._registry.history(self.name)
        moves = (ChangeKind.PROMOTED, ChangeKind.ROLLED_BACK)
        return next(
            (one.what for one in reversed(changes) if one.number == number and one.what in moves),
            ChangeKind.PROMOTED,
        )
