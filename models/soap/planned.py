"""For a trainer: open a training by the word that its user gave for the plan.

``single`` is plain torch in this process. ``dp`` is data parallel. ``auto`` searches, tries the
best plans beside these two in the trainer's own steps, and takes the winner; for small models and
short trainings, where that cannot pay, it takes one device at once. Anything else is a file that
``sightflow plan --save`` wrote.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from models.soap.adopt import Adoption, AdoptSettings, adopt
from models.soap.cost import MeasuredCosts
from models.soap.machine import Runtime, this_machine
from models.soap.plan import LONGEST_TEXT, Plan, data_parallel, single_device
from models.soap.ranks import Ranks, RankSettings
from models.soap.search import Found, SearchSettings, search
from models.soap.simulate import Simulator
from models.soap.training import PlannedTraining
from records import RecordError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch import nn

    from models.soap.graph import Graph
    from models.soap.training import Checkpoint, Example
    from models.soap.training_settings import LossSettings, OptimiserSettings

SINGLE, DATA_PARALLEL, AUTO = "single", "dp", "auto"
"""The words for plans."""

SEARCH_SECONDS = 20.0
"""How long a trainer searches, seconds: little beside what it trains for."""

CHEAP_STEP_SECONDS = 0.005
"""Where a step on one device takes less, messages take more than other devices could save."""

SOUNDING_STEPS = 3
"""How many steps on one device tell whether to plan."""

LEAST_GAIN = 2.0
"""Training must take so many times as long as planning, since two devices save half at most."""


@dataclass(frozen=True, slots=True)
class PlanChoice:
    """Which plan to train by.

    Attributes:
        how: ``single``, ``dp``, ``auto``, or the path of a plan's file.
        devices: Processes on this machine, for ``dp`` and ``auto``, 1..64.
        search: How ``auto`` searches.
        adoption: How ``auto`` tries plans.
        runtime: What the runtime adds to the simulated step, if it was calibrated here.
        threads: Threads of torch in each process.
        steps: How many steps the training is to make; ``auto`` does not plan where they take less
            than planning. None where that is not known.
    """

    how: str = SINGLE
    devices: int = 2
    search: SearchSettings = field(default_factory=lambda: SearchSettings(seconds=SEARCH_SECONDS))
    adoption: AdoptSettings = field(default_factory=AdoptSettings)
    runtime: Runtime | None = None
    threads: int = 1
    steps: int | None = None

    def fewer(self) -> PlanChoice:
        """What to try when a rank has died: one device less, at last none but this process."""
        if self.devices <= 2 or self.how == SINGLE:
            return replace(self, how=SINGLE, devices=1)
        how = self.how if self.how in {AUTO, DATA_PARALLEL} else AUTO
        return replace(self, how=how, devices=self.devices - 1)


@dataclass(frozen=True, slots=True)
class Opened:
    """A training, and by which plan it runs.

    Attributes:
        training: The training.
        name: ``single``, ``data_parallel``, ``found 1``... or the path of the file.
        plan: The plan.
        adoption: What was measured, with ``auto``.
        predicted: The simulated step of each plan that was tried, with ``auto``, seconds.
        reason: Why ``auto`` took one device without a trial; else empty.
    """

    training: PlannedTraining
    name: str
    plan: Plan | None
    adoption: Adoption | None = None
    predicted: Mapping[str, float] = field(default_factory=dict)
    reason: str = ""


@contextlib.contextmanager
def open_training(
    model: nn.Module,
    example: Example,
    loss: LossSettings,
    optimiser: OptimiserSettings,
    choice: PlanChoice,
    resume: Checkpoint | None = None,
    ranks: Ranks | None = None,
) -> Iterator[Opened]:
    """Start what a training needs, and end it with the ``with`` statement.

    When a step raises SightflowError since a rank has died, leave the statement and open anew
    with ``choice.fewer()`` and the last checkpoint.

    Args:
        model: The model; it stays as it is.
        example: A batch; with several devices all others must have its shapes.
        loss: What is minimised.
        optimiser: The optimiser.
        choice: Which plan.
        resume: Where to go on from; None at a new start.
        ranks: As many processes as the plan needs, where the caller has them already.

    Raises:
        RecordError: the model cannot be split, or the file holds no plan for it.
        SightflowError: a rank did not start, or failed in a trial.
    """
    given = (model, example, loss, optimiser)
    with contextlib.ExitStack() as stack:
        name, plan, adoption = SINGLE, None, None
        predicted: dict[str, float] = {}
        reason = _unplanned(*given, choice) if choice.how == AUTO and ranks is None else ""
        if choice.how != SINGLE and not reason and (choice.devices > 1 or _is_file(choice.how)):
            graph = loss.graph(model, example.inputs)
            saved = read_plan(Path(choice.how)) if _is_file(choice.how) else None
            count = choice.devices if saved is None else saved.devices
            if ranks is None:
                ranks = stack.enter_context(Ranks(RankSettings(count, choice.threads)))
            if saved is not None:
                name, plan = choice.how, saved
            elif choice.how == DATA_PARALLEL:
                name, plan = "data_parallel", data_parallel(graph, count)
            else:
                found = search_here(graph, ranks, choice.search, choice.runtime)
                plans = rivals(graph, found, count)
                predicted = _predicted(found, plans)
                adoption = adopt(*given, plans, ranks, choice.adoption)
                name, plan = adoption.name, adoption.plan
        training = PlannedTraining(*given, plan, ranks, resume)
        stack.enter_context(training)
        yield Opened(training, name, plan, adoption, predicted, reason)


def search_here(
    graph: Graph, ranks: Ranks, settings: SearchSettings, runtime: Runtime | None = None
) -> Found:
    """Search for a plan for these ranks, with operators measured on them as they are needed."""
    count = ranks.settings.count
    simulator = Simulator(graph, this_machine(count, runtime), MeasuredCosts(graph, ranks))
    return search(graph, simulator, count, settings)


def rivals(graph: Graph, found: Found, devices: int) -> dict[str, Plan]:
    """The plans to try, simplest first: one device, data parallel, and the best that were found."""
    simple = {"single": single_device(graph), "data_parallel": data_parallel(graph, devices)}
    others = [scored.plan for scored in found.best if scored.plan not in simple.values()]
    return {**simple, **{f"found {place}": plan for place, plan in enumerate(others, 1)}}


def read_plan(path: Path) -> Plan:
    """A plan from a file that holds its JSON.

    Raises:
        RecordError: the file cannot be read or holds no plan.
    """
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(LONGEST_TEXT + 1)
    except (OSError, UnicodeDecodeError) as error:
        raise RecordError(
            f"a plan must be single, dp, auto or a file that 'sightflow plan --save' wrote; "
            f"'{path}' cannot be read: {error}"
        ) from error
    return Plan.from_json(text)


def _predicted(found: Found, plans: Mapping[str, Plan]) -> dict[str, float]:
    """The simulated step of each plan, seconds."""
    simple = {SINGLE: found.single, "data_parallel": found.data_parallel}
    return {
        name: simple[name]
        if name in simple
        else next(scored.seconds for scored in found.best if scored.plan == plan)
        for name, plan in plans.items()
    }


def _unplanned(
    model: nn.Module,
    example: Example,
    loss: LossSettings,
    optimiser: OptimiserSettings,
    choice: PlanChoice,
) -> str:
    """Why planning cannot pay; empty where it may. Some steps on one device tell."""
    if choice.devices < 2:
        return "there is one device"
    with PlannedTraining(model, example, loss, optimiser) as training:
        seconds = min(_seconds(training, example) for _ in range(SOUNDING_STEPS))
    if seconds < CHEAP_STEP_SECONDS:
        return f"a step on one device takes {seconds * 1e3:.1f} ms, less than to exchange anything"
    planning = choice.search.seconds + choice.adoption.seconds
    if choice.steps is not None and choice.steps * seconds < planning * LEAST_GAIN:
        return (
            f"all steps on one device take {choice.steps * seconds:.0f} s, and planning up to "
            f"{planning:.0f} s"
        )
    try:
        loss.graph(model, example.inputs)
    except RecordError as error:
        return f"the model cannot be split: {error}"
    return ""


def _seconds(training: PlannedTraining, example: Example) -> float:
    began = time.perf_counter()
    training.step(example.inputs, example.targets)
    return time.perf_counter() - began


def _is_file(how: str) -> bool:
    return how not in {SINGLE, DATA_PARALLEL, AUTO}
