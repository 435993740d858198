"""What happens beside the flow, read from the files of the queue, the trainer and the registry."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from connectors.queue import RetrainingQueue
from flows.dashboard.background import POLL_SECONDS, Background, BackgroundSettings
from flows.training.settings import TRAINERS
from flows.training.state import RoundState, StateFile, Step, Trigger
from models.registry import Metric, ModelKind, NewVersion, Registry
from records import Origin, RetrainingItem

if TYPE_CHECKING:
    from pathlib import Path

NOW_NS = 1_700_000_000_000_000_000
TASK = {"kind": "forward", "node": "conv", "place": 0, "start": 0.0, "end": 0.5}


class Watch:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def item(sequence: int) -> RetrainingItem:
    return RetrainingItem("gate", sequence, 1, (Origin.RANDOM,), priority=1.0, propensity=0.01)


def test_settings_follow_the_configuration(tmp_path: Path) -> None:
    assert BackgroundSettings.of({}, tmp_path) == BackgroundSettings()
    values = {
        "retraining": {"queue": "q.sqlite3"},
        "models": {"directory": "kept"},
        "training": {"model": "gate"},
        "ui": {"plan": "plan.json"},
    }
    assert BackgroundSettings.of(values, tmp_path) == BackgroundSettings(
        tmp_path / "q.sqlite3", tmp_path / "kept", "gate", tmp_path / "plan.json"
    )
    own = {"training": {"queue": "own.sqlite3"}, "retraining": None, "models": {}}
    assert BackgroundSettings.of(own, tmp_path) == BackgroundSettings(
        tmp_path / "own.sqlite3", tmp_path / "models"
    )


def test_the_queue_is_read_now_and_then(tmp_path: Path) -> None:
    path, watch = tmp_path / "queue.sqlite3", Watch()
    background = Background(BackgroundSettings(queue=path), watch)
    assert background.read() == {"queue": {"waiting": 0, "tally": {}}}
    with RetrainingQueue(path) as queue:
        queue.add([(item(one), None) for one in range(3)], NOW_NS)
    assert background.read()["queue"]["waiting"] == 0, "not again so soon"
    watch.now = POLL_SECONDS
    assert background.read() == {"queue": {"waiting": 3, "tally": {"added": 3}}}


def test_a_file_that_is_no_queue_is_told(tmp_path: Path) -> None:
    path = tmp_path / "queue.sqlite3"
    path.write_bytes(b"no database at all, " * 100)
    told = Background(BackgroundSettings(queue=path)).read()["queue"]
    assert list(told) == ["error"]
    assert str(path) in told["error"]


def test_models_and_their_history(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "weights.bin").write_bytes(b"w")
    registry = Registry(tmp_path / "models", lambda: NOW_NS)
    for _ in range(2):
        metrics = {"recall": Metric(0.97, 0.95, 0.99, 400)}
        registry.add("gate", source, NewVersion(ModelKind.CASCADE, metrics, "ab" * 32, {}, None))
    registry.promote("gate", 1, "the first")
    registry.propose("gate", 2, "round 2")
    (told,) = Background(BackgroundSettings(registry=tmp_path / "models")).read()["models"][
        "models"
    ]
    assert told["metrics"] == {"recall": {"value": 0.97, "low": 0.95, "high": 0.99, "n": 400}}
    assert (told["name"], told["current"], told["candidate"], told["versions"]) == ("gate", 1, 2, 2)
    changes = [(one["what"], one["number"], one["reason"]) for one in told["history"]]
    assert changes == [
        ("added", 1, ""),
        ("added", 2, ""),
        ("promoted", 1, "the first"),
        ("proposed", 2, "round 2"),
    ]
    assert told["history"][0]["time"] == NOW_NS / 1e6


def test_the_round_of_the_trainer(tmp_path: Path) -> None:
    place = tmp_path / TRAINERS / "gate"
    place.mkdir(parents=True)
    watch = Watch()
    background = Background(BackgroundSettings(registry=tmp_path, trainer="gate"), watch)
    assert background.read()["training"] == {"round": None}
    state = RoundState(
        number=5, trigger=Trigger.QUEUE, began_ns=NOW_NS, step=Step.TRAIN, items=("a", "b"),
        labels={"human": 2}, plan={"executed": "single"},
    )  # fmt: skip
    StateFile(place).write(state)
    watch.now = POLL_SECONDS
    assert background.read()["training"] == {
        "round": 5,
        "trigger": "queue",
        "began": NOW_NS / 1e6,
        "step": "train",
        "steps": ["select", "label", "plan", "train", "evaluate", "register", "done"],
        "items": 2,
        "labels": {"human": 2},
        "difference": {},
        "version": None,
        "reason": "",
        "seconds": 0.0,
        "paused_seconds": 0.0,
        "plan": "single",
    }
    (place / "state.json").write_text("{", encoding="utf-8")
    watch.now = 2 * POLL_SECONDS
    assert "is no state of a round" in background.read()["training"]["error"]


def test_the_timeline_of_a_plan(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    later = TASK | {"start": 0.5, "end": 0.75, "place": [0, 1], "kind": "transfer"}
    path.write_text(json.dumps({"timeline": [later, TASK]}), encoding="utf-8")
    told = Background(BackgroundSettings(plan=path)).read()["plan"]
    assert told == {"tasks": [TASK | {"place": "0"}, later | {"place": "0-1"}], "left_out": 0}


def test_plans_that_are_none_are_told(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    for text in (
        "", "[]", "3", "{}", '{"timeline": 3}', '{"timeline": [3]}', '{"timeline": [{}]}',
        json.dumps({"timeline": [TASK | {"end": float("nan")}]}),
        json.dumps({"timeline": [TASK | {"end": -1}]}),
        "[" * 100_000,
    ):  # fmt: skip
        path.write_text(text, encoding="utf-8")
        told = Background(BackgroundSettings(plan=path)).read()["plan"]
        assert list(told) == ["error"], text[:50]
        assert told["error"].startswith(
            f"{path} must be JSON with tasks under 'timeline', each with kind, node, place, start "
            "and end: "
        )
