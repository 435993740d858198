"""What happens beside the flow: the retraining queue, the training, the models and their history.

It is read from files that other processes write, now and then and only while somebody looks.
"""

from __future__ import annotations

import json
import math
import threading
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from connectors.queue import RetrainingQueue
from flows.config.document import mapping
from flows.dashboard.series import NS_PER_MS
from flows.training.settings import TRAINERS
from flows.training.state import StateFile, Step
from models.registry import Registry
from records import SightflowError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

POLL_SECONDS = 5.0
"""The least time between two readings, seconds."""

MOST_MODELS = 32
"""The most models that are listed."""

MOST_CHANGES = 30
"""The latest changes of a model that are listed."""

MOST_TASKS = 2000
"""The most tasks of a plan's timeline that are drawn; the longest stay."""

LARGEST_PLAN = 64 * 2**20
"""The largest file of a plan, bytes."""


@dataclass(frozen=True, slots=True)
class BackgroundSettings:
    """Where to look; None for nowhere.

    Attributes:
        queue: The retraining queue's file.
        registry: The folder of the model registry.
        trainer: The model that is trained.
        plan: JSON with the tasks of a training step under ``timeline``, as the simulator of plans
            tells them: kind, node, place, start and end, seconds.
    """

    queue: Path | None = None
    registry: Path | None = None
    trainer: str | None = None
    plan: Path | None = None

    @classmethod
    def of(cls, configuration: dict[str, Any], folder: Path) -> BackgroundSettings:
        """What a configuration says, given as plain values; relative paths count from `folder`."""
        training = mapping(configuration.get("training"))
        queue = training.get("queue") or mapping(configuration.get("retraining")).get("queue")
        models = configuration.get("models")
        registry = None if models is None else mapping(models).get("directory", "models")
        plan = mapping(configuration.get("ui")).get("plan")
        places = [folder / one if isinstance(one, str) else None for one in (queue, registry, plan)]
        model = training.get("model")
        return cls(places[0], places[1], model if isinstance(model, str) else None, places[2])


class Background:
    """Reads what happens beside the flow; safe to use from several threads.

    Args:
        settings: Where to look.
        monotonic: Tells the time, seconds.
    """

    def __init__(
        self, settings: BackgroundSettings, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._settings, self._now = settings, monotonic
        self._lock = threading.Lock()
        self._read_at = float("-inf")
        self._found: dict[str, Any] = {}

    def read(self) -> dict[str, Any]:
        """What there is, as plain JSON values; what cannot be read says why under ``error``."""
        with self._lock:
            if self._now() - self._read_at >= POLL_SECONDS:
                self._found = self._read()
                self._read_at = self._now()
            return self._found

    def _read(self) -> dict[str, Any]:
        settings = self._settings
        found: dict[str, Any] = {}
        if settings.queue is not None:
            found["queue"] = _told(lambda: _queue(settings.queue))
        if settings.registry is not None:
            found["models"] = _told(lambda: _models(settings.registry))
        if settings.registry is not None and settings.trainer is not None:
            place = settings.registry / TRAINERS / settings.trainer
            found["training"] = _told(lambda: _training(place))
        if settings.plan is not None:
            found["plan"] = _told(lambda: _plan(settings.plan))
        return found


def _told(read: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What is read, or why it cannot be."""
    try:
        return read()
    except SightflowError as error:
        return {"error": str(error)}


def _queue(path: Path | None) -> dict[str, Any]:
    if path is None or not path.exists():
        return {"waiting": 0, "tally": {}}
    with RetrainingQueue(path, mode="ro") as queue:
        return {"waiting": queue.waiting(), "tally": queue.tally()}


def _models(folder: Path | None) -> dict[str, Any]:
    assert folder is not None
    registry = Registry(folder, time.time_ns)
    return {"models": [_model(registry, name) for name in registry.names()[:MOST_MODELS]]}


def _model(registry: Registry, name: str) -> dict[str, Any]:
    pointers = registry.pointers(name)
    versions = registry.numbers(name)
    found: dict[str, Any] = {
        "name": name,
        "current": pointers.current,
        "candidate": pointers.candidate,
        "versions": len(versions),
        "metrics": {},
    }
    if pointers.current in versions:
        metrics = registry.version(name, pointers.current).metrics
        found["metrics"] = {key: asdict(metric) for key, metric in metrics.items()}
    found["history"] = [
        {
            "time": change.time_ns / NS_PER_MS,
            "what": str(change.what),
            "number": change.number,
            "previous": change.previous,
            "reason": change.reason,
        }
        for change in registry.history(name)[-MOST_CHANGES:]
    ]
    return found


def _training(place: Path) -> dict[str, Any]:
    state = StateFile(place).read()
    if state is None:
        return {"round": None}
    evaluation = state.evaluation or {}
    return {
        "round": state.number,
        "trigger": str(state.trigger),
        "began": state.began_ns / NS_PER_MS,
        "step": str(state.step),
        "steps": [str(step) for step in Step],
        "items": len(state.items),
        "labels": dict(state.labels),
        "difference": evaluation.get("difference", {}),
        "version": state.version,
        "reason": state.reason,
        "seconds": state.spending.seconds,
        "paused_seconds": state.spending.paused_seconds,
        "plan": state.plan.get("executed", ""),
    }


def _plan(path: Path | None) -> dict[str, Any]:
    """The predicted timeline of a plan: tasks, seconds from the start of a step."""
    assert path is not None
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_PLAN)  # a longer one is cut, and no JSON any more
        tasks = [_task(one) for one in json.loads(data)["timeline"]]
    except (OSError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise SightflowError(
            f"{path} must be JSON with tasks under 'timeline', each with kind, node, place, start "
            f"and end: {error!r}"
        ) from error
    longest = sorted(tasks, key=_seconds, reverse=True)[:MOST_TASKS]
    return {
        "tasks": [
            dict(zip(("kind", "node", "place", "start", "end"), one, strict=True))
            for one in sorted(longest, key=lambda one: one[3])
        ],
        "left_out": len(tasks) - len(longest),
    }


def _task(value: dict[str, Any]) -> tuple[str, str, str, float, float]:
    start, end = float(value["start"]), float(value["end"])
    if not 0 <= start <= end < math.inf:
        raise ValueError(f"a task must start before it ends, got {start} and {end}")
    place = value["place"]
    where = "-".join(map(str, place)) if isinstance(place, list) else str(place)  # a link, a device
    return str(value["kind"]), str(value["node"]), where, start, end


def _seconds(task: tuple[str, str, str, float, float]) -> float:
    return task[4] - task[3]
