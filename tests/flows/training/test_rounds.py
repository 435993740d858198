"""Whole rounds on a synthetic camera: labels from the reference detector, a version in the end."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from connectors.queue import RetrainingQueue
from flows.trained import Certified, TrainedCascade, load_trained, save_trained
from flows.training.cascade_examples import Origins
from flows.training.examples import Examples
from flows.training.kinds import RoundData, UntrainableError
from flows.training.state import RoundState, StateFile, Step, Trigger
from flows.training.trainer import TrainRequest, train
from models.architecture import Architecture
from models.certification import Contract
from models.registry import ModelKind, NewVersion
from models.training import TrainSettings, train_specialised
from operators.difference import DifferenceSettings
from operators.plan import Band, Plan
from operators.predicate import Predicate
from records import Detections, Label, SightflowError
from records.retraining import HUMAN
from tests.support.training import camera

if TYPE_CHECKING:
    from pathlib import Path

    from flows.training.settings import TrainingJob

ONCE = TrainRequest(once=True)


def once(job: TrainingJob, stop: threading.Event | None = None) -> RoundState:
    (done,) = train(job, ONCE, stop or threading.Event(), lambda *_: None)
    return done


def register_bad(job: TrainingJob, folder: Path) -> None:
    """A first version whose model has learnt nothing: it asks the reference about every frame."""
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (20, 64, 64, 3), np.uint8)
    settings = TrainSettings(architecture=Architecture(), epochs=1, seconds=600)
    model = train_specialised(images, np.arange(20) % 2, settings)
    plan = Plan(difference=DifferenceSettings(threshold=7.0), specialised=Band(0.0, 1.0))
    save_trained(
        folder,
        TrainedCascade(
            "silhouette", Predicate("person"), (plan,), Contract(0.9, 0.9),
            Certified(None, 0.0, 0.0, 0), model,
        ),
    )  # fmt: skip
    new = NewVersion(ModelKind.CASCADE, {}, "0" * 64, {}, None)
    version = job.registry.add("gate", folder, new)
    job.registry.promote("gate", version.number)


def test_a_round_makes_a_better_version_than_a_bad_one_and_no_worse_one_follows(
    tmp_path: Path,
) -> None:
    place = camera(tmp_path)
    job = place.job(items=400, block_seconds=4.0)
    register_bad(job, tmp_path / "bad")
    state = once(job)
    assert (state.step, state.trigger, state.parent) == (Step.DONE, Trigger.ASKED, 1)
    assert (state.labels, state.unused, state.plan["executed"]) == ({"asked": 400}, {}, "single")
    assert state.version == 2, state.reason
    assert state.reason.startswith("it spares the reference detector more frames by a share of")
    pointers = job.registry.pointers("gate")
    assert (pointers.current, pointers.candidate) == (1, 2)
    version = job.registry.version("gate", 2)
    assert (version.parent, version.configuration["items"]) == (1, 400)
    assert set(version.metrics) == {"recall", "precision", "accuracy", "spared"}
    assert version.metrics["spared"].value > 0.2
    assert state.evaluation is not None
    assert state.evaluation["before"]["spared"]["value"] == 0.0
    trained = load_trained(job.registry.folder("gate", 2))
    assert trained.plans[0].difference == DifferenceSettings(threshold=7.0)
    assert (trained.predicate, trained.reference) == (Predicate("person"), "silhouette")
    assert state.spending.joules > 0
    other = job.configuration.detector.model_copy(update={"model": "yolox_nano"})
    job.configuration = job.configuration.model_copy(update={"detector": other})
    with Examples(job.place) as examples:
        data = RoundData(job, examples, frozenset(), tmp_path, 2, seed=0)
        with pytest.raises(UntrainableError, match="gate@2 was trained on the answers of silhou"):
            Origins.of(data)
    # What is left in the queue brings nothing that beats the new version for sure.
    job.registry.promote("gate", 2)
    again = once(place.job(items=40, block_seconds=4.0, rehearsal=None))
    assert (again.number, again.labels, again.version) == (2, {"asked": 40}, None)
    assert again.reason.startswith("not better: ")
    assert job.registry.numbers("gate") == (1, 2)


def test_rounds_are_the_same_under_a_seed_also_when_they_are_stopped(tmp_path: Path) -> None:
    found: list[tuple[Any, ...]] = []
    for name, stops in (("whole", ()), ("stopped", ("label", "train", "evaluate"))):
        (tmp_path / name).mkdir()
        job = camera(tmp_path / name).job(items=160, block_seconds=2.0, select="valuable")
        for step in stops:
            stop = threading.Event()

            def tell(
                state: RoundState, words: str, _: float,
                stop: threading.Event = stop, step: str = step,
            ) -> None:  # fmt: skip
                if state.step.value == step and words != "select":
                    stop.set()

            (unfinished,) = train(job, ONCE, stop, tell)
            assert unfinished.step is not Step.DONE
        state = once(job)
        assert state.step is Step.DONE
        assert state.evaluation is not None
        found.append((state.items, state.chosen, state.labels, state.evaluation, state.reason))
    assert found[0] == found[1]


def test_a_budget_ends_a_round(tmp_path: Path) -> None:
    place = camera(tmp_path)
    state = once(place.job(items=200, seconds=1e-6))
    assert (state.step, state.labels, state.unused) == (Step.DONE, {}, {"no_budget": 200})
    assert state.reason == "no item got a label"
    state = once(place.job(items=200, joules=1e-6))
    assert state.unused == {"no_budget": 200}
    with RetrainingQueue(place.queue, mode="rw") as queue:
        label = Label(HUMAN, boxes=Detections.empty(("person",)))
        queue.label({one.item.id: label for one in queue.items()[:50]}, now_ns=0)
    state = once(place.job(items=50, seconds=1e-6))
    assert (state.labels, state.reason) == (
        {"human": 50},
        "the budget was used up before the training",
    )


def test_what_cannot_be_trained_is_told(tmp_path: Path) -> None:
    place = camera(tmp_path)
    label = Label(HUMAN, boxes=Detections.empty(("person",)))
    with RetrainingQueue(place.queue, mode="rw") as queue:
        queue.label({one.item.id: label for one in queue.items()[:60]}, now_ns=0)
    state = once(place.job(items=60))
    assert state.version is None
    assert state.reason.startswith("the examples for training do not do: training needs frames of")
    state = once(place.job(streams=["elsewhere"]))
    assert state.reason == "the queue holds no new item that can be used"
    assert state.unused == {"other_stream": 740}
    job = place.job()
    bare = job.configuration.cascade.model_copy(update={"contract": None})
    job.configuration = job.configuration.model_copy(update={"cascade": bare})
    state = once(job)
    assert state.reason.startswith("a first version needs cascade.predicate and cascade.contract")


def test_one_trainer_a_model(tmp_path: Path) -> None:
    job = camera(tmp_path).job(items=5)

    def tell(*_: object) -> None:
        with pytest.raises(SightflowError) as caught:
            once(job)
        assert str(caught.value) == (
            f"another trainer is at work on gate in {tmp_path / 'registry'}; end it, or train "
            "another model"
        )

    assert train(job, ONCE, threading.Event(), tell)[0].step is Step.DONE


def test_a_damaged_state_is_told(tmp_path: Path) -> None:
    job = camera(tmp_path).job(items=5)
    job.place.mkdir(parents=True)
    file = StateFile(job.place)
    state = RoundState(4, Trigger.QUEUE, 7, items=("a", "b"), labels={"human": 2})
    file.write(state)
    assert file.read() == state
    assert file.read() != replace(state, step=Step.LABEL)
    (job.place / "state.json").write_text('{"format": 1}', encoding="utf-8")
    with pytest.raises(SightflowError, match="is no state of a round .*; move it away"):
        once(job)
    (job.place / "state.json").write_text('{"format": 2}', encoding="utf-8")
    with pytest.raises(SightflowError, match="must be the state of a round of format 1"):
        once(job)
