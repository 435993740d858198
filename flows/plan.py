"""From a model's name to a plan for its training: search, prediction and, if asked, trials."""

from __future__ import annotations

import math
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from models.soap.adopt import Adoption, AdoptSettings, adopt
from models.soap.calibrate import Calibration, calibrate
from models.soap.cost import AnalyticCosts, MeasuredCosts
from models.soap.machine import Machine, Runtime, this_machine
from models.soap.machines_published import find_machine
from models.soap.planned import rivals
from models.soap.random_plans import sample_plans
from models.soap.ranks import Ranks, RankSettings
from models.soap.search import Found, SearchSettings, search
from models.soap.simulate import Simulator
from models.soap.training_settings import OptimiserSettings
from models.specialised import torch_threads
from records import RecordError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from flows.plan_models import PlanModel
    from models.soap.graph import Graph
    from models.soap.plan import Plan
    from models.soap.search_run import Progress
    from models.soap.simulate_timeline import Timeline

CALIBRATION_PLANS = 12
"""Plans that are timed to calibrate."""


@dataclass(frozen=True, slots=True)
class PlanRequest:
    """What to plan.

    Attributes:
        model: The model.
        batch: Samples of a step.
        devices: How many devices; None for all of the machine, or two processes of this one.
        machine: A published machine or a YAML file; empty for processes of this machine.
        search: How to search.
        trial: How the best plans are tried in real steps; None not to.
        calibration: A file of the runtime's constants on this machine, read if it is there and
            else made now; None takes typical ones.

    Raises:
        RecordError: trials or a calibration are wanted of another machine.
    """

    model: PlanModel
    batch: int
    devices: int | None = None
    machine: str = ""
    search: SearchSettings = field(default_factory=SearchSettings)
    trial: AdoptSettings | None = None
    calibration: Path | None = None

    def __post_init__(self) -> None:
        if self.machine and (self.trial is not None or self.calibration is not None):
            raise RecordError(
                "steps can be measured on this machine only. Leave out the machine, or the "
                "measurement and the calibration"
            )


@dataclass(frozen=True, slots=True)
class PlanResult:
    """A plan, and what is known of it.

    Attributes:
        plan: The plan: the best that was found, or the winner of the trials.
        graph: The model that it is for.
        machine: The devices that it is for.
        timeline: Its predicted step.
        found: The search.
        adoption: The trials, if there were any.
    """

    plan: Plan
    graph: Graph
    machine: Machine
    timeline: Timeline
    found: Found
    adoption: Adoption | None


def make_plan(
    request: PlanRequest,
    searching: Progress | None = None,
    trying: Callable[[int, int], None] | None = None,
) -> PlanResult:
    """Find a plan.

    Args:
        request: What to plan.
        searching: Told the share of the search's budget that is used, and the best step, seconds.
        trying: Told the turns of trials done and the most turns.

    Raises:
        RecordError: the model cannot be split, there are fewer devices than wanted, or no plan
            fits into their memory.
        ConfigurationError: the file of the machine is wrong.
        SightflowError: a process did not start, or failed.
    """
    model = request.model
    graph = model.loss.graph(model.layout(), model.inputs(request.batch))
    with ExitStack() as stack:
        if request.machine:
            machine = _some(find_machine(request.machine), request.devices)
            simulator = Simulator(graph, machine, AnalyticCosts(graph, machine))
            found = search(graph, simulator, len(machine.devices), request.search, searching)
            plan, adoption = found.plan, None
        else:
            ranks = stack.enter_context(Ranks(RankSettings(request.devices or 2)))
            runtime = _runtime(request.calibration, ranks, graph)
            machine = this_machine(ranks.settings.count, runtime)
            simulator = Simulator(graph, machine, MeasuredCosts(graph, ranks))
            found = search(graph, simulator, len(machine.devices), request.search, searching)
            adoption = _try(request, graph, found, ranks, trying)
            plan = found.plan if adoption is None else adoption.plan
        # Simulated before the ranks end, which measure what they have not yet.
        return PlanResult(plan, graph, machine, simulator.run(plan), found, adoption)


def _some(machine: Machine, devices: int | None) -> Machine:
    """The first devices of a machine."""
    count = len(machine.devices) if devices is None else devices
    if not 1 <= count <= len(machine.devices):
        raise RecordError(
            f"machine '{machine.name}' has {len(machine.devices)} devices, got {count}"
        )
    return Machine(machine.name, machine.devices[:count], machine.links, machine.runtime)


def _runtime(path: Path | None, ranks: Ranks, graph: Graph) -> Runtime | None:
    if path is None:
        return None
    if path.exists():
        return Calibration.load(path).runtime
    plans = sample_plans(graph, ranks.settings.count, CALIBRATION_PLANS)
    made = calibrate(ranks, [(graph, plans)])
    made.save(path)
    return made.runtime


def _try(
    request: PlanRequest,
    graph: Graph,
    found: Found,
    ranks: Ranks,
    progress: Callable[[int, int], None] | None,
) -> Adoption | None:
    if request.trial is None:
        return None
    network = request.model.network(request.search.seed)
    example = request.model.example(network, request.batch, request.search.seed)
    with torch_threads(ranks.settings.threads):
        return adopt(
            network,
            example,
            request.model.loss,
            OptimiserSettings(),
            rivals(graph, found, ranks.settings.count),
            ranks,
            request.trial,
            progress,
        )


def finite(seconds: float) -> float | None:
    """Seconds for JSON, which knows no infinity: None where memory does not suffice."""
    return seconds if math.isfinite(seconds) else None
