"""Training of specialised models, from the reference detector's counts for a stretch of video."""

from __future__ import annotations

import itertools
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from models.architecture import build_network
from models.model_files import data_sha256
from models.specialised import (
    MEAN,
    Specialisation,
    SpecialisedModel,
    check_squares,
    torch_threads,
)
from models.training_settings import TrainSettings
from records import RecordError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Progress = Callable[[float, float], None]

__all__ = ["TrainSettings", "train_specialised", "training_part"]

MOST_WEIGHT = 10.0
"""A frame of the rarer answer weighs at most this many times as much as without balance."""

LEAST_DEVIATION = 1.0
"""Differences from the mean picture are not blown up beyond one grey level, the sensor's noise."""

VALIDATION_BLOCKS = 5
"""The stretch is cut into this many parts in time; the last share of each is for validation."""


def train_specialised(
    images: NDArray[np.uint8],
    counts: NDArray[np.integer[Any]],
    settings: TrainSettings | None = None,
    progress: Progress | None = None,
    *,
    predicate: str = "",
    parent: str = "",
) -> SpecialisedModel:
    """Train a specialised model on frames in order of time.

    Deterministic for a seed on one machine, unless the time runs out. Images are never flipped:
    on a fixed camera left and right differ.

    Args:
        images: RGB, uint8 (n, size, size, 3), in order of time.
        counts: integer (n,), how many objects the reference detector found in each.
        settings: How to train.
        progress: Told the share done, 0..1, and the validation loss, nats, after each epoch.
        predicate: What is asked, for the manifest.
        parent: The model that this one replaces, for the manifest.

    Returns:
        The model with the lowest validation loss. Its metrics: ``train_loss``,
        ``validation_loss`` (nats, of the counts, both answers weighing the same),
        ``train_accuracy``, ``validation_accuracy`` (of the predicate), ``epochs``, ``frames`` and
        ``seconds``.

    Raises:
        RecordError: a shape or dtype is wrong, there are fewer than 10 frames, or all have the
            same answer.
    """
    began = time.monotonic()
    settings = settings or TrainSettings()
    _check_training(images, counts, settings)
    seen = training_part(len(images), settings.validation_share)
    with torch_threads(settings.threads):
        training = _Training(images, counts, seen, settings)
        epochs = training.run(began + settings.seconds, progress)
    provenance = {
        "settings": asdict(settings),
        "data_sha256": data_sha256(images, counts),
        "predicate": predicate,
        "parent": parent,
    }
    metrics = {
        **training.metrics(),
        "epochs": float(epochs),
        "frames": float(len(images)),
        "seconds": time.monotonic() - began,
    }
    what = Specialisation(
        settings.architecture,
        settings.most_counted,
        settings.at_least,
        training.deviation,
        metrics,
        provenance,
    )
    return SpecialisedModel(what, training.tensors())


def training_part(frames: int, validation_share: float) -> NDArray[np.bool_]:
    """Which frames are trained on, bool (n,); the others, in blocks of time, are for validation.

    >>> training_part(10, 0.5).astype(int).tolist()
    [1, 0, 1, 0, 1, 0, 1, 0, 1, 0]
    """
    edges = np.linspace(0, frames, VALIDATION_BLOCKS + 1).astype(np.int64).tolist()
    seen = np.ones(frames, dtype=bool)
    for first, last in itertools.pairwise(edges):
        held = max(1, round((last - first) * validation_share))
        seen[last - held : last] = False
    return seen


class _Training:
    """A network in training, its data and the best state so far."""

    def __init__(
        self,
        images: NDArray[np.uint8],
        counts: NDArray[np.integer[Any]],
        seen: NDArray[np.bool_],
        settings: TrainSettings,
    ) -> None:
        self._settings = settings
        self._random = torch.Generator().manual_seed(settings.seed)
        labels = np.minimum(counts, settings.most_counted).astype(np.int64)
        self._mean = images[seen].mean(axis=0, dtype=np.float64).astype(np.float32)
        self.deviation = max(_deviation(images[seen], self._mean), LEAST_DEVIATION)
        self._parts = [
            (torch.from_numpy(images[part]), torch.from_numpy(labels[part]))
            for part in (seen, ~seen)
        ]
        self._loss = nn.CrossEntropyLoss(_balance(labels, settings))
        network = build_network(settings.architecture, settings.most_counted)
        self._network = network.to_empty(device="cpu").to(memory_format=torch.channels_last)
        self._initialise()
        self._best, self._kept = np.inf, self._copy()

    def run(self, until: float, progress: Progress | None) -> int:
        """Train; the state with the lowest validation loss stays. Returns its epoch."""
        settings = self._settings
        steps = -(-len(self._parts[0][0]) // settings.batch_size)
        adam = torch.optim.AdamW(
            self._network.parameters(),
            lr=settings.learning_rate,
            weight_decay=settings.weight_decay,
        )
        cycle = torch.optim.lr_scheduler.OneCycleLR(
            adam, settings.learning_rate, total_steps=settings.epochs * steps
        )
        best_epoch = 0
        for epoch in range(1, settings.epochs + 1):
            in_time = self._epoch(adam, cycle, until)
            loss, _ = self._evaluate(1)
            if loss < self._best:
                self._best, best_epoch, self._kept = loss, epoch, self._copy()
            if progress is not None:
                progress(epoch / settings.epochs, loss)
            if not in_time or epoch - best_epoch >= settings.patience:
                break
        self._network.load_state_dict(self._kept)
        return best_epoch

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

    def _epoch(
        self, adam: torch.optim.Optimizer, cycle: torch.optim.lr_scheduler.LRScheduler, until: float
    ) -> bool:
        """One pass over the training part; False where the time ran out on the way."""
        images, labels = self._parts[0]
        order = torch.randperm(len(images), generator=self._random)
        for chosen in order.split(self._settings.batch_size):
            adam.zero_grad()
            loss = self._loss(self._forward(self._jitter(images[chosen])), labels[chosen])
            loss.backward()
            adam.step()
            cycle.step()
            if time.monotonic() >= until:
                return False
        return True

    def _jitter(self, images: torch.Tensor) -> torch.Tensor:
        """As if the camera's exposure had changed, cut to 0..255 as a camera cuts."""
        shape, settings = (len(images), 1, 1, 1), self._settings
        contrast = 1 + settings.contrast * torch.randn(shape, generator=self._random)
        brightness = settings.brightness * torch.randn(shape, generator=self._random)
        middle = images.float().mean(dim=(1, 2, 3), keepdim=True)
        return ((images - middle) * contrast + middle + brightness).clamp_(0, 255)

    def _forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits for training: with dropout before the dense layer, from our own generator."""
        inputs = ((images - torch.from_numpy(self._mean)) / self.deviation).permute(0, 3, 1, 2)
        flat: torch.Tensor = self._network[:-3](inputs)
        stay = 1 - self._settings.dropout
        kept = torch.rand(flat.shape, generator=self._random) < stay
        logits: torch.Tensor = self._network[-3:](flat * kept / stay)
        return logits

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

    def _initialise(self) -> None:
        """He et al. 2015, from our own generator."""
        for module in self._network:
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu", generator=self._random)
                assert module.bias is not None
                nn.init.zeros_(module.bias)

    def _copy(self) -> dict[str, torch.Tensor]:
        return {name: value.clone() for name, value in self._network.state_dict().items()}


def _balance(labels: NDArray[np.int64], settings: TrainSettings) -> torch.Tensor:
    """The weight of each count, so that both answers to the predicate weigh the same in all."""
    share = float((labels >= settings.at_least).mean())
    weights = np.full(settings.most_counted + 1, min(0.5 / (1 - share), MOST_WEIGHT))
    weights[settings.at_least :] = min(0.5 / share, MOST_WEIGHT)
    return torch.from_numpy(weights.astype(np.float32))


def _deviation(images: NDArray[np.uint8], mean: NDArray[np.float32]) -> float:
    """The standard deviation from the mean picture, grey levels, a chunk of images at a time."""
    squares = [
        float(np.square(images[i : i + 256] - mean).sum(dtype=np.float64))
        for i in range(0, len(images), 256)
    ]
    return float(np.sqrt(sum(squares) / images.size))


def _check_training(
    images: NDArray[np.uint8], counts: NDArray[np.integer[Any]], settings: TrainSettings
) -> None:
    check_squares(images, settings.architecture.size)
    if counts.shape != (len(images),) or counts.dtype.kind not in "iu":
        raise RecordError(
            f"counts must be integer ({len(images)},), one for each image, "
            f"got {counts.dtype} {counts.shape}"
        )
    if len(counts) < 2 * VALIDATION_BLOCKS:
        raise RecordError(
            f"training needs at least {2 * VALIDATION_BLOCKS} frames, got {len(counts)}"
        )
    if counts.min() < 0:
        raise RecordError(f"counts must be at least 0, got {counts.min()}")
    positive = counts >= settings.at_least
    if positive.all() or not positive.any():
        answer = "yes" if positive.all() else "no"
        raise RecordError(
            f"training needs frames of both answers, got {answer} for all {len(counts)}. "
            "Label a longer part of the stream"
        )
