"""Training steps by a plan, for a loop whose network and optimiser lie in this process.

The loop goes through an epoch step by step; behind it, network and optimiser are as if the steps
had been made here, so that all else, and checkpoints above all, is the same under any plan. When a
process of the plan dies, they still are as before the epoch, which then is gone through anew with
fewer devices.
"""

from __future__ import annotations

import contextlib
import copy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from models.soap.planned import PlanChoice, open_training
from models.soap.training import Checkpoint, Example
from models.soap.training_settings import ADAMW_MOMENTS
from records import RecordError, SightflowError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from torch import Tensor
    from torch.optim.lr_scheduler import LRScheduler

    from models.soap.planned import Opened
    from models.soap.training import PlannedTraining
    from models.soap.training_settings import LossSettings, OptimiserSettings

    Kept = tuple[dict[str, Any], dict[str, Any]]


class DeviceLostError(SightflowError):
    """A process of the plan failed; the epoch must be gone through anew."""


@dataclass(frozen=True, slots=True)
class Planning:
    """By which plan to train.

    Attributes:
        choice: Which is asked for.
        tell: Called with what was opened: at the start, and when devices were lost.
    """

    choice: PlanChoice
    tell: Callable[[Opened], None] = lambda _opened: None


class MaskedNetwork(nn.Module):
    """A specialised network whose dropout is an input, so that the loop draws it.

    Args:
        network: The network, which ends in a dense layer, an activation and the logits' layer.
    """

    def __init__(self, network: nn.Sequential) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor, kept: Tensor) -> Tensor:
        """Logits.

        Args:
            images: float32 (n, 3, size, size).
            kept: float32 (n, features), what the dense layer's inputs are multiplied by.
        """
        logits: Tensor = self.network[-3:](self.network[:-3](images) * kept)
        return logits


def filled(batch: Tensor, size: int, value: float = 0) -> Tensor:
    """A batch with samples of a value behind it, so that it has `size`.

    >>> filled(torch.tensor([1, 2]), 3, -100)
    tensor([   1,    2, -100])
    """
    if len(batch) == size:
        return batch
    return torch.cat([batch, batch.new_full((size - len(batch), *batch.shape[1:]), value)])


def keep_schedule(adam: torch.optim.Optimizer, schedule: LRScheduler) -> Kept:
    """Where a schedule of rates stands."""
    group = {name: value for name, value in adam.param_groups[0].items() if name != "params"}
    return copy.deepcopy((group, schedule.state_dict()))


def restore_schedule(adam: torch.optim.Optimizer, schedule: LRScheduler, kept: Kept) -> None:
    """Bring a schedule back to where `keep_schedule` found it."""
    group, state = kept
    schedule.load_state_dict(state)
    adam.param_groups[0].update(group)


class PlannedSteps:
    """Steps of a model with AdamW by a plan.

    Args:
        model: The model; its parameters are those of the loop's optimiser.
        example: A batch; all others have its shapes.
        loss: What is minimised.
        optimiser: The loop's optimiser, in other words.
        planning: By which plan.
    """

    def __init__(
        self,
        model: nn.Module,
        example: Example,
        loss: LossSettings,
        optimiser: OptimiserSettings,
        planning: Planning,
    ) -> None:
        self._model, self._example = model, example
        self._settings = loss, optimiser
        self._tell, self._choice = planning.tell, planning.choice
        self._opened: Opened | None = None
        self._stack = contextlib.ExitStack()
        self._alone, self._lost = False, ""

    @property
    def planned(self) -> bool:
        """Whether steps go by a plan for several devices now."""
        return self._opened is not None

    def begin(self, adam: torch.optim.Optimizer) -> bool:
        """Make ready for steps from where the model and its optimiser are.

        Returns:
            Whether a plan for several devices is there; else the loop makes its own steps.

        Raises:
            RecordError: the plan does not fit the model, or cannot be read.
        """
        while self._opened is None and not self._alone:
            opening = open_training(
                self._model, self._example, *self._settings, self._choice, self._start(adam)
            )
            try:
                opened = self._stack.enter_context(opening)
            except RecordError:
                raise
            except SightflowError as error:
                self._fewer(error)
                continue
            self._tell(replace(opened, reason=self._lost or opened.reason))
            if opened.plan is None or opened.plan.devices == 1:
                self.close()
                self._alone = True
                break
            self._opened = opened
        return self._opened is not None

    def step(
        self,
        inputs: Sequence[Tensor],
        targets: Sequence[Tensor],
        adam: torch.optim.Optimizer,
        seed: int = 0,
    ) -> float:
        """One step at the present rates of the loop's optimiser; see `PlannedTraining.step`.

        Raises:
            DeviceLostError: a process failed.
        """
        group = adam.param_groups[0]
        with self._failing():
            loss = self._training().step(inputs, targets, seed, group["lr"], group["betas"][0])
        # Without gradients this changes nothing; schedules want it before they go on.
        adam.zero_grad()
        adam.step()
        return loss

    def end(self, adam: torch.optim.Optimizer) -> None:
        """Bring the model and its optimiser to where the steps have led.

        Raises:
            DeviceLostError: a process failed; nothing has changed.
        """
        with self._failing():
            found = self._training().checkpoint()
        self._model.load_state_dict(found.model)
        for name, parameter in self._model.named_parameters():
            state = adam.state[parameter]
            state["step"] = torch.tensor(float(found.steps))
            for moment in ADAMW_MOMENTS:
                # In the parameter's own order in memory, as the optimiser makes it.
                state[moment] = torch.empty_like(parameter).copy_(found.moments[moment][name])
                state[moment].requires_grad_(requires_grad=False)

    def close(self) -> None:
        """End the processes."""
        self._opened = None
        self._stack.close()

    def _training(self) -> PlannedTraining:
        assert self._opened is not None, "begin comes before"
        return self._opened.training

    def _start(self, adam: torch.optim.Optimizer) -> Checkpoint:
        named = dict(self._model.named_parameters())
        moments = {
            moment: {
                name: adam.state[one].get(moment, torch.zeros_like(one.detach()))
                if one in adam.state
                else torch.zeros_like(one.detach())
                for name, one in named.items()
            }
            for moment in ADAMW_MOMENTS
        }
        steps = {int(state["step"]) for state in adam.state.values() if "step" in state}
        return Checkpoint(dict(self._model.state_dict()), moments, max(steps, default=0))

    @contextlib.contextmanager
    def _failing(self) -> Iterator[None]:
        try:
            yield
        except RecordError:
            raise
        except SightflowError as error:
            self._fewer(error)
            raise DeviceLostError(str(error)) from error

    def _fewer(self, error: SightflowError) -> None:
        self.close()
        self._choice = self._choice.fewer()
        self._lost = f"a device was lost: {error}"
