"""Trainers that are killed in the middle of what they do: FOLDER KILLS.

Each trainer is a process of its own, forked from this one, which is killed by SIGKILL just before
the n-th time that it opens, renames or removes a file. Trainers of one folder follow each other
until a round is done. The folder ``whole`` holds a round that nobody killed. Written to standard
output: how many were killed in each folder, and in which step of the round.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import traceback
from pathlib import Path

import numpy as np
import torch

from flows.training.state import StateFile
from flows.training.trainer import TrainRequest, train
from tests.support.training import Camera, camera

TOUCHES = ("open", "os.rename", "os.remove", "os.rmdir")
"""The audit events that count."""

MOST_KILLS = 7
"""Trainers that are killed in one folder; the next may do the rest."""


def touching(count: list[int], most: int) -> None:
    """Kill this process at its `most`-th touch of a file; 0 never does."""

    def seen(event: str, _: object) -> None:
        if event in TOUCHES:
            count[0] += 1
            if count[0] == most:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(seen)


def train_until_killed(place: Camera, most: int) -> None:
    """Begin a round, or go on with the one that is there."""
    count = [0]
    touching(count, most)
    job = place.job(items=160, block_seconds=2.0)
    begun = StateFile(job.place).read() is not None
    request = TrainRequest(until_ns=0) if begun else TrainRequest(once=True)
    train(job, request, threading.Event(), lambda *_: None)
    touched = count[0]
    (place.folder / "touched").write_text(str(touched), encoding="ascii")


def trainer(place: Camera, most: int) -> bool:
    """Run a trainer in a process of its own; whether it was killed."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            train_until_killed(place, most)
            code = 0
        finally:
            if code:
                traceback.print_exc()
            os._exit(code)
    _, status = os.waitpid(pid, 0)
    if not os.WIFSIGNALED(status):
        assert status == 0
    return os.WIFSIGNALED(status)


def main() -> None:
    folder, kills = Path(sys.argv[1]), int(sys.argv[2])
    torch.set_num_threads(1)
    torch.optim.AdamW([torch.zeros(1, requires_grad=True)])  # imports what each child needs
    whole = made(folder / "whole")
    assert not trainer(whole, 0)
    touches = int((folder / "whole" / "touched").read_text(encoding="ascii"))
    random = np.random.default_rng(7)
    told: dict[str, list[str]] = {}
    while sum(len(steps) for steps in told.values()) < kills:
        place = made(folder / f"killed-{len(told)}")
        steps = told.setdefault(place.folder.name, [])
        # The first comes as far as the last steps in every other folder.
        most = touches - int(random.integers(1, 80)) if len(told) % 2 else touches // 2
        while len(steps) < MOST_KILLS and trainer(place, most):
            most = int(random.integers(1, 80))
            found = StateFile(place.job().place).read()
            steps.append("" if found is None else found.step.value)
        trainer(place, 0)
    sys.stdout.write(json.dumps(told) + "\n")


def made(folder: Path) -> Camera:
    folder.mkdir()
    return camera(folder)


if __name__ == "__main__":
    main()
