"""The loop that trains an ECG network, epoch by epoch, from a checkpoint on."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

from models.checkpoint import Checkpoint, pack_training, restore_training
from models.ecg_data import class_weights, crop_batch, normalise
from models.ecg_network import WINDOW, EcgNetwork
from models.planned_steps import (
    DeviceLostError,
    PlannedSteps,
    keep_schedule,
    restore_schedule,
)
from models.soap.training import Example
from models.soap.training_settings import LossSettings, OptimiserSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from models.checkpoint import CheckpointFile
    from models.ecg import EcgModel
    from models.ecg_data import LabelledSignal
    from models.ecg_training import EcgTrainSettings
    from models.planned_steps import Planning

    Progress = Callable[[int, float], None]

PADDING = -100
"""The label of a window that is not real; it weighs nothing."""


class EcgTraining:
    """An ECG network in training. Draws from torch's own generator, which the caller seeds.

    Args:
        records: What it is trained on.
        settings: How.
        classes: How many classes there are.
        initial: The model to go on from; None begins anew.
        planning: By which plan; None for this process alone. Under one for several devices
            dropout draws from a seed for each step.

    Attributes:
        network: The network.
        spent: The seconds that it was trained for before it was gone on with.
    """

    def __init__(
        self,
        records: Sequence[LabelledSignal],
        settings: EcgTrainSettings,
        classes: int,
        initial: EcgModel | None,
        planning: Planning | None = None,
    ) -> None:
        self._settings = settings
        self._random = np.random.default_rng(settings.seed)
        self._signals = [normalise(record.signal) for record in records]
        self._labels = np.array([record.label for record in records])
        self._weights = torch.from_numpy(class_weights(self._labels.tolist(), classes))
        self.network = EcgNetwork(settings.architecture, classes)
        if initial is not None:
            weights = {name: torch.tensor(value) for name, value in initial.tensors.items()}
            # A file has no counters of batches; nothing depends on them.
            self.network.load_state_dict({**self.network.state_dict(), **weights})
        # Batch normalisation needs more than one record: the few that are left over wait an epoch.
        self._steps = len(records) // settings.batch_size
        self._adam = torch.optim.AdamW(
            self.network.parameters(),
            lr=settings.learning_rate,
            weight_decay=settings.weight_decay,
        )
        self._cycle = torch.optim.lr_scheduler.OneCycleLR(
            self._adam, settings.learning_rate, total_steps=settings.epochs * self._steps
        )
        self._planned = None if planning is None else self._plan(planning)
        self._epochs, self._loss = 0, 0.0
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
        restore_training(found, self.network, self._adam, self._cycle)
        torch.random.set_rng_state(found.tensors["random"])
        self._random.bit_generator.state = found.values["random"]
        self._epochs, self._loss = found.values["epochs"], found.values["loss"]
        self.spent = found.values["seconds"]

    def run(self, progress: Progress | None, enough: Callable[[], bool]) -> float:
        """Train all epochs that are left; the mean loss of the last, nats."""
        began, whole = time.monotonic(), True
        while self._epochs < self._settings.epochs and whole:
            whole = self._epoch(enough)
            self._epochs += 1
            if whole:
                self._save(self.spent + time.monotonic() - began)
            if progress is not None:
                progress(self._epochs, self._loss)
        return self._loss

    def close(self) -> None:
        """End the processes of the plan."""
        if self._planned is not None:
            self._planned.close()

    def _plan(self, planning: Planning) -> PlannedSteps:
        settings = self._settings
        size, windows = settings.batch_size, settings.crop_windows
        example = Example(
            (torch.zeros(size, 1, windows * WINDOW),),
            (torch.zeros(size, windows, dtype=torch.int64),),
        )
        weights = tuple(self._weights.tolist())
        choice = replace(planning.choice, steps=settings.epochs * self._steps)
        return PlannedSteps(
            self.network,
            example,
            LossSettings(weights=weights, ignored=PADDING, smoothing=settings.smoothing),
            OptimiserSettings("adamw", settings.learning_rate, weight_decay=settings.weight_decay),
            replace(planning, choice=choice),
        )

    def _epoch(self, enough: Callable[[], bool]) -> bool:
        """One pass over the records; False where it was cut short."""
        while self._planned is not None and self._planned.begin(self._adam):
            random = self._random.bit_generator.state
            schedule = keep_schedule(self._adam, self._cycle)
            try:
                whole = self._pass(enough)
                self._planned.end(self._adam)
            except DeviceLostError:
                self._random.bit_generator.state = random
                restore_schedule(self._adam, self._cycle, schedule)
            else:
                return whole
        return self._pass(enough)

    def _pass(self, enough: Callable[[], bool]) -> bool:
        size = self._settings.batch_size
        order = self._random.permutation(len(self._signals))[: self._steps * size]
        losses: list[float] = []
        for chosen in order.reshape(self._steps, size):
            losses.append(self._step(chosen))
            self._cycle.step()
            self._loss = sum(losses) / len(losses)
            if enough():
                return False
        return True

    def _step(self, chosen: NDArray[np.int64]) -> float:
        settings = self._settings
        pieces, real = crop_batch(
            [self._signals[i] for i in chosen], settings.crop_windows * WINDOW, self._random
        )
        inputs = torch.from_numpy(pieces)
        targets = torch.from_numpy(_targets(self._labels[chosen], real, settings.crop_windows))
        if self._planned is not None and self._planned.planned:
            seed = settings.seed + self._cycle.last_epoch
            return self._planned.step((inputs,), (targets,), self._adam, seed)
        self._adam.zero_grad()
        loss = functional.cross_entropy(
            self.network(inputs),
            targets,
            self._weights,
            ignore_index=PADDING,
            label_smoothing=settings.smoothing,
        )
        loss.backward()
        self._adam.step()
        return loss.item()

    def _save(self, seconds: float) -> None:
        if self._file is None:
            return
        file, key = self._file
        packed = pack_training(self.network, self._adam, self._cycle)
        tensors = {**packed.tensors, "random": torch.random.get_rng_state()}
        values = {
            **packed.values,
            "random": self._random.bit_generator.state,
            "epochs": self._epochs,
            "loss": self._loss,
            "seconds": seconds,
        }
        file.save(key, Checkpoint(tensors, values))


def _targets(labels: NDArray[np.int64], real: NDArray[np.int64], windows: int) -> NDArray[np.int64]:
    """int64 (records, windows): the label of each whole window, PADDING behind the signal."""
    there = np.arange(windows) < (real // WINDOW)[:, None]
    return np.where(there, labels[:, None], PADDING)
