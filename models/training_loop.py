"""The loop that trains a specialised network, epoch by epoch, from a checkpoint on."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from models.architecture import build_network
from models.checkpoint import Checkpoint, pack_training, restore_training
from models.planned_steps import (
    DeviceLostError,
    MaskedNetwork,
    PlannedSteps,
    filled,
    keep_schedule,
    restore_schedule,
)
from models.soap.losses import NO_CLASS
from models.soap.training import Example
from models.soap.training_settings import LossSettings, OptimiserSettings
from models.specialised import MEAN, SpecialisedModel
from models.training_data import TrainingData, balance, deviation

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from models.checkpoint import CheckpointFile
    from models.planned_steps import Planning
    from models.training_settings import TrainSettings

    Progress = Callable[[float, float], None]


class Training:
    """A network in training, its data and the best state so far.

    Args:
        data: What it is trained on.
        settings: How.
        initial: The model to go on from; None begins anew.
        planning: By which plan; None for this process alone.
    """

    def __init__(
        self,
        data: TrainingData,
        settings: TrainSettings,
        initial: SpecialisedModel | None,
        planning: Planning | None = None,
    ) -> None:
        self._settings = settings
        self._random = torch.Generator().manual_seed(settings.seed)
        labels = np.minimum(data.counts, settings.most_counted).astype(np.int64)
        trained = data.images[data.seen]
        if initial is None:
            self._mean = trained.mean(axis=0, dtype=np.float64).astype(np.float32)
            self.deviation = deviation(trained, self._mean)
        else:
            self._mean = np.ascontiguousarray(initial.tensors[MEAN].transpose(1, 2, 0))
            self.deviation = initial.what.deviation
        self._parts = [
            (torch.from_numpy(data.images[part]), torch.from_numpy(labels[part]))
            for part in (data.seen, ~data.seen)
        ]
        self._loss = nn.CrossEntropyLoss(balance(labels, settings))
        network = build_network(settings.architecture, settings.most_counted)
        self._network = network.to_empty(device="cpu").to(memory_format=torch.channels_last)
        self._initialise(initial)
        self._best = np.inf if initial is None else self._evaluate(1)[0]
        self._best_epoch, self._kept, self._epochs = 0, self._copy(), 0
        self._optimise()
        self._planned = None if planning is None else self._plan(planning)
        self._file: tuple[CheckpointFile, str] | None = None
        self.spent = 0.0

    def resume(self, file: CheckpointFile, key: str) -> None:
        """Go on from a checkpoint of the same training, if there is one, and write more there.

        Args:
            file: Where it lies.
            key: What tells this training from others.

        Raises:
            DetectorError: it is damaged.
        """
        self._file = file, key
        found = file.load(key)
        if found is None:
            return
        restore_training(found, self._network, self._adam, self._cycle)
        self._kept = found.part("best.")
        self._random.set_state(found.tensors["random"])
        self._best = float(found.tensors["best_loss"])
        self._best_epoch, self._epochs = found.values["best_epoch"], found.values["epochs"]
        self.spent = found.values["seconds"]

    def run(self, progress: Progress | None, enough: Callable[[], bool]) -> int:
        """Train; the state with the lowest validation loss stays. Returns its epoch."""
        settings, began = self._settings, time.monotonic()
        until = began + settings.seconds - self.spent

        def over() -> bool:
            return time.monotonic() >= until or enough()

        while self._epochs < settings.epochs and not self._stalled:
            whole = self._epoch(over)
            self._epochs += 1
            loss, _ = self._evaluate(1)
            if loss < self._best:
                self._best, self._best_epoch, self._kept = loss, self._epochs, self._copy()
            if whole:
                self._save(self.spent + time.monotonic() - began)
            if progress is not None:
                progress(self._epochs / settings.epochs, loss)
            if not whole:
                break
        self._network.load_state_dict(self._kept)
        return self._best_epoch

    def close(self) -> None:
        """End the processes of the plan."""
        if self._planned is not None:
            self._planned.close()

    def metrics(self) -> dict[str, float]:
        """Loss and accuracy of the best state on both parts."""
        (train_loss, train_accuracy), (loss, accuracy) = self._evaluate(0), self._evaluate(1)
        return {
            "train_loss": train_loss,
            "train_accuracy": train_accuracy,
            "validation_loss": loss,
            "validation_accuracy": accuracy,
        }

    def tensors(self) -> dict[str, NDArray[np.float32]]:
        """The best state and the mean picture, as `SpecialisedModel` takes them."""
        tensors = {name: value.contiguous().numpy() for name, value in self._kept.items()}
        return {**tensors, MEAN: np.ascontiguousarray(self._mean.transpose(2, 0, 1))}

    @property
    def _stalled(self) -> bool:
        return self._epochs - self._best_epoch >= self._settings.patience

    def _optimise(self) -> None:
        settings = self._settings
        steps = -(-len(self._parts[0][0]) // settings.batch_size)
        self._adam = torch.optim.AdamW(
            self._network.parameters(),
            lr=settings.learning_rate,
            weight_decay=settings.weight_decay,
        )
        self._cycle = torch.optim.lr_scheduler.OneCycleLR(
            self._adam, settings.learning_rate, total_steps=settings.epochs * steps
        )

    def _save(self, seconds: float) -> None:
        if self._file is None:
            return
        file, key = self._file
        packed = pack_training(self._network, self._adam, self._cycle)
        tensors = {
            **packed.tensors,
            **{f"best.{name}": value for name, value in self._kept.items()},
            "best_loss": torch.tensor(self._best, dtype=torch.float64),
            "random": self._random.get_state(),
        }
        values = {
            **packed.values,
            "best_epoch": self._best_epoch,
            "epochs": self._epochs,
            "seconds": seconds,
        }
        file.save(key, Checkpoint(tensors, values))

    def _plan(self, planning: Planning) -> PlannedSteps:
        settings, size = self._settings, self._settings.batch_size
        side = settings.architecture.size
        example = Example(
            (torch.zeros(size, 3, side, side), torch.ones(size, self._features)),
            (torch.zeros(size, dtype=torch.int64),),
        )
        weights = self._loss.weight
        assert isinstance(weights, torch.Tensor)
        steps = settings.epochs * -(-len(self._parts[0][0]) // size)
        choice = replace(planning.choice, steps=steps)
        return PlannedSteps(
            MaskedNetwork(self._network),
            example,
            LossSettings(weights=tuple(weights.tolist())),
            OptimiserSettings("adamw", settings.learning_rate, weight_decay=settings.weight_decay),
            replace(planning, choice=choice),
        )

    @property
    def _features(self) -> int:
        """How many inputs the dense layer has."""
        dense = self._network[-3]
        assert isinstance(dense, nn.Linear)
        return dense.in_features

    def _epoch(self, over: Callable[[], bool]) -> bool:
        """One pass over the training part; False where it was cut short."""
        while self._planned is not None and self._planned.begin(self._adam):
            random, schedule = self._random.get_state(), keep_schedule(self._adam, self._cycle)
            try:
                whole = self._pass(over)
                self._planned.end(self._adam)
            except DeviceLostError:
                self._random.set_state(random)
                restore_schedule(self._adam, self._cycle, schedule)
            else:
                return whole
        return self._pass(over)

    def _pass(self, over: Callable[[], bool]) -> bool:
        images, labels = self._parts[0]
        order = torch.randperm(len(images), generator=self._random)
        for chosen in order.split(self._settings.batch_size):
            self._step(self._jitter(images[chosen]), labels[chosen])
            self._cycle.step()
            if over():
                return False
        return True

    def _step(self, images: torch.Tensor, labels: torch.Tensor) -> None:
        """One step, with dropout before the dense layer, from our own generator."""
        inputs = ((images - torch.from_numpy(self._mean)) / self.deviation).permute(0, 3, 1, 2)
        stay = 1 - self._settings.dropout
        kept = torch.rand((len(images), self._features), generator=self._random) < stay
        if self._planned is not None and self._planned.planned:
            # Shapes must not change: what fills up the last batch has no label.
            size = self._settings.batch_size
            given = filled(inputs, size), filled(kept / stay, size)
            self._planned.step(given, (filled(labels, size, NO_CLASS),), self._adam)
            return
        self._adam.zero_grad()
        flat: torch.Tensor = self._network[:-3](inputs)
        loss = self._loss(self._network[-3:](flat * kept / stay), labels)
        loss.backward()
        self._adam.step()

    def _jitter(self, images: torch.Tensor) -> torch.Tensor:
        """As if the camera's exposure had changed, cut to 0..255 as a camera cuts."""
        shape, settings = (len(images), 1, 1, 1), self._settings
        contrast = 1 + settings.contrast * torch.randn(shape, generator=self._random)
        brightness = settings.brightness * torch.randn(shape, generator=self._random)
        middle = images.float().mean(dim=(1, 2, 3), keepdim=True)
        return ((images - middle) * contrast + middle + brightness).clamp_(0, 255)

    def _evaluate(self, part: int) -> tuple[float, float]:
        """Balanced loss of the counts, and accuracy of the predicate."""
        images, labels = self._parts[part]
        mean = torch.from_numpy(self._mean)
        with torch.inference_mode():
            logits = torch.cat(
                [
                    self._network(((batch - mean) / self.deviation).permute(0, 3, 1, 2))
                    for batch in images.split(256)
                ]
            )
            tail = torch.softmax(logits, dim=1)[:, self._settings.at_least :].sum(dim=1)
            right = (tail > 0.5) == (labels >= self._settings.at_least)
            return float(self._loss(logits, labels)), float(right.float().mean())

    def _initialise(self, initial: SpecialisedModel | None) -> None:
        """The weights of a model, or He et al. 2015 from our own generator."""
        if initial is not None:
            weights = {name: torch.tensor(value) for name, value in initial.tensors.items()}
            del weights[MEAN]
            self._network.load_state_dict(weights)
            return
        for module in self._network:
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu", generator=self._random)
                assert module.bias is not None
                nn.init.zeros_(module.bias)

    def _copy(self) -> dict[str, torch.Tensor]:
        return {name: value.clone() for name, value in self._network.state_dict().items()}
