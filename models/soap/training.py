"""Training step by step under a plan, on this process or on ranks, with the same results.

>>> from torch import nn
>>> from models.soap.training_settings import LossSettings, OptimiserSettings
>>> example = Example((torch.zeros(2, 3),), (torch.tensor([0, 1]),))
>>> training = PlannedTraining(nn.Linear(3, 2), example, LossSettings(), OptimiserSettings())
>>> loss = training.step(example.inputs, example.targets)
>>> sorted(training.checkpoint().model)
['bias', 'weight']
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import torch

from models.soap.plan import Plan
from models.soap.training_backend import Backend, Checkpoint, Example, OneDevice, OverRanks
from models.soap.training_rank import Rate
from records import RecordError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor, nn

    from models.soap.graph import Graph
    from models.soap.ranks import Ranks
    from models.soap.training_settings import LossSettings, OptimiserSettings

__all__ = ["Checkpoint", "Example", "PlannedTraining"]


class PlannedTraining:
    """A model in training. The model that is given is copied and stays as it is.

    With several devices every batch must have the shapes of the example; with one, any.

    Args:
        model: The model, with its parameters and buffers on the processor.
        example: A batch; only shapes and dtypes matter.
        loss: What is minimised.
        optimiser: The optimiser.
        plan: How a step is split; None for one device, which is plain torch in this process.
        ranks: The processes for a plan for several devices, at least one a device. They stay the
            caller's.
        resume: Where to go on from; None at a new start.
        graph: The model's graph with this loss, where the caller has it already.

    Raises:
        RecordError: the model cannot be split, the plan does not fit it or the ranks, or the
            checkpoint is of another model or optimiser.
        SightflowError: a rank failed; the ranks are then stopped. Go on from the last checkpoint
            with fewer devices.
    """

    def __init__(
        self,
        model: nn.Module,
        example: Example,
        loss: LossSettings,
        optimiser: OptimiserSettings,
        plan: Plan | None = None,
        ranks: Ranks | None = None,
        resume: Checkpoint | None = None,
        graph: Graph | None = None,
    ) -> None:
        model = copy.deepcopy(model).train()
        start = resume or _start(model, optimiser)
        _check_resume(model, optimiser, start)
        model.load_state_dict(start.model)
        self._steps = start.steps
        self._rate = optimiser.learning_rate
        self._rest = {name: value.clone() for name, value in model.state_dict().items()}
        self._backend: Backend
        if plan is None or plan.devices == 1:
            self._backend = OneDevice(model, loss, optimiser, start)
            return
        if ranks is None or ranks.settings.count < plan.devices:
            got = "none" if ranks is None else ranks.settings.count
            raise RecordError(f"a plan for {plan.devices} devices needs as many ranks, got {got}")
        graph = graph or loss.graph(model, example.inputs)
        # Ranks that the plan leaves out still take part, with nothing to compute.
        plan = Plan(ranks.settings.count, plan.partitions)
        plan.check(graph)
        self._backend = OverRanks(graph, plan, ranks, example, (optimiser, start))

    def __enter__(self) -> PlannedTraining:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def step(
        self,
        inputs: Sequence[Tensor],
        targets: Sequence[Tensor],
        seed: int = 0,
        learning_rate: float | None = None,
        momentum: float | None = None,
    ) -> float:
        """One training step.

        Args:
            inputs: What the model's ``forward`` takes.
            targets: One tensor for each output.
            seed: Dropout draws what it draws after ``torch.manual_seed(seed)``.
            learning_rate: Of this step; the optimiser's by default.
            momentum: SGD's, or AdamW's first beta, from this step on; unchanged by default.

        Returns:
            The loss before the update.

        Raises:
            RecordError: a part of the batch has another shape or dtype than in the example.
            SightflowError: a rank failed; the ranks are then stopped.
        """
        rate = Rate(self._rate if learning_rate is None else learning_rate, momentum)
        loss = self._backend.step(Example(tuple(inputs), tuple(targets)), seed, rate)
        self._steps += 1
        return loss

    def state(self) -> dict[str, Tensor]:
        """The model's state, as ``state_dict`` gives it; a copy."""
        return dict(self.checkpoint().model)

    def checkpoint(self) -> Checkpoint:
        """All that is needed to go on; a copy."""
        model, moments = self._backend.collect()
        # What no step changes is in the model, but not in its graph.
        return Checkpoint({**self._rest, **model}, moments, self._steps)

    def close(self) -> None:
        """Let the ranks forget this training."""
        self._backend.close()


def _start(model: nn.Module, optimiser: OptimiserSettings) -> Checkpoint:
    """A new start: with moments of zero torch's optimisers make the first step they make."""
    zeros = {name: torch.zeros_like(p.detach()) for name, p in model.named_parameters()}
    return Checkpoint(model.state_dict(), dict.fromkeys(optimiser.moments, zeros), 0)


def _check_resume(model: nn.Module, optimiser: OptimiserSettings, start: Checkpoint) -> None:
    want, got = set(model.state_dict()), set(start.model)
    if want != got or set(start.moments) != set(optimiser.moments):
        raise RecordError(
            "a checkpoint must be of the same model and optimiser, with moments "
            f"{list(optimiser.moments)}, got {list(start.moments)} and tensors that differ: "
            f"{sorted(want ^ got)}"
        )
