"""For a trainer: open a training by the word that its user gave for the plan.

``single`` is plain torch in this process. ``dp`` is data parallel. ``auto`` searches, tries the
best plans beside these two in the trainer's own steps, and takes the winner. Anything else is a
file that ``sightflow plan --save`` wrote.
"""

from __future__ import annotations

import contextlib
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
    from collections.abc import Iterator

    from torch import nn

    from models.soap.graph import Graph
    from models.soap.training import Checkpoint, Example
    from models.soap.training_settings import LossSettings, OptimiserSettings

SINGLE, DATA_PARALLEL, AUTO = "single", "dp", "auto"
"""The words for plans."""

SEARCH_SECONDS = 20.0
"""How long a trainer searches, seconds: little beside what it trains for."""


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
    """

    how: str = SINGLE
    devices: int = 2
    search: SearchSettings = field(default_factory=lambda: SearchSettings(seconds=SEARCH_SECONDS))
    adoption: AdoptSettings = field(default_factory=AdoptSettings)
    runtime: Runtime | None = None
    threads: int = 1

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
    """

    training: PlannedTraining
    name: str
    plan: Plan | None
    adoption: Adoption | None = None


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
        if choice.how != SINGLE and (choice.devices > 1 or _is_file(choice.how)):
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
                adoption = adopt(*given, rivals(graph, found, count), ranks, choice.adoption)
                name, plan = adoption.name, adoption.plan
        training = PlannedTraining(*given, plan, ranks, resume)
        yield Opened(stack.enter_context(training), name, plan, adoption)


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


def _is_file(how: str) -> bool:
    return how not in {SINGLE, DATA_PARALLEL, AUTO}
