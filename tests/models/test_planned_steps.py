"""Loops that train by a plan on real processes end where one process ends."""

from __future__ import annotations

import multiprocessing
from typing import TYPE_CHECKING

import numpy as np
import pytest

from models.architecture import Architecture
from models.checkpoint import CheckpointFile
from models.ecg_network import EcgArchitecture
from models.ecg_training import EcgTrainSettings, train_ecg
from models.planned_steps import Planning
from models.soap.planned import PlanChoice
from models.training import TrainSettings, train_specialised
from records import RecordError
from tests.support.ecg import hearts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from models.soap.planned import Opened
    from models.specialised import SpecialisedModel

ALIKE = 1e-5
SETTINGS = TrainSettings(
    architecture=Architecture(layers=2, filters=16, dense=32, size=50),
    epochs=2,
    batch_size=6,
    seconds=600,
)
"""16 pictures to train on: the last of three batches is filled up."""

STEPS = 3


def pictures() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    random = np.random.default_rng(3)
    return random.integers(0, 256, (20, 50, 50, 3), np.uint8), np.arange(20) % 2


def specialised(
    told: list[Opened] | None = None,
    how: str = "dp",
    enough: Callable[[], bool] = lambda: False,
    file: CheckpointFile | None = None,
) -> SpecialisedModel:
    planning = None if told is None else Planning(PlanChoice(how, 2), told.append)
    return train_specialised(
        *pictures(), SETTINGS, enough=enough, checkpoint=file, planning=planning
    )


def distance(
    got: Mapping[str, NDArray[np.float32]], want: Mapping[str, NDArray[np.float32]]
) -> float:
    assert got.keys() == want.keys()
    return max(
        float(np.linalg.norm(got[name] - value) / np.linalg.norm(value))
        for name, value in want.items()
    )


def test_data_parallel_trains_what_one_device_trains(tmp_path: Path) -> None:
    want = specialised()
    told: list[Opened] = []
    got = specialised(told)
    assert [opened.name for opened in told] == ["data_parallel"]
    assert distance(got.tensors, want.tensors) <= ALIKE
    assert got.metrics["validation_loss"] == pytest.approx(want.metrics["validation_loss"])
    # One epoch by the plan, then, from its checkpoint, the other one without.
    file, steps = CheckpointFile(tmp_path / "checkpoint"), []

    def killed() -> bool:
        steps.append(1)
        if len(steps) > STEPS:
            raise KeyboardInterrupt
        return False

    with pytest.raises(KeyboardInterrupt):
        specialised([], enough=killed, file=file)
    assert multiprocessing.active_children() == []
    assert distance(specialised(file=file).tensors, want.tensors) <= ALIKE


def test_a_dead_process_costs_an_epoch_and_nothing_else() -> None:
    steps: list[int] = []

    def kill() -> bool:
        steps.append(1)
        if len(steps) == STEPS + 2:
            multiprocessing.active_children()[0].kill()
        return False

    told: list[Opened] = []
    got = specialised(told, enough=kill)
    assert distance(got.tensors, specialised().tensors) <= ALIKE
    # The first epoch, two steps of the second, and this one anew in this process.
    assert len(steps) == STEPS + 2 + STEPS
    assert [opened.name for opened in told] == ["data_parallel", "single"]
    assert told[1].reason.startswith("a device was lost: rank ")


def test_small_trainings_take_one_device_at_once_and_the_same_bits() -> None:
    told: list[Opened] = []
    got = specialised(told, "auto")
    assert distance(got.tensors, specialised().tensors) == 0
    ((name, reason),) = [(opened.name, opened.reason) for opened in told]
    assert name == "single"
    assert " on one device take" in reason


def test_an_ecg_network_by_a_plan() -> None:
    small = EcgArchitecture((4, 4, 6, 8), kernel=3, last_kernel=3, dropout=0.0)
    settings = EcgTrainSettings(small, epochs=2, batch_size=4, crop_windows=4)
    told: list[Opened] = []
    planning = Planning(PlanChoice("dp", 2), told.append)
    want = train_ecg(hearts(8), settings, classes=("N", "A"))
    got = train_ecg(hearts(8), settings, classes=("N", "A"), planning=planning)
    assert [opened.name for opened in told] == ["data_parallel"]
    assert distance(got.tensors, want.tensors) <= 10 * ALIKE  # statistics of four small batches
    assert got.what.metrics["train_loss"] == pytest.approx(want.what.metrics["train_loss"])


def test_a_plan_that_is_none() -> None:
    with pytest.raises(RecordError, match="^a plan must be single, dp, auto or a file that "):
        specialised([], "gone.json")
