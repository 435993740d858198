"""Training of packet models, from the reference detector's answers for a stretch of video."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from models.model_files import data_sha256
from models.packet_features import check_packets, packet_features, size_scale
from models.packets import PacketModel
from models.specialised import torch_threads
from models.training_settings import PacketSettings
from records import RecordError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Progress = Callable[[float, float], None]

__all__ = ["PacketSettings", "signal", "train_packets"]

LEAST_DEVIATION = 0.05
"""Features that vary less than this are not blown up."""

STEPS_A_LOOK = 20
"""Steps of training between two looks at the unseen blocks."""

LEAST_PROBABILITY = 1e-4
"""Probabilities are cut here before their logarithm is taken."""


def train_packets(
    coded_bytes: NDArray[np.integer[Any]],
    keyframe: NDArray[np.bool_],
    reordered: NDArray[np.bool_],
    positive: NDArray[np.bool_],
    settings: PacketSettings | None = None,
    progress: Progress | None = None,
    *,
    predicate: str = "",
    parent: str = "",
) -> PacketModel:
    """Train a packet model on a contiguous run of frames in order of presentation.

    Deterministic for a seed on one machine, unless the time runs out.

    Args:
        coded_bytes: integer (n,), the size of each frame's packet, bytes.
        keyframe: bool (n,), whether the frame is coded by itself.
        reordered: bool (n,), whether it is coded after a frame that is shown later.
        positive: bool (n,), whether the predicate holds, by the reference detector.
        settings: How to train.
        progress: Told the share done, 0..1, and the log loss on unseen blocks, nats.
        predicate: What is asked, for the manifest.
        parent: The model that this one replaces, for the manifest.

    Returns:
        The model. Its metrics: ``unseen_auc``, ``unseen_log_loss`` (nats), ``unseen_accuracy``,
        ``unseen_gain`` (1 - log loss / log loss of the base rate), ``base_rate``, ``frames``,
        ``steps`` and ``seconds``; ask `PacketModel.informative` whether to use it.

    Raises:
        RecordError: a shape or dtype is wrong, there are fewer than 2 frames a fold, or all
            frames have the same answer.
    """
    began = time.monotonic()
    settings = settings or PacketSettings()
    _check_training(coded_bytes, keyframe, reordered, positive, settings)
    scale = size_scale(coded_bytes, keyframe, reordered)
    run = (coded_bytes, keyframe, reordered)
    features = packet_features(*run, scale, settings.reach)
    training = _Training(features, positive, settings)
    with torch_threads(1):  # the networks are too small to share between threads
        steps = training.run(began + settings.seconds, progress)
    unseen = training.unseen_probability()
    metrics = {
        **signal(unseen, positive),
        "frames": float(len(positive)),
        "steps": float(steps),
        "seconds": time.monotonic() - began,
    }
    provenance = {
        "settings": asdict(settings),
        "data_sha256": data_sha256(*run, positive),
        "predicate": predicate,
        "parent": parent,
    }
    return PacketModel(settings.reach, scale, training.merged(), metrics, provenance)


def signal(probability: NDArray[np.float32], positive: NDArray[np.bool_]) -> dict[str, float]:
    """How much the scores of unseen frames tell: AUC, accuracy, log loss and gain.

    >>> told = signal(np.array([0.1, 0.2, 0.8, 0.7], np.float32), np.array([0, 0, 1, 1], bool))
    >>> told["unseen_auc"], told["unseen_accuracy"], round(told["unseen_gain"], 2)
    (1.0, 1.0, 0.67)
    """
    base = float(positive.mean())
    loss = _log_loss(probability.astype(np.float64), positive)
    return {
        "base_rate": base,
        "unseen_auc": _auc(probability, positive),
        "unseen_accuracy": float(((probability > 0.5) == positive).mean()),
        "unseen_log_loss": loss,
        "unseen_gain": 1.0 - loss / _log_loss(np.full(len(positive), base), positive),
    }


def _log_loss(probability: NDArray[np.float64], positive: NDArray[np.bool_]) -> float:
    right = np.where(positive, probability, 1.0 - probability)
    return float(-np.log(np.maximum(right, LEAST_PROBABILITY)).mean())


def _auc(score: NDArray[np.float32], positive: NDArray[np.bool_]) -> float:
    """The chance that a positive frame scores above a negative one, ties counting half."""
    negative = np.sort(score[~positive])
    below = np.searchsorted(negative, score[positive], side="left")
    not_above = np.searchsorted(negative, score[positive], side="right")
    return float((below + not_above).mean() / (2 * len(negative)))


class _Training:
    """All networks at once: arrays of (networks, …), each with frames of its own left out."""

    def __init__(
        self, features: NDArray[np.float32], positive: NDArray[np.bool_], settings: PacketSettings
    ) -> None:
        self._settings = settings
        self._mean = features.mean(axis=1, keepdims=True)
        self._deviation = np.maximum(features.std(axis=1, keepdims=True), LEAST_DEVIATION)
        self._inputs = torch.from_numpy((features - self._mean) / self._deviation).T.contiguous()
        self._positive = positive
        self._target = torch.from_numpy(positive.astype(np.float32))
        seen, self._unseen = _fold_masks(len(positive), settings)
        shares = seen / seen.sum(axis=1, keepdims=True)
        self._weights = torch.from_numpy(shares.astype(np.float32))
        self._random = torch.Generator().manual_seed(settings.seed)
        networks, hidden, inputs = len(seen), settings.hidden, features.shape[0]
        self._parameters = [
            self._normal(networks, inputs, hidden) / inputs**0.5,
            torch.zeros(networks, 1, hidden),
            self._normal(networks, hidden, 1) / hidden**0.5,
            torch.zeros(networks, 1, 1),
        ]

    def run(self, until: float, progress: Progress | None) -> int:
        """Train; the state with the lowest loss on unseen blocks stays. Returns its step."""
        settings = self._settings
        for parameter in self._parameters:
            parameter.requires_grad_()
        adam = torch.optim.AdamW(
            self._parameters, lr=settings.learning_rate, weight_decay=settings.weight_decay
        )
        fall = torch.optim.lr_scheduler.CosineAnnealingLR(adam, settings.steps)
        best, best_step, kept = np.inf, 0, self._copy()
        for step in range(1, settings.steps + 1):
            adam.zero_grad()
            self._loss().backward()
            adam.step()
            fall.step()
            late = time.monotonic() >= until
            if step % STEPS_A_LOOK and step < settings.steps and not late:
                continue
            loss = _log_loss(self.unseen_probability().astype(np.float64), self._positive)
            if loss < best:
                best, best_step, kept = loss, step, self._copy()
            if progress is not None:
                progress(step / settings.steps, loss)
            if late:
                break
        self._parameters = kept
        return best_step

    def unseen_probability(self) -> NDArray[np.float32]:
        """For each frame, by the networks that were not trained on it; float32 (n,)."""
        with torch.no_grad():
            hidden_weight, hidden_bias, output_weight, output_bias = self._parameters
            hidden = torch.relu(self._inputs @ hidden_weight + hidden_bias)
            logit = (hidden @ output_weight + output_bias)[..., 0].numpy()
        mean = (logit * self._unseen).sum(axis=0) / self._unseen.sum(axis=0)
        probability: NDArray[np.float32] = (1 / (1 + np.exp(-mean))).astype(np.float32)
        return probability

    def merged(self) -> dict[str, NDArray[np.float32]]:
        """All networks as one that gives the mean of their logits, for features as they come."""
        weight, bias, output, output_bias = (p.numpy().astype(np.float64) for p in self._parameters)
        weight = np.concatenate(list(weight / self._deviation), axis=1)
        bias = bias.reshape(-1) - (self._mean.T @ weight)[0]
        tensors = {
            "hidden_weight": weight,
            "hidden_bias": bias,
            "output_weight": output.reshape(-1) / len(output),
            "output_bias": output_bias.reshape(-1).mean(keepdims=True),
        }
        return {name: value.astype(np.float32) for name, value in tensors.items()}

    def _loss(self) -> torch.Tensor:
        settings = self._settings
        hidden_weight, hidden_bias, output_weight, output_bias = self._parameters
        noise = self._normal(len(hidden_weight), *self._inputs.shape)
        inputs = self._inputs + settings.noise * noise
        hidden = torch.relu(inputs @ hidden_weight + hidden_bias)
        stay = 1 - settings.dropout
        kept = torch.rand(hidden.shape, generator=self._random) < stay
        logit = ((hidden * kept / stay) @ output_weight + output_bias)[..., 0]
        losses = torch.nn.functional.binary_cross_entropy_with_logits(
            logit, self._target.expand_as(logit), reduction="none"
        )
        return (losses * self._weights).sum()

    def _normal(self, *shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=self._random)

    def _copy(self) -> list[torch.Tensor]:
        return [parameter.detach().clone() for parameter in self._parameters]


def _fold_masks(
    frames: int, settings: PacketSettings
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which frames each fold trains on and which it is judged on, bool (folds, n) each.

    Between the two lie `reach` frames of neither, whose features overlap.
    """
    place = np.arange(frames)
    edges = np.linspace(0, frames, settings.folds + 1).astype(np.int64)
    first, last = edges[:-1, None], edges[1:, None]
    # Where folds are shorter than the reach, a wider gap would leave nothing to train on.
    gap = min(settings.reach, frames // (4 * settings.folds))
    unseen = (place >= first) & (place < last)
    seen = (place < first - gap) | (place >= last + gap)
    return seen, unseen


def _check_training(
    coded_bytes: NDArray[np.integer[Any]],
    keyframe: NDArray[np.bool_],
    reordered: NDArray[np.bool_],
    positive: NDArray[np.bool_],
    settings: PacketSettings,
) -> None:
    check_packets(coded_bytes, keyframe, reordered)
    if positive.shape != coded_bytes.shape or positive.dtype != np.bool_:
        raise RecordError(
            f"positive must be bool ({len(coded_bytes)},), one value a frame, "
            f"got {positive.dtype} {positive.shape}"
        )
    if len(positive) < 2 * settings.folds:
        raise RecordError(
            f"training needs at least {2 * settings.folds} frames, got {len(positive)}"
        )
    if positive.all() or not positive.any():
        answer = "yes" if positive.all() else "no"
        raise RecordError(
            f"training needs frames of both answers, got {answer} for all {len(positive)}. "
            "Label a longer part of the stream"
        )
