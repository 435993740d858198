"""The trainer as a process: low priority, waiting for the flow, and a budget for each round."""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import torch
from torch.nn.modules.module import register_module_forward_pre_hook

from records import SightflowError

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator

    from flows.config.training_section import TrainingSection

POLL_SECONDS = 0.02
"""The wait before it is asked again whether the flow is still behind, seconds."""

RAPL = Path("/sys/class/powercap")
"""Where Linux shows the processors' own counts of energy (running average power limit)."""

MICROJOULES = 1e-6
"""What those counts are in, joules."""


LOWEST_STREAM = 0
"""The lowest priority of a CUDA stream; lower numbers go first."""


class TrainingStoppedError(SightflowError):
    """The trainer was asked to end; the round goes on when it starts again."""


class EnergyMeter(Protocol):
    """Counts energy."""

    def joules(self) -> float:
        """The energy since some moment, joules; never falls."""


class ProcessorEnergy:
    """This process's processor time, as if each busy core took a fixed power.

    Args:
        watts_per_core: That power, watts.
    """

    def __init__(self, watts_per_core: float) -> None:
        self._watts = watts_per_core

    def joules(self) -> float:
        """The energy since the process began, joules."""
        return self._watts * time.process_time()


class RaplEnergy:
    """The energy of all processors of the machine, whoever uses them, as they count it.

    Args:
        folder: Where the counts are.

    Raises:
        SightflowError: there are none that may be read.
    """

    def __init__(self, folder: Path = RAPL) -> None:
        # One level only: domains within a package are counted in it.
        self._counters = sorted(folder.glob("intel-rapl:?")) + sorted(folder.glob("intel-rapl:??"))
        self._last: dict[Path, float] = {}
        self._sum = 0.0
        if not self._counters:
            raise SightflowError(
                f"{folder} must hold counts of energy (RAPL) and holds none. "
                "Set training.watts_per_core"
            )
        self.joules()

    def joules(self) -> float:
        """The energy since this was made, joules."""
        for counter in self._counters:
            now = _count(counter / "energy_uj")
            grown = now - self._last.get(counter, now)
            if grown < 0:  # the count has wrapped
                grown += _count(counter / "max_energy_range_uj")
            self._last[counter] = now
            self._sum += grown
        return self._sum


def _count(path: Path) -> float:
    try:
        return int(path.read_text(encoding="ascii")) * MICROJOULES
    except (OSError, ValueError) as error:
        raise SightflowError(
            f"{path} must be a readable count of energy: {error}. Set training.watts_per_core"
        ) from error


def energy_meter(section: TrainingSection) -> EnergyMeter:
    """What counts the energy of a round.

    Raises:
        SightflowError: the processor's own counts are asked for and cannot be read.
    """
    watts = section.watts_per_core
    return RaplEnergy() if watts is None else ProcessorEnergy(watts)


def lower_priority(section: TrainingSection) -> list[str]:
    """Lower this thread's priority, and that of those it starts.

    Returns:
        What the system did not allow, one sentence each.
    """
    refused = []
    policies = {"idle": os.SCHED_IDLE, "batch": os.SCHED_BATCH}
    policy = policies.get(section.scheduling)
    try:
        # Niceness can be raised by anybody; lowering it again may be refused.
        os.setpriority(os.PRIO_PROCESS, 0, max(section.nice, os.getpriority(os.PRIO_PROCESS, 0)))
    except OSError as error:
        refused.append(f"the niceness stays as it is: {error.strerror}")
    if policy is not None:
        try:
            os.sched_setscheduler(0, policy, os.sched_param(0))
        except OSError as error:
            refused.append(f"the scheduling class stays as it is: {error.strerror}")
    return refused


@contextlib.contextmanager
def low_priority_stream() -> Iterator[None]:
    """Meanwhile work for a GPU goes to a stream of the lowest priority, where there is a GPU."""
    if not torch.cuda.is_available():
        yield
        return
    with torch.cuda.stream(torch.cuda.Stream(priority=LOWEST_STREAM)):
        yield


@dataclass(frozen=True, slots=True)
class Spending:
    """What a round has used.

    Attributes:
        seconds: Of work, waiting left out.
        joules: Of energy.
        paused_seconds: Of waiting for the flow.
    """

    seconds: float = 0.0
    joules: float = 0.0
    paused_seconds: float = 0.0


class Session:
    """What a round asks while it works: whether to wait, to end, or to be content.

    Args:
        section: The budget.
        meter: Counts energy.
        busy: Whether the flow is behind.
        stop: Set when the trainer is to end.
        before: What the round had used before it was gone on with.
    """

    def __init__(
        self,
        section: TrainingSection,
        meter: EnergyMeter,
        busy: Callable[[], bool],
        stop: threading.Event,
        before: Spending | None = None,
    ) -> None:
        self._section, self._meter, self._busy, self._stop = section, meter, busy, stop
        self._before = before or Spending()
        self._began, self._joules = time.monotonic(), meter.joules()
        self._paused = 0.0

    @property
    def spending(self) -> Spending:
        """What the round has used in all."""
        before = self._before
        worked = time.monotonic() - self._began - self._paused
        return Spending(
            before.seconds + worked,
            before.joules + self._meter.joules() - self._joules,
            before.paused_seconds + self._paused,
        )

    def wait(self) -> None:
        """Wait while the flow is behind; asked between operators and between steps."""
        if not self._busy():
            return
        began = time.monotonic()
        while self._busy() and not self._stop.is_set():
            time.sleep(POLL_SECONDS)
        self._paused += time.monotonic() - began

    def enough(self) -> bool:
        """Whether the budget is used up. Waits first where the flow is behind."""
        self.wait()
        spent, joules = self.spending, self._section.joules
        return spent.seconds >= self._section.seconds or (
            joules is not None and spent.joules >= joules
        )

    def check(self) -> None:
        """Raise TrainingStoppedError when the trainer is to end; asked at checkpoints."""
        if self._stop.is_set():
            raise TrainingStoppedError(
                "the training was stopped; it goes on from its checkpoint at the next start"
            )

    @contextlib.contextmanager
    def between_operators(self) -> Iterator[None]:
        """Meanwhile every module of torch waits before it runs, where the flow is behind."""
        handle = register_module_forward_pre_hook(lambda _module, _inputs: self.wait())
        try:
            with low_priority_stream():
                yield
        finally:
            handle.remove()
