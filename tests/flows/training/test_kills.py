"""Trainers that are killed lose nothing, register nothing twice, and harm no queue."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import numpy as np

from connectors.queue import RetrainingQueue
from flows.training.examples import Examples
from flows.training.state import StateFile, Step
from models.registry import ChangeKind, Registry
from models.specialised import SpecialisedModel
from tests.support.training import Camera, camera

if TYPE_CHECKING:
    from pathlib import Path

KILLS = 20


def weights(registry: Registry) -> dict[str, bytes]:
    model = SpecialisedModel.load(registry.folder("gate", 1) / "specialised.safetensors")
    return {name: np.asarray(value).tobytes() for name, value in model.tensors.items()}


def test_twenty_kills_lose_nothing_and_register_nothing_twice(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.trainer_process", str(tmp_path), str(KILLS)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    killed_in = [step for steps in told.values() for step in steps]
    assert len(killed_in) >= KILLS
    assert {"train", "evaluate", "register"} <= set(killed_in)
    (tmp_path / "untouched").mkdir()
    with RetrainingQueue(camera(tmp_path / "untouched").queue, mode="ro") as queue:
        before = queue.items()
    whole = Registry(tmp_path / "whole" / "registry", time.time_ns)
    for name in told:
        place = Camera(tmp_path / name)
        job = place.job()
        state = StateFile(job.place).read()
        assert state is not None
        assert (state.step, state.version, state.labels) == (Step.DONE, 1, {"asked": 160})
        assert job.registry.numbers("gate") == (1,)
        changes = [change.what for change in job.registry.history("gate")]
        assert changes == [ChangeKind.ADDED, ChangeKind.PROPOSED]
        assert weights(job.registry) == weights(whole)
        assert job.registry.version("gate", 1).metrics == whole.version("gate", 1).metrics
        with Examples(job.place) as examples:
            assert len(examples.all()) == 160
        with RetrainingQueue(place.queue, mode="ro") as queue:
            assert queue.items() == before
