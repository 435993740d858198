from __future__ import annotations

import json
import os
import threading
from typing import TYPE_CHECKING

import pytest
import torch

from flows.config.training_section import TrainingSection
from flows.training.process import (
    ProcessorEnergy,
    RaplEnergy,
    Session,
    Spending,
    TrainingStoppedError,
    energy_meter,
    lower_priority,
)
from records import SightflowError

if TYPE_CHECKING:
    from pathlib import Path

SECTION = TrainingSection(model="gate", kind="cascade", joules=100.0)


class Meter:
    """Counts what it is told."""

    def __init__(self) -> None:
        self.value = 7.0

    def joules(self) -> float:
        return self.value


def test_a_budget_of_energy_and_time_counts_what_was_used_before() -> None:
    meter = Meter()
    session = Session(SECTION, meter, lambda: False, threading.Event(), Spending(1.0, 40.0, 2.0))
    assert not session.enough()
    meter.value += 59.0
    assert not session.enough()
    meter.value += 1.0
    assert session.enough()
    spent = session.spending
    assert (spent.joules, spent.paused_seconds) == (100.0, 2.0)
    assert spent.seconds >= 1.0
    late = Session(SECTION, Meter(), lambda: False, threading.Event(), Spending(seconds=600.0))
    assert late.enough()


def test_modules_wait_while_the_flow_is_behind_and_waiting_is_no_work() -> None:
    asked: list[bool] = []

    def busy() -> bool:
        asked.append(True)
        return len(asked) in {1, 2, 3}

    session = Session(SECTION, Meter(), busy, threading.Event())
    network = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.ReLU())
    with session.between_operators():
        network(torch.zeros(1, 2))
    # The whole, which waits until the third answer is over, and each of its two parts.
    assert len(asked) == 6
    paused = session.spending.paused_seconds
    assert paused > 0
    network(torch.zeros(1, 2))
    assert len(asked) == 6


def test_a_trainer_that_is_to_end_waits_no_more() -> None:
    stop = threading.Event()
    session = Session(SECTION, Meter(), lambda: True, stop)
    session.check()
    stop.set()
    session.wait()
    with pytest.raises(TrainingStoppedError, match="goes on from its checkpoint"):
        session.check()


def test_energy_of_processor_time_and_of_the_processors_own_counts(tmp_path: Path) -> None:
    section = SECTION.model_copy(update={"watts_per_core": 5.0})
    meter = energy_meter(section)
    assert isinstance(meter, ProcessorEnergy)
    first = meter.joules()
    sum(range(100_000))
    assert meter.joules() >= first
    with pytest.raises(SightflowError, match="must hold counts of energy"):
        RaplEnergy(tmp_path)
    counts = []
    for name, value in (("intel-rapl:0", 1_000_000), ("intel-rapl:1", 5), ("intel-rapl:0:0", 9)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "energy_uj").write_text(str(value), encoding="ascii")
        (tmp_path / name / "max_energy_range_uj").write_text("4000000", encoding="ascii")
        counts.append(tmp_path / name / "energy_uj")
    rapl = RaplEnergy(tmp_path)
    counts[0].write_text("3000000", encoding="ascii")
    counts[2].write_text("99000000", encoding="ascii")  # a part of the first
    assert rapl.joules() == pytest.approx(2.0)
    counts[0].write_text("500000", encoding="ascii")
    assert rapl.joules() == pytest.approx(3.5)
    counts[0].write_text("none", encoding="ascii")
    with pytest.raises(SightflowError, match=r"must be a readable count of energy.*watts_per_core"):
        rapl.joules()


def test_the_priority_is_lowered_and_never_raised() -> None:
    section = SECTION.model_copy(update={"nice": 9})
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:  # priorities cannot be raised again, so a process of its own has them
        refused = lower_priority(section)
        lower_priority(section.model_copy(update={"nice": 3}))
        found = os.sched_getscheduler(0), os.getpriority(os.PRIO_PROCESS, 0)
        os.write(writing, json.dumps([refused, *found]).encode())
        os._exit(0)
    os.waitpid(pid, 0)
    refused, policy, nice = json.loads(os.read(reading, 1000))
    os.close(reading)
    os.close(writing)
    assert (refused, policy) == ([], os.SCHED_IDLE)
    assert nice == max(9, os.getpriority(os.PRIO_PROCESS, 0))
