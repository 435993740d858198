"""Which plan a round trains by, and that a round that goes on keeps to it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import torch
from torch import nn

from flows.training.examples import Examples
from flows.training.kinds import RoundData
from flows.training.planning import ADOPTED, DECISION, executed_plan, plan_of, planning_of
from models.soap.adopt import Adoption, Measured
from models.soap.plan import data_parallel, single_device
from models.soap.planned import Opened
from models.soap.training import Example, PlannedTraining
from models.soap.training_settings import LossSettings, OptimiserSettings
from tests.support.training import camera

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

EXAMPLE = Example((torch.zeros(4, 3),), (torch.tensor([0, 1, 0, 1]),))


@pytest.fixture
def data(tmp_path: Path) -> Iterator[RoundData]:
    job = camera(tmp_path).job(plan="auto")
    job.place.mkdir(parents=True)
    with Examples(job.place) as examples:
        yield RoundData(job, examples, frozenset(), tmp_path / "round", None, seed=0)


def opened(name: str, devices: int, reason: str = "") -> Opened:
    model, loss = nn.Linear(3, 2), LossSettings()
    graph = loss.graph(model, EXAMPLE.inputs)
    plan = single_device(graph) if devices == 1 else data_parallel(graph, devices)
    training = PlannedTraining(model, EXAMPLE, loss, OptimiserSettings())
    if reason:
        return Opened(training, name, None, reason=reason)
    measured = {"single": Measured(0.2, 1.0, 0.0, 5), name: Measured(0.1, 1.0, 0.0, 5)}
    predicted = {"single": float("inf"), name: 0.09}
    return Opened(training, name, plan, Adoption(name, plan, measured), predicted)


def asked(data: RoundData) -> str | None:
    planning = planning_of(data)
    return None if planning is None else planning.choice.how


def test_a_plan_that_won_is_kept(data: RoundData) -> None:
    assert plan_of(data.job) == {"asked": "auto", "executed": "single"}
    planning = planning_of(data)
    assert planning is not None
    assert (planning.choice.how, planning.choice.threads) == ("auto", 1)
    planning.tell(opened("found 1", 2))
    assert executed_plan(data) == {
        "asked": "auto",
        "executed": "found 1",
        "devices": 2,
        "measured_seconds": {"single": 0.2, "found 1": 0.1},
        "predicted_seconds": {"single": None, "found 1": 0.09},
    }
    # It was killed and goes on: with the same plan, without new trials.
    adopted = str(data.folder / ADOPTED)
    planning = planning_of(data)
    assert planning is not None
    assert planning.choice.how == adopted
    planning.tell(Opened(opened(adopted, 2).training, adopted, opened(adopted, 2).plan))
    assert executed_plan(data)["executed"] == "found 1"
    assert executed_plan(data)["measured_seconds"] == {"single": 0.2, "found 1": 0.1}
    # A lost device leads to one.
    planning.tell(opened("single", 1, "a device was lost: rank 1"))
    assert executed_plan(data)["executed"] == "single"
    assert executed_plan(data)["reason"] == "a device was lost: rank 1"
    assert asked(data) is None


def test_one_device_is_kept_and_files_are_relative_to_the_configuration(data: RoundData) -> None:
    planning = planning_of(data)
    assert planning is not None
    planning.tell(opened("single", 1, "there is one device"))
    assert executed_plan(data) == {
        "asked": "auto",
        "executed": "single",
        "reason": "there is one device",
    }
    assert asked(data) is None
    (data.folder / DECISION).write_text("{", encoding="utf-8")  # planned anew
    assert asked(data) == "auto"
    (data.folder / DECISION).unlink()
    for plan, how in (("single", None), ("dp", "dp"), ("p.json", str(data.job.folder / "p.json"))):
        data.job.section = data.job.section.model_copy(update={"plan": plan})
        assert asked(data) == how
    (data.folder / DECISION).write_text(json.dumps({"executed": "single"}), encoding="utf-8")
    assert asked(data) is None
